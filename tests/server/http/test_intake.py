"""What a client sends is taken in turns, and no faster than it is used, whatever it consists of."""

import asyncio

import pytest

from fairway._types import Receive, Scope, Send
from fairway.server.http.intake import FRAMING_AT_ONCE
from tests.server.applications import Held, Listens, body, echo_body, path, start
from tests.server.conftest import Serve
from tests.server.running import Logs, statuses, until
from tests.wire import client as frames

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
END = b"0\r\n\r\n"
#: Bytes of data, each in a chunk of its own: more than one read brings, and than a mailbox takes.
SIZE = 100_000
CHUNKS = b"1\r\nx\r\n" * SIZE
#: Most of these chunks that are taken in one turn.
AT_ONCE = FRAMING_AT_ONCE // 5 + 1


class TestTurns:
    """One read never holds up the other connections for long."""

    async def test_chunks(self, serve: Serve) -> None:
        """A body in tiny chunks is parsed in turns, between which all others have theirs."""
        parts: list[int] = []
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            others = asyncio.ensure_future(count())
            more = True
            while more:
                event = await receive()
                parts.append(len(event["body"]))
                more = event["more_body"]
            others.cancel()
            await send(start())
            await send(body())

        running = await serve(app)
        client = await running.connect()
        await client.send(HEAD + CHUNKS + END)
        assert (await client.response("POST")).status == 200
        assert sum(parts) == SIZE
        assert max(parts) <= AT_ONCE
        assert turns >= SIZE // AT_ONCE - 1

    async def test_requests(self, serve: Serve) -> None:
        """So are requests, of which few are kept while they wait for their answers."""
        waiting: list[int] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            waiting.extend(len(connection._backlog) for connection in running.connections)
            await path(scope, receive, send)

        running = await serve(app)
        client = await running.connect()
        requests = [b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(2000)]
        await client.send(b"".join(requests))
        for number in range(2000):
            assert (await client.response()).body == b"/%d" % number
        assert max(waiting) <= 2 * (FRAMING_AT_ONCE // len(requests[0]) + 1)
        assert (await client.fetch("/last")).body == b"/last"

    @pytest.mark.parametrize("size", [1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE, 20_000])
    async def test_what_follows(self, size: int, serve: Serve) -> None:
        """Behind the body, wherever a turn has ended, come its trailers and the next request."""
        running = await serve(echo_body)
        client = await running.connect()
        post = HEAD + CHUNKS[: 6 * size] + b"0\r\nA: b\r\n\r\n"
        await client.send(post + post + GET)
        for _ in range(2):
            assert (await client.response("POST")).body == b"x" * size
        assert (await client.response()).body == b""
        assert (await client.fetch()).status == 200

    async def test_cut_anywhere(self, serve: Serve) -> None:
        """How the network cuts it makes no difference."""
        running = await serve(echo_body)
        client = await running.connect()
        post = HEAD + CHUNKS[:30_000] + END
        for position in range(0, 3 * len(post), 9973):
            await client.send((post * 3)[position : position + 9973])
        for _ in range(3):
            assert (await client.response("POST")).body == b"x" * 5000

    async def test_upgrade(self, serve: Serve) -> None:
        """A WebSocket may be asked for behind such a body, with its first frame behind that."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await echo_body(scope, receive, send)
                return
            await receive()
            await send({"type": "websocket.accept"})
            event = await receive()
            await send({"type": "websocket.send", "text": event["text"]})
            await receive()

        running = await serve(app)
        client = await running.websocket()
        await client.send(HEAD + CHUNKS + END)
        head = await client.open(behind=frames.text("hello"))
        assert b"\r\nContent-Length: %d\r\n" % SIZE in head
        assert await client.read(SIZE) == b"x" * SIZE
        assert (await client.head()).startswith(b"HTTP/1.1 101 ")
        assert await client.text() == "hello"


class TestApplicationBehind:
    """What the application has not taken is not parsed."""

    async def test_paused(self, serve: Serve) -> None:
        """Neither parsed nor read on, and no clock runs against the client."""
        app = Held()
        running = await serve(app)
        client = await running.connect()
        upload = asyncio.ensure_future(client.send(HEAD + CHUNKS * 100))
        await app.entered.acquire()
        (connection,) = running.connections
        await until(lambda: connection.stream is not None and connection.stream.behind)
        assert connection._http.pending
        assert connection._paused
        assert connection._upload is not None
        assert not connection._upload.running
        assert not upload.done()
        client.abort()
        await asyncio.wait([upload])
        upload.exception()
        app.let_go()

    async def test_goes_on(self, serve: Serve) -> None:
        """Once it takes what there was, the rest follows."""
        go_on = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await go_on.wait()
            await echo_body(scope, receive, send)

        running = await serve(app)
        client = await running.connect()
        await client.send(HEAD + CHUNKS + END + GET)
        await until(lambda: running.connections and running.connections[0].stream)
        (connection,) = running.connections
        await until(lambda: connection.stream is not None and connection.stream.behind)
        go_on.set()
        assert (await client.response("POST")).body == b"x" * SIZE
        assert (await client.response()).body == b""

    async def test_early_answer(self, serve: Serve) -> None:
        """An answer before the end of the body reaches the client, and is the last."""
        running = await serve(path)
        client = await running.connect()
        await client.send(HEAD + CHUNKS + END + GET)
        response = await client.response("POST")
        assert (response.status, response["connection"]) == (200, "close")
        assert await client.rest() == b""
        assert len(running.records) == 1

    async def test_continue(self, serve: Serve) -> None:
        """A body that the client was told to send is taken in turns, too."""
        running = await serve(echo_body)
        client = await running.connect()
        await client.send(HEAD.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(CHUNKS + END)
        assert (await client.response("POST")).body == b"x" * SIZE


class TestEnds:
    """What is pending when something ends."""

    async def test_half_closed(self, serve: Serve) -> None:
        """A client that sends no more gets its answers, however much was still to be parsed."""
        running = await serve(echo_body)
        client = await running.connect()
        await client.send(HEAD + CHUNKS + END + GET)
        client.half_close()
        assert (await client.response("POST")).body == b"x" * SIZE
        assert (await client.response()).body == b""
        assert await client.rest() == b""

    async def test_half_closed_behind_an_empty_line(self, serve: Serve) -> None:
        """An empty line that nobody needs leaves no connection behind."""
        running = await serve(echo_body)
        client = await running.connect()
        await client.send(HEAD + CHUNKS[: 6 * AT_ONCE] + END + b"\r\n")
        client.half_close()
        assert (await client.response("POST")).body == b"x" * AT_ONCE
        assert await client.rest() == b""
        await until(lambda: not running.connections)

    async def test_cut_short(self, serve: Serve) -> None:
        """A body that ends too early is refused when all of it was parsed."""
        app = Listens()
        running = await serve(app)
        client = await running.connect()
        await client.send(HEAD + CHUNKS)
        client.half_close()
        response = await client.response("POST")
        assert response.status == 400
        assert response.body == b"The connection ended before the request was complete.\n"
        await app.left.acquire()
        assert statuses(running.records) == [("complete", 400)]

    async def test_gone(self, serve: Serve) -> None:
        """For a client that has gone nothing more is parsed."""
        received: list[str] = []
        done = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            event = await receive()
            assert running.connections[0]._http.pending
            client.abort()
            while event["type"] != "http.disconnect":
                event = await receive()
                received.append(event["type"])
            done.set()

        running = await serve(app)
        client = await running.connect()
        await client.send(HEAD + CHUNKS * 5)
        await done.wait()
        assert received[-1] == "http.disconnect"
        assert running.connections == []

    async def test_limit(self, serve: Serve, logs: Logs) -> None:
        """A limit that the body exceeds in a later turn refuses it all the same."""
        app = Listens()
        running = await serve(app, max_body_size=SIZE - 1)
        client = await running.connect()
        await client.send(HEAD + CHUNKS + END)
        response = await client.response("POST")
        assert response.status == 413
        await app.left.acquire()
        assert logs.take() == [
            f"WARNING The limit max_body_size ({SIZE - 1}) refused {client.address}: 413"
        ]
