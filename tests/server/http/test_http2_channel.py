"""One stream of HTTP/2 beside others, each with a window of its own."""

import asyncio
from typing import Any

from fairway._types import Receive, Scope, Send
from tests.server.applications import body, echo_body, path, responds, start
from tests.server.conftest import Serve
from tests.server.http.http2_client import connect, connections
from tests.server.running import until
from tests.wire import http2_client as h2
from tests.wire.http2_client import GET, POST

OPTIONS: dict[str, Any] = {"http2_cleartext": True}


class TestFlow:
    """RFC 9113 §5.2: who is behind waits alone."""

    async def test_slow_application(self, serve: Serve) -> None:
        """A body that nobody takes is not asked for; the other streams go on."""
        go_on = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] == "/slow":
                await go_on.wait()
            await echo_body(scope, receive, send)

        options = {**OPTIONS, "http2_stream_window": 65_536, "http2_connection_window": 262_144}
        client = await connect(await serve(app, **options))
        await client.request(1, [*POST[:3], (b":path", b"/slow")], end=False)
        first = 65_536 + 1024
        for _ in range(4):
            await client.send(h2.data(1, b"x" * 16_384))
        await client.pong()
        given = [each.number for each in client.others if each.stream_id == 1]
        # What the application's queue holds was acknowledged, and no more.
        assert sum(given) <= first
        await client.send(h2.data(1, b"x" * 16_384) * (sum(given) // 16_384))
        await client.pong()
        assert [each.number for each in client.others if each.stream_id == 1] == given
        assert (await client.fetch_on(3, POST, b"quick")).body == b"quick"
        go_on.set()
        await client.until(
            lambda: len([each for each in client.others if each.stream_id == 1]) > len(given)
        )
        await client.send(h2.data(1, end=True))
        assert len((await client.answer(1)).body) == 4 * 16_384 + sum(given) // 16_384 * 16_384

    async def test_slow_stream(self, serve: Serve) -> None:
        """A stream whose client makes no room makes its application wait, and nobody else."""
        sent: list[int] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] != "/large":
                await path(scope, receive, send)
                return
            await send(start())
            for _ in range(20):
                await send(body(b"x" * 10_000, more=True))
                sent.append(10_000)
            await send(body())

        running = await serve(app, write_buffer_size=30_000, **OPTIONS)
        client = await connect(running, window=5_000)
        await client.request(1, [*GET[:3], (b":path", b"/large")])
        await client.until(lambda: 1 in client.answers and len(client.answers[1].body) == 5_000)
        assert (await client.fetch_on(3)).body == b"/"
        await client.pong()
        assert sum(sent) <= 30_000 + 5_000 + 10_000
        await client.send(h2.window_update(1, 10**6))
        assert len((await client.answer(1)).body) == 200_000

    async def test_slow_connection(self, serve: Serve) -> None:
        """A client that reads nothing makes all of them wait."""
        sent: list[int] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            for _ in range(400):
                await send(body(b"x" * 20_000, more=True))
                sent.append(20_000)
            await send(body())

        running = await serve(app, **OPTIONS)
        client = await connect(running)
        client.stop_reading()
        await client.request(1)
        await client.request(3)
        await until(lambda: connections(running)[0].writing_paused)
        before = sum(sent)
        assert before < 16_000_000
        client.go_on_reading()
        for stream_id in (1, 3):
            assert len((await client.answer(stream_id)).body) == 8_000_000

    async def test_new_ones_wait_too(self, serve: Serve) -> None:
        """Who asks while nothing is read gets an answer when it is read again."""
        large = responds(start(), body(b"x" * 8_000_000))

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await (large if scope["path"] == "/large" else path)(scope, receive, send)

        running = await serve(app, **OPTIONS)
        client = await connect(running)
        client.stop_reading()
        await client.request(1, [*GET[:3], (b":path", b"/large")])
        await until(lambda: connections(running)[0].writing_paused)
        await client.request(3)
        await until(lambda: len(connections(running)[0]._channels) == 2)
        client.go_on_reading()
        assert (await client.answer(3)).body == b"/"
        assert len((await client.answer(1)).body) == 8_000_000

    async def test_room_comes_back(self, serve: Serve) -> None:
        """What the application did not take when its stream ended does not take others' room."""
        options = {**OPTIONS, "http2_stream_window": 65_536, "http2_connection_window": 131_072}
        entered, done = asyncio.Semaphore(0), asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] == "/":
                await echo_body(scope, receive, send)
            else:
                entered.release()
                await done.wait()

        running = await serve(app, **options)
        client = await connect(running)
        for stream_id in range(1, 17, 2):
            await client.request(stream_id, [*POST[:3], (b":path", b"/sleep")], end=False)
            await client.send(h2.data(stream_id, b"x" * 16_384) * 4)
            await entered.acquire()
            await client.send(h2.reset(stream_id))
        answer = await client.fetch_on(17, POST, b"y" * 60_000)
        assert answer.body == b"y" * 60_000
        done.set()
        await until(lambda: not running.context.tasks)
