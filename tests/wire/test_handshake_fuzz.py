"""Invariants of the opening handshake, whatever the client asks for."""

from hypothesis import given
from hypothesis import strategies as st

from fairway._types import Headers
from fuzzing.handshake import check, check_fields
from tests.wire.streams import FUZZ

USUAL = [
    (b"connection", b"Upgrade"),
    (b"upgrade", b"websocket"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
]
names = st.sampled_from(
    [*(name for name, _ in USUAL), b"sec-websocket-protocol", b"sec-websocket-extensions", b"host"]
)
values = st.sampled_from(
    [
        *(value for _, value in USUAL),
        *(b"", b"chat, superchat", b",", b"a b", b"12", b"13, 13", b"keep-alive, upgrade", b"h2c"),
        *(b"AAAAAAAAAAAAAAAAAAAAAA==", b"dGhlIHNhbXBsZSBub25jZQ", b"\xff"),
        *(b"permessage-deflate", b"permessage-deflate; client_max_window_bits=7", b'a; b="c,d"'),
    ]
)


class TestAnything:
    """A handshake is granted, or refused with a status and a reason; never anything else."""

    @FUZZ
    @given(
        st.sampled_from(["GET", "GET", "GET", "POST", "HEAD"]),
        st.sampled_from(["1.1", "1.1", "1.1", "1.0"]),
        st.lists(st.tuples(names, values | st.binary(max_size=20)), max_size=3),
        st.permutations(USUAL),
        st.integers(0, 6),
    )
    def test_fields(
        self, method: str, version: str, more: Headers, usual: Headers, missing: int
    ) -> None:
        """Fields of which some are doubled, wrong or missing."""
        fields = more + usual
        check_fields(method, version, fields[:missing] + fields[missing + 1 :])

    @FUZZ
    @given(st.binary(max_size=200))
    def test_noise(self, data: bytes) -> None:
        """Bytes that never were a header."""
        check(data)
