"""The PROXY protocol: what a proxy says of a connection before the first byte of its client.

A line of text (version 1) or a binary header (version 2) names both ends of the connection that the
proxy has taken. See https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt, whose sections are
cited here. It must be agreed on beforehand: whoever reads headers from everybody lets everybody say
who he is (§2, "the receiver MUST NOT try to guess").
"""

import dataclasses
import functools
import ipaddress
import re
import struct
from typing import Final, TypeAlias

__all__ = [
    "MAX_V1",
    "MAX_V2",
    "ProxiedTLS",
    "ProxyHeader",
    "ProxyHeaderError",
    "ProxyHeaderParser",
]

#: An IP address and a port, or the path of a Unix socket and None; "" for a socket without a path.
Endpoint: TypeAlias = tuple[str, int | None]

#: Most bytes of a header of version 1, with its CRLF (§2.1).
MAX_V1: Final = 107
#: Most bytes that are taken after the fixed part of a header of version 2. There could be 65535, of
#: which a certificate of the client is the longest that proxies send.
MAX_V2: Final = 4096

_V1_START: Final = b"PROXY "
_V2_START: Final = b"\r\n\r\n\x00\r\nQUIT\n"
#: Bytes of a header of version 2 before the addresses: start, version and command, family, length.
_V2_FIXED: Final = 16

_LOCAL, _PROXY = 0x20, 0x21

# TCP over IPv4 or IPv6 (§2.1): no leading zeros in ports, one space between.
_V1_LINE: Final = re.compile(
    rb"PROXY TCP([46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})"
)
_V1_UNKNOWN: Final = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?")

# Types of the values behind the addresses (§2.2).
_ALPN, _AUTHORITY, _CRC32C, _UNIQUE_ID, _SSL = 0x01, 0x02, 0x03, 0x05, 0x20
_SSL_VERSION, _SSL_CN, _SSL_CIPHER = 0x21, 0x22, 0x23
_CLIENT_SSL, _CLIENT_CERT_CONN, _CLIENT_CERT_SESS = 0x01, 0x02, 0x04


class ProxyHeaderError(ValueError):
    """What came is no header of the PROXY protocol; the message says why, without quoting it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProxiedTLS:
    """What a proxy says of the TLS between itself and its client (§2.2.6).

    Attributes:
        version: Such as ``"TLSv1.3"``; empty if it does not say.
        cipher: The cipher suite, as OpenSSL names it; empty if it does not say.
        client_certificate: Whether the client has shown a certificate, in this connection or in
            the one that its session began with.
        verified: Whether that was found to be good.
        common_name: The name in it; None without one.
    """

    version: str = ""
    cipher: str = ""
    client_certificate: bool = False
    verified: bool = False
    common_name: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProxyHeader:
    """What a header says.

    Attributes:
        version: 1 or 2.
        source: Where the client is; None if the header does not say, as when the proxy speaks for
            itself (a health check). Then the connection's own addresses are the truth.
        destination: What the client connected to; None with ``source``.
        alpn: The protocol that the client has agreed on with the proxy (RFC 7301), such as ``h2``.
        authority: The host that the client asked for in its TLS handshake (SNI).
        unique_id: What the proxy calls the connection.
        tls: None if the client did not speak TLS with the proxy, or the header does not say.
    """

    version: int
    source: Endpoint | None = None
    destination: Endpoint | None = None
    alpn: bytes = b""
    authority: str = ""
    unique_id: bytes = b""
    tls: ProxiedTLS | None = None


class ProxyHeaderParser:
    """Takes the first bytes of a connection until they are a whole header of either version.

    Attributes:
        rest: What came behind the header: the first bytes of the client. Empty before its end.
    """

    __slots__ = ("_buffer", "rest")

    def __init__(self) -> None:
        self.rest = b""
        self._buffer = b""

    def receive_data(self, data: bytes) -> ProxyHeader | None:
        """The header, or None as long as it is not complete. Not to be called after either end.

        Args:
            data: What came; not empty. Cut it as you like: the outcome is the same.

        Raises:
            ProxyHeaderError: These are not the bytes of a header, or of one that is too long.
        """
        self._buffer += data
        start = self._buffer[: len(_V2_START)]
        if _V2_START.startswith(start):
            return self._receive_v2()
        if _V1_START.startswith(start[: len(_V1_START)]):
            return self._receive_v1()
        raise ProxyHeaderError("The connection does not begin with a header.")

    def _receive_v1(self) -> ProxyHeader | None:
        """§2.1: "the receiver … must wait for the CRLF sequence" within the first 107 bytes."""
        line, end, rest = self._buffer.partition(b"\r\n")
        if not end:
            if len(self._buffer) >= MAX_V1:
                raise ProxyHeaderError(f"A header of version 1 exceeds {MAX_V1} bytes.")
            return None
        if len(line) + 2 > MAX_V1:
            raise ProxyHeaderError(f"A header of version 1 exceeds {MAX_V1} bytes.")
        self._buffer, self.rest = b"", rest
        return _parse_v1(line)

    def _receive_v2(self) -> ProxyHeader | None:
        """§2.2."""
        if len(self._buffer) < _V2_FIXED:
            return None
        command, family, length = struct.unpack_from("!BBH", self._buffer, len(_V2_START))
        if command not in (_LOCAL, _PROXY):
            raise ProxyHeaderError("A header of version 2 has an unknown version or command.")
        if length > MAX_V2:
            raise ProxyHeaderError(f"A header of version 2 exceeds {_V2_FIXED + MAX_V2} bytes.")
        if len(self._buffer) < _V2_FIXED + length:
            return None
        header = self._buffer[: _V2_FIXED + length]
        self._buffer, self.rest = b"", self._buffer[_V2_FIXED + length :]
        return _parse_v2(header, local=command == _LOCAL, family=family)


def _parse_v1(line: bytes) -> ProxyHeader:
    # "the receiver MUST ignore anything presented before the CRLF" behind UNKNOWN
    if _V1_UNKNOWN.fullmatch(line):
        return ProxyHeader(version=1)
    found = _V1_LINE.fullmatch(line)
    if found is None:
        raise ProxyHeaderError("A header of version 1 is malformed.")
    kind = ipaddress.IPv4Address if found[1] == b"4" else ipaddress.IPv6Address
    try:
        source, destination = (str(kind(found[number].decode("ascii"))) for number in (2, 3))
    except ValueError:
        raise ProxyHeaderError("A header of version 1 has an address that is none.") from None
    ports = int(found[4]), int(found[5])
    if max(ports) > 65535:
        raise ProxyHeaderError("A header of version 1 has a port that is none.")
    return ProxyHeader(version=1, source=(source, ports[0]), destination=(destination, ports[1]))


def _parse_v2(header: bytes, *, local: bool, family: int) -> ProxyHeader:
    if family >> 4 > 3 or family & 0x0F > 2:
        raise ProxyHeaderError("A header of version 2 has an unknown address family.")
    if local:
        # "the receiver MUST accept this connection as valid and MUST use the real connection
        # endpoints and discard the protocol block"
        return ProxyHeader(version=2)
    body = memoryview(header)[_V2_FIXED:]
    size = (0, 12, 36, 216)[family >> 4]
    if len(body) < size:
        raise ProxyHeaderError("A header of version 2 is too short for its addresses.")
    values = _values(body[size:])
    _check_crc(header, values.get(_CRC32C), _V2_FIXED + size)
    source, destination = _addresses(bytes(body[:size]), family)
    return ProxyHeader(
        version=2,
        source=source,
        destination=destination,
        alpn=values.get(_ALPN, b""),
        authority=_text(values.get(_AUTHORITY, b"")),
        unique_id=values.get(_UNIQUE_ID, b""),
        tls=_tls(values.get(_SSL)),
    )


def _addresses(block: bytes, family: int) -> tuple[Endpoint | None, Endpoint | None]:
    """Both ends; None for what is carried by datagrams or nobody knows what: no clients of ours."""
    match family:
        case 0x11:
            hosts = [str(ipaddress.IPv4Address(block[at : at + 4])) for at in (0, 4)]
        case 0x21:
            hosts = [str(ipaddress.IPv6Address(block[at : at + 16])) for at in (0, 16)]
        case 0x31:
            paths = [block[at : at + 108].partition(b"\0")[0] for at in (0, 108)]
            return (_text(paths[0]), None), (_text(paths[1]), None)
        case _:
            return None, None
    ports = struct.unpack_from("!HH", block, len(block) - 4)
    return (hosts[0], ports[0]), (hosts[1], ports[1])


def _values(block: memoryview) -> dict[int, bytes]:
    """The values behind the addresses by their types (§2.2: type, length, value); the last counts.

    Unknown types are kept, too: "the receiver MUST ignore" them, and nobody asks for them.
    """
    found: dict[int, bytes] = {}
    at = 0
    while at < len(block):
        if at + 3 > len(block):
            raise ProxyHeaderError("A header of version 2 ends within a value.")
        kind, length = struct.unpack_from("!BH", block, at)
        at += 3
        if at + length > len(block):
            raise ProxyHeaderError("A header of version 2 ends within a value.")
        found[kind] = bytes(block[at : at + length])
        at += length
    return found


def _tls(value: bytes | None) -> ProxiedTLS | None:
    if value is None:
        return None
    if len(value) < 5:
        raise ProxyHeaderError("A header of version 2 says too little of its client's TLS.")
    client, verify = struct.unpack_from("!BI", value)
    if not client & _CLIENT_SSL:
        return None
    values = _values(memoryview(value)[5:])
    certificate = bool(client & (_CLIENT_CERT_CONN | _CLIENT_CERT_SESS))
    return ProxiedTLS(
        version=_text(values.get(_SSL_VERSION, b"")),
        cipher=_text(values.get(_SSL_CIPHER, b"")),
        client_certificate=certificate,
        # "zero if the client presented a certificate and it was successfully verified"
        verified=certificate and verify == 0,
        common_name=_text(values[_SSL_CN]) if _SSL_CN in values else None,
    )


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _check_crc(header: bytes, claimed: bytes | None, values: int) -> None:
    """§2.2.3: a checksum that is there must be right, computed with its own value as zeros."""
    if claimed is None:
        return
    at = values
    while header[at] != _CRC32C:
        at += 3 + int.from_bytes(header[at + 1 : at + 3])
    blanked = header[: at + 3] + bytes(len(claimed)) + header[at + 3 + len(claimed) :]
    if len(claimed) != 4 or _crc32c(blanked) != int.from_bytes(claimed):
        raise ProxyHeaderError("The checksum of a header of version 2 is wrong.")


def _crc32c(data: bytes) -> int:
    """The CRC of RFC 9260, Appendix A (Castagnoli)."""
    table = _crc_table()
    value = 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


@functools.cache
def _crc_table() -> tuple[int, ...]:
    table = []
    for number in range(256):
        value = number
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)
