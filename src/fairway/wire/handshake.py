"""The opening handshake of a WebSocket, server side (RFC 6455 §4.2)."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from typing import Final

from fairway._types import Headers

#: RFC 6455 §1.3.
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#: The only version there is (§4.1, §11.6).
VERSION: Final = b"13"

# token = 1*tchar, RFC 9110 §5.6.2
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class HandshakeRefused(Exception):
    """A request for a WebSocket that cannot be granted.

    Attributes:
        status: The HTTP status to answer with.
        detail: One sentence for the peer.
        headers: Fields that this status asks for.
    """

    def __init__(self, status: int, detail: str, headers: Headers | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers: Headers = headers or []


class OpeningHandshake:
    """A valid request for a WebSocket.

    Attributes:
        key: ``Sec-WebSocket-Key`` as it came.
        subprotocols: What the client offers, most wanted first.
    """

    __slots__ = ("key", "subprotocols")

    def __init__(self, key: bytes, subprotocols: list[str]) -> None:
        self.key = key
        self.subprotocols = subprotocols

    @classmethod
    def parse(
        cls, method: str, http_version: str, headers: Iterable[tuple[bytes, bytes]]
    ) -> "OpeningHandshake":
        """Check a request that asks for ``Upgrade: websocket`` (§4.2.1).

        Args:
            method: As in the request line.
            http_version: ``"1.1"`` or ``"1.0"``.
            headers: All fields, names in lower case.

        Raises:
            HandshakeRefused: With 405, 426 or 400 and what is wrong.
        """
        if method != "GET":
            raise HandshakeRefused(
                405, f"A WebSocket is opened with GET, not {method}.", [(b"allow", b"GET")]
            )
        if http_version != "1.1":
            raise HandshakeRefused(400, "A WebSocket is opened over HTTP/1.1 or later.")
        fields: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            if name.startswith(b"sec-websocket-"):
                fields.setdefault(name, []).append(value)
        _check_version(fields.get(b"sec-websocket-version", []))
        key = _check_key(fields.get(b"sec-websocket-key", []))
        return cls(key, _parse_subprotocols(fields.get(b"sec-websocket-protocol", [])))

    def accept(self, subprotocol: str | None, headers: bytes) -> bytes:
        """The answer that opens the WebSocket (§4.2.2).

        Args:
            subprotocol: The chosen one, or None.
            headers: Further header lines, encoded, each ending in CRLF.
        """
        lines = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_value(self.key) + b"\r\n"
        )
        if subprotocol is not None:
            lines += b"Sec-WebSocket-Protocol: " + subprotocol.encode("ascii") + b"\r\n"
        return lines + headers + b"\r\n"


def accept_value(key: bytes) -> bytes:
    """``Sec-WebSocket-Accept`` for a ``Sec-WebSocket-Key`` (§4.2.2, item 5.4)."""
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest)


def is_token(value: bytes) -> bool:
    """Whether ``value`` is a token of RFC 9110 §5.6.2."""
    return _TOKEN.fullmatch(value) is not None


def _check_version(values: list[bytes]) -> None:
    if not values:
        raise HandshakeRefused(400, "The Sec-WebSocket-Version header is missing.")
    if values != [VERSION]:
        # "the server MUST abort the WebSocket handshake … and instead send an appropriate HTTP error
        # code (such as 426 Upgrade Required) and a |Sec-WebSocket-Version|" (§4.2.2, item 4; §4.4)
        raise HandshakeRefused(
            426,
            "This server speaks version 13 of the WebSocket protocol only.",
            [(b"sec-websocket-version", VERSION), (b"upgrade", b"websocket")],
        )


def _check_key(values: list[bytes]) -> bytes:
    if len(values) != 1:
        problem = "is missing" if not values else "was sent more than once"
        raise HandshakeRefused(400, f"The Sec-WebSocket-Key header {problem}.")
    try:
        nonce = base64.b64decode(values[0], validate=True)
    except binascii.Error:
        nonce = b""
    if len(nonce) != 16:
        raise HandshakeRefused(400, "The Sec-WebSocket-Key header is not 16 bytes in base64.")
    return values[0]


def _parse_subprotocols(values: list[bytes]) -> list[str]:
    offered: list[str] = []
    for element in b",".join(values).split(b","):
        name = element.strip(b" \t")
        if not name:
            continue  # empty list elements are ignored, RFC 9110 §5.6.1.2
        if not is_token(name):
            raise HandshakeRefused(
                400, "The Sec-WebSocket-Protocol header is not a list of tokens."
            )
        offered.append(name.decode("ascii"))
    return offered
