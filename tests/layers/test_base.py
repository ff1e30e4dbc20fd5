"""ChannelLayer: Channels' contract over hub, codec and bus."""

import asyncio
import concurrent.futures
from typing import Any

import pytest

from fairway._types import Event
from fairway.delivery import ChannelQueue, Hub, Mailbox, Overflow
from fairway.exceptions import ChannelFull, MessageNotSerializable
from fairway.layers import InMemoryChannelLayer
from fairway.layers.base import ChannelLayer, Reached
from fairway.layers.bus import Bus, Published
from fairway.layers.codec import decode
from fairway.layers.envelope import Kind


class RecordingBus(Bus):
    """A bus with nobody at the other end, which remembers what it was asked to do."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.published: list[tuple[str, Event]] = []
        self.queue = ChannelQueue("all", 1, 60, lambda: 0.0)

    async def publish(self, topic: str, payload: bytes) -> Published:
        assert payload[0] == Kind.GROUP
        self.published.append((topic, decode(payload[1:])))
        return Published(0)

    def tell(self, topic: str, payload: bytes) -> None:
        self.calls.append(("tell", topic))

    def subscribe(self, topic: str) -> None:
        if not topic.startswith("!"):  # the process's own, see test_remote.py
            self.calls.append(("subscribe", topic))

    def unsubscribe(self, topic: str) -> None:
        if not topic.startswith("!"):
            self.calls.append(("unsubscribe", topic))

    async def push(
        self, queue: str, payload: bytes, *, capacity: int, expiry: float, delay: float = 0.0
    ) -> bool:
        self.calls.append(("push", queue, str(capacity), str(expiry)))
        return self.queue.put_message(payload)

    async def pop(self, queue: str, limit: int) -> list[bytes]:
        self.calls.append(("pop", queue))
        return await self.queue.get(limit)

    async def flush(self) -> None:
        self.calls.append(("flush",))

    async def close(self) -> None:
        self.calls.append(("close",))


@pytest.fixture
def bus() -> RecordingBus:
    return RecordingBus()


@pytest.fixture
def layer(bus: RecordingBus) -> ChannelLayer:
    return ChannelLayer(bus, Hub(), expiry=30, capacity=5)


def bind(layer: ChannelLayer, **options: object) -> tuple[str, Mailbox]:
    mailbox = Mailbox(asyncio.get_running_loop(), **options)  # type: ignore[arg-type]  # passed on
    return layer.bind(mailbox), mailbox


class TestChannels:
    async def test_bound_mailbox(self, layer: ChannelLayer, bus: RecordingBus) -> None:
        """A message to a connection's channel lies in its mailbox, and the bus is not asked."""
        name, mailbox = bind(layer)
        assert layer.require_valid_channel_name(name)
        await layer.send(name, {"type": "chat.message", "text": "hi"})
        item = mailbox.take()
        assert isinstance(item, bytes)
        assert decode(item) == {"type": "chat.message", "text": "hi"}
        assert bus.calls == []

    async def test_names_are_unique(self, layer: ChannelLayer) -> None:
        """No two connections have the same name, and each belongs to its process."""
        first, second = bind(layer)[0], bind(layer)[0]
        assert first != second
        assert layer.non_local_name(first) == layer.non_local_name(second)

    async def test_new_channels_that_nobody_uses(self, bus: RecordingBus) -> None:
        """A process that only ever makes channels forgets them by and by."""
        now = [0.0]
        layer = ChannelLayer(bus, Hub(), expiry=30, clock=lambda: now[0])
        for _ in range(100):
            await layer.new_channel()
            now[0] += 3
        assert layer.stats()["channels"] == 2

    async def test_named_channel(self, layer: ChannelLayer, bus: RecordingBus) -> None:
        """A named channel is a queue of the bus."""
        await layer.send("jobs", {"type": "work"})
        assert await layer.receive("jobs") == {"type": "work"}
        assert bus.calls == [("push", "jobs", "5", "30"), ("pop", "jobs")]

    async def test_what_the_bus_cannot_do(self, layer: ChannelLayer) -> None:
        """What a bus does not declare is refused, and it is not asked for it."""
        with pytest.raises(ValueError, match=r"^ChannelLayer cannot delay messages\.$"):
            await layer.send("jobs", {"type": "work"}, delay=1)
        with pytest.raises(RuntimeError, match=r"^ChannelLayer cannot lease messages of jobs"):
            await layer.receive_job("jobs", lease=1)
        with pytest.raises(RuntimeError, match=r"^ChannelLayer cannot tell what waits in jobs"):
            await layer.waiting("jobs")

    async def test_full_queue(self, layer: ChannelLayer) -> None:
        """A full queue raises ChannelFull with its name."""
        await layer.send("jobs", {"type": "work"})
        with pytest.raises(ChannelFull) as caught:
            await layer.send("jobs", {"type": "work"})
        assert caught.value.args == ("jobs",)

    async def test_full_mailbox(self, layer: ChannelLayer) -> None:
        """A connection over its budget raises ChannelFull too."""
        name, _ = bind(layer, max_messages=1, overflow=Overflow.DROP_NEWEST)
        await layer.send(name, {"type": "x"})
        with pytest.raises(ChannelFull):
            await layer.send(name, {"type": "x"})

    async def test_receive_from_a_consumers_channel(self, layer: ChannelLayer) -> None:
        """A consumer's channel has one reader, the consumer."""
        name, _ = bind(layer)
        with pytest.raises(RuntimeError, match="belongs to a consumer of this process"):
            await layer.receive(name)

    @pytest.mark.parametrize("message", [None, "text", [("type", "x")]])
    async def test_only_dictionaries(self, layer: ChannelLayer, message: Event) -> None:
        """A message is a dictionary."""
        with pytest.raises(AssertionError, match="is not a dict"):
            await layer.send("jobs", message)
        with pytest.raises(AssertionError, match="is not a dict"):
            await layer.group_send("room", message)

    @pytest.mark.row("4 reserved key")
    async def test_reserved_key(self, layer: ChannelLayer) -> None:
        """The specification reserves __asgi_channel__."""
        with pytest.raises(AssertionError):
            await layer.send("jobs", {"type": "x", "__asgi_channel__": "y"})

    async def test_values_that_cannot_cross(self, layer: ChannelLayer) -> None:
        """The sender is told, nobody receives anything."""
        name, mailbox = bind(layer)
        await layer.group_add("room", name)
        for sending in (
            layer.send(name, {"type": "x", "value": object()}),
            layer.group_send("room", {"type": "x", "value": object()}),
        ):
            with pytest.raises(MessageNotSerializable, match=r"\$\.value"):
                await sending
        assert mailbox.take() is None

    @pytest.mark.parametrize("prefix", ["p" * 90, "not valid"])
    async def test_invalid_prefix(self, layer: ChannelLayer, prefix: str) -> None:
        """A prefix that makes no valid name is refused at once, and not by every later call."""
        with pytest.raises(TypeError, match=r"^Channel name must be"):
            await layer.new_channel(prefix)
        with pytest.raises(TypeError, match=r"^Channel name must be"):
            layer.bind(Mailbox(asyncio.get_running_loop()), prefix)


class TestGroups:
    async def test_local_and_remote(self, layer: ChannelLayer, bus: RecordingBus) -> None:
        """A group message goes to the members here and, once, to the bus for those elsewhere."""
        members = [bind(layer) for _ in range(3)]
        for name, _ in members:
            await layer.group_add("room", name)
        await layer.group_send("room", {"type": "chat.message"})
        items = [mailbox.take() for _, mailbox in members]
        assert items[0] is items[1] is items[2]
        assert bus.published == [("room", {"type": "chat.message"})]

    async def test_interest(self, layer: ChannelLayer, bus: RecordingBus) -> None:
        """The first member here subscribes, the last one that leaves unsubscribes."""
        first, second = bind(layer)[0], bind(layer)[0]
        await layer.group_add("room", first)
        await layer.group_add("room", second)
        await layer.group_add("room", second)
        await layer.group_discard("room", first)
        await layer.group_discard("room", first)
        assert bus.calls == [("subscribe", "room")]
        await layer.unbind(second)
        assert bus.calls == [("subscribe", "room"), ("unsubscribe", "room")]

    async def test_unbound_channel(self, layer: ChannelLayer) -> None:
        """A connection that ended is in no group."""
        name, mailbox = bind(layer)
        await layer.group_add("room", name)
        await layer.unbind(name)
        await layer.group_send("room", {"type": "x"})
        assert mailbox.take() is None

    @pytest.mark.parametrize("verb", ["receive", "send", "group_send", "new_channel"])
    async def test_membership_that_ran_out(self, bus: RecordingBus, verb: str) -> None:
        """A group whose last member has not joined again for long is heard of no more."""
        now = [0.0]
        layer = ChannelLayer(bus, Hub(), expiry=30, group_expiry=40, clock=lambda: now[0])
        other = await layer.new_channel()
        await layer.group_add("room", await layer.new_channel())
        await layer.send(other, {"type": "x"})
        now[0] += 50
        match verb:
            case "receive":
                await layer.send(other, {"type": "y"})
                await layer.receive(other)
            case "send":
                now[0] += 60
                await layer.send(other, {"type": "y"})
            case "group_send":
                await layer.group_send("empty", {"type": "y"})
            case "new_channel":
                await layer.new_channel()
        assert bus.calls == [("subscribe", "room"), ("unsubscribe", "room")]

    async def test_joined_after_its_end(self, layer: ChannelLayer, bus: RecordingBus) -> None:
        """A task that a consumer left behind brings its channel into no group again."""
        name, _ = bind(layer)
        await layer.unbind(name)
        await layer.group_add("room", name)
        assert await layer.group_send("room", {"type": "x"}) == Reached(0, 0)
        await layer.group_discard("room", name)
        assert (layer.stats()["groups"], layer.stats()["channels"], bus.calls) == (0, 0, [])

    async def test_sent_after_its_end(self, layer: ChannelLayer) -> None:
        """What is sent to a connection that has ended is lost, and nothing of it is kept."""
        name, _ = bind(layer)
        await layer.unbind(name)
        for _ in range(6):  # one more than a queue holds
            await layer.send(name, {"type": "x"})
        assert layer.stats()["channels"] == 0

    async def test_invalid_names(self, layer: ChannelLayer) -> None:
        """Every verb checks its names."""
        for call in (
            layer.group_add("bad name", "a"),
            layer.group_add("room", "bad name"),
            layer.group_discard("bad name", "a"),
            layer.group_discard("room", "bad name"),
            layer.group_send("bad name", {"type": "x"}),
            layer.send("bad name", {"type": "x"}),
            layer.receive("bad name"),
        ):
            with pytest.raises(TypeError, match="must be a valid unicode string"):
                await call

    async def test_close(self, layer: ChannelLayer, bus: RecordingBus) -> None:
        """Closing forgets the groups and leaves the bus."""
        name, mailbox = bind(layer)
        await layer.group_add("room", name)
        await layer.close()
        await layer.group_send("room", {"type": "x"})
        assert mailbox.take() is None
        assert bus.calls[-1] == ("close",)


async def test_flush_ends_the_interest(layer: ChannelLayer, bus: RecordingBus) -> None:
    """Without members there is nothing to receive from other processes."""
    name, _ = bind(layer)
    await layer.group_add("room", name)
    await layer.flush()
    assert bus.calls == [("subscribe", "room"), ("unsubscribe", "room"), ("flush",)]


class TestHooks:
    """What presence is built on."""

    async def test_group_tell(self, layer: ChannelLayer, bus: RecordingBus) -> None:
        """It reaches the members of this process, and nobody else is told."""
        name, mailbox = bind(layer)
        assert layer.group_tell("news", {"type": "x"}) == layer.group_size("news") == 0
        await layer.group_add("news", name)
        assert layer.group_size("news") == 1
        assert layer.group_tell("news", {"type": "x", "n": 1}) == 1
        while (item := mailbox.take()) is None:
            await mailbox.park()
        assert isinstance(item, bytes)
        assert decode(item) == {"type": "x", "n": 1}
        assert bus.published == []

    async def test_reads(self, layer: ChannelLayer) -> None:
        """It knows which channels are of this process, and which of those have ended."""
        name, _ = bind(layer)
        assert layer.reads(name)
        await layer.unbind(name)
        assert not layer.reads(name)
        for foreign in ("thumbnails", "specific.0123456789abcdef!x"):
            with pytest.raises(ValueError, match=f"^Channel {foreign} is not of this process.$"):
                layer.reads(foreign)

    async def test_on_unbind_and_on_close(self, layer: ChannelLayer, bus: RecordingBus) -> None:
        """Who wants to hears of each channel that ends, and of the end of all, before it."""
        ended: list[str] = []

        async def closing() -> None:
            ended.append(f"closing after {bus.calls}")

        layer.on_unbind.append(ended.append)
        layer.on_close.append(closing)
        name, _ = bind(layer)
        await layer.unbind(name)
        await layer.close()
        assert ended == [name, "closing after []"]


async def test_joining_after_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody in a forked child waits for what its parent was still to be told."""
    layer = InMemoryChannelLayer()
    never: concurrent.futures.Future[None] = concurrent.futures.Future()
    channel = await layer.new_channel()
    monkeypatch.setattr(layer._bus, "subscribe", lambda topic: never)
    joining = asyncio.ensure_future(layer.group_add("room", channel))
    await asyncio.sleep(0)
    layer._hub.forget_parent()
    monkeypatch.setattr(layer._bus, "subscribe", lambda topic: None)
    async with asyncio.timeout(30):
        for _ in range(2):
            await layer.group_add("room", await layer.new_channel())
    joining.cancel()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"capacity": "1500"}, "capacity must be a number, not '1500' of type str."),
        ({"expiry": "60"}, "expiry must be a number, not '60' of type str."),
        ({"group_expiry": None}, "group_expiry must be a number, not None of type NoneType."),
        ({"capacity": True}, "capacity must be a number, not True of type bool."),
    ],
)
def test_numbers(options: dict[str, Any], text: str) -> None:
    """What came from the environment as text is refused at once, and not by the first message."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the whole text follows
        InMemoryChannelLayer(**options)
    assert str(caught.value) == text


def test_numbers_of_channels() -> None:
    """So are those for channels of their own."""
    with pytest.raises(
        ValueError, match=r"channel_capacity\[.*\] must be a number, not '5' of type"
    ):
        InMemoryChannelLayer(channel_capacity={"jobs*": "5"})  # type: ignore[dict-item]  # the mistake
