"""How long a connection bears with its client: slow uploads and downloads, half-closed ends."""

import asyncio

import pytest

from fairway._types import Receive, Scope, Send
from fairway.server.http import progress
from tests.server.applications import Held, Listens, body, echo_body, path, responds, start
from tests.server.conftest import Serve
from tests.server.running import DEADLINE, Logs, statuses, until

#: Larger than every buffer on the way.
LARGE = b"x" * 8_000_000


class TestSlowUploads:
    """Bodies that come too slowly: ``min_upload_rate`` and ``body_timeout``."""

    HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n"

    async def test_rate(self, serve: Serve, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
        """A client that sends too little in a window gets 408, the application its disconnect."""
        monkeypatch.setattr(progress, "WINDOW", 0.05)
        app = Listens()
        running = await serve(app, min_upload_rate=10_000)
        client = await running.connect()
        await client.send(self.HEAD + b"abc")
        response = await client.response("POST")
        assert response.status == 408
        assert response.body == (b"The request's body came at less than 10000 bytes per second.\n")
        assert response["connection"] == "close"
        await app.left.acquire()
        assert await client.rest() == b""
        assert logs.take() == [
            f"WARNING The limit min_upload_rate (10000) refused {client.address}: 408"
        ]
        assert statuses(running.records) == [("complete", 408)]

    async def test_time(self, serve: Serve, logs: Logs) -> None:
        """So does one whose whole body takes too long."""
        app = Listens()
        running = await serve(app, body_timeout=0.05, min_upload_rate=0)
        client = await running.connect()
        await client.send(self.HEAD + b"abc")
        response = await client.response("POST")
        assert response.status == 408
        assert response.body == b"The request's body did not arrive within 0.05 seconds.\n"
        await app.left.acquire()
        assert logs.take() == [
            f"WARNING The limit body_timeout (0.05) refused {client.address}: 408"
        ]

    async def test_after_the_response_began(self, serve: Serve, logs: Logs) -> None:
        """If the response has begun, the connection can only be cut."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            await send(body(b"part", more=True))
            while (await receive())["type"] != "http.disconnect":
                pass

        running = await serve(app, body_timeout=0.3)
        client = await running.connect()
        await client.send(self.HEAD)
        assert await client.is_cut()
        assert logs.take() == [
            f"WARNING The limit body_timeout (0.3) refused {client.address}: the connection is cut"
        ]

    async def test_slow_application(self, serve: Serve) -> None:
        """While the application does not take what there is, it is not the client's turn."""
        app = Held()
        running = await serve(app)
        client = await running.connect()
        size = 20_000_000
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size
        upload = asyncio.ensure_future(client.send(head + b"x" * size))
        await app.entered.acquire()
        (connection,) = running.connections
        await until(lambda: connection._paused)
        assert connection._upload is not None
        assert not connection._upload.running
        app.let_go()
        assert (await client.response("POST")).status == 200
        await upload

    async def test_continue(self, serve: Serve) -> None:
        """Nor is it while the client waits for 100 (Continue)."""
        ask = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await ask.wait()
            await echo_body(scope, receive, send)

        running = await serve(app)
        client = await running.connect()
        await client.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        )
        await until(lambda: running.context.tasks)
        (connection,) = running.connections
        assert connection._upload is None
        ask.set()
        await until(lambda: connection._upload is not None and connection._upload.running)
        await client.send(b"abc")
        assert (await client.response("POST")).body == b"abc"
        assert connection._upload is None

    async def test_whole(self, serve: Serve) -> None:
        """Nobody watches over a body that is there."""
        app = Held()
        running = await serve(app)
        client = await running.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        await app.entered.acquire()
        (connection,) = running.connections
        assert connection._upload is None
        app.let_go()
        await client.response("POST")

    async def test_off(self, serve: Serve) -> None:
        """Without limits a client may take its time."""
        app = Held()
        running = await serve(app, min_upload_rate=0, body_timeout=0)
        client = await running.connect()
        await client.send(self.HEAD)
        await app.entered.acquire()
        (connection,) = running.connections
        assert connection._upload is None
        app.let_go()
        await client.response("POST")


class TestSlowDownloads:
    """Clients that hardly read: ``min_download_rate``."""

    async def test_cut(self, serve: Serve, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that reads less than it should in a window is cut off, and its application told."""
        monkeypatch.setattr(progress, "WINDOW", 0.2)
        ended = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            try:
                while True:
                    await send(body(LARGE, more=True))
            except OSError:
                ended.set()
                raise

        running = await serve(app)
        client = await running.connect(reads=False)
        await client.get()
        async with asyncio.timeout(DEADLINE):
            await ended.wait()
        await until(lambda: not running.connections)
        (line,) = logs.take()
        peer = client.address
        assert line == (
            f"WARNING The limit min_download_rate (100) refused {peer}: the connection is cut"
        )

    async def test_last_response(
        self, serve: Serve, logs: Logs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also when the application has said all that there is to say."""
        monkeypatch.setattr(progress, "WINDOW", 0.2)
        running = await serve(responds(start(200), body(LARGE)))
        client = await running.connect(reads=False)
        await client.get("/", "Connection: close")
        await until(lambda: running.records)
        await until(lambda: not running.connections)
        assert len(logs.take()) == 1

    async def test_reads_again(self, serve: Serve) -> None:
        """Who has caught up is not watched any more."""
        running = await serve(responds(start(200), body(LARGE)))
        client = await running.connect(reads=False)
        await client.get()
        await until(lambda: running.records)
        (connection,) = running.connections
        watch = connection._download
        assert watch is not None
        assert watch.running
        client.go_on_reading()
        assert (await client.response()).body == LARGE
        await until(lambda: not watch.running)

    async def test_off(self, serve: Serve) -> None:
        """Without the limit nobody watches."""
        running = await serve(responds(start(200), body(LARGE)), min_download_rate=0)
        client = await running.connect(reads=False)
        await client.get()
        await until(lambda: running.records)
        (connection,) = running.connections
        assert connection._download is None
        client.go_on_reading()
        assert (await client.response()).body == LARGE


class TestHalfClosed:
    """Clients that end their sending side first."""

    async def test_gets_its_answer(self, serve: Serve) -> None:
        """It still gets the answer to its request, and then the end."""
        running = await serve(echo_body)
        client = await running.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        client.half_close()
        assert (await client.response("POST")).body == b"abc"
        assert await client.rest() == b""

    async def test_gets_all_answers(self, serve: Serve) -> None:
        """Also to all that it has pipelined."""
        running = await serve(path)
        client = await running.connect()
        await client.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n")
        client.half_close()
        assert (await client.response()).body == b"/a"
        assert (await client.response()).body == b"/b"
        assert await client.rest() == b""

    async def test_long_answer(self, serve: Serve) -> None:
        """Also if that takes long, as long as more of it comes."""
        parts: asyncio.Queue[bytes] = asyncio.Queue()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            while part := await parts.get():
                await send(body(part, more=True))
            await send(body(b"end"))

        running = await serve(app)
        client = await running.connect()
        await client.get()
        assert b"200 OK" in await client.head()
        client.half_close()
        (connection,) = running.connections
        await until(lambda: connection._eof)
        for _ in range(3):
            parts.put_nowait(b"part")
            assert await client.read(9) == b"4\r\npart\r\n"
            connection._check_half_closed()  # its time is over, but more has gone out
        parts.put_nowait(b"")
        assert await client.rest() == b"3\r\nend\r\n0\r\n\r\n"

    async def test_no_answer(self, serve: Serve) -> None:
        """An application that does not answer soon learns that the client has gone."""
        app = Listens()
        running = await serve(app, half_closed_timeout=0.05)
        client = await running.connect()
        await client.get()
        await app.entered.acquire()
        client.half_close()
        await app.left.acquire()
        await client.is_cut()

    async def test_killed(self, serve: Serve) -> None:
        """So it does if the client was killed."""
        app = Listens()
        running = await serve(app, half_closed_timeout=0.05)
        client = await running.connect()
        await client.get()
        await app.entered.acquire()
        client.close()
        await app.left.acquire()
        assert running.records == []

    async def test_without_a_request(self, serve: Serve) -> None:
        """Who says nothing gets nothing."""
        running = await serve(path)
        client = await running.connect()
        client.half_close()
        assert await client.rest() == b""

    async def test_in_the_head(self, serve: Serve) -> None:
        """A head that is cut short is refused."""
        running = await serve(path)
        client = await running.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        client.half_close()
        response = await client.response()
        assert response.status == 400
        assert response.body == b"The connection ended before the request was complete.\n"
        assert await client.rest() == b""

    async def test_in_the_second_head(self, serve: Serve) -> None:
        """Also behind a good request, in its turn."""
        app = Held()
        running = await serve(app)
        client = await running.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTT")
        client.half_close()
        await app.entered.acquire()
        (connection,) = running.connections
        await until(lambda: connection._eof)
        app.let_go()
        assert (await client.response()).status == 200
        assert (await client.response()).status == 400
        assert await client.rest() == b""

    async def test_in_the_body(self, serve: Serve) -> None:
        """A body that is cut short is refused, and the application told."""
        app = Listens()
        running = await serve(app)
        client = await running.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab")
        await app.entered.acquire()
        client.half_close()
        assert (await client.response("POST")).status == 400
        await app.left.acquire()
