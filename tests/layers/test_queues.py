"""Queues: channels of one process that are read with receive()."""

import asyncio

import pytest

from fairway.delivery import ChannelQueue, Hub
from fairway.layers.queues import Queues
from tests.clock import Clock


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def emptied() -> list[str]:
    """The groups that were told to be empty."""
    return []


@pytest.fixture
def queues(hub: Hub, clock: Clock, emptied: list[str]) -> Queues:
    return Queues(
        hub,
        lambda name: ChannelQueue(name, 2, 60, clock),
        expiry=60,
        patience=120,
        group_expiry=600,
        clock=clock,
        emptied=emptied.append,
    )


async def test_made_when_used_and_forgotten_when_idle(queues: Queues, hub: Hub) -> None:
    """A name costs nothing before it is used, nor after."""
    assert queues.put("jobs", b"1")
    assert list(hub.channels) == ["jobs"]
    assert await queues.get("jobs", 1) == [b"1"]
    assert hub.channels == {}


async def test_leased(queues: Queues, hub: Hub) -> None:
    """A queue is not idle while somebody works on what was in it."""
    queues.put("jobs", b"1")
    lease = await queues.lease("jobs", 30)
    assert list(hub.channels) == ["jobs"]
    assert queues.queue("jobs").give_back(lease.ticket)
    assert await queues.get("jobs", 1) == [b"1"]


def test_full(queues: Queues) -> None:
    """A full queue takes no more."""
    assert [queues.put("jobs", b"1") for _ in range(3)] == [True, True, False]


async def test_membership_ends(queues: Queues, hub: Hub, clock: Clock, emptied: list[str]) -> None:
    """A queue leaves a group that it has not joined again for long; the emptied group is named."""
    assert queues.join("room", "one")
    assert not queues.join("room", "two")
    clock.now += 500
    assert not queues.join("room", "one")
    clock.now += 500
    queues.sweep()
    assert emptied == []
    assert list(hub.groups["room"]) == ["one"]
    clock.now += 500
    queues.sweep()
    assert emptied == ["room"]
    assert (hub.groups, hub.channels) == ({}, {})


async def test_nobody_reads(queues: Queues, hub: Hub, clock: Clock, emptied: list[str]) -> None:
    """A queue in which messages have expired for long has no reader, so it leaves its groups."""
    queues.join("room", "one")
    for _ in range(2):
        hub.post("room", b"1")
        clock.now += 60
        queues.sweep()
        assert emptied == []
    hub.post("room", b"1")
    clock.now += 60
    queues.sweep()
    assert emptied == ["room"]
    assert (hub.groups, hub.channels) == ({}, {})


async def test_reader_busy_for_long(queues: Queues, hub: Hub, clock: Clock) -> None:
    """A queue stays in its groups as long as its reader comes back, however late for messages."""
    queues.join("room", "one")
    for _ in range(5):
        hub.post("room", b"missed")
        clock.now += 100
        hub.post("room", b"1")
        assert await queues.get("one", 1) == [b"1"]
    assert list(hub.groups["room"]) == ["one"]


async def test_forgotten_by_senders(queues: Queues, hub: Hub, clock: Clock) -> None:
    """A process that only sends forgets what nobody takes."""
    queues.put("old", b"1")
    clock.now += 200
    queues.put("new", b"1")
    assert list(hub.channels) == ["new"]


async def test_made_and_never_used(queues: Queues, hub: Hub, clock: Clock) -> None:
    """A name that was handed out and never used is forgotten, but not at once."""
    queues.queue("reply")
    queues.sweep()
    assert list(hub.channels) == ["reply"]
    clock.now += 6
    queues.sweep()
    assert hub.channels == {}


async def test_used_at_last(queues: Queues, hub: Hub, clock: Clock) -> None:
    """A name that is used late is kept as long as anything waits in it."""
    queues.queue("reply")
    queues.sweep()
    assert queues.put("reply", b"1")
    clock.now += 6
    queues.sweep()
    assert await queues.get("reply", 1) == [b"1"]


async def test_cancelled_reader(queues: Queues, hub: Hub) -> None:
    """A reader that gives up leaves nothing behind."""
    reading = asyncio.ensure_future(queues.get("jobs", 1))
    await asyncio.sleep(0)
    assert list(hub.channels) == ["jobs"]
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert hub.channels == {}


async def test_joined_since(queues: Queues, hub: Hub, clock: Clock, emptied: list[str]) -> None:
    """A queue stays in a group that it joined after messages had expired in it, unnoticed."""
    queues.put("one", b"1")
    clock.now += 200
    queues.join("room", "one")
    queues.sweep()
    assert emptied == []
    assert list(hub.groups["room"]) == ["one"]
