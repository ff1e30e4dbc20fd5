"""What is wrong with a request: the slow reading agrees with the fast one."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fairway.wire.http1_events import HTTP1Limits, Refusal
from fairway.wire.http1_faults import (
    field_fault,
    fields_fault,
    line_fault,
    unfinished_line_fault,
)
from tests.exploring import examples
from tests.wire.http1_input import feed

NO_LIMITS = HTTP1Limits(request_line=0, header_size=0, header_count=0)


class TestLine:
    """RFC 9112 §3."""

    @pytest.mark.parametrize(
        "line", [b"GET / HTTP/1.1", b"M-SEARCH /a?b HTTP/1.0", b"GET x HTTP/1.1"]
    )
    def test_right(self, line: bytes) -> None:
        """The form of the target is not judged yet: that needs the fields."""
        assert line_fault(line + b"\r\nwhatever\0\n", 0) is None

    def test_length(self) -> None:
        """The CRLF does not count, and what follows the line does not either."""
        line = b"GET / HTTP/1.1"
        too_long = Refusal(414, "The request line is longer than this server accepts.")
        assert line_fault(line + b"\r\nX: y\r\n", len(line)) is None
        assert line_fault(line + b"\r\n", len(line) - 1) == too_long
        assert unfinished_line_fault(line, len(line)) is None
        assert unfinished_line_fault(line + b"\r", len(line)) is None
        assert unfinished_line_fault(line + b"xx", len(line)) == too_long
        assert unfinished_line_fault(b"G" * 100_000, 0) is None


class TestFields:
    def test_position_decides(self) -> None:
        """Whichever comes first is said: the bare LF, or the byte that is too much."""
        head = b"GET / HTTP/1.1\r\n" + b"X: yyyyy\r\n" + b"X\n" + b"Z" * 100
        start = head.index(b"X")
        bare_lf = Refusal(400, "A line ends in LF alone instead of CRLF.")
        too_large = Refusal(431, "The header fields together are larger than this server accepts.")
        assert fields_fault(head, start, 0, HTTP1Limits(header_size=10)) == bare_lf
        assert fields_fault(head, start, 0, HTTP1Limits(header_size=9)) == too_large
        assert fields_fault(head, start, 0, NO_LIMITS) == bare_lf
        assert fields_fault(head[: start + 10], start, 0, NO_LIMITS) is None

    def test_looked_at_once(self) -> None:
        """What was scanned before is not scanned again."""
        head = b"GET / HTTP/1.1\r\nX\nY"
        assert fields_fault(head, 16, len(head), NO_LIMITS) is None


@examples(300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"X", b"X ", b"", b" X", b"\tX", b"X(", b"x_y", b"\xff", b"X\0", b"~"])
            | st.binary(max_size=3),
            st.sampled_from([b":", b": ", b":\t", b" :", b"", b"::", b":\r\n "]),
            st.sampled_from(
                [b"", b"y", b" y ", b"y\r", b"\ry", b"\n", b"\0", b"\x7f", b"\x80", b"\x1f"]
            )
            | st.binary(max_size=3),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_both_readers_agree(lines: list[tuple[bytes, bytes, bytes]]) -> None:
    """The fast reader (llhttp) accepts fields if, and only if, no line of them has a fault."""
    section = b"".join(name + colon + value + b"\r\n" for name, colon, value in lines)
    section = section.partition(b"\r\n\r\n")[0].removesuffix(b"\r\n") + b"\r\n"
    assume(not section.startswith(b"\r\n"))
    head = b"GET / HTTP/1.0\r\n" + section + b"\r\n"
    faults = [fields_fault(head, 16, 16, NO_LIMITS)]
    faults += [field_fault(line, 2, NO_LIMITS) for line in section[:-2].split(b"\r\n")]
    accepted = not isinstance(feed([head], NO_LIMITS)[0], Refusal)
    assert accepted == (faults == [None] * len(faults))
