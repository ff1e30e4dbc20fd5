"""What is on its way when a stream ends, over real sockets: RFC 9113 §5.1 and §5.4.2."""

from collections.abc import Callable
from typing import Any

import pytest

from fairway._types import Receive, Scope, Send
from fairway.wire.http2_events import ErrorCode
from tests.server.applications import Held, Listens, body, path, start
from tests.server.conftest import Serve
from tests.server.http.http2_client import HTTP2Client, WebSocketOnStream, connect, connections
from tests.server.running import Logs, until
from tests.wire import client as websocket
from tests.wire import http2_client as h2
from tests.wire.http2_client import GET, POST

OPTIONS: dict[str, Any] = {"http2_cleartext": True}


async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
    """Begins a response that it does not complete."""
    if scope["path"] == "/":
        await path(scope, receive, send)
        return
    await send(start())
    await send(body(b"begun", more=True))
    raise ValueError("mine")


async def says_no(scope: Scope, receive: Receive, send: Send) -> None:
    """Accepts a WebSocket and closes it at once."""
    if scope["type"] == "http":
        await path(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 4000, "reason": "enough"})


async def early(client: HTTP2Client, stream_id: int = 1) -> None:
    """Begin an upload that is answered before it has ended, and read the answer."""
    await client.request(stream_id, POST, end=False)
    answer = await client.answer(stream_id)
    assert (answer.status, answer.body) == (200, b"/")
    await client.until(lambda: answer.resets)


async def ignored(client: HTTP2Client, stream_id: int, sent: bytes) -> None:
    """The server says nothing to these bytes on a stream, and goes on."""
    answer = client.answers[stream_id]
    before = list(answer.resets)
    await client.send(sent)
    await client.pong()
    assert answer.resets == before
    assert (await client.fetch_on(stream_id + 100)).body == b"/"
    assert client.goaways == []


#: What may come on a stream after the server has reset it.
LATE: dict[str, Callable[[HTTP2Client, int], bytes]] = {
    "DATA": lambda _, each: h2.data(each, b"x" * 10_000),
    "end": lambda _, each: h2.data(each, b"x", end=True),
    "padded": lambda _, each: h2.frame(h2.DATA, h2.PADDED, each, b"\x05abc\0\0\0\0\0"),
    "trailers": lambda client, each: client.speaker.headers(each, [(b"x-sum", b"6")]),
    "WINDOW_UPDATE": lambda _, each: h2.window_update(each, 1000),
    "WINDOW_UPDATE of 0": lambda _, each: h2.window_update(each, 0),
    "RST_STREAM": lambda _, each: h2.reset(each),
    "all": lambda _, each: (
        h2.data(each, b"x") + h2.window_update(each, 5) + h2.data(each, end=True) + h2.reset(each)
    ),
}


class TestOnItsWay:
    """It is discarded: "SHOULD NOT send more than one RST_STREAM frame for any stream"."""

    @pytest.mark.parametrize("what", LATE)
    async def test_after_an_early_answer(self, what: str, serve: Serve) -> None:
        """Behind a complete response the rest of the request is asked for no more (§8.1)."""
        client = await connect(await serve(path, **OPTIONS))
        await early(client)
        assert client.answers[1].resets == [ErrorCode.NO_ERROR]
        await ignored(client, 1, LATE[what](client, 1))

    @pytest.mark.parametrize("what", LATE)
    async def test_after_an_error(self, what: str, serve: Serve, logs: Logs) -> None:
        """A response that lacks its end resets its stream."""
        client = await connect(await serve(breaks, **OPTIONS))
        await client.request(1, [*POST[:-1], (b":path", b"/broken")], end=False)
        assert (await client.answer(1)).resets == [ErrorCode.INTERNAL_ERROR]
        await ignored(client, 1, LATE[what](client, 1))
        assert len(logs.take()) == 1

    @pytest.mark.parametrize("what", LATE)
    async def test_after_a_refusal(self, what: str, serve: Serve, logs: Logs) -> None:
        """A stream beyond the limit is refused, with all that its client sends before it knows."""
        held = Held(answers=[start(), body(b"/")])
        client = await connect(await serve(held, http2_max_streams=1, **OPTIONS))
        await client.request(99)
        await held.entered.acquire()
        await client.request(101, POST, end=False)
        assert (await client.answer(101)).resets == [ErrorCode.REFUSED_STREAM]
        held.let_go()
        await client.answer(99)
        await ignored(client, 101, LATE[what](client, 101))
        assert len(logs.take()) == 1

    async def test_end_of_a_websocket(self, serve: Serve) -> None:
        """A client that answers a Close, and ends its side, is not told that it was wrong."""
        running = await serve(says_no, **OPTIONS)
        client = await connect(running)
        socket = WebSocketOnStream(client)
        await socket.open()
        assert await socket.goodbye() == (4000, "enough")
        await socket.send(websocket.CLOSE, (4000).to_bytes(2))
        await client.until(lambda: socket.answer.resets)
        await until(lambda: not running.websockets)
        await ignored(client, 1, h2.data(1, end=True))
        assert socket.answer.ended
        assert socket.answer.resets == [ErrorCode.NO_ERROR]

    async def test_talkative_websocket(self, serve: Serve, logs: Logs) -> None:
        """Who sends many small messages to a WebSocket that was cut may go on with the others."""
        running = await serve(says_no, websocket_close_timeout=0.1, **OPTIONS)
        client = await connect(running)
        socket = WebSocketOnStream(client)
        await socket.open()
        await client.until(lambda: socket.answer.resets)
        assert socket.answer.resets == [ErrorCode.CANCEL]
        message = h2.data(1, websocket.frame(websocket.TEXT, b"x"))
        await ignored(client, 1, message * 5000)
        logs.take()

    async def test_room(self, serve: Serve) -> None:
        """What is discarded takes no room on the connection for good: the next uploads find it."""
        running = await serve(
            path, http2_connection_window=65_536, http2_stream_window=65_536, **OPTIONS
        )
        client = await connect(running)
        sent = 0

        def room() -> int:
            given = [each.number for each in client.others
                     if each.kind == h2.WINDOW_UPDATE and not each.stream_id]  # fmt: skip
            return 65_535 + sum(given) - sent

        for stream_id in range(1, 21, 2):
            await early(client, stream_id)
            for _ in range(2):
                await client.until(lambda: room() >= 16_384)
                await client.send(h2.data(stream_id, b"x" * 16_384))
                sent += 16_384
        await client.pong()
        assert connections(running)[0].inbound_window == room()
        assert [each.resets for each in client.answers.values()] == [[ErrorCode.NO_ERROR]] * 10


class TestErrors:
    """What no client can have had on its way."""

    async def test_after_the_end_of_the_request(self, serve: Serve) -> None:
        """On a stream that its client has ended, DATA resets it, once; the others go on (§5.1)."""
        app = Listens()
        client = await connect(await serve(app, **OPTIONS))
        await client.request(1)
        await client.request(3)
        await client.send(h2.data(1, b"x") * 3)
        await client.pong()
        assert client.answers[1].resets == [ErrorCode.STREAM_CLOSED]
        await app.left.acquire()
        assert 3 not in client.answers

    async def test_fields_after_the_end_of_the_request(self, serve: Serve) -> None:
        """So do fields."""
        app = Listens()
        client = await connect(await serve(app, **OPTIONS))
        await client.request(1)
        await client.send(client.speaker.headers(1, [(b"x", b"y")]) * 3)
        await client.pong()
        assert client.answers[1].resets == [ErrorCode.STREAM_CLOSED]
        await app.left.acquire()

    async def test_data_after_both_ends(self, serve: Serve) -> None:
        """DATA on a stream that both sides have ended ends the connection (§5.1)."""
        client = await connect(await serve(path, **OPTIONS))
        assert (await client.fetch_on(1)).resets == []
        await client.send(h2.data(1, b"x"))
        await client.end()
        detail = "A frame is for a stream that has ended."
        assert client.goaways == [(1, ErrorCode.STREAM_CLOSED, detail)]

    async def test_number_again(self, serve: Serve) -> None:
        """A request under a number that was used ends the connection (§5.1.1)."""
        client = await connect(await serve(path, **OPTIONS))
        await client.fetch_on(1)
        await client.request(1)
        await client.end()
        detail = "A frame is for a stream that has ended."
        assert client.goaways == [(1, ErrorCode.STREAM_CLOSED, detail)]

    async def test_number_goes_back(self, serve: Serve) -> None:
        """So does one under a number that was left out."""
        client = await connect(await serve(path, **OPTIONS))
        await client.fetch_on(5)
        await client.request(3)
        await client.end()
        ((last, code, _),) = client.goaways
        assert (last, code) == (5, ErrorCode.PROTOCOL_ERROR)

    @pytest.mark.parametrize(
        "sent",
        [h2.data(3, b"x"), h2.reset(3), h2.window_update(3, 1)],
        ids=["DATA", "RST_STREAM", "WINDOW_UPDATE"],
    )
    async def test_not_begun(self, sent: bytes, serve: Serve) -> None:
        """What comes on a stream that has not begun ends the connection (§5.1)."""
        client = await connect(await serve(path, **OPTIONS))
        await early(client)
        await client.send(sent)
        await client.end()
        detail = "A frame is for a stream that has not begun."
        assert client.goaways == [(1, ErrorCode.PROTOCOL_ERROR, detail)]


class TestFloods:
    """What is discarded is bounded."""

    @pytest.mark.parametrize(
        "make",
        [
            lambda client: h2.data(1, b"x"),
            lambda client: h2.data(1),
            lambda client: client.speaker.headers(1, [(b"x-sum", b"6")]),
            lambda client: h2.window_update(1, 1),
            lambda client: h2.reset(1),
        ],
        ids=["DATA beyond the window", "empty DATA", "fields", "WINDOW_UPDATE", "RST_STREAM"],
    )
    async def test_late(
        self, make: Callable[[HTTP2Client], bytes], serve: Serve, logs: Logs
    ) -> None:
        """Who goes on and on is told to be calm, and gets no reset for each frame."""
        options = {**OPTIONS, "http2_max_control_frames": 20, "http2_stream_window": 65_536}
        running = await serve(path, **options)
        client = await connect(running)
        await early(client)
        for _ in range(4):
            await client.send(h2.data(1, b"x" * 16_384))
        await client.send(b"".join(make(client) for _ in range(100)))
        await client.end()
        ((_, code, text),) = client.goaways
        assert code == ErrorCode.ENHANCE_YOUR_CALM
        assert text == "There were too many frames that carry nothing."
        assert client.answers[1].resets == [ErrorCode.NO_ERROR]
        assert running.context.counters.refused == {"http2_max_control_frames": 1}
        assert len(logs.take()) == 1

    async def test_crossing(self, serve: Serve) -> None:
        """A client that gives up what was just answered is not taken for one that floods."""
        running = await serve(path, http2_max_resets=5, **OPTIONS)
        client = await connect(running)
        for stream_id in range(1, 41, 2):
            await early(client, stream_id)
            await client.send(h2.reset(stream_id))
        assert (await client.fetch_on(41, GET)).body == b"/"
        assert running.context.counters.refused == {}
