"""Who asked for what, and what came of it: the access log."""

import dataclasses
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from fairway.server.observing.logs import timestamp, to_line
from fairway.wire.http1 import Request


@dataclasses.dataclass(frozen=True, slots=True)
class AccessRecord:
    """One line's worth of facts.

    Attributes:
        protocol: ``"http"`` or ``"websocket"``.
        action: For HTTP ``"complete"``; for WebSockets ``"connecting"``, ``"connected"``,
            ``"rejected"`` or ``"disconnected"``.
        method: The request method; for WebSockets ``GET``, or ``CONNECT`` over HTTP/2.
        path: The request target's path with its query string, as the client sent it.
        http_version: ``"1.1"``, ``"1.0"`` or ``"2"``.
        status: The HTTP status, or for ``"disconnected"`` the close code.
        client: ``"address:port"``, or empty where the client has none (a Unix socket).
        size: Bytes of the response body.
        duration: Seconds since the request began.
        received: Bytes of the request's body that have come; for ``"disconnected"`` those of its
            frames, and ``size`` those of the messages that were sent.
        request_id: The request's identifier; empty without ``request_ids``.
        headers: Those of the request.
    """

    protocol: str
    action: str
    method: str
    path: str
    http_version: str
    status: int
    client: str
    size: int = 0
    duration: float = 0.0
    received: int = 0
    request_id: str = ""
    headers: Sequence[tuple[bytes, bytes]] = dataclasses.field(
        default=(), compare=False, repr=False
    )

    def header(self, name: bytes) -> str:
        """A header of the request, by its name in lower case; empty without it."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return ""


#: Takes each record as it happens, on the event loop's thread; must not block.
AccessLog = Callable[[AccessRecord], None]

_WORDS = {
    "connecting": "WSCONNECTING",
    "connected": "WSCONNECT",
    "rejected": "WSREJECT",
    "disconnected": "WSDISCONNECT",
}
_DJANGO_WORDS = {
    "connecting": "HANDSHAKING",
    "connected": "CONNECT",
    "rejected": "REJECT",
    "disconnected": "DISCONNECT",
}


#: What is no visible ASCII character.
_UNPRINTABLE: Final = re.compile(r"[^ -~]")
#: The value of a parameter of a query whose name ends in "token": a credential.
_TOKEN = re.compile(r"(?i)(?<=token=)[^&]+")


def path_of(request: Request) -> str:
    """The path of a request with its query string, as people read it in logs.

    Browsers can send a token only in the address of a WebSocket, and whoever reads logs must not be
    able to use it: what a parameter says whose name ends in "token" is left out.
    """
    path = request.path.decode("latin-1")
    if not request.query_string:
        return path
    query = _TOKEN.sub("***", request.query_string.decode("latin-1"))
    return f"{path}?{query}"


def format_common(record: AccessRecord, when: float) -> str:
    """A line in the common log format, with a word of its own for each step of a WebSocket.

    Args:
        record: What happened.
        when: Seconds since the epoch.
    """
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S %z", time.localtime(when))
    host = record.client.rpartition(":")[0] or "-"
    # A quote in a path would otherwise end the field, and the client could write the rest itself.
    path = quote(record.path)
    if record.protocol == "http":
        request = f"{record.method} {path} HTTP/{record.http_version}"
        return f'{host} - - [{stamp}] "{request}" {record.status} {record.size}'
    status = record.status or "-"
    return f'{host} - - [{stamp}] "{_WORDS[record.action]} {path}" {status} -'


def format_combined(record: AccessRecord, when: float) -> str:
    """The same with the referer and the user agent behind it, as Apache and nginx have it."""
    referer, agent = (quote(record.header(name)) for name in (b"referer", b"user-agent"))
    return f'{format_common(record, when)} "{referer or "-"}" "{agent or "-"}"'


def format_extended(record: AccessRecord, when: float) -> str:
    """The same with seconds, bytes received and sent, and the request's identifier behind it."""
    identifier = quote(record.request_id) or "-"
    numbers = f"{record.duration:.3f} {record.received} {record.size}"
    return f"{format_combined(record, when)} {numbers} {identifier}"


def format_json(record: AccessRecord, when: float) -> str:
    """An object with everything that is known."""
    found: dict[str, Any] = {
        "time": timestamp(when),
        "logger": "fairway.access",
        "protocol": record.protocol,
        "action": record.action,
        "client": record.client,
        "method": record.method,
        "path": record.path,
        "http_version": record.http_version,
        "close_code" if record.action == "disconnected" else "status": record.status,
        "duration": round(record.duration, 3),
        "sent": record.size,
        "received": record.received,
        "user_agent": record.header(b"user-agent"),
        "referer": record.header(b"referer"),
        "request_id": record.request_id,
    }
    return to_line({name: value for name, value in found.items() if value not in ("", None)})


def quote(text: str) -> str:
    """Text that stays in its field and on its line, whatever a client has put into it."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return text if text.isascii() and text.isprintable() else _UNPRINTABLE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02x}"


def format_django(record: AccessRecord) -> str:
    """A line as people know it from ``runserver``."""
    client = record.client or "-"
    if record.protocol == "http":
        return (
            f"HTTP {record.method} {record.path} {record.status} [{record.duration:.2f}, {client}]"
        )
    return f"WebSocket {_DJANGO_WORDS[record.action]} {record.path} [{client}]"


_FORMATS: Final[dict[str, Callable[[AccessRecord, float], str]]] = {
    "common": format_common,
    "combined": format_combined,
    "extended": format_extended,
    "json": format_json,
}


class Sink(Protocol):
    """What lines go to: a text stream, or something like one."""

    def write(self, text: str, /) -> object:
        """Take a line."""

    def flush(self) -> object:
        """Let it be seen."""


class AccessLogStream:
    """An access log that writes lines to a text stream.

    Args:
        stream: Where the lines go; flushed after each, so that they can be followed.
        style: One of the choices of the option ``access_log_format``.
    """

    def __init__(self, stream: Sink, style: str = "common") -> None:
        self._stream = stream
        self._style = style

    def __call__(self, record: AccessRecord) -> None:
        """Write one line."""
        now = time.time()
        if self._style == "django":
            stamp = time.strftime("%d/%b/%Y %H:%M:%S", time.localtime(now))
            line = f"[{stamp}] {format_django(record)}"
        else:
            line = _FORMATS[self._style](record, now)
        self._stream.write(line + "\n")
        self._stream.flush()
