"""WebSockets on the streams of an HTTP/2 connection: RFC 8441."""

import asyncio
from typing import Any

import pytest

from fairway._types import Event, Receive, Scope, Send
from fairway.server.http.http2_websocket import WebSocketChannel
from fairway.wire.http2_events import ErrorCode
from tests.server.applications import path
from tests.server.conftest import Serve
from tests.server.http.http2_client import HTTP2Client, WebSocketOnStream, connect, connections
from tests.server.running import DEADLINE, Logs, Running, statuses, until
from tests.wire import client as websocket
from tests.wire import http2_client as h2
from tests.wire.http2_client import CONNECT

OPTIONS: dict[str, Any] = {"http2_cleartext": True}
ACCEPT: Event = {"type": "websocket.accept"}


class Echo:
    """Accepts, and answers each message with the same.

    Attributes:
        scopes: What it was called with.
        ends: The events that ended each.
    """

    def __init__(self, accept: Event | None = None) -> None:
        self.scopes: list[Scope] = []
        self.ends: list[Event] = []
        self._accept = accept or ACCEPT

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one."""
        if scope["type"] == "http":
            await path(scope, receive, send)
            return
        self.scopes.append(scope)
        assert await receive() == {"type": "websocket.connect"}
        await send(self._accept)
        while (event := await receive())["type"] == "websocket.receive":
            await send({**event, "type": "websocket.send"})
        self.ends.append(event)


async def echoing(
    serve: Serve, **options: Any
) -> tuple[Echo, Running, HTTP2Client, WebSocketOnStream]:
    """A WebSocket that is open, to a server that echoes."""
    echo = Echo()
    running = await serve(echo, **OPTIONS, **options)
    client = await connect(running)
    socket = WebSocketOnStream(client)
    await socket.open()
    return echo, running, client, socket


class TestOpening:
    """§5: how a WebSocket begins."""

    async def test_open(self, serve: Serve) -> None:
        """A 200 opens it, with nothing of the upgrade; the stream stays open."""
        echo = Echo()
        running = await serve(echo, **OPTIONS)
        client = await connect(running)
        socket = WebSocketOnStream(client)
        answer = await socket.open(path=b"/chat?a=b")
        assert answer.status == 200
        assert [name for name, _ in answer.fields] == [b":status", b"date", b"server"]
        await socket.send(websocket.TEXT, b"hello")
        assert await socket.frame() == (websocket.TEXT, b"hello")
        (scope,) = echo.scopes
        assert (scope["type"], scope["http_version"], scope["scheme"]) == ("websocket", "2", "ws")
        assert (scope["path"], scope["query_string"]) == ("/chat", b"a=b")
        assert scope["headers"][0] == (b"host", b"example.org")
        assert not answer.ended
        assert statuses(running.records) == [("connecting", 0), ("connected", 200)]

    async def test_subprotocol(self, serve: Serve) -> None:
        """Subprotocols and headers are answered as over HTTP/1.1."""
        accept: Event = {**ACCEPT, "subprotocol": "chat", "headers": [(b"X-Mine", b"a")]}
        running = await serve(Echo(accept), websocket_compression=False, **OPTIONS)
        socket = WebSocketOnStream(await connect(running))
        answer = await socket.open((b"sec-websocket-protocol", b"other, chat"))
        assert (answer["sec-websocket-protocol"], answer["x-mine"]) == ("chat", "a")

    async def test_compression(self, serve: Serve) -> None:
        """So are extensions."""
        running = await serve(Echo(), **OPTIONS)
        socket = WebSocketOnStream(await connect(running))
        answer = await socket.open((b"sec-websocket-extensions", b"permessage-deflate"))
        assert answer["sec-websocket-extensions"].startswith("permessage-deflate")

    async def test_version(self, serve: Serve) -> None:
        """Another version is refused with the one that there is."""
        client = await connect(await serve(Echo(), **OPTIONS))
        answer = await client.fetch_on(1, [*CONNECT[:-1], (b"sec-websocket-version", b"8")])
        assert (answer.status, answer["sec-websocket-version"]) == (400, "13")

    async def test_denied(self, serve: Serve) -> None:
        """A close before the acceptance is a 403."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.close"})

        running = await serve(app, **OPTIONS)
        client = await connect(running)
        socket = WebSocketOnStream(client)
        await socket.open()
        await client.until(lambda: socket.answer.ended)
        assert (socket.answer.status, socket.answer.body) == (403, b"Access denied.\n")
        await client.send(h2.data(1, end=True))
        await until(lambda: not connections(running)[0]._channels)

    async def test_denied_in_words(self, serve: Serve) -> None:
        """An application may refuse with a response of its own."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            head = {"type": "websocket.http.response.start", "status": 429, "headers": []}
            await send({**head, "headers": [(b"X-Why", b"often")]})
            part = {"type": "websocket.http.response.body", "body": b"Too ", "more_body": True}
            await send(part)
            await send({**part, "body": b"often", "more_body": False})

        client = await connect(await serve(app, **OPTIONS))
        socket = WebSocketOnStream(client)
        answer = await socket.open()
        await client.until(lambda: answer.ended)
        assert (answer.status, answer["x-why"], answer.body) == (429, "often", b"Too often")

    async def test_fails(self, serve: Serve, logs: Logs) -> None:
        """An application that raises is answered for with 500."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            raise ValueError("mine")

        client = await connect(await serve(app, **OPTIONS))
        socket = WebSocketOnStream(client)
        answer = await socket.open()
        assert answer.status == 500
        assert logs.take() == [
            "ERROR Exception inside application for WebSocket /: ValueError('mine')"
        ]

    async def test_early(self, serve: Serve) -> None:
        """What comes before the acceptance is kept for it."""
        go_on = asyncio.Event()
        echo = Echo()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await go_on.wait()
            await echo(scope, receive, send)

        client = await connect(await serve(app, **OPTIONS))
        await client.request(1, CONNECT, end=False)
        socket = WebSocketOnStream(client)
        await socket.send(websocket.TEXT, b"early")
        await client.pong()
        go_on.set()
        await client.until(lambda: 1 in client.answers)
        assert await socket.frame() == (websocket.TEXT, b"early")

    @pytest.mark.parametrize("at_once", [True, False])
    async def test_ended_early(self, at_once: bool, serve: Serve) -> None:
        """A client that ends the stream before its answer gets a reset; there is no response."""
        client = await connect(await serve(Echo(), **OPTIONS))
        data = client.speaker.headers(1, CONNECT, end=at_once)
        await client.send(data if at_once else data + h2.data(1, end=True))
        await client.until(lambda: 1 in client.answers)
        assert client.answers[1].reset == ErrorCode.CANCEL
        assert client.answers[1].fields == []
        assert (await client.fetch_on(3)).status == 200


class TestMessages:
    """What goes both ways."""

    async def test_beside_requests(self, serve: Serve) -> None:
        """Several WebSockets and requests share a connection."""
        client = await connect(await serve(Echo(), **OPTIONS))
        sockets = [WebSocketOnStream(client, stream_id) for stream_id in (1, 3)]
        for socket in sockets:
            await socket.open()
        assert (await client.fetch_on(5)).body == b"/"
        for number, socket in enumerate(sockets):
            await socket.send(websocket.BINARY, b"%d" % number)
        for number, socket in enumerate(sockets):
            assert await socket.frame() == (websocket.BINARY, b"%d" % number)

    @pytest.mark.parametrize("size", [0, 125, 126, 65_536, 500_000])
    async def test_sizes(self, size: int, serve: Serve) -> None:
        """A message may take many frames of HTTP/2, and windows that open and shut."""
        client = await connect(await serve(Echo(), **OPTIONS))
        socket = WebSocketOnStream(client)
        await socket.open()
        payload = bytes(index % 251 for index in range(size))
        frame = websocket.frame(websocket.BINARY, payload)
        sent = 0
        while sent < len(frame):
            opened = [each for each in client.others if each.kind == h2.WINDOW_UPDATE]
            room = 262_144 + sum(each.number for each in opened if each.stream_id == 1) - sent
            if room:
                piece = frame[sent : sent + min(room, 16_384)]
                await client.send(h2.data(1, piece))
                sent += len(piece)
            else:
                await client.more()
        assert await socket.frame() == (websocket.BINARY, payload)

    async def test_ping(self, serve: Serve) -> None:
        """Pings are answered, and asked."""
        client = await connect(await serve(Echo(), ping_interval=0.1, **OPTIONS))
        socket = WebSocketOnStream(client)
        await socket.open()
        await socket.send(websocket.PING, b"here?")
        found = [await socket.frame(), await socket.frame()]
        assert (websocket.PONG, b"here?") in found
        assert websocket.PING in [opcode for opcode, _ in found]

    async def test_slow_application(self, serve: Serve) -> None:
        """Messages that nobody takes shut the window of their stream, and no other's."""
        go_on = asyncio.Event()
        taken: list[int] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await path(scope, receive, send)
                return
            await receive()
            await send(ACCEPT)
            await go_on.wait()
            while (event := await receive())["type"] == "websocket.receive":
                taken.append(len(event["bytes"]))

        running = await serve(app, http2_stream_window=65_536, **OPTIONS)
        client = await connect(running)
        socket = WebSocketOnStream(client)
        await socket.open()
        message = websocket.frame(websocket.BINARY, b"x" * 16_000)
        for _ in range(4):
            await client.send(h2.data(1, message))
        await client.pong()
        before = [each.number for each in client.others if each.stream_id == 1]
        count = 4
        while sum(before) + 65_536 - count * len(message) >= len(message):
            await client.send(h2.data(1, message))
            count += 1
        await client.pong()
        after = [each.number for each in client.others if each.stream_id == 1]
        assert sum(after) <= 131_072
        assert (await client.fetch_on(3)).body == b"/"
        go_on.set()
        await until(lambda: len(taken) == count)
        assert set(taken) == {16_000}

    async def test_slow_client(self, serve: Serve) -> None:
        """A client that makes no room makes its application wait."""
        sent: list[int] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send(ACCEPT)
            for _ in range(30):
                await send({"type": "websocket.send", "bytes": b"x" * 9_990})
                sent.append(1)
            await receive()

        running = await serve(app, write_buffer_size=30_000, **OPTIONS)
        client = await connect(running, window=5_000)
        socket = WebSocketOnStream(client)
        await socket.open()
        await client.until(lambda: len(socket.answer.body) == 5_000)
        await client.pong()
        assert len(sent) <= 5
        await client.send(h2.window_update(1, 10**6))
        for _ in range(30):
            assert await socket.frame() == (websocket.BINARY, b"x" * 9_990)


class TestClosing:
    """§5: END_STREAM is the end of the connection, a reset its loss."""

    async def test_client_closes(self, serve: Serve) -> None:
        """The close is answered, then both sides end the stream."""
        echo, running, client, socket = await echoing(serve)
        await socket.send(websocket.CLOSE, (1001).to_bytes(2) + b"bye")
        assert await socket.goodbye() == (1001, "")
        await client.until(lambda: socket.answer.ended)
        await client.send(h2.data(1, end=True))
        await until(lambda: not running.websockets)
        await until(lambda: not connections(running)[0]._channels)
        assert echo.ends == [{"type": "websocket.disconnect", "code": 1001, "reason": "bye"}]
        assert (await client.fetch_on(3)).body == b"/"

    async def test_application_closes(self, serve: Serve) -> None:
        """The application's close goes out; the client answers and ends the stream."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send(ACCEPT)
            await send({"type": "websocket.close", "code": 4000, "reason": "enough"})

        running = await serve(app, **OPTIONS)
        client = await connect(running)
        socket = WebSocketOnStream(client)
        await socket.open()
        assert await socket.goodbye() == (4000, "enough")
        await socket.send(websocket.CLOSE, (4000).to_bytes(2))
        await client.send(h2.data(1, end=True))
        await until(lambda: not running.websockets)
        await client.until(lambda: socket.answer.ended)
        assert socket.answer.reset in (None, 0)

    @pytest.mark.parametrize("how", ["end", "reset", "connection"])
    async def test_client_goes(self, how: str, serve: Serve) -> None:
        """Without a close it is 1006, however the client goes."""
        echo, running, client, _ = await echoing(serve)
        if how == "connection":
            client.abort()
        else:
            await client.send(h2.data(1, end=True) if how == "end" else h2.reset(1))
        await until(lambda: echo.ends)
        assert echo.ends == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]
        await until(lambda: not running.websockets)
        assert statuses(running.records)[-1] == ("disconnected", 1006)
        if how != "connection":
            await until(lambda: not connections(running)[0]._channels)
            assert (await client.fetch_on(3)).body == b"/"

    async def test_never_closes(self, serve: Serve, logs: Logs) -> None:
        """A client that does not answer the close is cut, with its stream only."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await path(scope, receive, send)
                return
            await receive()
            await send(ACCEPT)
            await send({"type": "websocket.close"})

        running = await serve(app, websocket_close_timeout=0.1, **OPTIONS)
        client = await connect(running)
        socket = WebSocketOnStream(client)
        await socket.open()
        await client.until(lambda: socket.answer.reset is not None)
        assert socket.answer.reset == ErrorCode.CANCEL
        assert (await client.fetch_on(3)).body == b"/"
        await until(lambda: not running.websockets)
        logs.take()

    async def test_no_pong(self, serve: Serve, logs: Logs) -> None:
        """So is one that does not answer Pings."""
        echo, _, client, socket = await echoing(serve, ping_interval=0.05, ping_timeout=0.05)
        await client.until(lambda: socket.answer.reset is not None)
        await until(lambda: echo.ends)
        assert echo.ends[0]["code"] == 1006
        logs.take()

    async def test_bad_frame(self, serve: Serve) -> None:
        """A frame against the rules is answered with the right code, and ends the stream."""
        _, _, client, socket = await echoing(serve)
        await client.send(h2.data(1, b"\x81\x02hi"))
        assert (await socket.goodbye())[0] == 1002
        await client.until(lambda: socket.answer.ended)
        assert (await client.fetch_on(3)).body == b"/"

    async def test_drain(self, serve: Serve) -> None:
        """The end of the server is 1012, and then that of the connection."""
        echo, running, client, socket = await echoing(serve)
        running.stop()
        code, reason = await socket.goodbye()
        assert code == 1012
        assert reason.startswith("The server is restarting.")
        await socket.send(websocket.CLOSE, (1012).to_bytes(2))
        await client.send(h2.data(1, end=True))
        await client.end()
        assert len(client.goaways) == 2
        client.close()
        await running.ended()
        assert echo.ends == [{"type": "websocket.disconnect", "code": 1012, "reason": ""}]

    async def test_cut_at_the_end(self, serve: Serve, logs: Logs) -> None:
        """What does not end within the deadline is cut."""
        running = await serve(Echo(), graceful_timeout=0.2, **OPTIONS)
        client = await connect(running)
        socket = WebSocketOnStream(client)
        await socket.open()
        running.stop()
        async with asyncio.timeout(DEADLINE):
            await running.ended()
        assert running.context.quiet
        (line,) = logs.take()
        assert "did not end within 0.2 s; it was cancelled" in line


class TestTransport:
    """What a WebSocket knows of its stream, in the words of asyncio's transports."""

    async def test_words(self, serve: Serve) -> None:
        """They say what they say of a socket."""
        running = await serve(Echo(), **OPTIONS)
        client = await connect(running)
        socket = WebSocketOnStream(client)
        await socket.open()
        (channel,) = connections(running)[0]._channels.values()
        assert isinstance(channel, WebSocketChannel)
        assert channel.can_write_eof()
        assert not channel.is_closing()
        assert channel.get_write_buffer_size() == 0
        assert channel.get_extra_info("peername")[0] == "127.0.0.1"
        assert channel.get_extra_info("nothing", 1) == 1
        for _ in range(2):
            channel.close()
            assert channel.is_closing()
        channel.write(b"lost")
        await client.until(lambda: socket.answer.ended)
        for _ in range(2):
            channel.abort()
        await until(lambda: not running.websockets)
        channel.abort()

    async def test_order(self, serve: Serve) -> None:
        """What comes between the word to read on and what was kept is behind what was kept."""
        running = await serve(Echo(), **OPTIONS)
        socket = WebSocketOnStream(await connect(running))
        await socket.open()
        (channel,) = connections(running)[0]._channels.values()
        channel.pause_reading()
        channel.received(websocket.text(b"first"), 0)
        channel.resume_reading()
        channel.received(websocket.text(b"second"), 0)
        channel.received(websocket.text(b"third"), 0)
        for said in (b"first", b"second", b"third"):
            assert await socket.frame() == (websocket.TEXT, said)
