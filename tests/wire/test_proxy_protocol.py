"""The PROXY protocol, as https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt has it."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.wire import proxy_protocol
from fairway.wire.proxy_protocol import (
    MAX_V2,
    ProxiedTLS,
    ProxyHeader,
    ProxyHeaderError,
    ProxyHeaderParser,
)

START = b"\r\n\r\n\x00\r\nQUIT\n"
TCP4, TCP6, UNIX = 0x11, 0x21, 0x31


def parse(data: bytes) -> tuple[ProxyHeader | None, bytes]:
    """What is made of bytes that come at once, and what is left behind the header."""
    parser = ProxyHeaderParser()
    return parser.receive_data(data), parser.rest


def header(version: int, source: tuple[str, int], destination: tuple[str, int]) -> ProxyHeader:
    """What a header says that names two addresses."""
    return ProxyHeader(version=version, source=source, destination=destination)


def fault(data: bytes) -> str:
    """What is said of bytes that are no header."""
    with pytest.raises(ProxyHeaderError) as caught:
        parse(data)
    return str(caught.value)


def v2(body: bytes = b"", family: int = TCP4, command: int = 0x21) -> bytes:
    """A header of version 2."""
    return START + struct.pack("!BBH", command, family, len(body)) + body


def tcp4(client: str = "198.51.100.7", port: int = 40000) -> bytes:
    """The addresses of a connection over IPv4, to 192.0.2.1:443."""
    hosts = b"".join(ipaddress.IPv4Address(host).packed for host in (client, "192.0.2.1"))
    return hosts + struct.pack("!HH", port, 443)


def value(kind: int, content: bytes) -> bytes:
    """A value behind the addresses."""
    return struct.pack("!BH", kind, len(content)) + content


def crc32c(data: bytes) -> int:
    """The checksum by long division, as RFC 9260 (Appendix A) explains it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 * (crc & 1))
    return crc ^ 0xFFFFFFFF


def with_checksum(before: bytes, behind: bytes) -> bytes:
    """A header with a right checksum between other values."""
    blank = v2(tcp4() + before + value(0x03, bytes(4)) + behind)
    return v2(tcp4() + before + value(0x03, crc32c(blank).to_bytes(4)) + behind)


class TestVersion1:
    """§2.1: a line that people can read."""

    @pytest.mark.parametrize(
        ("line", "source", "destination"),
        [
            (
                b"PROXY TCP4 198.51.100.7 192.0.2.1 40000 443",
                ("198.51.100.7", 40000),
                ("192.0.2.1", 443),
            ),
            (
                b"PROXY TCP6 2001:DB8::1 ::1 65535 0",
                ("2001:db8::1", 65535),
                ("::1", 0),
            ),
            (
                b"PROXY TCP6 ::ffff:198.51.100.7 ::1 1 2",
                (str(ipaddress.IPv6Address("::ffff:198.51.100.7")), 1),
                ("::1", 2),
            ),
        ],
    )
    def test_addresses(
        self, line: bytes, source: tuple[str, int], destination: tuple[str, int]
    ) -> None:
        """Both ends are named; what follows is the client's."""
        expected = ProxyHeader(version=1, source=source, destination=destination)
        assert parse(line + b"\r\nGET / HTTP/1.1\r\n") == (expected, b"GET / HTTP/1.1\r\n")

    @pytest.mark.parametrize(
        "line", [b"PROXY UNKNOWN", b"PROXY UNKNOWN ffff::1 ffff::1 65535 65535", b"PROXY UNKNOWN x"]
    )
    def test_unknown(self, line: bytes) -> None:
        """Of a proxy that does not know, or speaks for itself, nothing else is read."""
        assert parse(line + b"\r\n") == (ProxyHeader(version=1), b"")

    @pytest.mark.parametrize(
        "line",
        [
            b"PROXY ",
            b"PROXY TCP4",
            b"PROXY TCP5 198.51.100.7 192.0.2.1 1 2",
            b"PROXY tcp4 198.51.100.7 192.0.2.1 1 2",
            b"PROXY TCP4  198.51.100.7 192.0.2.1 1 2",
            b"PROXY TCP4 198.51.100.7 192.0.2.1 1 2 ",
            b"PROXY TCP4 198.51.100.7 192.0.2.1 1 2 3",
            b"PROXY TCP4 198.51.100.7 192.0.2.1 01 2",
            b"PROXY TCP4 198.51.100.7 192.0.2.1 -1 2",
            b"PROXY TCP4 198.51.100.7 192.0.2.1 1 100000",
            b"PROXY TCP4 198.51.100.7 192.0.2.1 1",
            b"PROXY TCP4 example.org 192.0.2.1 1 2",
            b"PROXY TCP4 198.51.100.7\t192.0.2.1 1 2",
            b"PROXY UNKNOWNX",
            b"PROXY UNKNOWN \r",
        ],
    )
    def test_malformed(self, line: bytes) -> None:
        """One character more or less, and it is none."""
        assert fault(line + b"\r\n") == "A header of version 1 is malformed."

    @pytest.mark.parametrize(
        "line",
        [
            b"PROXY TCP4 198.51.100.256 192.0.2.1 1 2",
            b"PROXY TCP4 198.51.100.7 192.0.2.01 1 2",
            b"PROXY TCP4 ::1 ::1 1 2",
            b"PROXY TCP6 198.51.100.7 192.0.2.1 1 2",
            b"PROXY TCP6 ::1::2 ::1 1 2",
        ],
    )
    def test_no_address(self, line: bytes) -> None:
        """Addresses are those of the family that is named."""
        assert fault(line + b"\r\n") == "A header of version 1 has an address that is none."

    @pytest.mark.parametrize("ports", [b"65536 1", b"1 99999"])
    def test_no_port(self, ports: bytes) -> None:
        """Ports have 16 bits."""
        line = b"PROXY TCP4 198.51.100.7 192.0.2.1 " + ports
        assert fault(line + b"\r\n") == "A header of version 1 has a port that is none."

    def test_longest(self) -> None:
        """107 bytes are enough for the longest line, and its end has to be within them."""
        line = b"PROXY UNKNOWN ".ljust(105, b"x")
        assert parse(line + b"\r\n") == (ProxyHeader(version=1), b"")
        assert parse(line) == (None, b"")
        for too_long in (line + b"xx", line + b"x\r\n", b"PROXY " + b"x" * 100_000):
            assert fault(too_long) == "A header of version 1 exceeds 107 bytes."


class TestVersion2:
    """§2.2: the binary header."""

    def test_ipv4(self) -> None:
        """TCP over IPv4; what follows is the client's."""
        assert parse(v2(tcp4()) + b"\x16\x03") == (
            ProxyHeader(version=2, source=("198.51.100.7", 40000), destination=("192.0.2.1", 443)),
            b"\x16\x03",
        )

    def test_ipv6(self) -> None:
        """TCP over IPv6."""
        hosts = ipaddress.IPv6Address("2001:db8::7").packed + ipaddress.IPv6Address("::1").packed
        assert parse(v2(hosts + struct.pack("!HH", 1, 2), TCP6)) == (
            ProxyHeader(version=2, source=("2001:db8::7", 1), destination=("::1", 2)),
            b"",
        )

    def test_unix(self) -> None:
        """Unix sockets have paths, filled up with zeros."""
        paths = b"".ljust(108, b"\0") + b"/run/s".ljust(108, b"\0")
        assert parse(v2(paths, UNIX)) == (
            ProxyHeader(version=2, source=("", None), destination=("/run/s", None)),
            b"",
        )

    @pytest.mark.parametrize(
        ("family", "body"),
        [
            (0x00, b""),
            (0x12, tcp4()),
            (0x10, tcp4()),
            (0x22, bytes(36)),
            (0x32, bytes(216)),
        ],
    )
    def test_not_a_stream(self, family: int, body: bytes) -> None:
        """What a proxy says of datagrams, or of nobody knows what, does not name our client."""
        assert parse(v2(body, family)) == (ProxyHeader(version=2), b"")

    @pytest.mark.parametrize("body", [b"", tcp4(), b"not read"])
    def test_local(self, body: bytes) -> None:
        """LOCAL, a health check of the proxy: the connection is what it seems to be."""
        assert parse(v2(body, TCP4, 0x20) + b"GET") == (ProxyHeader(version=2), b"GET")

    @pytest.mark.parametrize("command", [0x00, 0x11, 0x22, 0x2F, 0x31, 0xFF])
    def test_unknown_command(self, command: int) -> None:
        """Other versions and commands are dropped."""
        message = "A header of version 2 has an unknown version or command."
        assert fault(v2(tcp4(), TCP4, command)) == message

    @pytest.mark.parametrize("family", [0x13, 0x1F, 0x40, 0xF1])
    def test_unknown_family(self, family: int) -> None:
        """Other families and transports are, too."""
        assert fault(v2(tcp4(), family)) == "A header of version 2 has an unknown address family."

    @pytest.mark.parametrize(
        ("family", "size"), [(TCP4, 11), (TCP4, 0), (TCP6, 35), (UNIX, 215), (0x12, 11)]
    )
    def test_too_short(self, family: int, size: int) -> None:
        """The length has to hold the addresses."""
        message = "A header of version 2 is too short for its addresses."
        assert fault(v2(bytes(size), family)) == message

    def test_longest(self) -> None:
        """What is longer is refused when its length is known, not when it has come."""
        filling = value(0x04, bytes(MAX_V2 - 12 - 3))
        header, _ = parse(v2(tcp4() + filling))
        assert header is not None
        start = START + struct.pack("!BBH", 0x21, TCP4, MAX_V2 + 1)
        assert fault(start) == f"A header of version 2 exceeds {16 + MAX_V2} bytes."

    def test_no_header(self) -> None:
        """Anything else is refused with the first byte that shows it."""
        message = "The connection does not begin with a header."
        for data in (
            b"G",
            b"GET / HTTP/1.1",
            b"\x16\x03\x01",
            b"PROXZ",
            b"\r\n\r\n\0\r\nQUIX",
            b"\n",
        ):
            assert fault(data) == message


class TestValues:
    """§2.2: type, length, value, behind the addresses."""

    def test_all(self) -> None:
        """The protocol, the host and the name of the connection are read, others left alone."""
        body = tcp4() + b"".join(
            [
                value(0x01, b"h2"),
                value(0x02, "bücher.example".encode()),
                value(0x04, b"no operation"),
                value(0x05, b"\x01\x02"),
                value(0xEA, b"of a cloud"),
            ]
        )
        header, rest = parse(v2(body))
        assert rest == b""
        assert header == ProxyHeader(
            version=2,
            source=("198.51.100.7", 40000),
            destination=("192.0.2.1", 443),
            alpn=b"h2",
            authority="bücher.example",
            unique_id=b"\x01\x02",
        )

    @pytest.mark.parametrize("end", [b"\x01", b"\x01\x00", b"\x01\x00\x02h", b"\x04\xff\xff"])
    def test_cut_off(self, end: bytes) -> None:
        """A value ends within the header."""
        assert fault(v2(tcp4() + end)) == "A header of version 2 ends within a value."

    @pytest.mark.parametrize(
        ("client", "verify", "values", "expected"),
        [
            (0x00, 0, b"", None),
            (0x01, 0, b"", ProxiedTLS()),
            (
                0x01,
                0,
                value(0x21, b"TLSv1.3") + value(0x23, b"TLS_AES_128_GCM_SHA256"),
                ProxiedTLS(version="TLSv1.3", cipher="TLS_AES_128_GCM_SHA256"),
            ),
            (
                0x07,
                0,
                value(0x22, b"Ada"),
                ProxiedTLS(client_certificate=True, verified=True, common_name="Ada"),
            ),
            (0x05, 0, b"", ProxiedTLS(client_certificate=True, verified=True)),
            (
                0x03,
                19,
                value(0x22, b"Eve"),
                ProxiedTLS(client_certificate=True, common_name="Eve"),
            ),
        ],
    )
    def test_tls(
        self, client: int, verify: int, values: bytes, expected: ProxiedTLS | None
    ) -> None:
        """§2.2.6: the TLS between client and proxy, if there is any."""
        body = tcp4() + value(0x20, struct.pack("!BI", client, verify) + values)
        header, _ = parse(v2(body))
        assert header is not None
        assert header.tls == expected

    def test_tls_too_short(self) -> None:
        """It has five bytes at least."""
        message = "A header of version 2 says too little of its client's TLS."
        assert fault(v2(tcp4() + value(0x20, b"\x01\0\0\0"))) == message

    def test_checksum(self) -> None:
        """§2.2.3: a right one is accepted wherever it stands, a wrong one is not."""
        message = "The checksum of a header of version 2 is wrong."
        for before, behind in ((b"", b""), (value(0x01, b"h2"), value(0x04, b"\x03\0\4abcd"))):
            data = with_checksum(before, behind)
            header, _ = parse(data)
            assert header is not None
            assert header.source == ("198.51.100.7", 40000)
            changed = data.replace(bytes([198, 51, 100, 7]), bytes([198, 51, 100, 8]))
            assert fault(changed) == message
        assert fault(v2(tcp4() + value(0x03, b"\0"))) == message
        assert fault(v2(tcp4() + value(0x03, b"\0" * 5))) == message

    def test_known_checksum(self) -> None:
        """The check value of CRC-32C."""
        assert proxy_protocol._crc32c(b"123456789") == 0xE3069283


ADDRESSES = st.one_of(
    st.ip_addresses(v=4).map(lambda address: (TCP4, address)),
    st.ip_addresses(v=6).map(lambda address: (TCP6, address)),
)
PORTS = st.integers(0, 65535)


class TestAnyInput:
    """What holds for whatever comes, however it is cut."""

    @given(ADDRESSES, ADDRESSES, PORTS, PORTS, st.binary(max_size=20))
    def test_round_trip(
        self,
        source: tuple[int, ipaddress.IPv4Address | ipaddress.IPv6Address],
        other: tuple[int, ipaddress.IPv4Address | ipaddress.IPv6Address],
        port: int,
        other_port: int,
        rest: bytes,
    ) -> None:
        """Both versions carry what was put into them."""
        family = source[0]
        destination = other[1] if other[0] == family else source[1]
        ends = (str(source[1]), port), (str(destination), other_port)
        name = "TCP4" if family == TCP4 else "TCP6"
        line = f"PROXY {name} {source[1]} {destination} {port} {other_port}\r\n".encode()
        assert parse(line + rest) == (header(1, *ends), rest)
        body = source[1].packed + destination.packed + struct.pack("!HH", port, other_port)
        assert parse(v2(body, family) + rest) == (header(2, *ends), rest)

    @given(
        st.one_of(
            st.binary(max_size=300),
            st.binary(max_size=120).map(lambda tail: b"PROXY TCP4 1.2.3.4 " + tail),
            st.binary(max_size=300).map(lambda tail: START + b"\x21\x11" + tail),
            st.binary(max_size=300).map(lambda tail: v2(tcp4() + tail)),
            st.binary(max_size=100).map(lambda tail: v2(tcp4() + value(0x20, tail))),
        )
    )
    def test_in_one_piece_and_byte_by_byte(self, data: bytes) -> None:
        """The outcome is a header, a documented error or patience, the same for every cut."""
        outcomes = []
        for size in (max(len(data), 1), 1, 7):
            parser = ProxyHeaderParser()
            seen = 0
            found: ProxyHeader | str | None = None
            for at in range(0, len(data), size):
                piece = data[at : at + size]
                seen += len(piece)
                try:
                    found = parser.receive_data(piece)
                except ProxyHeaderError as error:
                    found = str(error)
                if found is not None:
                    break
            rest = parser.rest + data[seen:] if isinstance(found, ProxyHeader) else None
            outcomes.append((found, rest))
        assert outcomes[0] == outcomes[1] == outcomes[2]

    @given(st.integers(0, 11 + 16), st.integers(1, 255))
    def test_a_checksum_finds_every_change(self, at: int, change: int) -> None:
        """No byte of the header can be another without its being noticed, or the length moving."""
        data = bytearray(with_checksum(b"", b""))
        data[at] ^= change
        try:
            header, _ = parse(bytes(data))
        except ProxyHeaderError:
            return
        assert header is None or header.source is None
