"""AsyncHttpConsumer: a request answered piece by piece."""

from typing import Any

import pytest

from fairway._types import Event
from fairway.generic.http import AsyncHttpConsumer
from fairway.layers import InMemoryChannelLayer
from tests.consumers.connections import Connect

HTTP = {"type": "http", "asgi": {"version": "3.0"}, "path": "/", "method": "POST", "headers": []}


class Answer(AsyncHttpConsumer):
    def __init__(self) -> None:
        super().__init__()
        self.ends = 0

    async def handle(self, body: bytes) -> None:
        await self.send_response(201, b"got " + body, headers={b"X-A": b"1"})

    async def disconnect(self) -> None:
        self.ends += 1


async def test_response(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """The body is gathered, handle() is called once, and the consumer ends."""
    consumer = Answer()
    async with connect(consumer, HTTP, accepted=False) as client:
        client.put({"type": "http.request", "body": b"o", "more_body": True})
        client.put({"type": "http.request", "body": b"k"})
        assert await client.sent() == {
            "type": "http.response.start",
            "status": 201,
            "headers": [(b"X-A", b"1")],
        }
        assert await client.sent() == {
            "type": "http.response.body",
            "body": b"got ok",
            "more_body": False,
        }
        await client.task
    assert consumer.ends == 1
    assert layer.channels == {}


async def test_streaming(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """Headers and pieces of the body go out one by one."""

    class Stream(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            await self.send_headers(headers=[(b"content-type", b"text/plain")])
            await self.send_body(b"one", more_body=True)
            await self.send_body(b"two")

    async with connect(Stream(), HTTP, accepted=False) as client:
        client.put({"type": "http.request", "body": b""})
        events = [await client.sent() for _ in range(3)]
    assert events == [
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/plain")],
        },
        {"type": "http.response.body", "body": b"one", "more_body": True},
        {"type": "http.response.body", "body": b"two", "more_body": False},
    ]


async def test_client_goes_early(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A client that leaves before its request is complete ends the consumer."""
    consumer = Answer()
    async with connect(consumer, HTTP, accepted=False) as client:
        client.put({"type": "http.request", "body": b"half", "more_body": True})
        client.put({"type": "http.disconnect"})
        await client.task
        assert client.quiet
    assert consumer.ends == 1


async def test_handle_fails(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """disconnect() runs even if handle() raises."""

    class Failing(Answer):
        async def handle(self, body: bytes) -> None:
            raise RuntimeError("no answer")

    consumer = Failing()
    async with connect(consumer, HTTP, accepted=False) as client:
        client.put({"type": "http.request", "body": b""})
        with pytest.raises(RuntimeError, match="no answer"):
            await client.task
    assert consumer.ends == 1


async def test_on_error_goes_on(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """disconnect() runs once, also if on_error() answers for a handle() that failed."""

    class Failing(Answer):
        async def handle(self, body: bytes) -> None:
            raise RuntimeError("no answer")

        async def on_error(self, exception: Exception, event: Event) -> None:
            await self.send_response(500, b"sorry")

    consumer = Failing()
    async with connect(consumer, HTTP, accepted=False) as client:
        client.put({"type": "http.request", "body": b""})
        assert (await client.sent())["status"] == 500
        client.put({"type": "http.disconnect"})
        await client.task
    assert consumer.ends == 1


async def test_mistakes(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A missing handle() and a body that is text are named."""

    class Text(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            text: Any = "text"
            await self.send_body(text)

    for cls, error, text in (
        (
            AsyncHttpConsumer,
            NotImplementedError,
            "Subclasses of AsyncHttpConsumer must provide a handle() method.",
        ),
        (Text, AssertionError, "Body is not bytes"),
    ):
        async with connect(cls(), HTTP, accepted=False) as client:
            client.put({"type": "http.request", "body": b""})
            with pytest.raises(error) as caught:
                await client.task
            assert text in str(caught.value)
