"""How a WebSocket is accepted or denied: what the application says becomes HTTP. No I/O here.

See https://asgi.readthedocs.io/en/latest/specs/www.html#accept-send-event and, for refusing with a
response of one's own,
https://asgi.readthedocs.io/en/latest/extensions.html#websocket-denial-response.
"""

from collections.abc import Iterable
from typing import Final

from fairway._types import Event
from fairway.server.context import Context
from fairway.wire.handshake import OpeningHandshake
from fairway.wire.http1 import Request, Response, error_response

#: What a client may send before it was accepted, in bytes; beyond that its socket is not read.
MAX_EARLY_DATA: Final = 64 * 1024

#: What only the server can say in the response that opens a WebSocket.
_OWN_FIELDS: Final = frozenset(
    {
        b"connection",
        b"sec-websocket-accept",
        b"sec-websocket-extensions",
        b"sec-websocket-protocol",
        b"upgrade",
    }
)


class Opening:
    """A request for a WebSocket, while the application has not decided about it.

    Args:
        context: Of the server.
        request: What the client asks.

    Attributes:
        early: What the client has sent behind its request.
        status: Of the denial response that has begun; 0 before that.

    Raises:
        HandshakeRefused: The request breaks the rules.
    """

    __slots__ = ("_context", "_handshake", "_request", "_response", "early", "status")

    def __init__(self, context: Context, request: Request) -> None:
        self.early = b""
        self.status = 0
        self._context = context
        self._request = request
        self._response: Response | None = None
        self._handshake = OpeningHandshake.parse(
            request.method, request.http_version, request.headers
        )

    @property
    def subprotocols(self) -> list[str]:
        """What the client offers, most wanted first."""
        return self._handshake.subprotocols

    def keep(self, data: bytes) -> bool:
        """Keep what the client sends meanwhile; says whether that is as much as will be kept."""
        self.early += data
        return len(self.early) > MAX_EARLY_DATA

    def accept(self, event: Event) -> bytes:
        """The response to ``websocket.accept``.

        Raises:
            ValueError: The client does not offer the subprotocol, or a header cannot be sent.
        """
        headers = list(event.get("headers") or ())
        for name, _ in headers:
            if name.lower() in _OWN_FIELDS:
                hint = (
                    " Give the subprotocol as 'subprotocol'." if b"protocol" in name.lower() else ""
                )
                raise ValueError(f"websocket.accept cannot set the header {name!r}.{hint}")
        return Response("GET", "1.1", keep_alive=True).start(
            101,
            self._handshake.accept_headers(event.get("subprotocol")) + headers,
            server=self._context.server_header,
            date=self._context.date(),
        )

    def deny(self, event: Event) -> tuple[bytes, bool]:
        """The bytes for ``websocket.http.response.start`` and then ``.body``.

        Returns:
            What to send, and whether the response is complete.

        Raises:
            ValueError: The status or a header cannot be sent.
            LocalProtocolError: The body does not have the length that its headers declare.
        """
        if self._response is not None:
            more = event.get("more_body", False)
            return self._response.body(event.get("body", b""), more), not more
        status = event.get("status")
        if not isinstance(status, int) or not 200 <= status <= 999:
            raise ValueError(
                f"websocket.http.response.start needs a status from 200 to 999, not {status!r}."
            )
        response = Response("GET", self._request.http_version, keep_alive=False)
        head = response.start(
            status,
            event.get("headers") or (),
            server=self._context.server_header,
            date=self._context.date(),
        )
        self._response = response
        self.status = status
        return head, False


def refusal(
    context: Context, status: int, detail: str, headers: Iterable[tuple[bytes, bytes]] = ()
) -> bytes:
    """The response to a client that gets no WebSocket."""
    return error_response(
        status,
        detail,
        server=context.server_header,
        date=context.date(),
        headers=headers,
    )
