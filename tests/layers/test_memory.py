"""InMemoryChannelLayer: the contract of channel layers, sentence by sentence."""

import asyncio
import functools
import threading

import pytest
from asgiref.sync import async_to_sync

from fairway._types import Event
from fairway.delivery import ChannelQueue, Mailbox
from fairway.exceptions import ChannelFull
from fairway.layers import InMemoryChannelLayer
from tests.clock import Clock


@pytest.fixture
def layer(clock: Clock) -> InMemoryChannelLayer:
    return InMemoryChannelLayer(capacity=3, clock=clock)


def message(number: int) -> Event:
    return {"type": "test.message", "number": number}


async def received(layer: InMemoryChannelLayer, channel: str) -> list[Event]:
    """Everything that a reader of the channel gets without waiting."""
    found: list[Event] = []
    while True:
        reader = asyncio.ensure_future(layer.receive(channel))
        for _ in range(3):
            await asyncio.sleep(0)
        if not reader.done():
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            return found
        found.append(await reader)


class TestSendAndReceive:
    @pytest.mark.row("4 order")
    async def test_in_order(self, layer: InMemoryChannelLayer) -> None:
        """One reader gets what one sender sent, in order."""
        for number in range(3):
            await layer.send("jobs", message(number))
        assert await received(layer, "jobs") == [message(0), message(1), message(2)]

    async def test_before_or_after(self, layer: InMemoryChannelLayer) -> None:
        """The reader may come first."""
        reader = asyncio.ensure_future(layer.receive("jobs"))
        await asyncio.sleep(0)
        await layer.send("jobs", message(1))
        assert await reader == message(1)

    async def test_messages_are_copies(self, layer: InMemoryChannelLayer) -> None:
        """What the sender changes afterwards is not received."""
        original = {"type": "x", "list": [1]}
        await layer.send("jobs", original)
        original["list"] = []
        assert await layer.receive("jobs") == {"type": "x", "list": [1]}

    async def test_a_megabyte(self, layer: InMemoryChannelLayer) -> None:
        """Messages of a megabyte cross."""
        large = {"type": "x", "data": "x" * 2**20}
        await layer.send("jobs", large)
        assert await layer.receive("jobs") == large

    async def test_new_channel(self, layer: InMemoryChannelLayer) -> None:
        """A new channel has a valid, process-specific name that no other has."""
        names = [await layer.new_channel() for _ in range(100)]
        assert len(set(names)) == 100
        assert all(layer.require_valid_channel_name(name) for name in names)
        assert all(layer.non_local_name(name) == "specific.inmemory!" for name in names)
        await layer.send(names[0], message(1))
        assert await received(layer, names[0]) == [message(1)]
        assert await received(layer, names[1]) == []

    @pytest.mark.parametrize("prefix", ["mine", "mine."])
    async def test_prefix(self, layer: InMemoryChannelLayer, prefix: str) -> None:
        """A prefix may be given, with or without its period."""
        assert (await layer.new_channel(prefix)).startswith("mine.inmemory!")

    @pytest.mark.row("4 capacity")
    async def test_capacity(self, layer: InMemoryChannelLayer) -> None:
        """A channel holds its capacity, then its senders are told; others are not affected."""
        for number in range(3):
            await layer.send("jobs", message(number))
        with pytest.raises(ChannelFull):
            await layer.send("jobs", message(3))
        await layer.send("others", message(0))
        assert await received(layer, "jobs") == [message(0), message(1), message(2)]

    @pytest.mark.row("7 2")
    async def test_channel_capacity(self) -> None:
        """Capacities by pattern apply."""
        layer = InMemoryChannelLayer(channel_capacity={"small.*": 1})
        await layer.send("small.one", message(0))
        with pytest.raises(ChannelFull):
            await layer.send("small.one", message(1))
        await layer.send("other", message(0))
        await layer.send("other", message(1))


class TestExpiry:
    @pytest.mark.row("4 expiry")
    async def test_message(self, layer: InMemoryChannelLayer, clock: Clock) -> None:
        """A message that nobody took for sixty seconds is gone, the next one is not."""
        await layer.send("jobs", message(0))
        clock.now += 30
        await layer.send("jobs", message(1))
        clock.now += 30
        assert await received(layer, "jobs") == [message(1)]
        assert layer.stats()["expired"] == 1

    async def test_channel_leaves_its_groups(
        self, layer: InMemoryChannelLayer, clock: Clock
    ) -> None:
        """A channel whose message expired is read by nobody, and leaves its groups."""
        await layer.group_add("room", "reader")
        await layer.group_add("room", "sleeper")
        await layer.group_send("room", message(0))
        assert await received(layer, "reader") == [message(0)]
        clock.now += 60
        await layer.group_send("room", message(1))
        assert await received(layer, "reader") == [message(1)]
        assert await received(layer, "sleeper") == []
        assert {name: set(group) for name, group in layer.groups.items()} == {"room": {"reader"}}

    async def test_group_membership(self, clock: Clock) -> None:
        """A channel leaves a group group_expiry after it was last added."""
        layer = InMemoryChannelLayer(group_expiry=100, clock=clock)
        await layer.group_add("room", "one")
        await layer.group_add("room", "two")
        clock.now += 60
        await layer.group_add("room", "two")
        clock.now += 60
        await layer.group_send("room", message(0))
        assert await received(layer, "one") == []
        assert await received(layer, "two") == [message(0)]

    async def test_connections_stay(self, clock: Clock) -> None:
        """A connection's channel stays in its groups for as long as the connection lives."""
        layer = InMemoryChannelLayer(group_expiry=100, clock=clock)
        mailbox = Mailbox(asyncio.get_running_loop())
        await layer.group_add("room", layer.bind(mailbox))
        clock.now += 1_000_000
        await layer.group_send("room", message(0))
        assert mailbox.take() is not None

    async def test_nothing_is_left_behind(self, layer: InMemoryChannelLayer, clock: Clock) -> None:
        """Channels that nobody reads are forgotten, even where somebody only ever sends."""
        for number in range(100):
            await layer.send(f"nobody.{number}", message(0))
        clock.now += 1000
        await layer.send("somebody", message(0))
        assert set(layer.channels) == {"somebody"}
        await layer.receive("somebody")
        assert layer.channels == {}


class TestGroups:
    async def test_members_only(self, layer: InMemoryChannelLayer) -> None:
        """Everyone who is in the group at that moment gets the message, once."""
        for name in ("one", "two", "three"):
            await layer.group_add("room", name)
        await layer.group_add("room", "one")
        await layer.group_discard("room", "two")
        await layer.group_discard("room", "stranger")
        await layer.group_send("room", message(0))
        await layer.group_add("room", "two")
        assert await received(layer, "one") == [message(0)]
        assert await received(layer, "two") == []
        assert await received(layer, "three") == [message(0)]

    @pytest.mark.row("7 14")
    async def test_full_members(self, layer: InMemoryChannelLayer) -> None:
        """A full member never makes group_send raise, and costs the others nothing."""
        await layer.group_add("room", "full")
        await layer.group_add("room", "empty")
        for number in range(5):
            await layer.group_send("room", message(number))
            assert await received(layer, "empty") == [message(number)]
        assert await received(layer, "full") == [message(0), message(1), message(2)]

    async def test_groups_are_listed(self, layer: InMemoryChannelLayer) -> None:
        """Users' tests look at layer.groups: names, and an empty mapping at the end."""
        await layer.group_add("room", "one")
        assert "one" in layer.groups["room"]
        await layer.group_discard("room", "one")
        assert layer.groups == {}
        assert layer.channels == {}

    async def test_flush(self, layer: InMemoryChannelLayer) -> None:
        """Flushing forgets messages and memberships."""
        await layer.send("jobs", message(0))
        await layer.group_add("room", "one")
        await layer.flush()
        await layer.group_send("room", message(1))
        assert await received(layer, "jobs") == []
        assert await received(layer, "one") == []
        assert (layer.channels, layer.groups) == ({}, {})


class TestReaders:
    async def test_overtaken_reader(self, layer: InMemoryChannelLayer) -> None:
        """A reader whose message another one took waits for the next, and gets it."""
        waiting = asyncio.ensure_future(layer.receive("jobs"))
        await asyncio.sleep(0)
        await layer.send("jobs", message(1))
        assert await layer.receive("jobs") == message(1)
        await asyncio.sleep(0)
        await layer.send("jobs", message(2))
        assert await waiting == message(2)

    async def test_flush(self, layer: InMemoryChannelLayer) -> None:
        """Who waits for a message while the layer is flushed gets the next one."""
        waiting = asyncio.ensure_future(layer.receive("jobs"))
        await asyncio.sleep(0)
        await layer.flush()
        await layer.send("jobs", message(1))
        assert await waiting == message(1)
        assert layer.channels == {}


class TestThreadsAndLoops:
    def test_first_message_from_two_threads(self) -> None:
        """Threads that send to a new channel at once share one queue."""
        threads: list[threading.Thread] = []

        class Interrupted(InMemoryChannelLayer):
            def _new_queue(self, name: str) -> ChannelQueue:
                if not threads:  # another thread sends while this one makes the queue
                    threads.append(threading.Thread(target=send))
                    threads[0].start()
                    threads[0].join(0.1)
                return super()._new_queue(name)

        layer = Interrupted()
        send = functools.partial(async_to_sync(layer.send), "jobs", message(1))
        send()
        threads[0].join()
        queue = layer.channels["jobs"]
        assert isinstance(queue, ChannelQueue)
        assert queue.qsize() == 2
        assert not queue.empty()

    def test_from_sync_code(self, layer: InMemoryChannelLayer) -> None:
        """Each call may come from an event loop of its own."""
        async_to_sync(layer.send)("test_channel", {"type": "hello"})
        assert async_to_sync(layer.receive)("test_channel") == {"type": "hello"}

    async def test_from_many_threads(self) -> None:
        """Threads that send at once lose nothing, and each one's order is kept."""
        layer = InMemoryChannelLayer(capacity=1000)
        mailbox = Mailbox(asyncio.get_running_loop())
        await layer.group_add("room", layer.bind(mailbox))
        start = threading.Barrier(4)

        def send(sender: int) -> None:
            start.wait()
            for number in range(50):
                async_to_sync(layer.group_send)(
                    "room", {"type": "x", "sender": sender, "number": number}
                )

        await asyncio.gather(*(asyncio.to_thread(send, sender) for sender in range(4)))
        await asyncio.sleep(0)
        from fairway.layers.codec import decode

        found = []
        while (item := mailbox.take()) is not None:
            assert isinstance(item, bytes)
            found.append(decode(item))
        assert len(found) == 200
        for sender in range(4):
            numbers = [item["number"] for item in found if item["sender"] == sender]
            assert numbers == list(range(50))


@pytest.mark.row("1.4 InMemoryChannelLayer", "4 methods")
def test_what_it_offers() -> None:
    """The extensions of the specification, and its defaults."""
    layer = InMemoryChannelLayer()
    assert layer.extensions == ["groups", "flush"]
    assert (layer.expiry, layer.group_expiry, layer.capacity) == (60, 86400, 100)


def test_unknown_options() -> None:
    """An option that does not exist is an error."""
    with pytest.raises(TypeError, match="hosts"):
        InMemoryChannelLayer(hosts=[])  # type: ignore[call-arg]  # the mistake in question
