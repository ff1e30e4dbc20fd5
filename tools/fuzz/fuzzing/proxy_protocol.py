"""The PROXY protocol, both versions: a header however it is cut, or its own error."""

import ipaddress
from typing import Final

from fairway.wire.proxy_protocol import (
    MAX_V1,
    MAX_V2,
    ProxyHeader,
    ProxyHeaderError,
    ProxyHeaderParser,
)
from fuzzing.target import Target, held, in_pieces, octets

__all__ = ["SIGNATURE", "TARGET", "check"]

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"


def _run(pieces: list[bytes]) -> tuple[ProxyHeader | None, bytes] | str:
    """The header and what came behind it, or why there is none."""
    parser = ProxyHeaderParser()
    header: ProxyHeader | None = None
    rest = b""
    for piece in pieces:
        if header is not None:
            rest += piece
        elif piece:
            try:
                header = parser.receive_data(piece)
            except ProxyHeaderError as error:
                return str(error)
            rest = parser.rest
            assert header is not None or rest == b""
            # What is behind the header belongs to the client, and is handed on.
            assert held(parser) - len(rest) <= max(MAX_V1, 16 + MAX_V2)
    return header, rest


def check(data: bytes) -> None:
    """In one piece, byte by byte and in some others: the same header, or the same error."""
    outcome = _run([data])
    assert outcome == _run(octets(data))
    assert outcome == _run(in_pieces(data))
    if isinstance(outcome, str):
        assert outcome.endswith(".")
        return
    header, rest = outcome
    assert data.endswith(rest)
    if header is None:
        return
    assert (header.source is None) == (header.destination is None)
    for end in (header.source, header.destination):
        if end is not None and end[1] is not None:
            ipaddress.ip_address(end[0])
            assert 0 <= end[1] <= 65535


_V2: Final = SIGNATURE + b"\x21\x11\x00\x0c\x7f\0\0\1\x7f\0\0\2\x1f\x90\x00\x50"

TARGET = Target(
    name="proxy_protocol",
    check=check,
    seeds=(
        b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET /",
        b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n",
        b"PROXY UNKNOWN ffff\r\n",
        _V2 + b"GET /",
        SIGNATURE + b"\x20\x00\x00\x00",
        SIGNATURE + b"\x21\x21\x00\x24" + bytes(32) + b"\x00\x01\x00\x02",
        SIGNATURE + b"\x21\x31\x00\xd8" + b"/a".ljust(108, b"\0") + b"/b".ljust(108, b"\0"),
        SIGNATURE
        + b"\x21\x11\x00\x2a\x7f\0\0\1\x7f\0\0\2\x1f\x90\x00\x50"
        + b"\x01\x00\x02h2\x02\x00\x01a"
        + b"\x20\x00\x12\x01\0\0\0\0\x21\x00\x07TLSv1.3\x22\x00\x00",
        SIGNATURE + b"\x21\x11\x00\x13\x7f\0\0\1\x7f\0\0\2\x1f\x90\x00\x50\x03\x00\x04abcd",
    ),
    tokens=(
        *(SIGNATURE, b"PROXY ", b"TCP4 ", b"TCP6 ", b"UNKNOWN", b"\r\n", b"\x21\x11", b"\x21\x21"),
        *(b"\x03\x00\x04", b"\x20\x00\x05", b"\x01\x00\x02h2", b"\x04\x00\x01x", b"65535", b"::1"),
    ),
    modules=("fairway.wire.proxy_protocol",),
)
