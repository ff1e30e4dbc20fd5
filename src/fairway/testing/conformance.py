"""The contract of channel layers as tests, for any layer, whoever wrote it.

Subclass :class:`ProcessesConformance` in a test module of pytest (with pytest-asyncio), or
:class:`ChannelLayerConformance` if no other process reaches the layer, and define the fixture
``layer``::

    class TestMyLayer(ProcessesConformance):
        peer = "tests.layers:make_layer"

        @pytest.fixture
        async def layer(self):
            layer = make_layer(capacity=5, expiry=60, group_expiry=600)
            yield layer
            await layer.flush()
            await layer.close()

Each test is one sentence of Channels' specification, or of what Fairway promises beyond it.
"""

import asyncio
import contextlib
import datetime
import decimal
import functools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, ClassVar, Final, TypeVar

import pytest

from fairway._types import Event
from fairway.exceptions import ChannelFull
from fairway.layers import BaseChannelLayer, ChannelLayer
from fairway.testing.peer import Peer

__all__ = ["ChannelLayerConformance", "ProcessesConformance"]

T = TypeVar("T")

#: Seconds in which anything arrives, however busy the machine is.
PATIENCE: Final = 60.0

#: What crosses every layer, and comes back as it was.
PLAIN: Final[Event] = {
    "type": "test.message",
    "text": "héllo ✓ \0",
    "bytes": b"\x00\xff",
    "integers": [0, -1, 2**63 - 1, -(2**63)],
    "float": 1.5,
    "flags": [True, False, None],
    "nested": {"list": [{"deep": {"": []}}]},
}
#: What crosses the layers of this package besides.
RICH: Final[Event] = {
    "type": "test.message",
    "datetime": datetime.datetime(2026, 2, 28, 12, 30, 1, 5, datetime.UTC),
    "date": datetime.date(2026, 2, 28),
    "time": datetime.time(12, 30, 1, 5),
    "timedelta": datetime.timedelta(days=-1, microseconds=1),
    "uuid": uuid.UUID(int=2**127),
    "decimal": decimal.Decimal("1.10"),
    "set": {1, 2},
    "keys": {1: "one"},
}


def message(number: int = 0) -> Event:
    """A message that can be told from others."""
    return {"type": "test.message", "number": number}


async def within(awaitable: Awaitable[T]) -> T:
    """The result, which comes in good time."""
    return await asyncio.wait_for(awaitable, PATIENCE)


class ChannelLayerConformance:
    """The tests; see the module.

    Attributes:
        capacity: How many messages a channel of the layer holds, at most 20.
    """

    capacity: ClassVar[int] = 5

    # ------------------------------------------------------------------ what to define

    @pytest.fixture
    async def layer(self) -> BaseChannelLayer:
        """A new layer with ``expiry=60``, ``group_expiry=600`` and :attr:`capacity`."""
        raise NotImplementedError("Define the fixture 'layer'.")

    @pytest.fixture
    def elapse(self) -> Callable[[float], None]:
        """Lets seconds pass for the layer; define it if its clock can be told to."""
        pytest.skip("This layer's time cannot be made to pass.")

    # ------------------------------------------------------------------ names

    @pytest.mark.parametrize(
        "name", ["a", "A-b_c.9", "x" * 99, "specific.abc!", "chat.abc!d-e_f.9"]
    )
    async def test_valid_names(self, layer: BaseChannelLayer, name: str) -> None:
        """ASCII letters and digits, hyphens, underscores, periods, and one ``!`` in channels."""
        assert layer.require_valid_channel_name(name)
        if "!" not in name:
            assert layer.require_valid_group_name(name)

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "a b",
            "a/b",
            "ä",
            "a!b!c",
            "!a",
            "x" * 101,
            "room\n",
            "r\u043e\u043em",
            None,
            7,
            b"a",
        ],
    )
    async def test_invalid_names(self, layer: BaseChannelLayer, name: Any) -> None:
        """Everything else is a TypeError, wherever it is used."""
        with pytest.raises(TypeError):
            await layer.send(name, message())
        with pytest.raises(TypeError):
            await layer.group_add(name, "channel")
        with pytest.raises(TypeError):
            await layer.group_add("group", name)
        with pytest.raises(TypeError):
            await layer.group_send(name, message())

    async def test_group_names_have_no_mark(self, layer: BaseChannelLayer) -> None:
        """A ``!`` belongs to channels."""
        with pytest.raises(TypeError):
            await layer.group_send("a!b", message())

    # ------------------------------------------------------------------ messages

    async def test_messages_come_back_as_they_were(self, layer: BaseChannelLayer) -> None:
        """Text, bytes, numbers, booleans, None, lists and dictionaries cross a layer."""
        await layer.send("channel", PLAIN)
        assert await within(layer.receive("channel")) == PLAIN

    async def test_values_of_django_projects(self, layer: BaseChannelLayer) -> None:
        """Dates, times, UUIDs, decimals and sets do, too."""
        if not isinstance(layer, ChannelLayer):
            pytest.skip("The specification does not ask for it.")
        await layer.send("channel", RICH)
        assert await within(layer.receive("channel")) == RICH

    async def test_a_megabyte(self, layer: BaseChannelLayer) -> None:
        """Messages of a megabyte cross a layer."""
        large = {"type": "test.message", "text": "x" * 1_000_000}
        await layer.send("channel", large)
        assert await within(layer.receive("channel")) == large

    async def test_messages_are_copies(self, layer: BaseChannelLayer) -> None:
        """Who sends or receives may change what it has."""
        sent = {"type": "test.message", "list": [1]}
        await layer.group_add("group", "one")
        await layer.group_add("group", "two")
        await layer.group_send("group", sent)
        sent["list"] = [2]
        first = await within(layer.receive("one"))
        assert first == {"type": "test.message", "list": [1]}
        first["list"].append(3)
        assert await within(layer.receive("two")) == {"type": "test.message", "list": [1]}

    @pytest.mark.parametrize("wrong", [None, "text", ["type"], 7])
    async def test_only_dictionaries(self, layer: BaseChannelLayer, wrong: Any) -> None:
        """A message is a dictionary."""
        with pytest.raises((AssertionError, TypeError)):
            await layer.send("channel", wrong)
        with pytest.raises((AssertionError, TypeError)):
            await layer.group_send("group", wrong)

    async def test_reserved_key(self, layer: BaseChannelLayer) -> None:
        """``__asgi_channel__`` belongs to layers."""
        with pytest.raises(AssertionError):
            await layer.send("channel", {**message(), "__asgi_channel__": "x"})

    # ------------------------------------------------------------------ channels

    async def test_first_in_first_out(self, layer: BaseChannelLayer) -> None:
        """A channel's messages come in the order in which they were sent."""
        for number in range(self.capacity):
            await layer.send("channel", message(number))
        found = [await within(layer.receive("channel")) for _ in range(self.capacity)]
        assert found == [message(number) for number in range(self.capacity)]

    async def test_waiting_reader(self, layer: BaseChannelLayer) -> None:
        """Who waits gets what is sent later."""
        waiting = asyncio.ensure_future(layer.receive("channel"))
        await asyncio.sleep(0)
        await layer.send("channel", message())
        assert await within(waiting) == message()

    async def test_each_message_has_one_reader(self, layer: BaseChannelLayer) -> None:
        """Of several readers one gets each message."""
        readers = [asyncio.ensure_future(layer.receive("channel")) for _ in range(3)]
        for number in range(3):
            await layer.send("channel", message(number))
        found = await within(asyncio.gather(*readers))
        assert sorted(m["number"] for m in found) == [0, 1, 2]

    async def test_cancelled_reader(self, layer: BaseChannelLayer) -> None:
        """A reader that is cancelled loses nothing, whenever that is."""
        for number in range(self.capacity):
            reader = asyncio.ensure_future(layer.receive("channel"))
            for _ in range(number):
                await asyncio.sleep(0)
            await layer.send("channel", message(number))
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                assert await reader == message(number)
                continue
            assert await within(layer.receive("channel")) == message(number)

    async def test_many_at_once(self, layer: BaseChannelLayer) -> None:
        """Whoever wants several gets what is there, in order, and waits for the first only."""
        ours = _ours(layer)
        for number in range(3):
            await ours.send("channel", message(number))
        assert await within(ours.receive_many("channel", 2)) == [message(0), message(1)]
        assert await within(ours.receive_many("channel", 2)) == [message(2)]
        waiting = asyncio.ensure_future(ours.receive_many("channel", 2))
        await asyncio.sleep(0)
        await ours.send("channel", message(3))
        assert await within(waiting) == [message(3)]
        with pytest.raises(ValueError, match=r"^limit is how many messages to take at most, not 0"):
            await ours.receive_many("channel", 0)
        await ours.send("channel", message(4))
        assert await within(ours.receive_many("channel", 10**9)) == [message(4)]

    async def test_cancelled_reader_of_many(self, layer: BaseChannelLayer) -> None:
        """Whenever such a reader is cancelled, its messages stay in their order."""
        ours = _ours(layer)
        for turns in range(8):
            for number in range(3):
                await ours.send("channel", message(number))
            reader = asyncio.ensure_future(ours.receive_many("channel", 3))
            for _ in range(turns):
                await asyncio.sleep(0)
            reader.cancel()
            found: list[Event] = []
            with contextlib.suppress(asyncio.CancelledError):
                found += await reader
            while len(found) < 3:
                found += await within(ours.receive_many("channel", 3))
            assert found == [message(number) for number in range(3)]

    async def test_channels_are_apart(self, layer: BaseChannelLayer) -> None:
        """A message is its channel's alone."""
        await layer.send("one", message(1))
        await layer.send("two", message(2))
        assert await within(layer.receive("two")) == message(2)
        assert await within(layer.receive("one")) == message(1)

    async def test_new_channel(self, layer: BaseChannelLayer) -> None:
        """New channels are unique, valid, and receive what is sent to them."""
        names = [await layer.new_channel() for _ in range(3)]
        assert len(set(names)) == 3
        for number, name in enumerate(names):
            assert layer.require_valid_channel_name(name)
            await layer.send(name, message(number))
        for number, name in enumerate(names):
            assert await within(layer.receive(name)) == message(number)

    async def test_capacity(self, layer: BaseChannelLayer) -> None:
        """A channel that holds as many messages as it may refuses the next, and takes it later."""
        for number in range(self.capacity):
            await layer.send("channel", message(number))
        with pytest.raises(ChannelFull):
            await layer.send("channel", message())
        await layer.send("other", message())
        await within(layer.receive("channel"))
        await layer.send("channel", message())

    async def test_expiry(self, layer: BaseChannelLayer, elapse: Callable[[float], None]) -> None:
        """A message that nobody took in time is dropped."""
        await layer.send("channel", message(1))
        elapse(61)
        await layer.send("channel", message(2))
        assert await within(layer.receive("channel")) == message(2)

    # ------------------------------------------------------------------ groups

    async def test_group(self, layer: BaseChannelLayer) -> None:
        """Every channel of a group gets its messages, those of no other group."""
        names = [await layer.new_channel() for _ in range(3)]
        for name in names[:2]:
            await layer.group_add("group", name)
        await layer.group_add("other", names[2])
        await layer.group_send("group", message(1))
        await layer.group_send("other", message(2))
        found = [await within(layer.receive(name)) for name in names]
        assert found == [message(1), message(1), message(2)]

    async def test_joined_twice(self, layer: BaseChannelLayer) -> None:
        """Again is the same as once."""
        name = await layer.new_channel()
        for _ in range(2):
            await layer.group_add("group", name)
        await layer.group_send("group", message(1))
        await layer.group_send("group", message(2))
        found = [await within(layer.receive(name)) for _ in range(2)]
        assert found == [message(1), message(2)]

    async def test_left(self, layer: BaseChannelLayer) -> None:
        """Who has left gets no more; leaving twice, or what one never joined, is no error."""
        name = await layer.new_channel()
        await layer.group_add("group", name)
        for _ in range(2):
            await layer.group_discard("group", name)
        await layer.group_discard("never", name)
        await layer.group_send("group", message(1))
        await layer.send(name, message(2))
        assert await within(layer.receive(name)) == message(2)

    async def test_nobody(self, layer: BaseChannelLayer) -> None:
        """A message to an empty group is nobody's, and no error."""
        await layer.group_send("group", message())

    async def test_named_channel_in_a_group(self, layer: BaseChannelLayer) -> None:
        """A channel of any kind may be a member."""
        await layer.group_add("group", "channel")
        await layer.group_send("group", message(1))
        assert await within(layer.receive("channel")) == message(1)
        await layer.group_discard("group", "channel")
        await layer.group_send("group", message(2))
        await layer.send("channel", message(3))
        assert await within(layer.receive("channel")) == message(3)

    async def test_full_member(self, layer: BaseChannelLayer) -> None:
        """A full channel misses a group's messages; the sender and the others do not notice."""
        full, other = await layer.new_channel(), await layer.new_channel()
        await layer.group_add("group", full)
        for number in range(self.capacity):
            await layer.group_send("group", message(number))
        await layer.group_add("group", other)
        await layer.group_send("group", message(99))
        assert await within(layer.receive(other)) == message(99)
        found = [await within(layer.receive(full)) for _ in range(self.capacity)]
        assert found == [message(number) for number in range(self.capacity)]

    async def test_group_expiry(
        self, layer: BaseChannelLayer, elapse: Callable[[float], None]
    ) -> None:
        """A channel leaves a group that it has not joined again for long."""
        await layer.group_add("group", "channel")
        elapse(500)
        await layer.group_add("group", "channel")
        elapse(500)
        await layer.group_send("group", message(1))
        assert await within(layer.receive("channel")) == message(1)
        elapse(200)
        await layer.group_send("group", message(2))
        await layer.send("channel", message(3))
        assert await within(layer.receive("channel")) == message(3)

    async def test_flush(self, layer: BaseChannelLayer) -> None:
        """Flushing forgets messages and memberships."""
        name = await layer.new_channel()
        await layer.group_add("group", name)
        await layer.group_add("group", "channel")
        await layer.send("channel", message(1))
        await layer.flush()
        await layer.group_send("group", message(2))
        await layer.send("channel", message(3))
        await layer.send(name, message(4))
        assert await within(layer.receive("channel")) == message(3)
        assert await within(layer.receive(name)) == message(4)

    # ------------------------------------------------------------------ delays and leases

    async def test_delay(self, layer: BaseChannelLayer, elapse: Callable[[float], None]) -> None:
        """A message may be sent for later."""
        ours = _able(layer, "delay")
        await ours.send("channel", message(1), delay=50)
        await ours.send("channel", message(2))
        assert await within(ours.receive("channel")) == message(2)
        elapse(51)
        assert await within(ours.receive("channel")) == message(1)

    async def test_delay_that_is_over(self, layer: BaseChannelLayer) -> None:
        """What is sent for a time in the past is sent for now, and refused by a full channel."""
        ours = _able(layer, "delay")
        for number in range(self.capacity):
            await ours.send("channel", message(number), delay=-50)
        with pytest.raises(ChannelFull):
            await ours.send("channel", message(-1), delay=-50)
        found = [await within(ours.receive("channel")) for _ in range(self.capacity)]
        assert found == [message(number) for number in range(self.capacity)]
        await ours.send("channel", message(-2))
        assert await within(ours.receive("channel")) == message(-2)

    async def test_waiting(self, layer: BaseChannelLayer) -> None:
        """What waits in a channel can be counted, for later too; what is on lease does not wait."""
        ours = _able(_able(_able(layer, "delay"), "acknowledgement"), "counting")
        assert await ours.waiting("channel") == 0
        await ours.send("channel", message(1), delay=50)
        for number in range(2):
            await ours.send("channel", message(number))
        assert await ours.waiting("channel") == 3
        job = await within(ours.receive_job("channel", lease=30))
        assert await ours.waiting("channel") == 2
        await job.give_back()
        assert await ours.waiting("channel") == 3
        name = await ours.new_channel()
        await ours.send(name, message(1))
        assert await ours.waiting(name) == 1

    async def test_acknowledged(
        self, layer: BaseChannelLayer, elapse: Callable[[float], None]
    ) -> None:
        """A job that was acknowledged does not come back."""
        ours = _able(layer, "acknowledgement")
        await ours.send("channel", message(1))
        job = await within(ours.receive_job("channel", lease=30))
        assert (job.message, job.attempt) == (message(1), 1)
        assert await job.acknowledge()
        elapse(40)
        await ours.send("channel", message(2))
        assert await within(ours.receive("channel")) == message(2)

    async def test_lease_that_ends_while_somebody_waits(
        self, layer: BaseChannelLayer, elapse: Callable[[float], None]
    ) -> None:
        """Who has waited for longer than the job was there gets it, when its worker is killed."""
        ours = _able(layer, "acknowledgement")
        readers = {asyncio.ensure_future(ours.receive_job("channel", lease=0.05)) for _ in range(2)}
        await asyncio.sleep(0)
        await ours.send("channel", message(1))
        _, waiting = await within(asyncio.wait(readers, return_when=asyncio.FIRST_COMPLETED))
        elapse(1)
        (job,) = await within(asyncio.gather(*waiting))
        assert (job.message, job.attempt) == (message(1), 2)

    async def test_delay_and_several_readers(
        self, layer: BaseChannelLayer, elapse: Callable[[float], None]
    ) -> None:
        """A message for later reaches who waits, whoever has left since it was sent."""
        ours = _able(layer, "delay")
        leaving, staying = (asyncio.ensure_future(ours.receive("channel")) for _ in range(2))
        await asyncio.sleep(0)
        await ours.send("channel", message(1), delay=0.05)
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        elapse(1)
        assert await within(staying) == message(1)

    async def test_lease_that_runs_out(
        self, layer: BaseChannelLayer, elapse: Callable[[float], None]
    ) -> None:
        """A job whose worker was killed comes back, before those behind it."""
        ours = _able(layer, "acknowledgement")
        for number in range(2):
            await ours.send("channel", message(number))
        lost = await within(ours.receive_job("channel", lease=30))
        elapse(31)
        job = await within(ours.receive_job("channel", lease=30))
        assert (job.message, job.attempt) == (message(0), 2)
        assert not await lost.acknowledge()
        assert await job.extend(100)
        assert await job.give_back()
        job = await within(ours.receive_job("channel", lease=30))
        assert (job.message, job.attempt) == (message(0), 3)
        assert await job.acknowledge()
        assert await within(ours.receive("channel")) == message(1)


class ProcessesConformance(ChannelLayerConformance):
    """The same, and what is promised between processes, for layers that connect them.

    Attributes:
        peer: ``"module:function"`` that makes, in another process, a layer that reaches this one.
    """

    peer: ClassVar[str]

    @pytest.fixture
    async def other(self, layer: BaseChannelLayer) -> AsyncIterator[Peer]:
        """Another process."""
        async with Peer(self.peer) as peer:
            yield peer

    async def test_send_to_another_process(self, layer: BaseChannelLayer, other: Peer) -> None:
        """A message to a channel of another process reaches it."""
        name = await other.call("new_channel")
        await layer.send(name, message(1))
        assert await other.call("receive", name) == message(1)

    async def test_group_across_processes(self, layer: BaseChannelLayer, other: Peer) -> None:
        """A group has members everywhere; once one has joined, whatever is sent arrives."""
        here, there = await layer.new_channel(), await other.call("new_channel")
        await other.call("group_add", "group", there)
        await layer.group_add("group", here)
        await layer.group_send("group", message(1))
        await other.call("group_send", "group", message(2))
        # Of two senders, no order is promised.
        for receive in (functools.partial(other.call, "receive", there), _receive(layer, here)):
            found = [await receive() for _ in range(2)]
            assert sorted(m["number"] for m in found) == [1, 2]

    async def test_membership_of_another_process(
        self, layer: BaseChannelLayer, other: Peer
    ) -> None:
        """A channel can be put into a group, and taken out, from anywhere."""
        there = await other.call("new_channel")
        await layer.group_add("group", there)
        await other.call("group_send", "group", message(1))
        assert await other.call("receive", there) == message(1)
        await layer.group_discard("group", there)
        await layer.group_send("group", message(2))
        await layer.send(there, message(3))
        assert await other.call("receive", there) == message(3)

    async def test_membership_of_a_channel_that_was_read(
        self, layer: BaseChannelLayer, other: Peer
    ) -> None:
        """The same for a channel in which nothing waits any more."""
        there = await other.call("new_channel")
        await layer.send(there, message(1))
        assert await other.call("receive", there) == message(1)
        await layer.group_add("group", there)
        await layer.group_send("group", message(2))
        assert await other.call("receive", there) == message(2)

    async def test_named_channel_of_another_process(
        self, layer: BaseChannelLayer, other: Peer
    ) -> None:
        """A named channel is everybody's: a waiting reader is woken, each message read once."""
        waiting = other.call("receive", "channel")
        await layer.send("channel", message(1))
        assert await waiting == message(1)
        await other.call("send", "channel", message(2))
        assert await within(layer.receive("channel")) == message(2)
        await layer.group_add("group", "channel")
        await other.call("group_send", "group", message(3))
        assert await within(layer.receive("channel")) == message(3)

    async def test_order_between_processes(self, layer: BaseChannelLayer, other: Peer) -> None:
        """What one process sends to a group arrives in order."""
        name = await layer.new_channel()
        await layer.group_add("group", name)
        sending = [other.call("group_send", "group", message(n)) for n in range(self.capacity)]
        found = [await within(layer.receive(name)) for _ in range(self.capacity)]
        assert found == [message(n) for n in range(self.capacity)]
        await asyncio.gather(*sending)

    async def test_killed_process(self, layer: BaseChannelLayer, other: Peer) -> None:
        """What a killed process sent is there, and its memberships are gone with it."""
        there = await other.call("new_channel")
        await other.call("group_add", "group", there)
        await other.call("send", "channel", message(1))
        other.kill()
        await other.process.wait()
        assert await within(layer.receive("channel")) == message(1)
        await layer.group_send("group", message(2))
        await layer.send(there, message(3))


def _receive(layer: BaseChannelLayer, channel: str) -> Callable[[], Awaitable[Event]]:
    return lambda: within(layer.receive(channel))


def _ours(layer: BaseChannelLayer) -> ChannelLayer:
    if not isinstance(layer, ChannelLayer):
        pytest.skip(f"{type(layer).__name__} has the verbs of Channels only.")
    return layer


def _able(layer: BaseChannelLayer, ability: str) -> ChannelLayer:
    if not isinstance(layer, ChannelLayer) or ability not in layer.abilities:
        pytest.skip(f"This layer does not declare {ability!r}.")
    return layer
