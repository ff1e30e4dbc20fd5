"""Consumers under real servers, ours and another one: what clients see."""

import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from fairway._types import ASGIApplication, Event, Receive, Scope, Send
from fairway.generic import polling
from fairway.generic.http import AsyncHttpConsumer
from fairway.generic.polling import AsyncLongPollConsumer
from fairway.generic.sse import AsyncEventStreamConsumer
from fairway.generic.websocket import AsyncWebsocketConsumer
from fairway.layers import InMemoryChannelLayer
from fairway.server import Config, Server
from tests.consumers.servers import SERVERS, http, served, websocket
from tests.server.running import DEADLINE, Client, Running, until

each_server = pytest.mark.parametrize("server", SERVERS)


class Log:
    """What happened, for a consumer class that a test makes."""

    def __init__(self) -> None:
        self.entries: list[str] = []


async def chunk(client: Client) -> bytes:
    """The next piece of a response whose head was read already."""
    size = int(await client.reader.readuntil(b"\r\n"), 16)
    return (await client.read(size + 2))[:-2]


@pytest.mark.row("1.1 AsyncConsumer", "7 3")
@pytest.mark.pain(10)
@each_server
async def test_error(server: str, layer: InMemoryChannelLayer) -> None:
    """An exception closes this one socket with 1011, after its disconnect(); others go on."""
    log = Log()

    class Fragile(AsyncWebsocketConsumer):
        groups = ["room"]

        async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            if text_data == "boom":
                raise RuntimeError("boom")
            await self.send(text_data=text_data)

        async def disconnect(self, code: int) -> None:
            log.entries.append(f"disconnect {code}")

    async with served(server, Fragile.as_asgi()) as port:
        async with websocket(port) as one, websocket(port) as two:
            await layer.group_send("room", {"type": "no.such.handler"})
            await one.send("boom")
            with pytest.raises(ConnectionClosed):
                await one.recv()
            if server == "fairway":  # uvicorn cuts it off
                assert one.close_code == 1011
            assert log.entries == ["disconnect 1011"]
            await two.send("still here")
            assert await two.recv() == "still here"
            await layer.group_send("room", {"type": "websocket.send", "text": "to all"})
            assert await two.recv() == "to all"
        await until(lambda: len(log.entries) == 2)


@pytest.mark.pain(20)
@each_server
async def test_open_response(server: str, layer: InMemoryChannelLayer) -> None:
    """A response that handle() left open is completed by a group message."""
    log = Log()

    class Poll(AsyncHttpConsumer):
        groups = ["news"]

        async def handle(self, body: bytes) -> None:
            await self.send_headers(headers=[(b"content-type", b"text/plain")])
            await self.send_body(b"", more_body=True)

        async def news_item(self, event: Event) -> None:
            await self.send_body(event["text"].encode())

        async def disconnect(self) -> None:
            log.entries.append("disconnect")

    async with served(server, Poll.as_asgi()) as port:
        client = await http(port)
        await client.get()
        await until(lambda: layer.groups)
        await layer.group_send("news", {"type": "news.item", "text": "news"})
        assert (await client.response()).body == b"news"
        await until(lambda: log.entries == ["disconnect"])
        client.close()


@pytest.mark.pain(20)
@each_server
async def test_event_stream(server: str, layer: InMemoryChannelLayer) -> None:
    """Each event goes out at once; a client that leaves is noticed."""
    log = Log()

    class News(AsyncEventStreamConsumer):
        groups = ["news"]

        async def connect(self, last_event_id: str | None) -> None:
            log.entries.append(f"connect {last_event_id}")

        async def disconnect(self) -> None:
            log.entries.append("disconnect")

    async with served(server, News.as_asgi()) as port:
        client = await http(port)
        await client.get("/", "Last-Event-ID: 6")
        head = await client.head()
        assert b"content-type: text/event-stream" in head.lower()
        assert await chunk(client) == b":\n\n"
        await layer.group_send("news", {"type": "websocket.send", "text": "one"})
        assert await chunk(client) == b"data: one\n\n"
        assert log.entries == ["connect 6"]
        client.abort()
        await until(lambda: len(log.entries) == 2)
    assert log.entries[1] == "disconnect"
    assert layer.groups == {}


@pytest.mark.pain(20)
@each_server
async def test_long_poll(server: str, layer: InMemoryChannelLayer) -> None:
    """Requests on different connections find the same mailbox."""

    class News(AsyncLongPollConsumer):
        groups = ["news"]
        keep = 1000.0

        async def news_item(self, event: Event) -> None:
            await self.send_json(event["text"])

    async with served(server, News.as_asgi()) as port:
        first = await http(port)
        answer = json.loads((await first.fetch()).body)
        await layer.group_send("news", {"type": "news.item", "text": "one"})
        second = await http(port)
        query = f"client={answer['client']}&cursor={answer['cursor']}"
        response = await second.fetch(f"/?{query}")
        assert json.loads(response.body)["messages"] == ["one"]
        await layer.group_send("news", {"type": "websocket.close"})
        assert (await first.fetch(f"/?{query}")).status == 410
        first.close()
        second.close()
        await until(lambda: not layer.groups)


async def test_drain(layer: InMemoryChannelLayer) -> None:
    """A server that ends waits for no stream: it is ended, and a poll that waits is answered."""

    class Stream(AsyncEventStreamConsumer):
        groups = ["news"]

    class Poll(AsyncLongPollConsumer):
        keep = 1000.0

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        consumer = Stream() if scope["path"] == "/stream" else Poll()
        await consumer(scope, receive, send)

    config = Config(host="127.0.0.1", port=0, lifespan="off", graceful_timeout=DEADLINE)
    running = Running(Server(application, config))
    await running.start()
    stream, poll = await running.connect(), await running.connect()
    await stream.get("/stream")
    await stream.head()
    assert await chunk(stream) == b":\n\n"
    answer = json.loads((await poll.fetch("/poll")).body)
    await poll.get(f"/poll?client={answer['client']}")
    await until(lambda: len(running.context.tasks) == 2)
    running.stop()
    assert await stream.chunks() == b""
    assert (await poll.response()).status == 204
    await running.ended()
    await running.close()
    assert layer.groups == {}
    for client in list(polling._clients.values()):
        await client.close()
    await until(lambda: not polling._clients)


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_wrapped(concurrency: int, layer: InMemoryChannelLayer) -> None:
    """A middleware that wraps ``receive`` and ``send`` sees everything, and nothing is lost."""
    seen: list[str] = []

    class Echo(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            await self.send(text_data=text_data)

    Echo.concurrency = concurrency

    def middleware(inner: ASGIApplication) -> ASGIApplication:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            async def receiving() -> Event:
                event = await receive()
                seen.append(event["type"])
                return event

            async def sending(event: Event) -> None:
                seen.append(event["type"])
                await send(event)

            await inner(scope, receiving, sending)

        return app

    async with served("fairway", middleware(Echo.as_asgi())) as port:
        async with websocket(port) as client:
            await client.send("hi")
            assert await client.recv() == "hi"
        await until(lambda: seen[-1] == "websocket.disconnect")
    assert seen == [
        "websocket.connect",
        "websocket.accept",
        "websocket.receive",
        "websocket.send",
        "websocket.disconnect",
    ]
