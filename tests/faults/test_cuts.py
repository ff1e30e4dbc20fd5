"""The connection is cut at every byte: of requests, responses, handshakes, frames and closes.

Each test opens a client for every byte, lets each say (or read) just so much, sees the server take
it, and cuts all of them at once. Afterwards nothing may be left, whoever was connected has been
disconnected once, and the log is silent: a client that goes is no news.
"""

from collections import Counter
from typing import Any, Final

import pytest

from fairway._types import ASGIApplication, Receive, Scope, Send
from fairway.generic.websocket import AsyncWebsocketConsumer
from fairway.layers import get_channel_layer
from tests.faults.census import Census
from tests.faults.clients import CUTS, Crowd, Cut, rst
from tests.server.applications import body, start
from tests.server.conftest import Serve
from tests.server.running import KEY, Running, until
from tests.wire.client import close, continuation, frame, text

GET: Final = b"GET /some/path?x=1 HTTP/1.1\r\nHost: example.org\r\nCookie: a=b\r\n\r\n"
POST: Final = b"POST / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 40\r\n\r\n" + b"x" * 40
CHUNKED: Final = (
    b"POST / HTTP/1.1\r\nHost: example.org\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-Trailer: y\r\n\r\n"
)
EXPECT: Final = (
    b"POST / HTTP/1.1\r\nHost: example.org\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
)
HANDSHAKE: Final = (
    b"GET /ws HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
FRAMES: Final = (
    text("hello")
    + frame(0x9, b"ping")
    + text("in ", fin=False)
    + frame(0xA, b"pong")
    + continuation("pieces é".encode())
    + frame(0x1, b"\xca\x48\xcd\xc9\xc9\x07\x00", reserved=4)  # "Hello", compressed
)


class Visits:
    """What an application has seen: who came, and who was told that it is over."""

    def __init__(self) -> None:
        self.came = 0
        self.told: Counter[int] = Counter()

    def clear(self) -> None:
        """Forget all of them."""
        self.came = 0
        self.told.clear()

    def came_and_went(self) -> bool:
        """Whether everybody who came was told."""
        return len(self.told) == self.came


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body, and answers with as many bytes; a client that goes is no reason to fail."""
    size = 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        size += len(event["body"])
        if not event["more_body"]:
            break
    await send(start())
    await send(body(b"a" * size, more=True))
    await send(body(b"b" * 20))


def streams(visits: Visits) -> ASGIApplication:
    """A response without an end, which waits for its client to go."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        visits.came += 1
        visit = visits.came
        await receive()
        await send(start())
        await send(body(b"some bytes of an endless body", more=True))
        assert (await receive())["type"] == "http.disconnect"
        visits.told[visit] += 1

    return app


def consumer(visits: Visits) -> ASGIApplication:
    """A consumer in a group, which answers each message."""

    class Echo(AsyncWebsocketConsumer):
        groups = ["faults"]

        async def connect(self) -> None:
            visits.came += 1
            self.visit = visits.came
            await self.accept()

        async def receive(
            self, text_data: str | None = None, bytes_data: bytes | None = None
        ) -> None:
            await self.send(text_data=text_data)

        async def disconnect(self, code: int) -> None:
            visits.told[self.visit] += 1

    return Echo.as_asgi()  # type: ignore[no-any-return]  # an ASGI application


def members() -> int:
    """How many are in the consumers' group."""
    layer: Any = get_channel_layer()
    return len(layer._hub.groups.get("faults", ()))


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.__name__)
class TestRequest:
    """RFC 9112 §8: an incomplete request, by each of its bytes."""

    @pytest.mark.parametrize(
        "request_",
        [GET, POST, CHUNKED, EXPECT, GET + POST],
        ids=["get", "post", "chunked", "expect", "two"],
    )
    async def test_every_byte(
        self, request_: bytes, cut: Cut, serve: Serve, census: Census
    ) -> None:
        """Cut behind each byte of it, the request costs nothing any more."""
        running = await serve(echo)
        await census.begin_when_quiet(running)
        with Crowd(running) as crowd:
            await crowd.connect(len(request_) + 1)
            await crowd.say(request_[:size] for size in range(len(request_) + 1))
            crowd.end(cut)
        await census.nothing_is_left(running)


class TestResponse:
    """What the server sends, by each of its bytes that a client reads before it goes."""

    @pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.__name__)
    async def test_every_byte(self, cut: Cut, serve: Serve, census: Census) -> None:
        """Cut behind each byte of a chunked response that has more to come."""
        visits = Visits()
        running = await serve(streams(visits))
        whole = await _whole_answer(running, GET)
        await census.begin_when_quiet(running)
        with Crowd(running) as crowd:
            await crowd.connect(len(whole) + 1)
            await crowd.say([GET] * len(crowd.sockets))
            heard = await crowd.hear(range(len(whole) + 1))
            assert heard[-1][-20:] == whole[-20:]  # not its Date
            crowd.end(cut)
        await census.nothing_is_left(running)
        assert visits.came_and_went()

    async def test_that_nobody_reads(self, serve: Serve, census: Census) -> None:
        """Cut while the application waits for the client to read: its send ends, and so does it."""
        visits = Visits()
        running = await serve(pours(visits), write_buffer_size=4096)
        await census.begin_when_quiet(running)
        with Crowd(running) as crowd:
            await crowd.connect(20)
            await crowd.say([GET] * 20)
            await until(lambda: visits.came == 20)
            await crowd.hear(100 * size for size in range(20))
            crowd.end(rst)
        await census.nothing_is_left(running)
        assert visits.came_and_went()


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.__name__)
class TestWebSocket:
    """RFC 6455: the opening handshake, frames both ways, and the close."""

    async def test_every_byte_of_the_handshake(
        self, cut: Cut, serve: Serve, census: Census
    ) -> None:
        """Cut behind each byte; whose handshake was whole was connected, and is disconnected."""
        visits = Visits()
        running = await serve(consumer(visits))
        await _visit(running, visits)
        await census.begin_when_quiet(running)
        with Crowd(running) as crowd:
            await crowd.connect(len(HANDSHAKE) + 1)
            await crowd.say(HANDSHAKE[:size] for size in range(len(HANDSHAKE) + 1))
            await until(lambda: visits.came == 1)
            crowd.end(cut)
        await census.nothing_is_left(running)
        assert visits.told == {1: 1}
        assert members() == 0

    async def test_handshake_and_frames_at_once(
        self, cut: Cut, serve: Serve, census: Census
    ) -> None:
        """Cut behind each byte of what a hasty client sends without waiting for the answer."""
        visits = Visits()
        running = await serve(consumer(visits))
        data = HANDSHAKE + FRAMES + close(1000)
        sizes = range(len(HANDSHAKE), len(data) + 1)
        await _visit(running, visits)
        await census.begin_when_quiet(running)
        with Crowd(running) as crowd:
            await crowd.connect(len(sizes))
            await crowd.say(data[:size] for size in sizes)
            crowd.end(cut)
        await census.nothing_is_left(running)
        assert set(visits.told.values()) == {1}
        assert visits.came_and_went()
        assert members() == 0

    @pytest.mark.parametrize("said", [FRAMES, close(1001, "bye")], ids=["frames", "close"])
    async def test_every_byte_of_frames(
        self, said: bytes, cut: Cut, serve: Serve, census: Census
    ) -> None:
        """Cut behind each byte of messages in pieces, of control frames, and of a Close."""
        visits = Visits()
        running = await serve(consumer(visits))
        await _visit(running, visits)
        await census.begin_when_quiet(running)
        with Crowd(running) as crowd:
            await crowd.connect(len(said) + 1)
            await crowd.say([HANDSHAKE] * len(crowd.sockets))
            await crowd.hear_head()
            assert members() == len(crowd.sockets)
            await crowd.say(said[:size] for size in range(len(said) + 1))
            crowd.end(cut)
        await census.nothing_is_left(running)
        assert visits.told == dict.fromkeys(range(1, len(said) + 2), 1)
        assert members() == 0

    async def test_every_byte_of_an_answer(self, cut: Cut, serve: Serve, census: Census) -> None:
        """Cut behind each byte that a client reads: of the handshake's answer, and of frames."""
        visits = Visits()
        running = await serve(consumer(visits))
        said = text("an answer") + close(1000)
        await _visit(running, visits)
        whole = await _whole_answer(running, HANDSHAKE + said)
        await until(lambda: running.context.quiet)
        visits.clear()
        await census.begin_when_quiet(running)
        with Crowd(running) as crowd:
            await crowd.connect(len(whole) + 1)
            await crowd.say([HANDSHAKE + said] * len(crowd.sockets))
            heard = await crowd.hear(range(len(whole) + 1))
            assert heard[-1][-20:] == whole[-20:]  # not its Date
            crowd.end(cut)
        await census.nothing_is_left(running)
        assert set(visits.told.values()) == {1}
        assert visits.came_and_went()
        assert members() == 0


def pours(visits: Visits) -> ASGIApplication:
    """Sends for ever, until a send says that nobody is there any more."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        visits.came += 1
        visit = visits.came
        try:
            await send(start())
            while True:
                await send(body(bytes(65536), more=True))
        finally:
            visits.told[visit] += 1

    return app


async def _visit(running: Running, visits: Visits) -> None:
    """What is made for the first WebSocket and then kept, such as the layer, is made."""
    await _whole_answer(running, HANDSHAKE + close(1000))
    await until(lambda: running.context.quiet)
    visits.clear()


async def _whole_answer(running: Running, request: bytes) -> bytes:
    """What a client hears that stays until nothing more comes: a part of a response, or all."""
    client = await running.connect()
    await client.send(request)
    answer = await client.head()
    if b"101" in answer:
        answer += await client.rest()
    else:
        size = int(await client.reader.readuntil(b"\r\n"), 16)
        answer += b"%X\r\n%b" % (size, await client.read(size + 2))
    client.close()
    return answer
