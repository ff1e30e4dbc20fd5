"""When a connection of HTTP/2 is given up because time passes."""

import asyncio
from typing import Any

import pytest

from fairway._types import Receive, Scope, Send
from fairway.server.http.http2_stream import HTTPChannel
from fairway.server.http.progress import WINDOW
from fairway.wire.http2_events import ErrorCode
from tests.server.applications import Held, Listens, body, echo_body, path, responds, start
from tests.server.conftest import Serve
from tests.server.http.http2_client import connect, connections
from tests.server.running import Logs, Running, until
from tests.wire import http2_client as h2
from tests.wire.http2_client import POST, PREFACE

OPTIONS: dict[str, Any] = {"http2_cleartext": True}
LARGE = responds(start(), body(b"x" * 8_000_000))


def refused(running: Running) -> dict[str, int]:
    """What was refused, by the limit."""
    return running.context.counters.refused


class TestTime:
    """Who is too slow."""

    @pytest.mark.parametrize("said", [PREFACE[:20], PREFACE + h2.settings()[:5]])
    async def test_preface(self, said: bytes, serve: Serve, logs: Logs) -> None:
        """The preface and its SETTINGS come within header_timeout."""
        running = await serve(path, header_timeout=0.1, **OPTIONS)
        client = await connect(running, reads=False)
        client.go_on_reading()
        await client.send(said)
        await client.end()
        assert refused(running) == {"header_timeout": 1}
        assert "The limit header_timeout (0.1) refused" in logs.take()[0]

    async def test_fields(self, serve: Serve, logs: Logs) -> None:
        """So do the fields of a request, once they have begun."""
        app = Listens()
        running = await serve(app, header_timeout=0.1, **OPTIONS)
        client = await connect(running)
        await client.request(1)
        await client.send(client.speaker.headers(3, flags=0))
        await client.end()
        text = "What was begun did not arrive within header_timeout."
        assert client.goaways == [(1, ErrorCode.ENHANCE_YOUR_CALM, text)]
        assert refused(running) == {"header_timeout": 1}
        assert "The limit header_timeout (0.1) refused" in logs.take()[0]

    async def test_idle(self, serve: Serve) -> None:
        """A connection without a stream is closed after keep_alive_timeout."""
        running = await serve(path, keep_alive_timeout=0.1, **OPTIONS)
        client = await connect(running)
        await client.fetch_on(1)
        await client.end()
        assert client.goaways == [(1, 0, "")]
        assert refused(running) == {"keep_alive_timeout": 1}

    async def test_idle_after_a_reset(self, serve: Serve) -> None:
        """Also if its last stream did not end well."""
        app = Listens()
        running = await serve(app, keep_alive_timeout=0.1, header_timeout=0, **OPTIONS)
        client = await connect(running)
        await client.request(1)
        await app.entered.acquire()
        await client.send(h2.reset(1))
        await client.end()
        assert client.goaways == [(1, 0, "")]

    async def test_idle_from_the_beginning(self, serve: Serve) -> None:
        """Also if there never was one."""
        running = await serve(path, keep_alive_timeout=0.1, header_timeout=0, **OPTIONS)
        client = await connect(running)
        await client.end()
        assert client.goaways == [(0, 0, "")]

    async def test_busy(self, serve: Serve) -> None:
        """A connection with a stream is not idle, whatever its age."""
        held = Held()
        running = await serve(held, keep_alive_timeout=0.05, header_timeout=0.05, **OPTIONS)
        client = await connect(running)
        await client.request(1)
        await held.entered.acquire()
        (connection,) = connections(running)
        assert connection.on_deadline(running.context.time() + 10) is None
        held.let_go()
        assert (await client.answer(1)).body == b"done"

    async def test_stalled_stream(self, serve: Serve, logs: Logs) -> None:
        """A stream whose client makes no room is reset (CVE-2019-9517); others go on."""
        running = await serve(LARGE, http2_stall_timeout=0.2, **OPTIONS)
        client = await connect(running, window=1000)
        answer = await client.fetch_on(1)
        assert (len(answer.body), answer.reset) == (1000, ErrorCode.CANCEL)
        assert refused(running) == {"http2_stall_timeout": 1}
        assert "refused 127.0.0.1:" in logs.take()[0]
        await client.pong()
        await until(lambda: not running.context.tasks)

    async def test_stalled_connection(self, serve: Serve, logs: Logs) -> None:
        """A client that reads nothing at all is cut."""
        running = await serve(LARGE, http2_stall_timeout=0.2, **OPTIONS)
        client = await connect(running)
        client.stop_reading()
        await client.request(1)
        await until(lambda: running.context.quiet)
        assert refused(running) == {"http2_stall_timeout": 1}
        assert logs.take()[0].endswith(": the connection is cut")

    async def test_never(self, serve: Serve) -> None:
        """0 is no limit."""
        options: dict[str, Any] = {
            "header_timeout": 0,
            "keep_alive_timeout": 0,
            "http2_stall_timeout": 0,
        }
        running = await serve(path, **options, **OPTIONS)
        client = await connect(running)
        await client.fetch_on(1)
        (connection,) = connections(running)
        assert connection.on_deadline(running.context.time() + 10**6) is None


class TestRates:
    """Who is slow, but not silent: judged by the clock of the test."""

    async def test_upload(self, serve: Serve, logs: Logs) -> None:
        """A body that trickles is refused with 408, and its application is told."""
        app = Listens()
        running = await serve(app, min_upload_rate=100, **OPTIONS)
        client = await connect(running)
        await client.request(1, POST, body=b"x", end=False)
        await app.entered.acquire()
        await client.pong()
        (channel,) = connections(running)[0]._channels.values()
        assert isinstance(channel, HTTPChannel)
        assert channel._upload is not None
        assert channel._upload.on_deadline(running.context.time() + WINDOW + 1) is None
        assert (await client.answer(1)).status == 408
        await app.left.acquire()
        assert refused(running) == {"min_upload_rate": 1}
        assert logs.take()[0].endswith(": 408")

    async def test_upload_in_time(self, serve: Serve) -> None:
        """One that comes is left alone, and so is one that the application does not take."""
        go_on = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await go_on.wait()
            await echo_body(scope, receive, send)

        running = await serve(app, min_upload_rate=100, **OPTIONS)
        client = await connect(running)
        await client.request(1, POST, body=b"x" * 16_384, end=False)
        await client.pong()
        (channel,) = connections(running)[0]._channels.values()
        assert isinstance(channel, HTTPChannel)
        assert channel._upload is not None
        assert channel._upload.on_deadline(running.context.time() + WINDOW + 1) is not None
        for _ in range(4):
            await client.send(h2.data(1, b"x" * 16_384))
        await client.pong()
        assert not channel._upload.running
        go_on.set()
        await until(lambda: channel._upload is None or channel._upload.running)
        await client.send(h2.data(1, end=True))
        assert len((await client.answer(1)).body) == 5 * 16_384

    async def test_body_timeout(self, serve: Serve, logs: Logs) -> None:
        """There may be a time for the whole body."""
        app = Listens()
        running = await serve(app, body_timeout=0.1, **OPTIONS)
        client = await connect(running)
        await client.request(1, POST, body=b"x", end=False)
        answer = await client.answer(1)
        assert answer.status == 408
        assert answer.body == b"The request's body did not arrive within 0.1 seconds.\n"
        assert refused(running) == {"body_timeout": 1}
        assert len(logs.take()) == 1

    async def test_download(self, serve: Serve, logs: Logs) -> None:
        """A client that makes hardly any room is given up as one that makes none."""
        running = await serve(LARGE, min_download_rate=100, **OPTIONS)
        client = await connect(running, window=1000)
        await client.request(1)
        await client.until(lambda: 1 in client.answers and len(client.answers[1].body) == 1000)
        (connection,) = connections(running)
        (channel,) = connection._channels.values()
        now = running.context.time()
        assert channel.stalls(now + 59, 60, 16) == (channel._marked_at + 60, "")
        assert channel.stalls(now + 61, 60, 16) == (now + 121, "")
        await client.send(h2.window_update(1, 5))
        await client.until(lambda: len(client.answers[1].body) == 1005)
        assert channel.stalls(now + 122, 60, 16) == (now + 122, "min_download_rate")
        assert connection.on_deadline(now + 122) is None
        assert (await client.answer(1)).reset == ErrorCode.CANCEL
        assert refused(running) == {"min_download_rate": 1}
        assert logs.take()[0].endswith(": CANCEL")
