"""Invariants of an HTTP/1.1 connection, whatever the client sends.

What must hold stands in `tools/fuzz/fuzzing/http1.py`, where the coverage-guided run has it from:
the same events however the bytes are cut, in a lawful order, within the limits, and no more held
than they allow.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.wire.http1 import (
    END_OF_MESSAGE,
    HTTP1Connection,
    HTTP1Limits,
    LocalProtocolError,
    Refusal,
    Request,
    Response,
    State,
)
from fuzzing.http1 import LIMITS, check_http1, conversation
from fuzzing.target import held
from tests.wire.http1_input import pieces
from tests.wire.http1_requests import LooseRequest, loose_requests, mutated
from tests.wire.streams import FUZZ

limits = st.sampled_from(LIMITS) | st.builds(
    HTTP1Limits,
    request_line=st.integers(0, 60),
    header_size=st.integers(0, 200),
    header_count=st.integers(0, 5),
    body_size=st.integers(0, 40),
)


class TestAnything:
    """Bytes lead to requests or to one Refusal, and never to an exception."""

    @FUZZ
    @given(st.lists(loose_requests(), min_size=1, max_size=3), limits)
    def test_requests(self, requests: list[LooseRequest], limits: HTTP1Limits) -> None:
        """Pipelined requests with a fault here and there."""
        check_http1(b"".join(request.data for request in requests), limits)

    @FUZZ
    @given(mutated() | st.binary(max_size=200), limits)
    def test_noise(self, data: bytes, limits: HTTP1Limits) -> None:
        """Requests that were written over, and bytes that never were one."""
        check_http1(data, limits)

    @FUZZ
    @given(
        st.lists(loose_requests(), min_size=1, max_size=3).map(
            lambda requests: b"".join(request.data for request in requests)
        ),
        st.lists(st.integers(0, 1000), max_size=8),
    )
    def test_pieces(self, data: bytes, places: list[int]) -> None:
        """Where the network cuts makes no difference."""
        whole = conversation([data], HTTP1Limits())
        cut = pieces(data, *(place for place in places if place < len(data)))
        assert conversation(cut, HTTP1Limits()) == whole


#: Bytes that never end, and each time more of them: nothing of it may be kept beyond its limit.
ENDLESS = {
    "request line": (b"", b"GET /" + b"a" * 500),
    "empty lines": (b"", b"\r\n" * 500),
    "fields": (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n" * 50),
    "a field": (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"y" * 500),
    "upgrade": (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"\x81" * 500,
    ),
    "size of a chunk": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;",
        b"a" * 100,
    ),
    "trailers": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"X: y\r\n" * 50,
    ),
    "body": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n", b"x" * 5000),
    "chunks": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"a\r\n0123456789\r\n" * 100,
    ),
    "requests": (b"", b"GET /%s HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n" % (b"a" * 300, b"b" * 300)),
}


class TestMemory:
    """What a connection holds has an end, whatever has none."""

    @pytest.mark.parametrize("what", ENDLESS)
    def test_endless(self, what: str) -> None:
        """A connection never holds more than its limits, one way or the other."""
        start, more = ENDLESS[what]
        connection = HTTP1Connection(HTTP1Limits(request_line=2000, header_size=2000))
        connection.receive_data(start)
        most = 0
        for _ in range(400):
            connection.receive_data(more)
            most = max(most, held(connection))
        assert most <= (65536 if what == "upgrade" else 4000) + 3 * 4096 + 1100


statuses = st.integers(90, 1010)
names = st.sampled_from(
    [b"a", b"X-Y", b"Content-Length", b"Connection", b"Transfer-Encoding", b"Date", b"Server"]
)
fields = st.tuples(
    names | st.binary(max_size=5),
    st.sampled_from([b"", b"5", b"close", b"b"]) | st.binary(max_size=8),
)


class TestResponse:
    """Whatever an application says, it is sent whole and right, or refused with a reason."""

    @FUZZ
    @given(
        st.sampled_from(["GET", "HEAD", "POST"]),
        st.sampled_from(["1.0", "1.1"]),
        statuses,
        st.lists(fields, max_size=4),
        st.lists(st.tuples(st.binary(max_size=8), st.booleans()), max_size=4),
    )
    def test_any_response(
        self,
        method: str,
        version: str,
        status: int,
        headers: list[tuple[bytes, bytes]],
        parts: list[tuple[bytes, bool]],
    ) -> None:
        """ValueError for what cannot be sent, LocalProtocolError for what is out of order."""
        response = Response(method, version, keep_alive=True)
        try:
            head = response.start(status, headers, server=b"s", date=b"d")
        except ValueError as error:
            refused = str(error)
        else:
            refused = ""
            _check_head(head, status)
            _send(response, parts)
        assert not refused or refused.endswith((".", "'"))


def _check_head(head: bytes, status: int) -> None:
    """One status line, whole lines, one end, and no field that the application has smuggled in."""
    lines = head.split(b"\r\n")
    assert lines[0].startswith(b"HTTP/1.1 %d " % status)
    assert lines[-2:] == [b"", b""]
    assert b"" not in lines[:-2]
    assert not any(set(line) & set(b"\r\n\0") for line in lines)
    assert all(b":" in line for line in lines[1:-2])


def _send(response: Response, parts: list[tuple[bytes, bool]]) -> None:
    for data, more in parts:
        complete = response.complete
        try:
            response.body(data, more)
        except LocalProtocolError:
            assert complete or not response.keep_alive
            return
        assert not complete


def test_events_after_the_end() -> None:
    """After the last event nothing has any effect, in whatever way the end came."""
    for data in (b"\x00", b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX"):
        connection = HTTP1Connection()
        events = connection.receive_data(data) + connection.receive_eof()
        if isinstance(events[-1], Request) or events[-1] is END_OF_MESSAGE:
            assert connection.state is State.CLOSED
        else:
            assert isinstance(events[-1], Refusal)
        assert connection.receive_data(data) == []
        assert connection.receive_eof() == []
