"""One HTTP/1.1 connection from its first byte to its last (RFC 9112)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.wire import http1
from fairway.wire.http1 import (
    MAX_UPGRADED_DATA,
    Event,
    HTTP1Connection,
    HTTP1Limits,
    Refusal,
    Request,
    State,
)
from tests.exploring import examples
from tests.wire.http1_input import END, describe, feed, pieces, receive, refusal, request

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
WEBSOCKET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
BAD = b"GET  / HTTP/1.1\r\n\r\n"

BAD_REQUEST = Refusal(
    400, "The request line is not a method, a target and a version with one space between."
)
CUT_SHORT = Refusal(400, "The connection ended before the request was complete.")


def get(line: bytes = b"GET / HTTP/1.1", fields: bytes = b"Host: a\r\n") -> bytes:
    """A request without a body."""
    return b"%b\r\n%b\r\n" % (line, fields)


def post(body: bytes) -> dict[str, object]:
    """What ``POST`` gives with this body counted."""
    return request(
        method="POST",
        headers=[(b"host", b"a"), (b"content-length", b"%d" % len(body))],
        content_length=len(body),
        has_body=True,
    )


def connection_in(state: State) -> HTTP1Connection:
    """A connection that was brought into a state by what it received."""
    connection = HTTP1Connection()
    received = {
        State.HEAD: GET,
        State.BODY: POST,
        State.CHUNKED: CHUNKED,
        State.UPGRADE: WEBSOCKET,
        State.CLOSED: BAD,
    }
    connection.receive_data(received[state])
    assert connection.state is state
    return connection


class TestStates:
    """The table in the module's docstring."""

    @pytest.mark.parametrize(
        ("state", "data", "events", "next_state"),
        [
            (State.HEAD, b"", [], State.HEAD),
            (State.HEAD, GET, [request(), END], State.HEAD),
            (State.HEAD, POST, [post(b"hello")], State.BODY),
            (State.HEAD, POST + b"hello", [post(b"hello"), b"hello", END], State.HEAD),
            (State.HEAD, BAD, [BAD_REQUEST], State.CLOSED),
            (State.BODY, b"he", [b"he"], State.BODY),
            (State.BODY, b"hello", [b"hello", END], State.HEAD),
            (State.BODY, b"hello" + BAD, [b"hello", END, BAD_REQUEST], State.CLOSED),
            (State.CHUNKED, b"2\r\nhe", [b"he"], State.CHUNKED),
            (State.CHUNKED, b"2\r\nhe\r\n0\r\n\r\n", [b"he", END], State.HEAD),
            (
                State.CHUNKED,
                b"2\r\nhe\r\nx\r\n",
                [b"he", Refusal(400, "The size of a chunk is not a hexadecimal number.")],
                State.CLOSED,
            ),
            (State.UPGRADE, b"\x81\x00", [], State.UPGRADE),
            (State.CLOSED, GET, [], State.CLOSED),
        ],
    )
    def test_bytes(
        self, state: State, data: bytes, events: list[object], next_state: State
    ) -> None:
        """What arrives gives its events and leads to the next state."""
        connection = connection_in(state)
        assert describe(connection.receive_data(data)) == events
        assert connection.state is next_state

    @pytest.mark.parametrize(
        ("state", "events"),
        [
            (State.HEAD, []),
            (State.BODY, [CUT_SHORT]),
            (State.CHUNKED, [CUT_SHORT]),
            (State.UPGRADE, []),
            (State.CLOSED, []),
        ],
    )
    def test_eof(self, state: State, events: list[Event]) -> None:
        """The end of input is a Refusal where it cuts a request short (§8)."""
        connection = connection_in(state)
        assert connection.receive_eof() == events
        assert connection.state is (State.CLOSED if events else state)
        assert connection.receive_eof() == []

    def test_eof_in_a_head(self) -> None:
        """A head that has begun is cut short; an empty line is nobody's beginning."""
        for before, events in [(b"G", [CUT_SHORT]), (b"\r\n", []), (b"\r\n\r", [])]:
            connection = HTTP1Connection()
            connection.receive_data(before)
            assert connection.receive_eof() == events


class TestPipelining:
    """RFC 9112 §9.3.2."""

    def test_in_order(self) -> None:
        """Requests that arrive together come out in order, each with its own body."""
        chunked = request(
            method="POST",
            headers=[(b"host", b"a"), (b"transfer-encoding", b"chunked")],
            has_body=True,
        )
        data = GET + POST + b"hello" + CHUNKED + b"1\r\nx\r\n0\r\n\r\n" + GET
        assert receive(data) == [
            *(request(), END),
            *(post(b"hello"), b"hello", END),
            *(chunked, b"x", END),
            *(request(), END),
        ]

    def test_no_request_hides_in_a_body(self) -> None:
        """What looks like a request in a body is the body."""
        data = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(GET), GET)
        assert receive(data + GET) == [post(GET), GET, END, request(), END]

    @pytest.mark.parametrize("fields", [b"Connection: close\r\n", b"Connection: x, Close\r\n"])
    def test_nothing_after_close(self, fields: bytes) -> None:
        """After ``close`` nothing more is read (§9.6)."""
        last = get(fields=b"Host: a\r\n" + fields)
        first, *others = receive(last + GET + BAD)
        assert isinstance(first, dict)
        assert first["keep_alive"] is False
        assert others == [END]

    def test_nothing_after_close_with_a_body(self) -> None:
        """The body still is."""
        fields = b"Connection: close\r\nContent-Length: 5\r\n"
        _, *others = receive(b"POST / HTTP/1.0\r\n" + fields + b"\r\nhello" + GET)
        assert others == [b"hello", END]

    def test_nothing_after_a_refusal(self) -> None:
        """A Refusal is the last word."""
        assert receive(GET + BAD + GET) == [request(), END, BAD_REQUEST]

    def test_bodies_are_not_copied(self) -> None:
        """A part that is all body is passed on as it came."""
        connection = connection_in(State.BODY)
        part = b"hell"
        (event,) = connection.receive_data(part)
        assert event is part


def started_after(*parts: bytes) -> list[bool]:
    """Whether a connection counts as started after each of these parts."""
    connection = HTTP1Connection()
    started = []
    for part in parts:
        connection.receive_data(part)
        started.append(connection.started)
    return started


class TestStarted:
    def test_head_in_pieces(self) -> None:
        """True from the first byte of a head to its last."""
        parts = (b"", b"G", GET[1:-1], GET[-1:], GET)
        assert started_after(*parts) == [False, True, True, False, False]

    def test_body(self) -> None:
        """False while a body arrives, True as soon as another head does."""
        assert started_after(POST + b"he", b"llo" + GET + b"GE") == [False, True]

    def test_empty_lines(self) -> None:
        """Empty lines are no beginning, in whatever pieces (§2.2)."""
        connection = HTTP1Connection()
        for part in (b"\r\n", b"\r", b"\n\r\n", b"\r", b"\n"):
            assert connection.receive_data(part) == []
            assert not connection.started
        assert describe(connection.receive_data(b"\r\n" + GET)) == [request(), END]

    def test_refused(self) -> None:
        """False after a Refusal: nothing more is waited for."""
        assert started_after(b"GET /\0", b" HTTP/1.1\r\n") == [True, False]


class TestIgnored:
    """What comes behind the last request of a connection (RFC 9112 §9.6)."""

    LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

    def test_nothing(self) -> None:
        """Nothing has."""
        connection = HTTP1Connection()
        connection.receive_data(self.LAST)
        connection.receive_eof()
        assert not connection.ignored

    @pytest.mark.parametrize("split", [1, len(LAST) - 1, len(LAST), len(LAST) + 1])
    def test_something(self, split: int) -> None:
        """Something has: together with the request, or later."""
        connection = HTTP1Connection()
        data = self.LAST + GET
        events = connection.receive_data(data[:split]) + connection.receive_data(data[split:])
        assert len(events) == 2
        assert connection.ignored


class TestUpgrade:
    """RFC 9110 §7.8."""

    def test_kept_aside(self) -> None:
        """What follows the request is neither read nor lost."""
        connection = HTTP1Connection()
        (event,) = connection.receive_data(WEBSOCKET + b"\x81")
        assert isinstance(event, Request)
        assert event.upgrade == b"websocket"
        assert connection.receive_data(b"\x00" + GET) == []
        assert connection.upgraded_data == b"\x81\x00" + GET
        assert not connection.started

    def test_bounded(self) -> None:
        """What is kept aside has a limit."""
        connection = HTTP1Connection()
        connection.receive_data(WEBSOCKET + b"x" * MAX_UPGRADED_DATA)
        assert len(connection.upgraded_data) == MAX_UPGRADED_DATA
        detail = "Too much was sent before the upgrade was answered."
        assert connection.receive_data(b"x") == [Refusal(400, detail)]
        assert connection.upgraded_data == b""


class TestLimits:
    """Each limit lets pass what it names, and not a byte more; in whatever pieces."""

    @pytest.mark.parametrize("line", [b"GET / HTTP/1.1", b"POST /abc?d HTTP/1.1"])
    def test_request_line(self, line: bytes) -> None:
        """Beyond it 414 (RFC 9112 §3)."""
        assert len(receive(get(line), HTTP1Limits(request_line=len(line)))) == 2
        too_long = Refusal(414, "The request line is longer than this server accepts.")
        assert refusal(get(line), HTTP1Limits(request_line=len(line) - 1)) == too_long

    def test_endless_request_line(self) -> None:
        """A line that does not end is refused when it cannot fit any more."""
        too_long = Refusal(414, "The request line is longer than this server accepts.")
        assert refusal(b"GET /" + b"a" * 10_000) == too_long
        assert refusal(b"A" * 10_000) == too_long
        assert refusal(b"GET / " + b" " * 100, HTTP1Limits(request_line=50)) == too_long
        assert feed([b"G" * 8191]) == []

    @pytest.mark.parametrize("fields", [b"Host: a\r\n", b"Host:\t  a\t \r\nX:y\r\n"])
    def test_header_size(self, fields: bytes) -> None:
        """All field lines count as they came; beyond the limit 431 (RFC 6585 §5)."""
        data = get(fields=fields)
        assert len(receive(data, HTTP1Limits(header_size=len(fields)))) == 2
        too_large = Refusal(431, "The header fields together are larger than this server accepts.")
        assert refusal(data, HTTP1Limits(header_size=len(fields) - 1)) == too_large

    @pytest.mark.parametrize(
        "endless",
        [b"a" * 100_000, b"X:" + b" " * 100_000, b"X: " + b"y" * 100_000, b"X: y\r\n" * 20_000],
    )
    def test_endless_fields(self, endless: bytes) -> None:
        """Fields that do not end are refused when they cannot fit any more."""
        too_large = Refusal(431, "The header fields together are larger than this server accepts.")
        data = b"GET / HTTP/1.1\r\nHost: a\r\n" + endless
        assert feed(pieces(data, *range(0, len(data), 1000))) == [too_large]
        assert feed([data]) == [too_large]
        assert refusal(data[:400], HTTP1Limits(header_size=300)) == too_large

    def test_each_request_has_its_own(self) -> None:
        """Limits are not used up by the requests before."""
        limits = HTTP1Limits(request_line=14, header_size=9, header_count=1)
        assert receive(4 * GET, limits) == 4 * [request(), END]

    def test_header_count(self) -> None:
        """Beyond it 431."""
        data = get(fields=b"Host: a\r\n" + b"X: y\r\n" * 3)
        assert len(receive(data, HTTP1Limits(header_count=4))) == 2
        too_many = Refusal(431, "There are more header fields than this server accepts.")
        assert refusal(data, HTTP1Limits(header_count=3)) == too_many

    def test_default_header_count(self) -> None:
        """128 fields pass, one more does not."""
        assert len(feed([get(fields=b"Host: a\r\n" + b"X: y\r\n" * 127)])) == 2
        assert len(feed([get(fields=b"Host: a\r\n" + b"X: y\r\n" * 128)])) == 1

    def test_body_size(self) -> None:
        """A Content-Length beyond it is 413 at once, without a Request (RFC 9110 §15.5.14)."""
        assert len(receive(POST + b"hello", HTTP1Limits(body_size=5))) == 3
        too_large = Refusal(413, "The request body is larger than this server accepts.")
        assert refusal(POST, HTTP1Limits(body_size=4)) == too_large

    def test_no_limits(self) -> None:
        """0 lets everything pass."""
        limits = HTTP1Limits(request_line=0, header_size=0, header_count=0, body_size=0)
        data = get(b"GET /%b HTTP/1.1" % (b"a" * 20_000), b"Host: a\r\n" + b"X: y\r\n" * 30_000)
        assert len(feed(pieces(data, *range(0, len(data), 1000)), limits)) == 2
        assert len(feed([data + POST + b"hello"], limits)) == 5


VALID = [
    GET,
    get(b"GET /a?b HTTP/1.0", b"Connection: keep-alive\r\n"),
    get(b"OPTIONS * HTTP/1.1", b"Host: a\r\nX-Y:  z \r\nx-y:\r\n"),
    get(b"GET http://b/c HTTP/1.1"),
    POST + b"hello",
    CHUNKED + b"5;a=b\r\nhello\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
    CHUNKED + b"0\r\n\r\n",
    WEBSOCKET,
    get(fields=b"Host: a\r\nConnection: close\r\n"),
    b"\r\n",
]
TOKENS = [
    *(b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"0", b"5", b"f"),
    *(b"\x7f", b"\xff", b"#", b"?", b"*", b"http://", b"HTTP/1.0", b"HTTP/2.0", b"Host: b\r\n"),
    *(b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n", b"chunked", b"close"),
    *(b"Expect: 100-continue\r\n", b"\r\n ", b"GET / HTTP/1.1\r\n", b"X" * 40),
]

limits_for_fuzzing = st.just(HTTP1Limits()) | st.builds(
    HTTP1Limits,
    request_line=st.sampled_from([0, 13, 14, 20]),
    header_size=st.sampled_from([0, 9, 30, 60]),
    header_count=st.sampled_from([0, 1, 2, 3]),
    body_size=st.sampled_from([None, 0, 4, 5, 7]),
)


@st.composite
def mutated_requests(draw: st.DrawFn) -> bytes:
    """Valid requests with a few places deleted, doubled or written over."""
    data = b"".join(draw(st.lists(st.sampled_from(VALID), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 4))
        token = draw(st.sampled_from([b"", data[place : place + length], *TOKENS]))
        data = data[:place] + token + data[draw(st.sampled_from([place, place + length])) :]
    return data


class TestFuzz:
    """Whatever arrives gives events or a Refusal, never an exception, however it was cut."""

    @examples(400)
    @given(
        mutated_requests()
        | st.binary(max_size=100)
        | st.lists(st.sampled_from(TOKENS)).map(b"".join),
        limits_for_fuzzing,
        st.lists(st.integers(0, 200), max_size=4),
    )
    def test_any_input(self, data: bytes, limits: HTTP1Limits, cuts: list[int]) -> None:
        """At once, byte by byte and in any other pieces: the same events."""
        events = feed([data], limits)
        cut = [place for place in cuts if place < len(data)]
        assert feed(pieces(data, *cut), limits) == events
        assert feed(pieces(data, *range(len(data))), limits) == events
        for position, event in enumerate(events):
            if isinstance(event, Refusal):
                assert position == len(events) - 1
                assert 400 <= event.status <= 505
                assert event.detail.endswith((".", "?"))
                # The fast reader refuses nothing that the slow one would accept, but for a tab
                # behind a transfer coding.
                assert event.detail != "The request is malformed." or b"\t" in data

    @examples(100)
    @given(mutated_requests(), st.integers(0, 200))
    def test_end_at_any_place(self, data: bytes, place: int) -> None:
        """The end of input at any place gives nothing, or one Refusal."""
        connection = HTTP1Connection()
        events = connection.receive_data(data[:place])
        ending = connection.receive_eof()
        assert ending in ([], [CUT_SHORT])
        if events and isinstance(events[-1], bytes):
            assert ending == [CUT_SHORT]
        assert connection.receive_eof() == []


def test_exports() -> None:
    """The module hands out all that a server needs."""
    assert [name for name in http1.__all__ if not hasattr(http1, name)] == []
    assert sorted(http1.__all__) == http1.__all__
