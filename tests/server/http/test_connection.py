"""The HTTP/1.1 connection: requests one after the other, its limits, its timeouts and its ends."""

import asyncio
import logging
import socket
import struct

import pytest

from fairway._types import Receive, Scope, Send
from fairway.server.http import patience
from tests.server.applications import (
    Hangs,
    Held,
    Listens,
    body,
    echo_body,
    path,
    responds,
    start,
)
from tests.server.conftest import Serve
from tests.server.running import DEADLINE, Logs, statuses, until

#: Larger than every buffer on the way.
LARGE = b"x" * 8_000_000


#: Requests that break a limit, and which one.
TOO_LONG_LINE = b"GET /%b HTTP/1.1\r\n\r\n" % (b"a" * 9000)
TOO_LARGE_FIELDS = b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"a" * 70000)
TOO_MANY_FIELDS = b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % (b"A: b\r\n" * 200)
TOO_LARGE_BODY = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n"
LIMITS = {
    TOO_LONG_LINE: ("max_request_line", 8192),
    TOO_LARGE_FIELDS: ("max_header_size", 65536),
    TOO_MANY_FIELDS: ("max_header_count", 128),
    TOO_LARGE_BODY: ("max_body_size", 1000),
}


class TestKeepAlive:
    """One connection for several requests (RFC 9112 §9.3)."""

    async def test_one_after_the_other(self, serve: Serve) -> None:
        """A connection serves any number of requests."""
        running = await serve(path)
        client = await running.connect()
        for number in range(5):
            assert (await client.fetch(f"/{number}")).body == f"/{number}".encode()
        assert len({record.client for record in running.records}) == 1

    async def test_byte_by_byte(self, serve: Serve) -> None:
        """How a request is cut makes no difference."""
        running = await serve(echo_body)
        client = await running.connect()
        request = (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        )
        for position in range(len(request)):
            await client.send(request[position : position + 1])
        assert (await client.response("POST")).body == b"abc"

    async def test_close(self, serve: Serve) -> None:
        """``Connection: close`` is said back and done."""
        running = await serve(path)
        client = await running.connect()
        response = await client.fetch("/", "Connection: close")
        assert response["connection"] == "close"
        assert await client.rest() == b""

    async def test_close_by_the_application(self, serve: Serve) -> None:
        """The application may ask for it, too."""
        running = await serve(responds(start(200, [(b"connection", b"close")]), body()))
        client = await running.connect()
        assert (await client.fetch())["connection"] == "close"
        assert await client.rest() == b""

    @pytest.mark.row("2.3 Versions")
    @pytest.mark.parametrize(("headers", "kept"), [([], False), (["Connection: keep-alive"], True)])
    async def test_http_1_0(self, headers: list[str], kept: bool, serve: Serve) -> None:
        """HTTP/1.0 closes unless asked otherwise, and knows no chunks."""
        running = await serve(path)
        client = await running.connect()
        for number in range(2 if kept else 1):
            await client.send("\n".join([f"GET /{number} HTTP/1.0", *headers]))
            response = await client.response()
            assert response.body == f"/{number}".encode()
            assert response["connection"] == ("keep-alive" if kept else "close")
            assert "transfer-encoding" not in response
        if not kept:
            assert await client.rest() == b""

    @pytest.mark.row("2.3 Idle keep-alive")
    async def test_timeout(self, serve: Serve) -> None:
        """An idle connection is closed without a word."""
        running = await serve(path, keep_alive_timeout=0.05)
        client = await running.connect()
        await client.fetch()
        assert await client.rest() == b""

    async def test_next_request_is_timed_anew(self, serve: Serve) -> None:
        """A next request that has begun to arrive has its own time."""
        running = await serve(path)
        client = await running.connect()
        await client.fetch()
        (connection,) = running.connections
        assert connection._expire == connection._close_idle
        await client.send(b"GET / HT")
        await until(lambda: connection._expire == connection._refuse_slow)
        await client.send(b"TP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.response()).status == 200
        assert connection._expire == connection._close_idle

    @pytest.mark.parametrize("keep_alive_timeout", [0, -1])
    async def test_no_timeout(self, keep_alive_timeout: float, serve: Serve) -> None:
        """Without a limit it is kept."""
        running = await serve(path, keep_alive_timeout=keep_alive_timeout)
        client = await running.connect()
        await client.fetch()
        (connection,) = running.connections
        assert connection._deadline is None
        assert (await client.fetch("/again")).body == b"/again"

    async def test_empty_lines(self, serve: Serve) -> None:
        """Empty lines before a request are ignored."""
        running = await serve(path)
        client = await running.connect()
        await client.send(b"\r\n\r\n")
        assert (await client.fetch("/a")).body == b"/a"
        await client.send(b"\r\n\r\n")
        assert (await client.fetch("/b")).body == b"/b"

    async def test_empty_lines_are_no_request(self, serve: Serve) -> None:
        """They do not hold an idle connection open."""
        running = await serve(path, keep_alive_timeout=0.05)
        client = await running.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n")
        assert (await client.response()).status == 200
        assert await client.rest() == b""


class TestPipelining:
    """Requests that are sent before the response to the last one has come (RFC 9112 §9.3.2)."""

    async def test_in_order(self, serve: Serve) -> None:
        """They are answered in order, one at a time."""
        inside = 0

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal inside
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            inside -= 1
            await path(scope, receive, send)

        running = await serve(app)
        client = await running.connect()
        requests = [f"GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for number in range(50)]
        await client.send(b"".join(requests))
        for number in range(50):
            assert (await client.response()).body == f"/{number}".encode()
        assert (await client.fetch("/last")).body == b"/last"

    async def test_with_bodies(self, serve: Serve) -> None:
        """Also with bodies, of both kinds, cut anywhere."""
        running = await serve(echo_body)
        client = await running.connect()
        one = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
        two = (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
        )
        stream = (one + two) * 10
        for position in range(0, len(stream), 37):
            await client.send(stream[position : position + 37])
        for _ in range(10):
            assert (await client.response("POST")).body == b"one"
            assert (await client.response("POST")).body == b"two"

    async def test_not_read_meanwhile(self, serve: Serve) -> None:
        """While a request is being served, what follows it is not read beyond a buffer."""
        app = Held()
        running = await serve(app)
        client = await running.connect()
        await client.get()
        await app.entered.acquire()
        request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        flood = asyncio.ensure_future(client.send(request * 400_000))
        (connection,) = running.connections
        await until(lambda: connection._paused)
        assert not flood.done()
        assert len(connection._backlog) < 50_000
        client.abort()
        app.let_go()
        await asyncio.wait([flood])
        flood.exception()  # or none, as it happens

    async def test_slow_reader(self, serve: Serve) -> None:
        """A client that does not read its responses gets no more of them than a buffer holds."""
        served = 0

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal served
            await send(start())
            await send(body(b"x" * 1_000_000))
            served += 1

        running = await serve(app)
        client = await running.connect(reads=False)
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
        await until(lambda: running.connections)
        (connection,) = running.connections
        await until(lambda: connection._writing_paused)
        buffered = connection.transport.get_write_buffer_size()
        assert buffered <= 65536 + 1_100_000
        assert served < 20
        client.go_on_reading()
        for _ in range(100):
            assert len((await client.response()).body) == 1_000_000
        assert served == 100

    async def test_behind_an_early_answer(self, serve: Serve) -> None:
        """What stands behind a body that nobody has read is not taken for a request."""
        running = await serve(path)
        client = await running.connect()
        await client.send(
            b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nGET /b HTTP/1.1\r\n"
        )
        response = await client.response("POST")
        assert (response.body, response["connection"]) == (b"/a", "close")
        assert await client.rest() == b""
        assert len(running.records) == 1

    async def test_behind_close(self, serve: Serve) -> None:
        """Nor is what stands behind a request that wants the connection closed."""
        running = await serve(path)
        client = await running.connect()
        await client.send(
            b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /b HTTP/1.1\r\n"
        )
        assert (await client.response()).body == b"/a"
        assert await client.rest() == b""

    @pytest.mark.parametrize("last", ["HTTP/1.1\r\nHost: a\r\nConnection: close", "HTTP/1.0"])
    async def test_much_behind_close(self, last: str, serve: Serve) -> None:
        """However much it is: nothing is reset before the answer was read."""
        running = await serve(responds(start(), body(b"x" * 200_000)))
        client = await running.connect()
        await client.send(f"GET / {last}\r\n\r\n".encode() + LARGE)
        assert (await client.response()).body == b"x" * 200_000
        assert await client.rest() == b""
        assert len(running.records) == 1


class TestRefusals:
    """Input that is no request, or too much of one, gets a complete response."""

    @pytest.mark.row("2.3 Validation")
    @pytest.mark.parametrize(
        ("request_", "status"),
        [
            (TOO_LONG_LINE, 414),
            (TOO_LARGE_FIELDS, 431),
            (TOO_MANY_FIELDS, 431),
            (TOO_LARGE_BODY, 413),
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
            (b"GET / HTTP/1.1\nHost: a\n\n", 400),
            (b"\x16\x03\x01\x02\x00\x01\x00", 400),
            (b"GET / HTTP/2.0\r\n\r\n", 505),
            (b"FROB / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
            (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
            (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: magic\r\n\r\n", 417),
        ],
    )
    async def test_refused(
        self,
        request_: bytes,
        status: int,
        serve: Serve,
        caplog: pytest.LogCaptureFixture,
        logs: Logs,
    ) -> None:
        """The status says what is wrong, the connection ends, and one line tells of it.

        A limit has a line of its own, and a counter.
        """
        caplog.set_level(logging.INFO, "fairway.server")
        running = await serve(path, max_body_size=1000)
        client = await running.connect()
        await client.send(request_)
        response = await client.response()
        assert response.status == status
        assert response["connection"] == "close"
        assert response["server"] == "fairway"
        assert response["content-type"] == "text/plain; charset=utf-8"
        assert int(response["content-length"]) == len(response.body) > 10
        assert await client.rest() == b""
        detail = response.body.decode().strip()
        assert f"Refused a request with {status}: {detail}" in caplog.messages
        assert running.records == []
        limit, value = LIMITS.get(request_, ("", 0))
        lines = [f"WARNING The limit {limit} ({value}) refused {client.address}: {status}"]
        assert logs.take() == (lines if limit else [])
        assert running.context.counters.refused == ({limit: 1} if limit else {})

    async def test_while_the_client_still_sends(self, serve: Serve, logs: Logs) -> None:
        """A client that goes on sending can still read why."""
        running = await serve(path)
        client = await running.connect()
        upload = asyncio.ensure_future(client.send(b"GET /" + LARGE))
        response = await client.response()
        assert response.status == 414
        await upload
        assert len(logs.take()) == 1

    @pytest.mark.parametrize(
        "request_",
        [
            b"HEAD / HTTP/1.1\r\n\r\n",
            b"HEAD / HTTP/1.1\r\nHost: a\nX: b",
            b"HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        ],
    )
    async def test_head(self, request_: bytes, serve: Serve) -> None:
        """A refused HEAD gets no body, but its length."""
        running = await serve(Listens())
        client = await running.connect()
        await client.send(request_)
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"\r\nContent-Length: " in head
        assert await client.rest() == b""

    async def test_second_request(self, serve: Serve) -> None:
        """A bad request behind a good one is refused in its turn."""
        running = await serve(path)
        client = await running.connect()
        await client.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n\r\n")
        assert (await client.response()).body == b"/a"
        assert (await client.response()).status == 400
        assert await client.rest() == b""

    async def test_chunk(self, serve: Serve) -> None:
        """A bad chunk ends the request: the client gets 400, the application its disconnect."""
        app = Listens()
        running = await serve(app)
        client = await running.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await app.entered.acquire()
        await client.send(b"x\r\n")
        response = await client.response("POST")
        assert response.status == 400
        await app.left.acquire()
        assert [(record.path, record.status) for record in running.records] == [("/a", 400)]

    async def test_chunked_body_too_large(self, serve: Serve, logs: Logs) -> None:
        """A chunked body is measured as it comes."""
        app = Listens()
        running = await serve(app, max_body_size=1000)
        client = await running.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await app.entered.acquire()
        await client.send(b"3e8\r\n%b\r\n1\r\n" % (b"x" * 1000))
        assert (await client.response("POST")).status == 413
        await app.left.acquire()
        assert statuses(running.records) == [("complete", 413)]
        assert logs.take() == [
            f"WARNING The limit max_body_size (1000) refused {client.address}: 413"
        ]

    async def test_chunk_after_the_response_began(self, serve: Serve) -> None:
        """If the response has begun, the connection can only be cut."""
        left = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            await send(body(b"part", more=True))
            while (await receive())["type"] != "http.disconnect":
                pass
            left.set()

        running = await serve(app)
        client = await running.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert b"200 OK" in await client.head()
        await client.send(b"x\r\n")
        assert await client.is_cut()
        await left.wait()
        assert statuses(running.records) == [("complete", 200)]

    async def test_limits_off(self, serve: Serve) -> None:
        """A size of 0 is no limit."""
        running = await serve(path, max_request_line=0, max_header_size=0, max_header_count=0)
        client = await running.connect()
        headers = [f"A{number}: {'b' * 1000}" for number in range(200)]
        response = await client.fetch("/" + "a" * 20000, *headers)
        assert len(response.body) == 20001


class TestHeaderTimeout:
    """408 (RFC 9110 §15.5.9)."""

    async def test_silent(self, serve: Serve) -> None:
        """A client that says nothing in time is told so, which is no news: browsers do that."""
        running = await serve(path, header_timeout=0.05)
        client = await running.connect()
        response = await client.response()
        assert response.status == 408
        assert response.body == b"The request's headers did not arrive within 0.05 seconds.\n"
        assert response["connection"] == "close"
        assert await client.rest() == b""
        assert running.context.counters.refused == {"header_timeout": 1}

    @pytest.mark.parametrize("begun", [b"G", b"GET / HTTP/1.1\r\nHost: a\r\n"])
    async def test_slow(self, begun: bytes, serve: Serve, logs: Logs) -> None:
        """One that does not complete what it has begun is refused."""
        running = await serve(path)
        client = await running.connect()
        await client.send(begun)
        await until(lambda: running.connections)
        (connection,) = running.connections
        await until(lambda: connection._http.started)
        connection._expire()
        response = await client.response()
        assert response.status == 408
        assert response.body == b"The request's headers did not arrive within 20 seconds.\n"
        assert await client.rest() == b""
        assert logs.take() == [
            f"WARNING The limit header_timeout (20.0) refused {client.address}: 408"
        ]

    async def test_drip(self, serve: Serve, logs: Logs) -> None:
        """A byte now and then does not help it."""
        running = await serve(path, header_timeout=0.3)
        client = await running.connect()
        response = asyncio.ensure_future(client.response())
        await client.send(b"GET / HTTP/1.1\r\nX: ")
        while not response.done():
            await client.send(b"a")
            await asyncio.sleep(0.001)
        assert (await response).status == 408
        assert len(logs.take()) <= 1  # none if nothing came in time

    async def test_body_is_not_meant(self, serve: Serve) -> None:
        """A body may take longer; the time is for the head."""
        app = Held()
        running = await serve(app)
        client = await running.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
        await app.entered.acquire()
        (connection,) = running.connections
        assert connection._deadline is None
        await client.send(b"abc")
        app.let_go()
        assert (await client.response("POST")).body == b"done"

    @pytest.mark.parametrize("header_timeout", [0, -1])
    async def test_off(self, header_timeout: float, serve: Serve) -> None:
        """Without a limit a client may take its time."""
        running = await serve(path, header_timeout=header_timeout)
        client = await running.connect()
        await until(lambda: running.connections)
        (connection,) = running.connections
        assert connection._deadline is None
        await client.send(b"GET / HTTP/1.1\r\n")
        await until(lambda: connection._http.started)
        assert connection._deadline is None
        await client.send(b"Host: a\r\n\r\n")
        assert (await client.response()).body == b"/"


class TestRequestsPerConnection:
    """``max_requests_per_connection``."""

    async def test_last(self, serve: Serve) -> None:
        """The last response says so, and what was sent behind its request is not served."""
        running = await serve(path, max_requests_per_connection=2)
        client = await running.connect()
        request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        await client.send(request * 3)
        assert "connection" not in await client.response()
        assert (await client.response())["connection"] == "close"
        assert await client.rest() == b""
        assert running.context.counters.refused == {"max_requests_per_connection": 1}
        assert len(running.records) == 2

    async def test_off(self, serve: Serve) -> None:
        """0 is no limit."""
        running = await serve(path, max_requests_per_connection=0)
        client = await running.connect()
        for _ in range(3):
            assert "connection" not in await client.fetch()


class TestEnds:
    """How a connection ends."""

    async def test_reset(self, serve: Serve) -> None:
        """A client that resets its connection, at any moment, harms nobody else."""
        app = Listens()
        running = await serve(app)
        for sent in (b"", b"GET / HT", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"):
            client = await running.connect()
            await client.send(sent)
            if sent.startswith(b"POST"):
                await app.entered.acquire()
            client.abort()
        await app.left.acquire()
        await until(lambda: not running.connections)

    async def test_reset_while_receiving(self, serve: Serve) -> None:
        """Also in the middle of a response: the application gets an ``OSError`` and ends."""
        ended = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            try:
                while True:
                    await send(body(b"x" * 65536, more=True))
            except OSError:
                ended.set()
                raise

        running = await serve(app)
        client = await running.connect()
        await client.get()
        await client.head()
        client.abort()
        async with asyncio.timeout(DEADLINE):
            await ended.wait()
        await until(lambda: statuses(running.records) == [("complete", 200)])

    async def test_reset_before_the_end(self, serve: Serve) -> None:
        """Also if the last thing that there is to say is that there is nothing more."""
        go_on = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            await send(body(b"part", more=True))
            await go_on.wait()
            await send(body())

        running = await serve(app)
        with socket.create_connection(("127.0.0.1", running.port)) as client:
            client.sendall(b"POST / HTTP/1.0\r\nContent-Length: 9\r\n\r\n")
            client.setblocking(False)
            data = b""
            while not data.endswith(b"part"):
                data += await asyncio.get_running_loop().sock_recv(client, 65536)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        go_on.set()  # the application goes on before the server reads of the reset
        await until(lambda: not running.connections)
        await until(lambda: not running.context.tasks)

    async def test_upload_is_left_alone(self, serve: Serve) -> None:
        """An early answer reaches a client that goes on sending: nothing is reset before."""
        running = await serve(responds(start(413), body(b"too much")))
        client = await running.connect()
        await client.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (len(LARGE) + 1)
        )
        upload = asyncio.ensure_future(client.send(LARGE))
        response = await client.response("POST")
        assert (response.status, response.body) == (413, b"too much")
        assert response["connection"] == "close"
        await upload
        assert await client.rest() == b""

    async def test_lingering_ends(self, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        """A client that does not close after its last answer is cut off after a while."""
        monkeypatch.setattr(patience, "LINGER", 0.05)
        running = await serve(responds(start(413), body()))
        client = await running.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        assert (await client.response("POST")).status == 413
        await until(lambda: not running.connections)

    async def test_slow_reader_gets_everything(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A client that reads its last response slowly is not cut off for that."""
        monkeypatch.setattr(patience, "LINGER", 0.05)
        running = await serve(responds(start(200), body(LARGE)))
        slow = await running.connect(reads=False)
        await slow.get("/", "Connection: close")
        await until(lambda: running.records)
        # This one's time to end begins later, and is over.
        other = await running.connect()
        await other.send(b"nonsense\r\n\r\n")
        assert (await other.response()).status == 400
        await until(lambda: len(running.connections) == 1)
        slow.go_on_reading()
        assert (await slow.response()).body == LARGE

    async def test_reader_that_has_stopped(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One that does not read at all is, after a longer while."""
        monkeypatch.setattr(patience, "STALLED", 0.05)
        running = await serve(responds(start(200), body(LARGE)))
        client = await running.connect(reads=False)
        await client.get("/", "Connection: close")
        await until(lambda: running.records)
        await until(lambda: not running.connections)
        client.go_on_reading()
        assert len(await client.rest()) < len(LARGE)


class TestShutDown:
    """The server's end (the rest is in ``tests/server/test_server.py``)."""

    async def test_pipelined(self, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who has pipelined and never closes gets one answer more, and holds nobody up."""
        monkeypatch.setattr(patience, "LINGER", 10 * DEADLINE)
        monkeypatch.setattr(patience, "LAST_LINGER", 0.05)
        app = Held()
        running = await serve(app, graceful_timeout=10 * DEADLINE)
        client = await running.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
        await app.entered.acquire()
        running.stop()
        await until(lambda: running.context.draining)
        app.let_go()
        response = await client.response()
        assert (response.status, response["connection"]) == (200, "close")
        assert await client.rest() == b""
        await running.ended()
        assert len(running.records) == 1

    async def test_lingering(self, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who has its last answer already and does not close holds nobody up, either."""
        monkeypatch.setattr(patience, "LINGER", 10 * DEADLINE)
        monkeypatch.setattr(patience, "LAST_LINGER", 0.05)
        running = await serve(responds(start(200), body()), graceful_timeout=10 * DEADLINE)
        client = await running.connect()
        await client.send(b"nonsense\r\n\r\n")
        assert (await client.response()).status == 400
        running.stop()
        await running.ended()


class TestHTTPTimeout:
    """``http_timeout``: how long the application may take."""

    @pytest.mark.row("2.2 timeout_checker")
    async def test_no_answer(self, serve: Serve, logs: Logs) -> None:
        """Without an answer in time the client gets 503, and the application its disconnect."""
        app = Listens()
        running = await serve(app, http_timeout=0.05)
        client = await running.connect()
        response = await client.fetch("/slow?a")
        assert response.status == 503
        assert response.body == b"Application failed to respond within time limit.\n"
        await app.left.acquire()
        assert logs.take() == [
            "WARNING The application did not answer GET /slow?a within 0.05 s (http_timeout)"
        ]
        assert [(r.path, r.status) for r in running.records] == [("/slow?a", 503)]

    async def test_sends_later(self, serve: Serve, logs: Logs) -> None:
        """What it sends then is refused as after a disconnect, which is not its fault."""
        errors = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await receive()
            try:
                await send(start())
            except OSError as error:
                errors.append(str(error))
                raise

        running = await serve(app, http_timeout=0.05)
        client = await running.connect()
        assert (await client.fetch()).status == 503
        await until(lambda: errors)
        assert errors == ["Cannot send 'http.response.start': the client is gone."]
        assert len(logs.take()) == 1

    async def test_begun(self, serve: Serve, logs: Logs) -> None:
        """A response that has begun is cut off."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            await send(body(b"part", more=True))
            while (await receive())["type"] != "http.disconnect":
                pass

        running = await serve(app, http_timeout=0.5)
        client = await running.connect()
        await client.get()
        assert b"200 OK" in await client.head()
        assert await client.is_cut()
        assert len(logs.take()) == 1
        assert statuses(running.records) == [("complete", 200)]

    async def test_upload_is_not_meant(self, serve: Serve) -> None:
        """A slow upload is not the application's fault: each piece begins its time anew."""
        app = Held()
        running = await serve(app, http_timeout=DEADLINE)
        client = await running.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
        await app.entered.acquire()
        (connection,) = running.connections
        for piece in (b"a", b"b", b"c"):
            connection._deadline = None
            await client.send(piece)
            await until(lambda: connection._deadline)
        app.let_go()
        assert (await client.response("POST")).status == 200

    async def test_each_request(self, serve: Serve) -> None:
        """Idle time between requests does not count."""
        running = await serve(path, http_timeout=DEADLINE)
        client = await running.connect()
        await client.fetch()
        (connection,) = running.connections
        assert connection._expire == connection._close_idle

    async def test_hanging_application(self, serve: Serve, logs: Logs) -> None:
        """An application that does not end then is cancelled after its own timeout."""
        app = Hangs()
        running = await serve(app, http_timeout=0.05, application_close_timeout=0.05)
        client = await running.connect()
        assert (await client.fetch("/hangs")).status == 503
        await app.cancelled.wait()
        first, second = logs.take()
        assert "(http_timeout)" in first
        assert second.startswith(
            "WARNING Application for GET /hangs went on for more than 0.05 s after its client had "
            "gone; it was cancelled. It was waiting here:\n"
        )
        assert "await asyncio.Event().wait()" in second


async def test_reads_the_whole_body(serve: Serve) -> None:
    """An application that reads the body gets it as it was sent, in pieces of any size."""
    running = await serve(echo_body)
    client = await running.connect()
    data = bytes(range(256)) * 4000
    await client.send(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(data) + data
    )
    assert (await client.response("POST")).body == data
