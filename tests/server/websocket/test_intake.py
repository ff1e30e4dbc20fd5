"""What comes from clients, by turns: who sends much at once gets as much of each as others do."""

import asyncio
import itertools
from collections.abc import Callable

from fairway._types import Event, Receive, Scope, Send
from fairway.delivery.mailbox import EVENT_OVERHEAD, INPUT_HIGH_WATER
from tests.server.conftest import Serve
from tests.server.running import Running, WebSocketClient, until
from tests.wire.client import PING, PONG, binary, close, continuation, frame, text, unmasked

#: Frames without payload that one turn takes.
FRAMES = INPUT_HIGH_WATER // EVENT_OVERHEAD


class Reader:
    """Accepts, waits until it is let, and counts what it gets.

    Attributes:
        events: What came after the connect.
        go_on: Set to let it read.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket."""
        await receive()
        await send({"type": "websocket.accept"})
        await self.go_on.wait()
        while not self.events or self.events[-1]["type"] != "websocket.disconnect":
            self.events.append(await receive())


async def opened(running: Running) -> WebSocketClient:
    """A client whose WebSocket is open."""
    client = await running.websocket()
    assert b" 101 " in await client.open()
    await until(lambda: running.websockets)
    return client


async def by_turn(value: Callable[[], int], end: Callable[[], object]) -> list[int]:
    """A number, read once in each turn of the event loop until something is the case."""
    values = [value()]
    loop = asyncio.get_running_loop()

    def tick() -> None:
        values.append(value())
        if not end():
            loop.call_soon(tick)

    loop.call_soon(tick)
    await until(end)
    return [*values, value()]


class TestTurns:
    """What one turn takes, counted in frames."""

    async def test_tiny_messages(self, serve: Serve) -> None:
        """Forty thousand tiny messages in one read take many turns, and all arrive in order."""
        app = Reader()
        app.go_on.set()
        running = await serve(app)
        client = await opened(running)
        (stream,) = running.websockets
        counters = running.context.counters
        stream.data_received(b"".join(text(str(number % 10)) for number in range(40_000)))
        assert counters.messages_received <= FRAMES
        values = await by_turn(
            lambda: counters.messages_received, lambda: len(app.events) == 40_000
        )
        assert max(b - a for a, b in itertools.pairwise(values)) <= FRAMES
        assert [event["text"] for event in app.events] == [str(n % 10) for n in range(40_000)]
        await client.send(close(1000))

    async def test_pings(self, serve: Serve) -> None:
        """So do Pings, which no application takes; each turn's Pongs go out in that turn."""
        app = Reader()
        app.go_on.set()
        running = await serve(app, websocket_control_rate=0)
        client = await opened(running)
        (stream,) = running.websockets
        turns = 0
        receive = stream._frames.receive_data
        stream.data_received(frame(PING, b"x") * 5000 + text("last"))
        while stream._frames.pending:
            await asyncio.sleep(0)
            turns += 1
        assert receive(b"") == []
        assert turns >= 5000 // FRAMES
        assert await client.read(5000 * 3) == unmasked(PONG, b"x") * 5000
        await until(lambda: app.events)
        assert app.events == [{"type": "websocket.receive", "text": "last"}]
        await client.send(close(1000))

    async def test_fragments(self, serve: Serve) -> None:
        """So do fragments, of which thousands make one message."""
        app = Reader()
        app.go_on.set()
        running = await serve(app)
        client = await opened(running)
        (stream,) = running.websockets
        part = continuation(b"x", fin=False)
        stream.data_received(binary(b"", fin=False) + part * 5000 + continuation(b""))
        turns = 0
        while stream._frames.pending:
            await asyncio.sleep(0)
            turns += 1
        assert turns >= 5000 // FRAMES
        await until(lambda: app.events)
        assert app.events == [{"type": "websocket.receive", "bytes": b"x" * 5000}]
        await client.send(close(1000))


class TestFullMailbox:
    """While the application is behind, nothing more is parsed."""

    async def test_stops(self, serve: Serve) -> None:
        """What a mailbox holds bounds what was parsed; the rest comes when there is room."""
        app = Reader()
        running = await serve(app)
        client = await opened(running)
        (stream,) = running.websockets
        counters = running.context.counters
        stream.data_received(text("x") * 40_000)
        for _ in range(100):
            await asyncio.sleep(0)
        assert counters.messages_received <= FRAMES
        assert stream.unread
        assert stream._frames.pending
        app.go_on.set()
        await until(lambda: len(app.events) == 40_000)
        await until(lambda: not stream.unread)
        await client.send(text("and on") + close(1000))
        await until(lambda: app.events[-1]["type"] == "websocket.disconnect")
        assert app.events[-2] == {"type": "websocket.receive", "text": "and on"}

    async def test_full_again(self, serve: Serve) -> None:
        """If the rest fills the mailbox again, nothing is read until there is room once more."""
        full = INPUT_HIGH_WATER // (1000 + EVENT_OVERHEAD) + 1
        read: list[Event] = []
        steps = [asyncio.Event(), asyncio.Event()]

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            for step in steps:
                await step.wait()
                read.extend([await receive() for _ in range(full)])
            await receive()

        running = await serve(app)
        client = await opened(running)
        (stream,) = running.websockets
        stream.data_received(text("x" * 1000) * 2 * full)
        assert not stream._transport.is_reading()
        steps[0].set()
        await until(lambda: running.context.counters.messages_received == 2 * full)
        for _ in range(10):
            await asyncio.sleep(0)
        assert not stream._transport.is_reading()
        steps[1].set()
        await until(stream._transport.is_reading)
        assert len(read) == 2 * full
        await client.send(close(1000))

    async def test_more_arrives(self, serve: Serve) -> None:
        """What is read meanwhile, as a transport may do, comes behind it."""
        app = Reader()
        running = await serve(app)
        client = await opened(running)
        (stream,) = running.websockets
        whole = b"".join(text(str(number)) for number in range(2000))
        stream.data_received(whole[:5000])
        stream.data_received(whole[5000:])
        app.go_on.set()
        await until(lambda: len(app.events) == 2000)
        assert [event["text"] for event in app.events] == [str(n) for n in range(2000)]
        await client.send(close(1000))

    async def test_close_behind(self, serve: Serve) -> None:
        """A Close behind it is answered in its turn, and everything before it was heard."""
        app = Reader()
        running = await serve(app)
        client = await opened(running)
        (stream,) = running.websockets
        stream.data_received(text("x") * 2000 + close(4000, "done"))
        app.go_on.set()
        assert await client.goodbye() == (4000, "")
        await until(lambda: len(app.events) == 2001)
        assert app.events[-1] == {"type": "websocket.disconnect", "code": 4000, "reason": "done"}

    async def test_closed_meanwhile(self, serve: Serve) -> None:
        """If the server ends meanwhile, the client's Close is still found behind it."""
        app = Reader()
        running = await serve(app)
        client = await opened(running)
        (stream,) = running.websockets
        stream.data_received(text("x") * 2000 + close(1012))
        running.stop()
        assert (await client.goodbye())[0] == 1012
        app.go_on.set()
        await running.ended()
        assert app.events[-1] == {"type": "websocket.disconnect", "code": 1012, "reason": ""}

    async def test_lost_meanwhile(self, serve: Serve) -> None:
        """If the connection is lost meanwhile, nothing is left of it."""
        app = Reader()
        app.go_on.set()
        running = await serve(app)
        client = await opened(running)
        (stream,) = running.websockets
        stream.data_received(text("x") * 2000)
        stream.abort()
        await until(lambda: app.events and app.events[-1]["type"] == "websocket.disconnect")
        assert app.events[-1] == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        await until(lambda: not running.websockets)
        client.close()
