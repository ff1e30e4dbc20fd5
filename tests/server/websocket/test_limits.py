"""The limits of sockets: what a client beyond them gets, the application hears, the log says."""

import asyncio
import re
from typing import Any

import pytest

from fairway._types import Event, Receive, Scope, Send
from fairway.server import Config, Server
from fairway.wire.prepared import PreparedMessage
from tests.delivery.helpers import write_prepared
from tests.server.conftest import Serve
from tests.server.running import Logs, Running, WebSocketClient, listening, until
from tests.wire.client import PING, PONG, close, frame, text, unmasked


class Recorder:
    """Accepts, and notes every event up to the disconnect.

    Attributes:
        events: What it received after the connect.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket."""
        await receive()
        await send({"type": "websocket.accept"})
        while not self.ended:
            self.events.append(await receive())

    @property
    def ended(self) -> bool:
        """Whether it was told of the end."""
        return bool(self.events) and self.events[-1]["type"] == "websocket.disconnect"


async def opened(running: Running, *, reads: bool = True) -> WebSocketClient:
    """A client whose WebSocket is open; not reading begins after that."""
    client = await running.websocket(reads=reads)
    if not reads:
        client.go_on_reading()
    assert b" 101 " in await client.open()
    if not reads:
        client.stop_reading()
    await until(lambda: running.websockets)
    return client


def stop_the_clock(running: Running) -> None:
    """Let no time pass for the rates of what clients send."""
    now = running.context.time()
    running.context.time = lambda: now


def refusal(limit: str, value: float, client: WebSocketClient, answer: str) -> str:
    """The line in the log."""
    return f"WARNING The limit {limit} ({value}) refused {client.address}: {answer}"


class TestPace:
    """How fast a client may send, on a clock that stands still, or that the test moves."""

    async def test_messages(self, serve: Serve, logs: Logs) -> None:
        """What was within ``websocket_message_rate`` is heard; then it is closed with 1008."""
        app = Recorder()
        running = await serve(app, websocket_message_rate=1, websocket_message_burst=3000)
        stop_the_clock(running)
        client = await opened(running)
        await client.send(text("x") * 2000)
        await client.send(text("y") * 1500 + text("late"))
        assert await client.goodbye() == (1008, "Too many messages in too short a time.")
        await client.send(close(1008))
        assert await client.rest() == b""
        await until(lambda: app.ended)
        assert [event["text"] for event in app.events[:-1]] == ["x"] * 2000 + ["y"] * 1000
        assert app.events[-1] == {"type": "websocket.disconnect", "code": 1008, "reason": ""}
        assert logs.take() == [refusal("websocket_message_rate", 1, client, "close 1008")]
        assert running.context.counters.refused == {"websocket_message_rate": 1}

    async def test_messages_in_time(self, serve: Serve) -> None:
        """Who keeps to the rate is not refused."""
        app = Recorder()
        running = await serve(app, websocket_message_rate=10, websocket_message_burst=1)
        client = await opened(running)
        (stream,) = running.websockets
        now = running.context.time()
        running.context.time = lambda: now
        for _ in range(500):
            now += 0.1
            stream.data_received(text("x"))
        await until(lambda: len(app.events) == 500)
        await client.send(close(1000))

    async def test_bytes(self, serve: Serve, logs: Logs) -> None:
        """Bytes count as they come, and a message that is too many of them is not heard."""
        app = Recorder()
        running = await serve(app, websocket_byte_rate=1, websocket_byte_burst=100_000)
        stop_the_clock(running)
        client = await opened(running)
        await client.send(text("x" * 50_000))
        await until(lambda: app.events)
        await client.send(text("y" * 60_000))
        assert await client.goodbye() == (1008, "Too many bytes in too short a time.")
        await client.send(close(1008))
        await until(lambda: app.ended)
        assert [event.get("code") or len(event["text"]) for event in app.events] == [50_000, 1008]
        assert logs.take() == [refusal("websocket_byte_rate", 1, client, "close 1008")]

    @pytest.mark.parametrize(("opcode", "answered"), [(PING, True), (PONG, False)])
    async def test_control_frames(
        self, opcode: int, answered: bool, serve: Serve, logs: Logs
    ) -> None:
        """Pings and Pongs have a rate, with ten times as many at once; the last are answered."""
        app = Recorder()
        running = await serve(app, websocket_control_rate=10)
        stop_the_clock(running)
        client = await opened(running)
        await client.send(frame(opcode) * 100)
        if answered:
            assert await client.read(200) == unmasked(PONG) * 100
        await client.send(text("x"))
        await until(lambda: app.events)
        await client.send(frame(opcode))
        if answered:
            assert await client.read(2) == unmasked(PONG)
        assert await client.goodbye() == (1008, "Too many Pings or Pongs in too short a time.")
        await client.send(close(1008))
        await until(lambda: app.ended)
        assert logs.take() == [refusal("websocket_control_rate", 10, client, "close 1008")]

    async def test_usual(self, serve: Serve) -> None:
        """Unless told otherwise, messages have no rate: their senders wait for the application."""
        app = Recorder()
        running = await serve(app)
        client = await opened(running)
        await client.send(text("x") * 50_000 + frame(PING) * 500)
        assert await client.read(1000) == unmasked(PONG) * 500
        await until(lambda: len(app.events) == 50_000)
        await client.send(close(1000))


class TestSlowReaders:
    """A client that does not read costs a bounded number of bytes, and is cut off after a time."""

    async def test_send(self, serve: Serve, logs: Logs) -> None:
        """An application that waits in ``send()`` is told."""
        errors: list[str] = []
        events: list[Event] = []

        async def app(scope: Scope, receive: Receive, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await go_on.wait()
            try:
                while True:
                    await send({"type": "websocket.send", "bytes": bytes(65536)})
            except OSError as error:
                errors.append(str(error))
            events.append(await receive())

        go_on = asyncio.Event()
        running = await serve(app, websocket_write_timeout=0.1, ping_interval=0)
        client = await opened(running, reads=False)
        go_on.set()
        await until(lambda: events)
        assert errors == ["Cannot send 'websocket.send': the WebSocket is closed."]
        assert events == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]
        await until(lambda: not running.websockets)
        answer = "the connection is cut (1006)"
        assert logs.take() == [refusal("websocket_write_timeout", 0.1, client, answer)]

    async def test_group(self, serve: Serve, logs: Logs) -> None:
        """What goes to a group past the application stops at the same mark, and so does it."""
        app = Recorder()
        config = Config(lifespan="off", ping_interval=0, websocket_write_timeout=0.1)
        server = Server(app, config, sockets=[listening(send_buffer=65536)])
        running = await serve(app, server=server)
        await opened(running, reads=False)
        (stream,) = running.websockets
        outbox = stream._outbox
        message, outbox = PreparedMessage(bytes(10_000)), stream._outbox
        unsent = 0

        def write() -> bool:
            nonlocal unsent
            write_prepared(outbox, message)
            unsent = max(unsent, stream._transport.get_write_buffer_size())
            return app.ended

        await until(write)
        assert 65536 < unsent < 10 * 65536
        assert app.events == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]
        assert running.context.counters.refused == {"websocket_write_timeout": 1}
        assert len(logs.take()) == 1

    async def test_reads_again(self, serve: Serve) -> None:
        """One that has caught up is as good as any."""
        app = Recorder()
        running = await serve(app, ping_interval=0, websocket_write_timeout=20)
        client = await opened(running, reads=False)
        (stream,) = running.websockets
        message, sent = PreparedMessage(bytes(100_000)), 0
        while write_prepared(stream._outbox, message):
            sent += 1
        assert stream._clock._stalled is not None
        client.go_on_reading()
        for _ in range(sent):
            assert len((await client.frame())[1]) == 100_000
        await until(lambda: stream._clock._stalled is None)
        assert write_prepared(stream._outbox, message)
        assert len((await client.frame())[1]) == 100_000
        await client.send(close(1000))


class TestRetry:
    """Who lost its connection through no fault of its own is told when to come back."""

    async def test_overload(self, serve: Serve) -> None:
        """1013, which a consumer's full mailbox leads to, has the hint in its reason."""
        running = await serve(Recorder())
        client = await opened(running)
        (stream,) = running.websockets
        stream._outbox.leave(1013, "Too many messages were waiting.")
        code, reason = await client.goodbye()
        assert code == 1013
        assert re.fullmatch(r"Too many messages were waiting\. retry=[0-5]\.\d", reason)
        await client.send(close(1013))

    async def test_restart(self, serve: Serve) -> None:
        """1012 spreads clients evenly over ``websocket_retry_window``."""
        running = await serve(Recorder(), websocket_retry_window=100)
        clients = [await opened(running) for _ in range(20)]
        running.stop()
        moments = []
        for client in clients:
            code, reason = await client.goodbye()
            assert code == 1012
            words, _, moment = reason.partition(" retry=")
            assert words == "The server is restarting."
            moments.append(float(moment))
            await client.send(close(1012))
        await running.ended()
        assert all(0 <= moment <= 100 for moment in moments)
        gaps = [b - a for a, b in zip(sorted(moments), sorted(moments)[1:], strict=False)]
        assert max(gaps) < 15

    async def test_off(self, serve: Serve) -> None:
        """Without a window the reason is for people only."""
        running = await serve(Recorder(), websocket_retry_window=0)
        client = await opened(running)
        running.stop()
        assert await client.goodbye() == (1012, "The server is restarting.")
        await client.send(close(1012))
        await running.ended()

    async def test_other_reasons(self, serve: Serve) -> None:
        """Who is put out for good is not asked to come back."""
        running = await serve(Recorder())
        client = await opened(running)
        (stream,) = running.websockets
        stream.leave(4401, "Your session has ended.")
        assert await client.goodbye() == (4401, "Your session has ended.")
        await client.send(close(4401))


class TestCounters:
    """Messages, as they come and go."""

    async def test_both_ways(self, serve: Serve) -> None:
        """Messages count, whichever way they take; Pings and Closes do not."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            while (event := await receive())["type"] == "websocket.receive":
                data = event.get("bytes") or b""
                await send({"type": "websocket.send", "bytes": data})
                await send({"type": "websocket.send", "bytes": bytearray(data)})

        running = await serve(app)
        client = await opened(running)
        said = frame(0x2, b"a") + frame(PING) + frame(0x2, b"b") + frame(PONG)
        await client.send(said + frame(0x2, b"c") + close(1000))
        await until(lambda: not running.context.tasks)
        assert running.context.counters.messages_received == 3
        client.close()

    async def test_sent(self, serve: Serve) -> None:
        """Each message that goes out counts once."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": "a"})
            await send({"type": "websocket.send", "bytes": bytearray(b"b")})
            await receive()

        running = await serve(app)
        client = await opened(running)
        assert await client.text() == "a"
        assert (await client.frame())[1] == b"b"
        assert running.context.counters.messages_sent == 2
        await client.send(close(1000))
