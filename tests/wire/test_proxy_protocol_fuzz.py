"""Headers of the PROXY protocol, right and wrong, in any pieces."""

from hypothesis import given
from hypothesis import strategies as st

from fuzzing.proxy_protocol import SIGNATURE, check
from tests.wire.streams import FUZZ

hosts = st.sampled_from([b"192.0.2.1", b"::1", b"2001:db8::1", b"1.2.3", b"", b"0x7f.1"])
ports = st.integers(0, 70000).map(b"%d".__mod__) | st.sampled_from([b"", b"01", b"-1", b"x"])
families = st.sampled_from([b"TCP4", b"TCP6", b"UNKNOWN", b"UDP4", b""])
lines = st.tuples(families, hosts, hosts, ports, ports).map(b" ".join)
values = st.lists(
    st.builds(
        lambda kind, value: bytes((kind,)) + len(value).to_bytes(2) + value,
        st.sampled_from([1, 2, 3, 4, 5, 0x20, 0x21, 0x30, 0xEE]),
        st.binary(max_size=12),
    ),
    max_size=3,
).map(b"".join)


@st.composite
def binary_headers(draw: st.DrawFn) -> bytes:
    """A header of version 2 whose length mostly is right."""
    command = draw(st.sampled_from([0x20, 0x21, 0x21, 0x21, 0x11, 0x22]))
    family, size = draw(st.sampled_from([(0x11, 12), (0x21, 36), (0x31, 216), (0, 0), (0x99, 0)]))
    body = draw(st.binary(min_size=size, max_size=size)) + draw(values)
    length = len(body) + draw(st.sampled_from([0, 0, 0, 1, -1]))
    return SIGNATURE + bytes((command, family)) + max(length, 0).to_bytes(2) + body


class TestAnything:
    """A header, or the parser's own error, however it was cut; what follows is the client's."""

    @FUZZ
    @given(lines, st.binary(max_size=20))
    def test_text(self, line: bytes, rest: bytes) -> None:
        """Version 1."""
        check(b"PROXY " + line + b"\r\n" + rest)

    @FUZZ
    @given(binary_headers(), st.binary(max_size=20))
    def test_binary(self, header: bytes, rest: bytes) -> None:
        """Version 2."""
        check(header + rest)

    @FUZZ
    @given(st.binary(max_size=120))
    def test_noise(self, data: bytes) -> None:
        """Bytes that never were a header."""
        check(data)
