"""LocalBus: a mesh for topics, a store for queues."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.bus import ACKNOWLEDGEMENT, COUNTING, DELAY
from fairway.layers.io import io
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
    assert bus.abilities == {ACKNOWLEDGEMENT, COUNTING, DELAY}


async def test_cancelled_at_any_moment(bus: LocalBus) -> None:
    """Whenever a reader is cancelled, its message is where it was or in its hands."""
    for number in range(50):
        await push(bus, b"%d" % number)
        reader = asyncio.ensure_future(bus.pop("jobs", 1))
        for _ in range(number % 7):
            await asyncio.sleep(0)
        if number % 2:
            await asyncio.to_thread(lambda: None)
        reader.cancel()
        try:
            found = await reader
        except asyncio.CancelledError:
            found = await asyncio.wait_for(bus.pop("jobs", 1), 60)
        assert found == [b"%d" % number]


async def test_not_listened_to_for_ever(bus: LocalBus) -> None:
    """What nobody has read between two looks is let go of; what is read again is heard of again."""
    waiting = asyncio.ensure_future(bus.pop("busy", 1))
    for number in range(5):
        await bus.push(f"reply-{number}", b"x", capacity=1, expiry=60)
        await bus.pop(f"reply-{number}", 1)
    while len(bus._mesh.topics) < 6:  # noqa: ASYNC110  nothing else tells that it waits
        await asyncio.sleep(0.001)
    for left in (6, 1):
        bus._look_after()
        await io.run(asyncio.sleep(0))  # after what that has asked for
        assert len(bus._mesh.topics) == left
    again = asyncio.ensure_future(bus.pop("reply-0", 1))
    while len(bus._mesh.topics) < 2:  # noqa: ASYNC110  nothing else tells that it waits
        await asyncio.sleep(0.001)
    for queue, reader in (("busy", waiting), ("reply-0", again)):
        await bus.push(queue, b"y", capacity=1, expiry=60)
        assert await asyncio.wait_for(reader, 60) == [b"y"]


async def test_delayed(bus: LocalBus) -> None:
    """A reader that waits is woken when a message is due."""
    await bus.push("jobs", b"later", capacity=100, expiry=60, delay=0.05)
    assert await asyncio.wait_for(bus.pop("jobs", 1), 60) == [b"later"]


async def test_given_back(bus: LocalBus) -> None:
    """A reader that waits is woken by what another one gives back."""
    await push(bus, b"1")
    lease = await bus.lease("jobs", 600)
    reader = asyncio.ensure_future(bus.pop("jobs", 1))
    await asyncio.sleep(0)
    assert await bus.give_back("jobs", lease.ticket)
    assert await asyncio.wait_for(reader, 60) == [b"1"]
    assert not await bus.acknowledge("jobs", lease.ticket)
    assert not await bus.extend("jobs", lease.ticket, 1)


async def test_broken_file(bus: LocalBus, tmp_path: Path) -> None:
    """A file that cannot be used is an error that says which."""
    await bus.publish("room", b"x")  # makes the directory
    file = tmp_path / "mesh" / "queues.sqlite3"
    file.write_bytes(b"no database" * 100)
    with pytest.raises(
        ChannelLayerUnavailable, match=r"queues\.sqlite3, .* mode 644, which others"
    ):
        await bus.push("jobs", b"1", capacity=1, expiry=60)
    file.chmod(0o600)
    with pytest.raises(ChannelLayerUnavailable, match=r"Cannot use .*queues\.sqlite3: ") as caught:
        await bus.push("jobs", b"1", capacity=1, expiry=60)
    assert isinstance(caught.value.__cause__, sqlite3.Error)


async def test_stats(bus: LocalBus, tmp_path: Path) -> None:
    """How many other processes there are, and what those that hung have missed."""
    other = LocalBus(Directory(tmp_path / "mesh"), 60)
    await other.publish("room", b"x")
    await bus.publish("room", b"x")
    assert bus.stats() == {"peers": 1, "missed": 0, "expired": 0}
    await other.close()


async def test_reader_of_a_file_that_cannot_be_used(
    bus: LocalBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who waits for a message waits for the file, too; the log says so once."""
    monkeypatch.setattr("fairway.layers.local.bus._STORE_AGAIN", 0.01)
    await bus.publish("room", b"x")  # makes the directory
    file = tmp_path / "mesh" / "queues.sqlite3"
    file.touch(0o644)
    reader = asyncio.ensure_future(bus.pop("jobs", 1))
    while not caplog.records:  # noqa: ASYNC110  the log is what is looked at
        await asyncio.sleep(0.001)
    file.chmod(0o600)
    await push(bus, b"1")
    assert await asyncio.wait_for(reader, 60) == [b"1"]
    assert len(caplog.records) == 1


async def test_fork(bus: LocalBus) -> None:
    """SQLite's connections are closed before a fork: in the child they would lose messages."""
    await push(bus, b"1")
    before = bus._store._database
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(_push_from_the_child(bus))
            os._exit(0)
        finally:
            os._exit(1)
    assert bus._store._database is None is not before
    status = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(status[1]) == 0
    assert [await bus.pop("jobs", 1) for _ in range(2)] == [[b"1"], [b"2"]]


async def _push_from_the_child(bus: LocalBus) -> None:
    await push(bus, b"2")
    await bus.close()


async def test_closed_while_somebody_waits(bus: LocalBus) -> None:
    """Who waits for a message is told that the layer was closed; it can be used again."""
    reader = asyncio.ensure_future(bus.pop("jobs", 1))
    while "jobs" not in bus._heard:  # noqa: ASYNC110  nothing else tells that it waits
        await asyncio.sleep(0.001)
    await bus.close()
    with pytest.raises(ChannelLayerUnavailable, match=r"^The channel layer was closed\.$"):
        await asyncio.wait_for(reader, 60)
    await push(bus, b"1")
    assert await bus.pop("jobs", 1) == [b"1"]
