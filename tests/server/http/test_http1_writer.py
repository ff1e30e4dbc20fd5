"""What the writer of a request in HTTP/1.1 puts on its connection.

The responses themselves are :mod:`tests.wire.test_http1_response`'s.
"""

import asyncio
from typing import Any

import pytest

from fairway.server import Config
from fairway.server.context import Context
from fairway.server.http.http1_writer import HTTP1Writer
from fairway.wire.http1 import LocalProtocolError, Request
from fairway.wire.http1_events import HTTP1Limits
from fairway.wire.http1_head import HeadReader
from tests.server.applications import path

#: The fields of an error whose text is ``No.``.
ERROR = (
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\nDate: now\r\n"
    b"Connection: close\r\n\r\n"
)


class Transport(asyncio.Transport):
    """Keeps what is written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closing = False

    def write(self, data: Any) -> None:
        """Keep it."""
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        """As the test says."""
        return self.closing


class Connection:
    """Notes what its writers ask of it."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.written = Transport()
        self.transport: asyncio.Transport = self.written
        self.copied = 0
        self.calls: list[str] = []

    def stream_ended(self, *, keep_alive: bool) -> None:
        """Note whether it is kept."""
        self.calls.append("kept" if keep_alive else "ended")

    def cut(self) -> None:
        """Note it."""
        self.calls.append("cut")

    def pause_reading(self) -> None:
        """Note it."""
        self.calls.append("pause")

    def watch_reader(self) -> None:
        """Note it."""
        self.calls.append("watch")

    def unwatch_reader(self) -> None:
        """Note it."""
        self.calls.append("unwatch")

    def body_awaited(self) -> None:
        """Note it."""
        self.calls.append("awaited")

    def resume_reading(self) -> None:
        """Note it."""
        self.calls.append("resume")


@pytest.fixture
async def connection() -> Any:
    """A connection without a date, so that whole writes can be compared."""
    config = Config(server_name="")
    context = Context(path, config, asyncio.get_running_loop(), None)
    context.date = lambda: b"now"  # type: ignore[method-assign]  # a clock that stands
    yield Connection(context)
    context.close()


def request(head: str = "GET / HTTP/1.1") -> Request:
    """A request, as it comes from a connection."""
    found = HeadReader(HTTP1Limits()).read(f"{head}\r\nHost: a\r\n\r\n".encode())
    assert isinstance(found, Request)
    return found


def writer(connection: Connection, head: str = "GET / HTTP/1.1") -> HTTP1Writer:
    """The writer of such a request."""
    return HTTP1Writer(connection, request(head), keep_alive=True)


async def test_whole(connection: Connection) -> None:
    """Head and body go out in one write, and the connection is kept."""
    one = writer(connection)
    one.whole(200, [(b"A", b"b")], b"abc")
    one.end()
    assert connection.written.writes == [
        b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\nDate: now\r\n\r\nabc"
    ]
    assert connection.calls == ["kept"]


async def test_parts(connection: Connection) -> None:
    """The first part goes out with the head; one without bytes is no write."""
    one = writer(connection)
    one.start(200, [], b"a")
    one.body(b"", more=True)
    one.body(b"b", more=True)
    one.body(b"", more=False)
    assert connection.written.writes == [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nDate: now\r\n\r\n1\r\na\r\n",
        b"1\r\nb\r\n",
        b"0\r\n\r\n",
    ]


async def test_first_part_is_too_long(connection: Connection) -> None:
    """Nothing is written of a response whose first part is longer than all of it."""
    one = writer(connection)
    with pytest.raises(LocalProtocolError, match="declares a Content-Length of 1 bytes"):
        one.start(200, [(b"content-length", b"1")], b"abc")
    one.error(500, "No.")
    one.end()
    assert connection.written.writes == [
        b"HTTP/1.1 500 Internal Server Error\r\n" + ERROR + b"No.\n"
    ]
    assert connection.calls == ["ended"]


async def test_error_to_head(connection: Connection) -> None:
    """HEAD gets the head of an error, with the length that GET would see."""
    one = writer(connection, "HEAD / HTTP/1.1")
    one.error(503, "No.")
    assert connection.written.writes == [b"HTTP/1.1 503 Service Unavailable\r\n" + ERROR]


async def test_last_of_connection(connection: Connection) -> None:
    """The last response of a connection says so in its head."""
    one = writer(connection)
    one.last_of_connection()
    one.whole(204, [], b"")
    one.end()
    assert connection.written.writes == [
        b"HTTP/1.1 204 No Content\r\nDate: now\r\nConnection: close\r\n\r\n"
    ]
    assert connection.calls == ["ended"]


@pytest.mark.parametrize(
    ("version", "writes"),
    [
        ("1.1", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"]),
        ("1.0", []),
    ],
)
async def test_informational(version: str, writes: list[bytes], connection: Connection) -> None:
    """Interim responses go out at once, but not to HTTP/1.0 (RFC 9110 §15.2)."""
    one = writer(connection, f"GET / HTTP/{version}")
    one.informational(100, [])
    one.informational(103, [(b"Link", b"a")])
    assert connection.written.writes == writes


async def test_closing(connection: Connection) -> None:
    """Once the transport closes, nothing can arrive."""
    one = writer(connection)
    assert not one.closing
    connection.written.closing = True
    assert one.closing


async def test_connection(connection: Connection) -> None:
    """What concerns the connection is passed on."""
    one = writer(connection)
    one.pause_reading()
    one.resume_reading()
    one.cut()
    assert connection.calls == ["pause", "resume", "cut"]
