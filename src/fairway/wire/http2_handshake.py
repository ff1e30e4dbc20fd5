"""The opening handshake of a WebSocket over HTTP/2, server side (RFC 8441 §5)."""

from collections.abc import Iterable
from typing import Final

from fairway._types import Headers
from fairway.wire.handshake import VERSION, HandshakeRefused, OpeningHandshake, parse_offers

#: What only HTTP/1.1 says: the status 200 says it here.
_LEFT_OUT: Final = frozenset({b"upgrade", b"connection"})
_FIELDS: Final = frozenset(
    {
        b"sec-websocket-extensions",
        b"sec-websocket-key",
        b"sec-websocket-protocol",
        b"sec-websocket-version",
    }
)


class ExtendedHandshake(OpeningHandshake):
    """A valid extended CONNECT for a WebSocket; its ``key`` is mostly empty."""

    __slots__ = ()

    @classmethod
    def parse_connect(cls, headers: Iterable[tuple[bytes, bytes]]) -> "ExtendedHandshake":
        """Check a request whose ``:protocol`` is ``websocket``.

        "Sec-WebSocket-Version, Sec-WebSocket-Protocol and Sec-WebSocket-Extensions are used … in
        the same way", and nothing is to be upgraded. A key is not asked for. But a client that
        sends one may insist on the answer: undici, which is Node's HTTP client, did before 8.12.

        Args:
            headers: All fields but pseudo-headers, names in lower case.

        Raises:
            HandshakeRefused: With 400 and what is wrong.
        """
        fields: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            if name in _FIELDS:
                fields.setdefault(name, []).append(value)
        if fields.get(b"sec-websocket-version") != [VERSION]:
            raise HandshakeRefused(
                400,
                "This server speaks version 13 of the WebSocket protocol only.",
                [(b"sec-websocket-version", VERSION)],
            )
        keys = fields.get(b"sec-websocket-key", [])
        return cls(keys[0] if len(keys) == 1 else b"", *parse_offers(fields))

    def accept_headers(self, subprotocol: str | None, extensions: bytes = b"") -> Headers:
        """The fields of the 200 response that opens the WebSocket.

        Args:
            subprotocol: One that the client offers, or None.
            extensions: The answer to what it offers; empty to decline all.

        Raises:
            ValueError: The client does not offer this subprotocol.
        """
        fields = super().accept_headers(subprotocol, extensions)
        left_out = _LEFT_OUT if self.key else _LEFT_OUT | {b"sec-websocket-accept"}
        return [field for field in fields if field[0].lower() not in left_out]
