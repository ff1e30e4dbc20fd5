"""AsyncEventStreamConsumer: server-sent events."""

import asyncio
import datetime
from typing import Any

import pytest

from fairway._types import Event, Headers, Scope
from fairway.exceptions import AcceptConnection, DenyConnection
from fairway.generic.sse import AsyncEventStreamConsumer
from fairway.layers import InMemoryChannelLayer
from tests.consumers.connections import Connect

pytestmark = pytest.mark.pain(20)

HTTP: Scope = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "path": "/",
    "method": "GET",
    "headers": [],
    "query_string": b"",
}
REQUEST = {"type": "http.request", "body": b""}
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
    ],
}


class News(AsyncEventStreamConsumer):
    groups = ["news"]

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Any] = []

    async def connect(self, last_event_id: str | None) -> None:
        self.log.append(last_event_id)
        await self.accept()

    async def news_item(self, event: Event) -> None:
        await self.send_event(event["text"], event=event.get("event"), id=event.get("id"))

    async def disconnect(self) -> None:
        self.log.append(f"disconnect {sorted(self.channel_layer.groups)}")


def piece(data: bytes) -> Event:
    """A part of the body that is not the last one."""
    return {"type": "http.response.body", "body": data, "more_body": True}


async def begin(client: Any) -> None:
    """The client connects and is accepted."""
    client.put(REQUEST)
    assert await client.sent() == START
    assert await client.sent() == piece(b":\n\n")


async def test_stream(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """Group messages become events until the client leaves."""
    consumer = News()
    before = asyncio.all_tasks()
    async with connect(consumer, HTTP, accepted=False) as client:
        await begin(client)
        await client.settle()
        message = {"type": "news.item", "text": "one\ntwo", "event": "tick", "id": "7"}
        await layer.group_send("news", message)
        assert await client.sent() == piece(b"event: tick\nid: 7\ndata: one\ndata: two\n\n")
        await layer.group_send("news", {"type": "news.item", "text": "three"})
        assert await client.sent() == piece(b"data: three\n\n")
        client.put({"type": "http.disconnect"})
        await client.task
    assert consumer.log == [None, "disconnect []"]
    assert asyncio.all_tasks() == before


async def test_connect_comes_first(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """Messages wait while connect() sends what the client has missed."""
    release = asyncio.Event()

    class Resuming(News):
        async def connect(self, last_event_id: str | None) -> None:
            await self.send_event("missed 1")
            await release.wait()
            await self.send_event("missed 2")

    async with connect(Resuming(), HTTP, accepted=False) as client:
        await begin(client)
        await layer.group_send("news", {"type": "news.item", "text": "new"})
        await client.settle()
        release.set()
        texts = [(await client.sent())["body"] for _ in range(3)]
        assert texts == [b"data: missed 1\n\n", b"data: missed 2\n\n", b"data: new\n\n"]


@pytest.mark.parametrize(
    ("headers", "query", "found"),
    [
        ([], b"", None),
        ([(b"last-event-id", b"7")], b"", "7"),
        ([(b"last-event-id", "ä".encode())], b"lastEventId=1", "ä"),
        ([], b"a=b&lastEventId=a%20b", "a b"),
    ],
)
async def test_last_event_id(
    connect: Connect,
    layer: InMemoryChannelLayer,
    headers: Headers,
    query: bytes,
    found: str | None,
) -> None:
    """A client that connects again says what it got last, by a header or in the query."""
    consumer = News()
    scope = {**HTTP, "headers": headers, "query_string": query}
    async with connect(consumer, scope, accepted=False) as client:
        await begin(client)
    assert consumer.log[0] == found


async def test_json(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """send_json writes what Django writes; the first event accepts the client."""

    class Json(News):
        retry = 2.5

        async def connect(self, last_event_id: str | None) -> None:
            await self.send_json({"day": datetime.date(2026, 1, 2)}, id="1")

    async with connect(Json(), HTTP, accepted=False) as client:
        client.put(REQUEST)
        assert await client.sent() == START
        assert await client.sent() == piece(b"retry: 2500\n\n")
        assert await client.sent() == piece(b'id: 1\ndata: {"day": "2026-01-02"}\n\n')


async def test_keep_alive(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A stream that is idle sends comments."""

    class Quick(News):
        keep_alive = 0.001

    async with connect(Quick(), HTTP, accepted=False) as client:
        await begin(client)
        assert [await client.sent() for _ in range(3)] == [piece(b":\n\n")] * 3


async def test_own_headers(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """accept() takes further headers; doing it again is nothing."""

    class Headed(News):
        keep_alive = 0

        async def connect(self, last_event_id: str | None) -> None:
            await self.accept([(b"x-a", b"1")])
            await self.accept()
            await self.send_comment("hi")
            raise AcceptConnection

    async with connect(Headed(), HTTP, accepted=False) as client:
        client.put(REQUEST)
        assert (await client.sent())["headers"][-1] == (b"x-a", b"1")
        assert [await client.sent() for _ in range(2)] == [piece(b":\n\n"), piece(b": hi\n\n")]
        await client.settle()
        assert client.quiet


@pytest.mark.parametrize(
    ("method", "status", "headers"),
    [("POST", 405, [(b"allow", b"GET, HEAD")]), ("HEAD", 200, START["headers"])],
)
async def test_methods(
    connect: Connect,
    layer: InMemoryChannelLayer,
    method: str,
    status: int,
    headers: Headers,
) -> None:
    """An event stream is got; nothing else begins one."""
    consumer = News()
    async with connect(consumer, {**HTTP, "method": method}, accepted=False) as client:
        client.put(REQUEST)
        event = await client.sent()
        assert (event["status"], event["headers"]) == (status, headers)
        assert (await client.sent())["more_body"] is False
        await client.task
    assert len(consumer.log) == 1


@pytest.mark.parametrize("how", ["raise", "respond"])
async def test_refused(connect: Connect, layer: InMemoryChannelLayer, how: str) -> None:
    """connect() may refuse: with 403, or with a response of its own."""

    class Closed(News):
        async def connect(self, last_event_id: str | None) -> None:
            if how == "raise":
                raise DenyConnection
            await self.send_response(204, b"")

    async with connect(Closed(), HTTP, accepted=False) as client:
        client.put(REQUEST)
        assert (await client.sent())["status"] == (403 if how == "raise" else 204)
        assert (await client.sent())["more_body"] is False
        await client.task
        assert client.quiet


async def test_same_group_as_websockets(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A group message of type websocket.send is an event, websocket.close ends the stream."""
    consumer = News()
    async with connect(consumer, HTTP, accepted=False) as client:
        await begin(client)
        await client.settle()
        await layer.group_send("news", {"type": "websocket.send", "bytes": b"no text"})
        await layer.group_send("news", {"type": "websocket.send", "text": "hi"})
        assert await client.sent() == piece(b"data: hi\n\n")
        await layer.group_send("news", {"type": "websocket.close"})
        assert (await client.sent())["more_body"] is False
        await client.task
    assert consumer.log[-1].startswith("disconnect")


async def test_nothing_after_the_end(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """What is sent after close() is dropped."""

    class Brief(News):
        async def connect(self, last_event_id: str | None) -> None:
            await self.close()  # not begun: nothing to end
            await self.send_event("one")
            await self.close()
            await self.send_event("two")

    async with connect(Brief(), HTTP, accepted=False) as client:
        client.put(REQUEST)
        events = [await client.sent() for _ in range(4)]
        assert [event.get("body") for event in events] == [None, b":\n\n", b"data: one\n\n", b""]
        await client.task
        assert client.quiet


async def test_slow_client(
    connect: Connect, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """Who does not read is cut off: its stream must not look complete with a gap in it."""

    class Slow(News):
        async def news_item(self, event: Event) -> None:
            await asyncio.Event().wait()

    consumer = Slow()
    async with connect(consumer, HTTP, accepted=False) as client:
        await begin(client)
        await client.settle()
        for _ in range(8):
            await layer.group_send("news", {"type": "news.item", "text": "x" * 400_000})
            await client.settle()
        await client.task
        assert client.quiet
    assert consumer.log[-1] == "disconnect []"
    assert "policy 'disconnect' applies" in caplog.text
