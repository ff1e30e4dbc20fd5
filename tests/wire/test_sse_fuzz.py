"""Server-sent events, as a browser's parser reads them."""

from hypothesis import given
from hypothesis import strategies as st

from fuzzing.sse import check, check_event
from tests.wire.streams import FUZZ

texts = st.text(max_size=40) | st.text(st.sampled_from("a:\r\n \0\u0085\u2028\ufeffé\ud800"))


class TestRoundTrip:
    """What the server says is what the page hears, or a ValueError says why it cannot be said."""

    @FUZZ
    @given(
        st.none() | texts, st.none() | texts, st.none() | texts, st.none() | st.integers(0, 1 << 40)
    )
    def test_event(
        self, data: str | None, event: str | None, identifier: str | None, retry: int | None
    ) -> None:
        """Data of any lines, behind a comment of any lines and before another event."""
        check_event(data, event, identifier, retry)

    @FUZZ
    @given(st.binary(max_size=100))
    def test_noise(self, data: bytes) -> None:
        """Text that once was bytes."""
        check(data)
