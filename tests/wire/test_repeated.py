"""Header fields that many clients send alike."""

from fairway._types import Headers
from fairway.wire.repeated import LONGEST, MOST, RepeatedFields


def shared(repeated: RepeatedFields, *lines: bytes) -> Headers:
    """Fields as a parser makes them, each an object of its own, and then shared."""
    headers: Headers = []
    for line in lines:
        name, _, value = line.partition(b": ")
        headers.append((name, value))
    repeated.share(headers)
    return headers


class TestRepeatedFields:
    """``RepeatedFields``."""

    def test_keeps_one_copy(self) -> None:
        """What a second client sends alike is the first one's copy, in its own order."""
        repeated = RepeatedFields()
        first = shared(repeated, b"host: a.example", b"user-agent: Browser/1")
        second = shared(repeated, b"user-agent: Browser/1", b"accept: */*", b"host: a.example")
        assert second == [
            (b"user-agent", b"Browser/1"),
            (b"accept", b"*/*"),
            (b"host", b"a.example"),
        ]
        assert second[0] is first[1]
        assert second[2] is first[0]

    def test_keeps_no_secrets(self) -> None:
        """What tells one user from another is nobody else's, and goes with its connection."""
        repeated = RepeatedFields()
        lines = (
            b"cookie: sessionid=1",
            b"authorization: Bearer 1",
            b"sec-websocket-protocol: token.1",
            b"x-forwarded-for: 192.0.2.1",
        )
        first, second = shared(repeated, *lines), shared(repeated, *lines)
        assert first == second
        assert not any(one is other for one, other in zip(first, second, strict=True))

    def test_keeps_no_long_values(self) -> None:
        """A value beyond the limit is its connection's own."""
        repeated = RepeatedFields()
        line = b"user-agent: " + b"x" * LONGEST
        assert shared(repeated, line)[0] is shared(repeated, line)[0]
        assert shared(repeated, line + b"x")[0] is not shared(repeated, line + b"x")[0]

    def test_begins_anew_when_full(self) -> None:
        """Clients that never repeat themselves fill no memory."""
        repeated = RepeatedFields()
        first = shared(repeated, b"user-agent: 0")
        for number in range(1, MOST):
            shared(repeated, b"user-agent: %d" % number)
        assert shared(repeated, b"user-agent: 0")[0] is first[0]
        shared(repeated, b"user-agent: one more")
        assert shared(repeated, b"user-agent: 0")[0] is not first[0]
