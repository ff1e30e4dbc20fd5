"""``daphne.access``: the access log."""

import datetime
from collections.abc import Mapping
from typing import Any, Final, TextIO

_WORDS: Final = {
    "connecting": "WSCONNECTING",
    "connected": "WSCONNECT",
    "rejected": "WSREJECT",
    "disconnected": "WSDISCONNECT",
}


class AccessLogGenerator:
    """An action logger that writes a line like NCSA's for each request and step of a WebSocket.

    Args:
        stream: Where the lines go.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __call__(self, protocol: str, action: str, details: Mapping[str, Any]) -> None:
        """Write the line of an action, or nothing for one that is unknown.

        Args:
            protocol: ``"http"`` or ``"websocket"``.
            action: ``"complete"``, or a step of a WebSocket.
            details: ``path`` and ``client``; for HTTP ``method``, ``status`` and ``size`` too.
        """
        now = datetime.datetime.now()  # noqa: DTZ005  the clock on the wall
        client = details.get("client")
        if protocol == "http" and action == "complete":
            self.write_entry(
                host=client,
                date=now,
                request=f"{details['method']} {details['path']}",
                status=details["status"],
                length=details["size"],
            )
        elif protocol == "websocket" and action in _WORDS:
            self.write_entry(host=client, date=now, request=f"{_WORDS[action]} {details['path']}")

    def write_entry(
        self,
        host: str | None,
        date: datetime.datetime,
        request: str,
        status: int | None = None,
        length: int | None = None,
        ident: str | None = None,
        user: str | None = None,
    ) -> None:
        """Write one line; what is None becomes a dash."""
        # A quote would otherwise end the field, and the client could write the rest itself.
        request = request.replace("\\", "\\\\").replace('"', '\\"')
        stamp = date.strftime("%d/%b/%Y:%H:%M:%S")
        shown = [host, ident, user, status, length]
        host_, ident_, user_, status_, length_ = ["-" if v in (None, "") else str(v) for v in shown]
        line = f'{host_} {ident_} {user_} [{stamp}] "{request}" {status_} {length_}\n'
        self.stream.write(line)
        self.stream.flush()
