"""AsyncHttpConsumer: a request answered piece by piece."""

import asyncio
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


@pytest.mark.row("1.3 __init__", "1.3 send_response", "1.3 http_request", "1.3 disconnect")
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


@pytest.mark.row("1.3 send_headers", "1.3 send_body")
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


@pytest.mark.row("1.3 http_disconnect")
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


@pytest.mark.row("1.3 handle")
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


class Poll(AsyncHttpConsumer):
    """Begins its response and leaves the rest to a group message."""

    groups = ["room"]

    def __init__(self) -> None:
        super().__init__()
        self.log: list[str] = []

    async def handle(self, body: bytes) -> None:
        await self.send_headers(headers=[(b"content-type", b"text/plain")])
        await self.send_body(b"", more_body=True)

    async def chat_message(self, event: Event) -> None:
        self.log.append("message")
        await self.send_body(event["text"].encode())
        self.log.append("sent")

    async def disconnect(self) -> None:
        self.log.append(f"disconnect {sorted(self.channel_layer.groups)}")


REQUEST = {"type": "http.request", "body": b""}


@pytest.mark.pain(20)
async def test_completed_by_a_message(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """What handle() left open is completed by the handler of a group message, which ends it."""
    consumer = Poll()
    async with connect(consumer, HTTP, accepted=False) as client:
        client.put(REQUEST)
        assert (await client.sent())["status"] == 200
        assert (await client.sent())["more_body"] is True
        await client.settle()
        assert not client.task.done()
        await layer.group_send("room", {"type": "chat.message", "text": "news"})
        assert await client.sent() == {
            "type": "http.response.body",
            "body": b"news",
            "more_body": False,
        }
        await client.task
    assert consumer.log == ["message", "sent", "disconnect []"]
    assert (layer.groups, layer.channels) == ({}, {})


@pytest.mark.pain(20)
async def test_messages_beside_handle(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """Layer messages are handled while handle() runs, one at a time."""

    class Waiting(Poll):
        async def handle(self, body: bytes) -> None:
            self.news: asyncio.Queue[str] = asyncio.Queue()
            await self.send_headers()
            await self.send_response_of(await self.news.get() + await self.news.get())

        async def send_response_of(self, text: str) -> None:
            await self.send_body(text.encode())

        async def chat_message(self, event: Event) -> None:
            await asyncio.sleep(0)
            self.news.put_nowait(event["text"])

    async with connect(Waiting(), HTTP, accepted=False) as client:
        client.put(REQUEST)
        await client.sent()
        for text in "ab":
            await layer.group_send("room", {"type": "chat.message", "text": text})
        assert (await client.sent())["body"] == b"ab"
        await client.task


@pytest.mark.pain(20)
@pytest.mark.parametrize("started", [False, True])
async def test_client_leaves(connect: Connect, layer: InMemoryChannelLayer, started: bool) -> None:
    """A client that leaves interrupts handle(), whose finally comes before disconnect()."""

    class Endless(Poll):
        async def handle(self, body: bytes) -> None:
            if started:
                await self.send_headers()
            try:
                await asyncio.Event().wait()
            finally:
                self.log.append("finally")

    consumer = Endless()
    before = asyncio.all_tasks()
    async with connect(consumer, HTTP, accepted=False) as client:
        client.put(REQUEST)
        await client.settle()
        client.put({"type": "http.disconnect"})
        await client.task
    assert consumer.log == ["finally", "disconnect []"]
    assert asyncio.all_tasks() == before


async def test_client_leaves_after_handle(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """Also where nothing runs any more."""
    consumer = Poll()
    async with connect(consumer, HTTP, accepted=False) as client:
        client.put(REQUEST)
        await client.settle()
        client.put({"type": "http.disconnect"})
        await client.task
    assert consumer.log == ["disconnect []"]


async def test_grace(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A class may let its handle() finish although nobody reads the answer."""

    class Patient(Poll):
        disconnect_grace = 1000.0

        async def handle(self, body: bytes) -> None:
            self.leave = asyncio.Event()
            await self.leave.wait()
            self.log.append("finished")

    consumer = Patient()
    async with connect(consumer, HTTP, accepted=False) as client:
        client.put(REQUEST)
        await client.settle()
        client.put({"type": "http.disconnect"})
        await client.settle()
        assert consumer.log == []
        consumer.leave.set()
        await client.task
    assert consumer.log == ["finished", "disconnect []"]


async def test_work_after_the_response(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A complete response is answered with http.disconnect, which interrupts nothing."""
    leave = asyncio.Event()

    class Working(Poll):
        async def handle(self, body: bytes) -> None:
            await self.send_response(200, b"ok")
            await leave.wait()
            self.log.append("finished")

    consumer = Working()
    async with connect(consumer, HTTP, accepted=False) as client:
        client.put(REQUEST)
        await client.sent()
        await client.sent()
        client.put({"type": "http.disconnect"})
        await client.settle()
        assert not client.task.done()
        leave.set()
        await client.task
    assert consumer.log == ["finished", "disconnect []"]


async def test_no_response(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A handle() that has begun no response ends the consumer: the server says what is missing."""

    class Silent(Poll):
        async def handle(self, body: bytes) -> None:
            """Forget to answer."""

    consumer = Silent()
    async with connect(consumer, HTTP, accepted=False) as client:
        client.put(REQUEST)
        await client.task
        assert client.quiet
    assert consumer.log == ["disconnect []"]


async def test_response_timeout(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A response that nobody completes is ended when its time is over."""

    class Short(Poll):
        response_timeout = 0.01

    consumer = Short()
    async with connect(consumer, HTTP, accepted=False) as client:
        client.put(REQUEST)
        events = [await client.sent() for _ in range(3)]
        assert events[2] == {"type": "http.response.body", "body": b"", "more_body": False}
        await client.task
    assert consumer.log[-1].startswith("disconnect")


async def test_completed_before_the_timeout(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A response that is completed in time has no second end."""

    class Long(Poll):
        response_timeout = 1000.0

    async with connect(Long(), HTTP, accepted=False) as client:
        client.put(REQUEST)
        await client.sent()
        await client.sent()
        await layer.group_send("room", {"type": "chat.message", "text": "news"})
        assert (await client.sent())["body"] == b"news"
        await client.task
        assert client.quiet


async def test_cancelled(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """disconnect() runs also if the server ends."""

    class Endless(Poll):
        async def handle(self, body: bytes) -> None:
            await asyncio.Event().wait()

    consumer = Endless()
    async with connect(consumer, HTTP, accepted=False) as client:
        client.put(REQUEST)
        await client.settle()
        client.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await client.task
    assert consumer.log == ["disconnect []"]


async def test_message_fails(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A handler that raises ends the request, after its disconnect()."""

    class Failing(Poll):
        async def chat_message(self, event: Event) -> None:
            raise RuntimeError("mine")

    consumer = Failing()
    async with connect(consumer, HTTP, accepted=False) as client:
        client.put(REQUEST)
        await client.settle()
        await layer.group_send("room", {"type": "chat.message", "text": "news"})
        with pytest.raises(RuntimeError, match="mine"):
            await client.task
    assert consumer.log == ["disconnect []"]


async def test_concurrency(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """Beside handle(), as many messages are handled at a time as the class says."""
    barrier = asyncio.Barrier(3)

    class Meeting(Poll):
        concurrency = 2

        async def handle(self, body: bytes) -> None:
            await barrier.wait()
            await self.send_response(200, b"met")

        async def chat_message(self, event: Event) -> None:
            await barrier.wait()

    async with connect(Meeting(), HTTP, accepted=False) as client:
        client.put(REQUEST)
        await client.settle()
        for _ in range(2):
            await layer.group_send("room", {"type": "chat.message"})
        assert (await client.sent())["status"] == 200
