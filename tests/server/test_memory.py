"""Nothing keeps a connection that is closed, and what is kept for an open one is bounded."""

import asyncio
import gc
import logging
from collections import Counter
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from fairway._types import ASGIApplication, Event, Receive, Scope, Send
from fairway.delivery import Mailbox, Outbox
from fairway.server.application.threads import LentThread
from fairway.server.http.connection import Connection
from fairway.server.http.http1_writer import HTTP1Writer
from fairway.server.http.stream import HTTPStream
from fairway.server.websocket.clock import WebSocketClock
from fairway.server.websocket.opening import Opening
from fairway.server.websocket.stream import WebSocketStream
from fairway.wire.http1 import HTTP1Connection, Request, Response
from fairway.wire.websocket import WebSocketConnection
from tests.server.applications import body, echo_body, path, start
from tests.server.conftest import Serve
from tests.server.running import Running, until
from tests.wire.client import close, text

KINDS = (
    Connection,
    HTTP1Connection,
    HTTP1Writer,
    HTTPStream,
    LentThread,
    Mailbox,
    Opening,
    Outbox,
    Request,
    Response,
    WebSocketClock,
    WebSocketConnection,
    WebSocketStream,
)


#: Those that other tests keep, such as the constants of their modules.
_others: set[int] = set()


@pytest.fixture(autouse=True)
def others() -> None:
    """What was there before a test is none of its business."""
    gc.collect()
    _others.clear()
    _others.update(id(found) for found in gc.get_objects() if type(found) in KINDS)


def alive() -> Counter[str]:
    """How many objects of a connection came to be in this test and are still there, by type."""
    gc.collect()
    return Counter(type(thing).__name__ for thing in new())


def new() -> list[Any]:
    """The objects of connections that came to be in this test and are still there."""
    found = [thing for thing in gc.get_objects() if type(thing) in KINDS]
    return [thing for thing in found if id(thing) not in _others]


async def nothing_is_left(running: Running) -> None:
    """Wait until every connection is gone and nothing is left of any."""
    await until(lambda: not running.context.connections and not running.context.tasks)
    await until(lambda: not alive())


async def accepts(scope: Scope, receive: Receive, send: Send) -> None:
    """Accepts a WebSocket, and says a word now and then."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event["text"]})


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    """Raises, with everything in its frame."""
    await receive()
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    raise ZeroDivisionError


async def in_thread(scope: Scope, receive: Receive, send: Send) -> None:
    """Runs sync code that knows the connection."""
    await sync_to_async(lambda: (scope, receive, send))()
    await path(scope, receive, send)


@pytest.fixture
def forgotten_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is logged: pytest would keep records, and all that their tracebacks refer to."""
    monkeypatch.setattr(logging.getLogger("fairway.server"), "disabled", True)


class TestHTTP:
    """Requests."""

    @pytest.mark.parametrize("app", [path, echo_body, in_thread], ids=lambda app: app.__name__)
    async def test_closed(self, app: ASGIApplication, serve: Serve) -> None:
        """Nothing is left, however the client has gone."""
        running = await serve(app)
        for end in ("close", "abort", "half_close"):
            client = await running.connect()
            await client.fetch()
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
            await client.response("POST")
            getattr(client, end)()
        await nothing_is_left(running)

    async def test_without_collector(self, serve: Serve) -> None:
        """Plain requests need no garbage collector to be forgotten."""
        running = await serve(path)
        client = await running.connect()
        await client.fetch()
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                await client.fetch()
            await until(lambda: not running.context.tasks)
            left = Counter(type(thing).__name__ for thing in new())
        finally:
            gc.enable()
        assert left["HTTPStream"] <= 1
        assert left["LentThread"] <= 1

    async def test_in_the_middle(self, serve: Serve) -> None:
        """Nor is anything left of a client that goes in the middle of everything."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            while True:
                await send(body(b"x" * 65536, more=True))

        running = await serve(app)
        client = await running.connect(reads=False)
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        await until(lambda: running.connections and running.connections[0]._writing_paused)
        client.abort()
        await nothing_is_left(running)

    @pytest.mark.usefixtures("forgotten_logs")
    async def test_failure(self, serve: Serve) -> None:
        """Nor of a request whose application raised."""
        running = await serve(fails)
        client = await running.connect()
        assert (await client.fetch()).status == 500
        client.close()
        await nothing_is_left(running)

    async def test_refused(self, serve: Serve) -> None:
        """Nor of one that was refused."""
        running = await serve(path)
        client = await running.connect()
        await client.send(b"nonsense\r\n\r\n")
        assert (await client.response()).status == 400
        client.close()
        await nothing_is_left(running)


class TestWebSocket:
    """WebSockets."""

    async def test_closed(self, serve: Serve) -> None:
        """Nothing is left, however the client has gone."""
        running = await serve(accepts)
        for end in ("close", "abort", "goodbye"):
            client = await running.websocket()
            await client.open()
            await client.send(text("hello"))
            assert await client.text() == "hello"
            if end == "goodbye":
                await client.send(close(1000))
            else:
                getattr(client, end)()
        await nothing_is_left(running)

    @pytest.mark.parametrize("end", ["abort", "goodbye", "leave"])
    async def test_without_collector(self, end: str, serve: Serve) -> None:
        """They need no garbage collector to be forgotten, whoever goes first."""
        running = await serve(accepts)
        client = await running.websocket()
        await client.open()
        await until(lambda: running.websockets)
        await until(lambda: not alive()["Connection"])
        gc.disable()
        try:
            if end == "abort":
                client.abort()
            elif end == "goodbye":
                await client.send(close(1000))
                await client.rest()
            else:
                running.websockets[0].leave(1000, "")
                await client.goodbye()
                await client.send(close(1000))
                await client.rest()
            await until(lambda: not running.context.connections and not running.context.tasks)
            await until(lambda: not new())
        finally:
            gc.enable()

    @pytest.mark.parametrize("event", [{"type": "websocket.close"}, None])
    async def test_denied(self, event: Event | None, serve: Serve) -> None:
        """Nor of one that was not let in."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            if event is not None:
                await send(event)
            await receive()

        running = await serve(app, websocket_connect_timeout=0)
        client = await running.websocket()
        opening = asyncio.ensure_future(client.open())
        if event is None:
            await until(lambda: running.websockets)
            client.abort()
        await asyncio.wait([opening])
        opening.exception()
        client.close()
        await nothing_is_left(running)

    @pytest.mark.usefixtures("forgotten_logs")
    async def test_failure(self, serve: Serve) -> None:
        """Nor of one whose application raised."""
        running = await serve(fails)
        client = await running.websocket()
        await client.open()
        assert await client.goodbye() == (1011, "")
        await client.send(close(1011))
        await client.rest()
        await nothing_is_left(running)

    async def test_open(self, serve: Serve) -> None:
        """Of an open one, what was needed for its opening is gone."""
        running = await serve(accepts)
        client = await running.websocket()
        await client.open()
        await until(lambda: running.websockets)
        await until(lambda: not alive()["Connection"])
        assert alive() == {
            "LentThread": 1,
            "Mailbox": 1,
            "Outbox": 1,
            "Request": 1,
            "WebSocketClock": 1,
            "WebSocketConnection": 1,
            "WebSocketStream": 1,
        }
        await client.send(close(1000))


async def test_stopped(serve: Serve) -> None:
    """Of a server that has ended, nothing of its connections is left either."""
    running = await serve(accepts)
    client: Any = await running.websocket()
    await client.open()
    running.stop()
    assert (await client.goodbye())[0] == 1012
    await client.send(close(1012))
    await running.ended()
    await until(lambda: not alive())
