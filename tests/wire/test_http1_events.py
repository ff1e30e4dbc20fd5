"""What an HTTP/1.1 connection tells the server, as objects."""

from typing import Any

import pytest

from fairway.wire.http1_events import END_OF_MESSAGE, EndOfMessage, HTTP1Limits, Refusal, Request


class TestHTTP1Limits:
    def test_defaults(self) -> None:
        """Without a word there is a limit for everything but the body."""
        limits = HTTP1Limits()
        assert (limits.request_line, limits.header_size, limits.header_count) == (8190, 65536, 128)
        assert limits.body_size is None

    @pytest.mark.parametrize("name", ["request_line", "header_size", "header_count", "body_size"])
    def test_not_negative(self, name: str) -> None:
        """A negative limit is refused by name."""
        negative: dict[str, Any] = {name: -1}
        with pytest.raises(ValueError, match=f"^{name} must not be negative; 0 means no limit.$"):
            HTTP1Limits(**negative)


class TestRequest:
    def test_repr(self) -> None:
        """A request shows its attributes, also while it is being made."""
        request = Request()
        assert "method=Ellipsis" in repr(request)
        request.method = "GET"
        assert "method='GET'" in repr(request)


class TestRefusal:
    def test_equality(self) -> None:
        """Refusals are equal if they say the same."""
        refusal = Refusal(400, "Bad.")
        assert refusal == Refusal(400, "Bad.")
        assert hash(refusal) == hash(Refusal(400, "Bad."))
        assert refusal != Refusal(414, "Bad.")
        assert refusal != Refusal(400, "Worse.")
        assert refusal != (400, "Bad.")

    def test_repr(self) -> None:
        """A refusal shows what it says."""
        assert repr(Refusal(400, "Bad.")) == "Refusal(400, 'Bad.')"


def test_end_of_message_is_a_singleton() -> None:
    """There is one END_OF_MESSAGE, whose type has no other member."""
    assert list(EndOfMessage) == [END_OF_MESSAGE]
