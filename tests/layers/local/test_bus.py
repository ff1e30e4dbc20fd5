"""LocalBus: a mesh for topics, a store for queues."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.bus import ACKNOWLEDGEMENT, DELAY
from fairway.layers.local.bus import LocalBus
from fairway.layers.local.directory import Directory


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[LocalBus]:
    bus = LocalBus(Directory(tmp_path / "mesh"), 60)
    bus.deliver = lambda topic, payload: None
    bus.lost = lambda: None
    yield bus
    await bus.close()
    await bus.close()  # again is the same as once


async def push(bus: LocalBus, payload: bytes) -> None:
    assert await bus.push("jobs", payload, capacity=100, expiry=60)


async def test_abilities(bus: LocalBus) -> None:
    """It delays, and it leases."""
    assert bus.abilities == {ACKNOWLEDGEMENT, DELAY}


async def test_cancelled_at_any_moment(bus: LocalBus) -> None:
    """Whenever a reader is cancelled, its message is where it was or in its hands."""
    for number in range(50):
        await push(bus, b"%d" % number)
        reader = asyncio.ensure_future(bus.pop("jobs"))
        for _ in range(number % 7):
            await asyncio.sleep(0)
        if number % 2:
            await asyncio.to_thread(lambda: None)
        reader.cancel()
        try:
            found = await reader
        except asyncio.CancelledError:
            found = await asyncio.wait_for(bus.pop("jobs"), 60)
        assert found == b"%d" % number


async def test_delayed(bus: LocalBus) -> None:
    """A reader that waits is woken when a message is due."""
    await bus.push("jobs", b"later", capacity=100, expiry=60, delay=0.05)
    assert await asyncio.wait_for(bus.pop("jobs"), 60) == b"later"


async def test_given_back(bus: LocalBus) -> None:
    """A reader that waits is woken by what another one gives back."""
    await push(bus, b"1")
    lease = await bus.lease("jobs", 600)
    reader = asyncio.ensure_future(bus.pop("jobs"))
    await asyncio.sleep(0)
    assert await bus.give_back("jobs", lease.ticket)
    assert await asyncio.wait_for(reader, 60) == b"1"
    assert not await bus.acknowledge("jobs", lease.ticket)
    assert not await bus.extend("jobs", lease.ticket, 1)


async def test_broken_file(bus: LocalBus, tmp_path: Path) -> None:
    """A file that cannot be used is an error that says which."""
    await bus.publish("room", b"x")  # makes the directory
    (tmp_path / "mesh" / "queues.sqlite3").write_bytes(b"no database" * 100)
    with pytest.raises(ChannelLayerUnavailable, match=r"Cannot use .*queues\.sqlite3: ") as caught:
        await bus.push("jobs", b"1", capacity=1, expiry=60)
    assert isinstance(caught.value.__cause__, sqlite3.Error)


async def test_stats(bus: LocalBus, tmp_path: Path) -> None:
    """How many other processes there are, and what those that hung have missed."""
    other = LocalBus(Directory(tmp_path / "mesh"), 60)
    await other.publish("room", b"x")
    await bus.publish("room", b"x")
    assert bus.stats() == {"peers": 1, "missed": 0}
    await other.close()
