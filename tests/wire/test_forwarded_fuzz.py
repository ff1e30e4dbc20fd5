"""The headers of proxies, whatever they say, and whoever sends them."""

from hypothesis import given
from hypothesis import strategies as st

from fuzzing.forwarded import check, check_headers
from tests.wire.streams import FUZZ

nodes = st.sampled_from(
    [
        *(b"192.0.2.7", b"10.0.0.2", b"10.0.0.2:80", b"::1", b"[::1]:8", b'"[2001:db8::1]:99"'),
        *(b"unknown", b"_hidden", b"", b"1.2.3", b"::ffff:10.0.0.3", b"fe80::1%eth0", b"\xff"),
    ]
)
pairs = st.builds(
    b"%b=%b".__mod__,
    st.tuples(st.sampled_from([b"for", b"For", b"by", b"proto", b"host", b"x"]), nodes),
)
elements = st.lists(pairs, max_size=3).map(b";".join)
broken = st.sampled_from([b'"', b'for="', b"\\", b";;", b"=", b'for="a\\"'])
values = st.lists(nodes | elements | broken, max_size=4).map(b", ".join)
names = st.sampled_from(
    [
        *(b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-port"),
        *(b"x-forwarded-prefix", b"host"),
    ]
)


class TestAnything:
    """What a proxy has appended is believed, and nothing that its client has sent before."""

    @FUZZ
    @given(st.lists(st.tuples(names, values | st.binary(max_size=20)), max_size=5))
    def test_fields(self, fields: list[tuple[bytes, bytes]]) -> None:
        """Fields of both kinds, in any order, well-formed or not."""
        check_headers(fields)

    @FUZZ
    @given(st.binary(max_size=100))
    def test_noise(self, data: bytes) -> None:
        """Bytes that never were a header."""
        check(data)
