"""The opening handshake of a WebSocket, server side (RFC 6455 §4.2)."""

import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from fairway._types import Headers
from fairway.wire.extensions import Extension, ExtensionsMalformed, parse_extensions

#: RFC 6455 §1.3.
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#: The only version there is (§4.1, §11.6).
VERSION: Final = b"13"

#: What two fields have to say at least (§4.2.1, items 3 and 4).
_UPGRADE: Final = ((b"connection", b"upgrade"), (b"upgrade", b"websocket"))

_FIELDS: Final = frozenset(
    {
        b"connection",
        b"upgrade",
        b"sec-websocket-extensions",
        b"sec-websocket-key",
        b"sec-websocket-protocol",
        b"sec-websocket-version",
    }
)

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
        extensions: The extensions that the client offers, most wanted first.
    """

    __slots__ = ("extensions", "key", "subprotocols")

    def __init__(
        self, key: bytes, subprotocols: list[str], extensions: Sequence[Extension] = ()
    ) -> None:
        self.key = key
        self.subprotocols = subprotocols
        self.extensions = extensions

    @classmethod
    def parse(
        cls, method: str, http_version: str, headers: Iterable[tuple[bytes, bytes]]
    ) -> "OpeningHandshake":
        """Check a request that asks for a WebSocket (§4.2.1).

        ``Host`` and the syntax of the fields are HTTP's own matter and were checked before.

        Args:
            method: As in the request line.
            http_version: ``"1.1"`` or ``"1.0"``.
            headers: All fields, names in lower case, values without white space around them.

        Raises:
            HandshakeRefused: With 405, 426 or 400 and what is wrong.
        """
        if method != "GET":
            raise HandshakeRefused(
                405, f"A WebSocket is opened with GET, not {method}.", [(b"allow", b"GET")]
            )
        if http_version != "1.1":
            raise HandshakeRefused(
                400, f"A WebSocket is opened over HTTP/1.1, not HTTP/{http_version}."
            )
        fields: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            if name in _FIELDS:
                fields.setdefault(name, []).append(value)
        _check_upgrade(fields)
        _check_version(fields.get(b"sec-websocket-version", []))
        key = _check_key(fields.get(b"sec-websocket-key", []))
        return cls(key, *parse_offers(fields))

    @property
    def accept_value(self) -> bytes:
        """``Sec-WebSocket-Accept`` for this request."""
        return accept_value(self.key)

    def accept_headers(self, subprotocol: str | None, extensions: bytes = b"") -> Headers:
        """The fields of the 101 response that opens the WebSocket (§4.2.2).

        Args:
            subprotocol: One that the client offers, or None.
            extensions: The answer to what it offers; empty to decline all.

        Raises:
            ValueError: The client does not offer this subprotocol, so it would have to fail the
                connection (§4.1).
        """
        headers = [
            (b"Upgrade", b"websocket"),
            (b"Connection", b"Upgrade"),
            (b"Sec-WebSocket-Accept", self.accept_value),
        ]
        if subprotocol is not None:
            if subprotocol not in self.subprotocols:
                offered = ", ".join(self.subprotocols) or "none"
                raise ValueError(
                    f"The client does not offer the subprotocol {subprotocol!r}; "
                    f"it offers: {offered}."
                )
            headers.append((b"Sec-WebSocket-Protocol", subprotocol.encode("ascii")))
        if extensions:
            headers.append((b"Sec-WebSocket-Extensions", extensions))
        return headers


def parse_offers(
    fields: Mapping[bytes, list[bytes]],
) -> tuple[list[str], list[Extension]]:
    """The subprotocols and the extensions that a client offers.

    Args:
        fields: The values of all lines by name, in lower case.

    Raises:
        HandshakeRefused: With 400; a field does not keep to its grammar.
    """
    offered = fields.get(b"sec-websocket-protocol")
    subprotocols = _parse_subprotocols(offered) if offered else []
    extensions = fields.get(b"sec-websocket-extensions")
    try:
        return subprotocols, parse_extensions(extensions) if extensions else []
    except ExtensionsMalformed:
        raise HandshakeRefused(
            400, "The Sec-WebSocket-Extensions header is not a list of extensions."
        ) from None


def accept_value(key: bytes) -> bytes:
    """``Sec-WebSocket-Accept`` for a ``Sec-WebSocket-Key`` (§4.2.2, item 5.4)."""
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False)


def is_token(value: bytes) -> bool:
    """Whether ``value`` is a token of RFC 9110 §5.6.2."""
    return _TOKEN.fullmatch(value) is not None


def _check_upgrade(fields: dict[bytes, list[bytes]]) -> None:
    for name, token in _UPGRADE:
        values = fields.get(name, [])
        if len(values) == 1 and values[0].lower() == token:
            continue  # what nearly all clients say: to take a list apart takes 1.5 µs
        if token not in (element.lower() for element in _elements(values)):
            raise HandshakeRefused(
                400,
                f"The {name.decode().title()} header does not say {token.decode()}.",
            )


def _check_version(values: list[bytes]) -> None:
    _check_single("Sec-WebSocket-Version", values)
    if values != [VERSION]:
        # "the server MUST abort the WebSocket handshake … and instead send an appropriate HTTP
        # error code (such as 426 Upgrade Required) and a |Sec-WebSocket-Version|" (§4.2.2, item 4;
        # §4.4). A 426 names the protocol to upgrade to (RFC 9110 §15.5.22, §7.8).
        raise HandshakeRefused(
            426,
            "This server speaks version 13 of the WebSocket protocol only.",
            [
                (b"sec-websocket-version", VERSION),
                (b"upgrade", b"websocket"),
                (b"connection", b"upgrade"),
            ],
        )


def _check_key(values: list[bytes]) -> bytes:
    _check_single("Sec-WebSocket-Key", values)
    try:
        nonce = binascii.a2b_base64(values[0], strict_mode=True)
    except binascii.Error:
        nonce = b""
    if len(nonce) != 16:
        raise HandshakeRefused(400, "The Sec-WebSocket-Key header is not 16 bytes in base64.")
    return values[0]


def _check_single(name: str, values: list[bytes]) -> None:
    """Refuse what "MUST NOT appear more than once in an HTTP request" (§11.3.1, §11.3.5)."""
    if len(values) != 1:
        problem = "was sent more than once" if values else "is missing"
        raise HandshakeRefused(400, f"The {name} header {problem}.")


def _parse_subprotocols(values: list[bytes]) -> list[str]:
    offered = _elements(values)
    if not all(is_token(name) for name in offered):
        raise HandshakeRefused(400, "The Sec-WebSocket-Protocol header is not a list of tokens.")
    return [name.decode("ascii") for name in offered]


def _elements(values: list[bytes]) -> list[bytes]:
    """The elements of a list field, which may stand in several lines (RFC 9110 §5.6.1)."""
    elements = (element.strip(b" \t") for element in b",".join(values).split(b","))
    return [element for element in elements if element]  # empty ones are ignored, §5.6.1.2
