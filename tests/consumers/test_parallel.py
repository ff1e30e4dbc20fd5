"""Consumers that handle several events of one connection at the same time."""

import asyncio
from collections.abc import Hashable
from typing import Any

import pytest

from fairway._types import Event
from fairway.exceptions import StopConsumer
from fairway.generic.websocket import AsyncWebsocketConsumer
from fairway.layers import InMemoryChannelLayer
from tests.consumers.connections import Connect

#: Seconds after which a test has failed.
DEADLINE = 30.0


class Busy(AsyncWebsocketConsumer):
    """Holds each event until the test lets it go by its name."""

    groups = ["room"]
    concurrency = 3

    def __init__(self) -> None:
        super().__init__()
        self.log: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    async def hold(self, name: str) -> None:
        self.log.append(name)
        try:
            await self.gates.setdefault(name, asyncio.Event()).wait()
        except asyncio.CancelledError:
            self.log.append(f"{name} cancelled")
            raise
        if name.startswith("bad"):
            raise ValueError(name)
        self.log.append(f"{name}.")

    def let_go(self, name: str) -> None:
        self.gates.setdefault(name, asyncio.Event()).set()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.hold(text_data or "")

    async def chat_message(self, event: Event) -> None:
        await self.hold(event["name"])

    async def disconnect(self, code: int) -> None:
        self.log.append(f"disconnect {code} {sorted(self.channel_layer.groups)}")


class Ordered(Busy):
    """The same, in order by the first letter."""

    def lane(self, event: Event) -> Hashable:
        return str(event.get("text") or event["name"])[0]


@pytest.mark.pain(11)
async def test_at_the_same_time(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """Two slow frames and a group message meet: none waits for another."""
    barrier = asyncio.Barrier(3)

    class Meeting(AsyncWebsocketConsumer):
        groups = ["room"]
        concurrency = 3

        async def receive(self, *args: Any, **kwargs: Any) -> None:
            await self.meet()

        async def chat_message(self, event: Event) -> None:
            await self.meet()

        async def meet(self) -> None:
            await barrier.wait()
            await self.send(text_data="met")

    async with asyncio.timeout(DEADLINE), connect(Meeting()) as client:
        client.text("slow")
        client.text("slow")
        await layer.group_send("room", {"type": "chat.message"})
        assert [(await client.sent())["text"] for _ in range(3)] == ["met"] * 3


async def test_no_more_than_that(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """As many at a time as the class says; the rest stays in the mailbox, in order."""
    consumer = Busy()
    async with connect(consumer) as client:
        for name in "abcde":
            client.text(name)
        await client.settle()
        assert consumer.log == ["a", "b", "c"]
        consumer.let_go("b")
        await client.settle()
        assert consumer.log == ["a", "b", "c", "b.", "d"]


async def test_lanes(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """Events of one lane keep their order, wherever they come from; others do not wait for them."""
    consumer = Ordered()
    async with connect(consumer) as client:
        client.text("a1")
        await client.settle()
        await layer.group_send("room", {"type": "chat.message", "name": "a2"})
        await client.settle()
        for name in ("a3", "b1"):
            client.text(name)
        await client.settle()
        assert consumer.log == ["a1", "b1"]
        for name in ("a1", "a3", "a2"):
            consumer.let_go(name)
            await client.settle()
        assert consumer.log == ["a1", "b1", "a1.", "a2", "a2.", "a3", "a3."]


async def test_connect_comes_first(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """Nothing is handled before connect() has returned."""

    class Slow(Busy):
        async def connect(self) -> None:
            await self.hold("connect")
            await self.accept()

    consumer = Slow()
    async with connect(consumer, accepted=False) as client:
        client.put({"type": "websocket.connect"})
        client.text("a")
        await client.settle()
        assert consumer.log == ["connect"]
        consumer.let_go("connect")
        await client.settle()
        assert consumer.log == ["connect", "connect.", "a"]


async def test_disconnect_comes_last(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """It waits for what runs and what the client sent before, not for layer messages."""
    consumer = Ordered()
    async with connect(consumer) as client:
        client.text("a1")
        await client.settle()
        await layer.group_send("room", {"type": "chat.message", "name": "a2"})
        await client.settle()
        client.text("a3")
        await client.settle()
        client.disconnect(1001)
        await client.settle()
        assert consumer.log == ["a1"]
        consumer.let_go("a1")
        await client.settle()
        consumer.let_go("a3")
        await client.task
    assert consumer.log == ["a1", "a1.", "a3", "a3.", "disconnect 1001 []"]


async def test_disconnect_overtakes_what_is_next(
    connect: Connect, layer: InMemoryChannelLayer
) -> None:
    """Also where the consumer is too busy to take it, a layer message is not begun after it."""
    consumer = Ordered()
    async with connect(consumer) as client:
        for name in ("a1", "b1", "c1"):
            client.text(name)
            await client.settle()
            await layer.group_send("room", {"type": "chat.message", "name": f"{name[0]}2"})
            await client.settle()
        client.disconnect(1001)
        for name in ("a1", "b1", "c1"):
            consumer.let_go(name)
            await client.settle()
        await client.task
    assert [entry for entry in consumer.log if entry.endswith("2")] == []
    assert consumer.log[-1] == "disconnect 1001 []"


@pytest.mark.pain(10)
async def test_error(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """An exception ends the connection: the other handlers are cancelled, disconnect() is last."""
    before = asyncio.all_tasks()
    consumer = Ordered()
    async with connect(consumer) as client:
        client.text("a1")
        client.text("bad")
        client.text("a2")
        await client.settle()
        consumer.let_go("bad")
        with pytest.raises(ValueError, match="bad"):
            await client.task
    assert consumer.log == ["a1", "bad", "a1 cancelled", "disconnect 1011 []"]
    assert asyncio.all_tasks() == before


async def test_on_error(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """on_error() decides, as ever; the others go on."""

    class Polite(Busy):
        async def on_error(self, exception: Exception, event: Event) -> None:
            await self.send(text_data=f"sorry: {exception} ({event['type']})")

    consumer = Polite()
    async with connect(consumer) as client:
        client.text("a1")
        await client.settle()
        await layer.group_send("room", {"type": "chat.message", "name": "bad"})
        await client.settle()
        consumer.let_go("bad")
        assert (await client.sent())["text"] == "sorry: bad (chat.message)"
        consumer.let_go("a1")
        await client.settle()
        assert consumer.log == ["a1", "bad", "a1."]


async def test_stop(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A handler that stops the consumer ends it normally."""

    class Stopping(Busy):
        async def hold(self, name: str) -> None:
            if name == "stop":
                raise StopConsumer
            await super().hold(name)

    consumer = Stopping()
    async with connect(consumer) as client:
        client.text("a1")
        client.text("stop")
        await client.task
    assert consumer.log == ["a1", "a1 cancelled", "disconnect 1000 []"]


async def test_lane_fails(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A lane() that raises is an error like a handler's."""
    consumer = Ordered()
    async with connect(consumer) as client:
        client.put({"type": "websocket.receive", "bytes": b""})
        with pytest.raises(KeyError, match="name"):
            await client.task
    assert consumer.log == ["disconnect 1011 []"]


async def test_rights(
    connect: Connect, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """A layer message has no more rights for coming together with the client's own events."""

    class Slow(Busy):
        async def dispatch(self, message: Event) -> None:
            for _ in range(3):
                await asyncio.sleep(0)
            await super().dispatch(dict(message))

    consumer = Slow()
    async with connect(consumer) as client:
        for _ in range(3):
            client.put({"type": "websocket.receive", "text": "a1"})
            await layer.group_send("room", {"type": "websocket.disconnect"})
            await layer.group_send("room", {"type": "accept"})
        consumer.let_go("a1")
        for _ in range(5):
            await client.settle()
        assert consumer.log.count("a1.") == 3
        client.disconnect(1001)
        await client.task
    assert consumer.log[-1] == "disconnect 1001 []"
    ignored = (
        f"{Slow.__module__}.{Slow.__qualname__} ignores a channel layer message: "
        "No handler for message type {} ({}() is not for messages of channel layers)"
    )
    assert {record.getMessage() for record in caplog.records} == {
        ignored.format("accept", "accept"),
        ignored.format("websocket.disconnect", "websocket_disconnect"),
    }


@pytest.mark.pain(3)
async def test_hanging(
    connect: Connect, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """After the grace time all that still runs is cancelled, and the log shows where each hung."""

    class Hanging(Ordered):
        disconnect_grace = 0.01

    consumer = Hanging()
    before = asyncio.all_tasks()
    async with asyncio.timeout(DEADLINE), connect(consumer) as client:
        for name in ("a1", "a2", "b1", "c1", "d1"):
            client.text(name)
        await client.settle()
        client.disconnect(1001)
        await client.task
    assert consumer.log[-1] == "disconnect 1001 []"
    assert sorted(consumer.log[:-1]) == [
        "a1", "a1 cancelled", "b1", "b1 cancelled", "c1", "c1 cancelled",
    ]  # fmt: skip
    assert asyncio.all_tasks() == before
    text = caplog.records[-1].getMessage()
    name = "tests.consumers.test_parallel.test_hanging.<locals>.Hanging"
    assert text.startswith(
        f"{name} went on for more than 0.01 s after its client had gone; it was interrupted. "
        "It was waiting here:\n"
    )
    assert (
        f"\n{name} was handling 3 at the same time; 1 events of its client and 0 layer messages "
        "were waiting, and 1 for their lane.\n'websocket.receive' was here:\n"
    ) in text
    assert text.count("\n    await self.gates.setdefault(name, asyncio.Event()).wait()\n") == 3


async def test_cancelled_by_the_server(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """The server's own cancellation reaches every handler, and disconnect() runs."""
    consumer = Busy()
    async with connect(consumer) as client:
        client.text("a1")
        client.text("b1")
        await client.settle()
        client.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await client.task
    assert consumer.log == ["a1", "b1", "a1 cancelled", "b1 cancelled", "disconnect 1011 []"]


async def test_in_a_worker(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A worker has an instance for each job at work; one instance handles one after the other."""

    class Job(Busy):
        groups = []

        async def job_begin(self, event: Event) -> None:
            await self.hold(event["name"])

    consumer = Job()
    async with connect(consumer, {"type": "channel", "channel": "jobs"}, accepted=False) as client:
        for name in "ab":
            client.put({"type": "job.begin", "name": name})
        await client.settle()
        assert consumer.log == ["a"]
        consumer.let_go("a")
        await client.settle()
        assert consumer.log == ["a", "a.", "b"]
