"""How a WebSocket is accepted or denied: what the application says becomes HTTP. No I/O here.

See https://asgi.readthedocs.io/en/latest/specs/www.html#accept-send-event and, for refusing with a
response of one's own,
https://asgi.readthedocs.io/en/latest/extensions.html#websocket-denial-response.
"""

from collections.abc import Iterable
from typing import ClassVar, Final, Protocol

from fairway._types import Event
from fairway.server.context import Context
from fairway.wire.deflate import Agreement
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

#: Heads of responses that accept, without the proof that the key was read, by all that they depend
#: on; and how many of them are kept.
_usual_heads: Final[dict[tuple[bytes, bytes | None, bytes], tuple[bytes, bytes]]] = {}
MAX_HEADS: Final = 16


class Opening:
    """A request for a WebSocket, while the application has not decided about it.

    Args:
        context: Of the server.
        request: What the client asks.

    Attributes:
        agreement: About compression, once it is accepted; None where there is none.
        early: What the client has sent behind its request.
        status: Of the denial response that has begun; 0 before that.

    Raises:
        HandshakeRefused: The request breaks the rules.
    """

    __slots__ = ("_context", "_handshake", "_request", "_response", "agreement", "early", "status")

    #: The status that accepts.
    ACCEPTED: ClassVar[int] = 101

    def __init__(self, context: Context, request: Request) -> None:
        self.agreement: Agreement | None = None
        self.early = b""
        self.status = 0
        self._context = context
        self._request = request
        self._response: Response | None = None
        self._handshake = self._parse(request)

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
        if self._context.compression is not None:
            self.agreement = self._context.compression.negotiate(self._handshake.extensions)
        extensions = self.agreement.answer if self.agreement is not None else b""
        subprotocol = event.get("subprotocol")
        if not headers and subprotocol is None:
            return self._accept_as_usual(extensions)
        fields = self._handshake.accept_headers(subprotocol, extensions)
        return self._begin(self.ACCEPTED, fields + headers)

    def deny(self, event: Event) -> tuple[bytes, bool]:
        """The bytes for ``websocket.http.response.start`` and then ``.body``.

        Returns:
            What to send, and whether the response is complete.

        Raises:
            ValueError: The status or a header cannot be sent.
            LocalProtocolError: The body does not have the length that its headers declare.
        """
        if self.status:
            return self._continue(event), not event.get("more_body", False)
        status = event.get("status")
        if not isinstance(status, int) or not 200 <= status <= 999:
            raise ValueError(
                f"websocket.http.response.start needs a status from 200 to 999, not {status!r}."
            )
        head = self._begin(status, event.get("headers") or ())
        self.status = status
        return head, False

    # What follows is HTTP/1.1's; HTTP/2 has its own.

    def _parse(self, request: Request) -> OpeningHandshake:
        return OpeningHandshake.parse(request.method, request.http_version, request.headers)

    def _accept_as_usual(self, extensions: bytes) -> bytes:
        """The head without anything of the application's own: 1 µs, and 5 to put it together."""
        context, value = self._context, self._handshake.accept_value
        key = (extensions, context.server_header, context.date())
        known = _usual_heads.get(key)
        if known is None:
            fields = self._handshake.accept_headers(None, extensions)
            before, _, behind = self._begin(self.ACCEPTED, fields).partition(value)
            if len(_usual_heads) >= MAX_HEADS:
                _usual_heads.clear()  # those of seconds that have passed
            known = _usual_heads[key] = before, behind
        return known[0] + value + known[1]

    def _begin(self, status: int, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
        """The head of the response that accepts or denies."""
        response = self._response = Response("GET", "1.1", keep_alive=status == self.ACCEPTED)
        return response.start(
            status, fields, server=self._context.server_header, date=self._context.date()
        )

    def _continue(self, event: Event) -> bytes:
        """A part of the body of one that denies."""
        assert self._response is not None  # it has begun
        return self._response.body(event.get("body", b""), event.get("more_body", False))


class Dialect(Protocol):
    """How a client is answered that asks for a WebSocket, in the words of its version of HTTP."""

    def opening(self, context: Context, request: Request) -> Opening:
        """Begin the opening handshake.

        Raises:
            HandshakeRefused: The request breaks the rules.
        """

    def refusal(
        self,
        context: Context,
        status: int,
        detail: str,
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> bytes:
        """The response to a client that gets no WebSocket, as far as it is to be written."""


class HTTP1Dialect:
    """The :class:`Dialect` of HTTP/1.1, where the whole connection becomes the WebSocket."""

    def opening(self, context: Context, request: Request) -> Opening:
        """Begin the opening handshake."""
        return Opening(context, request)

    def refusal(
        self,
        context: Context,
        status: int,
        detail: str,
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> bytes:
        """The whole response."""
        return error_response(
            status,
            detail,
            server=context.server_header,
            date=context.date(),
            headers=headers,
        )


HTTP1: Final = HTTP1Dialect()
