"""What comes in one read may take several turns of the event loop: the budget of a call."""

import pytest

from fairway.wire.http1 import HTTP1Connection, HTTP1Limits, Refusal, Request, State
from tests.wire.http1_input import END, Described, describe, request

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
LENGTH = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nsomething"
WEBSOCKET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def in_turns(connection: HTTP1Connection, data: bytes) -> list[list[Described]]:
    """The events of each call until nothing is pending."""
    turns = [describe(connection.receive_data(data))]
    while connection.pending:
        turns.append(describe(connection.receive_data(b"")))
    return turns


class TestBudget:
    """How much one call takes."""

    def test_requests(self) -> None:
        """Ten thousand pipelined requests are not parsed at once."""
        connection = HTTP1Connection(budget=100 * len(GET))
        turns = in_turns(connection, GET * 10_000)
        assert [len(events) for events in turns] == [200] * 100

    @pytest.mark.parametrize("extension", [b"", b";a"])
    def test_chunks(self, extension: bytes) -> None:
        """Forty thousand tiny chunks are not, by the short way and by the long one."""
        chunk = b"2%b\r\nxy\r\n" % extension
        connection = HTTP1Connection(budget=100 * (len(chunk) - 2))
        connection.receive_data(CHUNKED)
        turns = in_turns(connection, chunk * 40_000)
        assert turns == [[b"xy" * 100]] * 400

    def test_trailers(self) -> None:
        """Nor are trailer fields, which bring no event."""
        connection = HTTP1Connection(HTTP1Limits(header_size=0, header_count=0), budget=500)
        connection.receive_data(CHUNKED)
        turns = in_turns(connection, b"0\r\n" + b"A: b\r\n" * 1000 + b"\r\n")
        assert turns == [[]] * 11 + [[END]]

    @pytest.mark.parametrize("body", [b"%x\r\n%b\r\n" % (90_000, b"x" * 90_000), b"x" * 90_000])
    def test_data_does_not_count(self, body: bytes) -> None:
        """However much data there is, it takes no time."""
        head = CHUNKED if body.startswith(b"1") else LENGTH.replace(b": 9", b": 90000")[:-9]
        connection = HTTP1Connection(budget=200)
        events = connection.receive_data(head + body)
        assert events[1] == b"x" * 90_000
        assert not connection.pending

    def test_more_than_the_budget(self) -> None:
        """A head that exceeds it alone is taken all the same, and with it a body with a length."""
        connection = HTTP1Connection(budget=1)
        post = request(
            method="POST",
            headers=[(b"host", b"a"), (b"content-length", b"9")],
            has_body=True,
            content_length=9,
        )
        turns = in_turns(connection, LENGTH + GET + LENGTH)
        assert turns == [[post, b"something", END], [request(), END], [post, b"something", END]]

    @pytest.mark.parametrize("data", [GET * 3, CHUNKED + b"1\r\na\r\n" * 3])
    def test_exactly(self, data: bytes) -> None:
        """Nothing is pending where the data ends with the budget."""
        connection = HTTP1Connection(budget=len(data) - data.count(b"\r\na\r\n"))
        connection.receive_data(data)
        assert not connection.pending
        connection = HTTP1Connection(budget=len(data) - data.count(b"\r\na\r\n"))
        connection.receive_data(data + GET)
        assert connection.pending

    def test_none(self) -> None:
        """Without a budget everything is taken."""
        connection = HTTP1Connection()
        assert len(connection.receive_data(GET * 10_000)) == 20_000
        assert not connection.pending


class TestPending:
    """What is between two turns."""

    def test_more_data(self) -> None:
        """What comes while something is pending is behind it, even where it is a whole request."""
        connection = HTTP1Connection(budget=1)
        connection.receive_data(GET.replace(b"/ ", b"/1 ") + GET.replace(b"/ ", b"/2 "))
        events = connection.receive_data(GET.replace(b"/ ", b"/3 "))
        while connection.pending:
            events += connection.receive_data(b"")
        assert [event.path for event in events if isinstance(event, Request)] == [b"/2", b"/3"]

    def test_no_request_has_begun(self) -> None:
        """A client whose next request is pending is not the one to wait for."""
        connection = HTTP1Connection(budget=1)
        connection.receive_data(GET + GET[:10])
        assert (connection.pending, connection.started) == (True, False)
        connection.receive_data(b"")
        assert (connection.pending, connection.started) == (False, True)

    def test_refusal(self) -> None:
        """Behind a refusal nothing is."""
        connection = HTTP1Connection(budget=1)
        turns = in_turns(connection, GET + b"\n" + GET)
        assert turns == [
            [request(), END],
            [Refusal(400, "A line ends in LF alone instead of CRLF.")],
        ]

    def test_last_request(self) -> None:
        """Behind the last request of a connection nothing is, either."""
        connection = HTTP1Connection(budget=1)
        last = GET.replace(b"Host", b"Connection: close\r\nHost")
        assert len(connection.receive_data(last + GET)) == 2
        assert connection.state is State.CLOSED
        assert not connection.pending

    def test_upgrade(self) -> None:
        """What follows an upgrade is kept aside with it, whatever was left of the budget."""
        connection = HTTP1Connection(budget=len(GET))
        assert len(connection.receive_data(GET + WEBSOCKET + b"\x81\x00" + GET)) == 2
        (event,) = connection.receive_data(b"")
        assert isinstance(event, Request)
        assert event.upgrade == b"websocket"
        assert not connection.pending
        assert connection.upgraded_data == b"\x81\x00" + GET

    def test_end_of_input(self) -> None:
        """Once all was parsed, it is known whether the end of the input cuts a request short."""
        connection = HTTP1Connection(budget=1)
        in_turns(connection, CHUNKED + b"1\r\nx\r\n" * 3)
        detail = "The connection ended before the request was complete."
        assert connection.receive_eof() == [Refusal(400, detail)]
