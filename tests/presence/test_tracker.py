"""One process: its connections, its people, and what it says to the members of groups."""

import asyncio
import threading

import pytest

from fairway.delivery import Mailbox
from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.io import io
from fairway.presence import tracker
from fairway.presence.state import SLICE, Entry, EntryId
from tests.presence.places import QUICK, Coast, Place, until


async def test_linger(coast: Coast) -> None:
    """Who goes is missed after a while, everywhere, and not before."""
    here, there = await coast.place(), await coast.place()
    channel = await there.join("ada", linger=5.0)
    await here.hears("ada")
    await there.leave(channel)
    both = (here, there)
    due = coast.clock.now + 5.0
    await until(lambda: all(place.tracker.roster.next_due == due for place in both))
    coast.clock.now += 2.0
    for place in both:
        assert await place.people() == ["ada"]
    await here.hears_nothing()
    coast.clock.now += 3.0
    await here.look()
    await here.hears(leaves=("ada",))


async def test_quick_reconnect(coast: Coast) -> None:
    """Who is back in time, in whatever process, never left for anybody."""
    here, there = await coast.place(), await coast.place()
    channel = await there.join("ada", linger=2.0)
    for place in (here, there):
        await place.hears("ada")
    await there.layer.unbind(channel)
    await here.join("ada")
    both = (here, there)
    await until(lambda: all(entries_of(place, "ada") == 1 for place in both))
    coast.clock.now += 3.0
    for place in (here, there):
        await place.hears_nothing()
        assert await place.people() == ["ada"]


async def test_worker_restart(coast: Coast) -> None:
    """A process that ends in good order hands its people over: they have time to come back."""
    here, there = await coast.place(), await coast.place()
    await there.join("ada")
    await there.join("mei")
    await here.hears("ada", "mei")
    await there.end()
    await until(lambda: entries_of(here, "ada") == entries_of(here, "mei") == 0)
    again = await coast.place()
    await again.join("ada")
    await here.sees("ada", "mei")
    await until(lambda: entries_of(here, "ada") == 1)
    coast.clock.now += 2.5
    await here.look()
    await here.hears(leaves=("mei",))
    assert await here.people() == ["ada"]


def entries_of(place: Place, key: str) -> int:
    """By how many connections somebody is in the group, as a process knows it."""
    return len(place.tracker.roster._groups["harbour"][key].entries)


async def test_end_of_a_connection(coast: Coast) -> None:
    """A channel that ends leaves everywhere it has joined."""
    here = await coast.place()
    channel = await here.join("ada", linger=0.0)
    await io.run(here.tracker.join("pier", channel, "ada", "{}", 0.0))
    assert await io.run(here.tracker.count("pier")) == 1
    await here.hears("ada")
    await here.layer.unbind(channel)
    await here.hears(leaves=("ada",))
    assert await io.run(here.tracker.count("pier")) == 0
    assert here.tracker._channels == {}


async def test_ended_channel(coast: Coast) -> None:
    """A channel that has ended joins nothing any more, and nobody is to be blamed for it."""
    here = await coast.place()
    channel = here.channel()
    await here.layer.unbind(channel)
    await here.join_by(channel, "ada")
    await io.run(here.tracker.update("harbour", channel, "{}"))
    await here.leave(channel)
    assert await here.people() == []
    assert here.tracker._channels == {}


async def test_foreign_channel(coast: Coast) -> None:
    """A channel joins in its own process only; there its end is seen."""
    here, there = await coast.place(), await coast.place()
    channel = there.channel()
    with pytest.raises(ValueError, match=f"^Channel {channel} is not of this process.$"):
        await here.join_by(channel, "ada")


async def test_update(coast: Coast) -> None:
    """Metas may change, also by joining again; what does not change is not told."""
    here = await coast.place()
    channel = await here.join("ada", '{"at":"desk"}')
    await here.hears("ada")
    await here.join_by(channel, "ada", '{"at":"desk"}')
    await here.hears_nothing()
    await io.run(here.tracker.update("harbour", channel, '{"at":"sea"}'))
    message = await here.heard()
    assert message["updates"] == {"ada": [{"at": "sea"}]}
    await here.join_by(channel, "mei", linger=0.0)
    coast.clock.now += 2.0
    await here.hears("mei", leaves=("ada",))
    other = here.channel()
    with pytest.raises(ValueError, match=f"^Channel {other} has not joined 'harbour'; join"):
        await io.run(here.tracker.update("harbour", other, "{}"))


async def test_closed_event_loop(coast: Coast) -> None:
    """Connections of an event loop that was closed without a word are found after a while."""
    here = await coast.place()

    async def connect() -> str:
        channel = here.layer.bind(Mailbox(asyncio.get_running_loop()))
        await here.layer.group_add("harbour", channel)
        await here.join_by(channel, "ada", linger=0.0)
        return channel

    await asyncio.to_thread(lambda: asyncio.run(connect()))
    await here.layer.group_send("harbour", {"type": "x"})  # finds the loop closed
    await until(lambda: here.layer.group_size("harbour") == 1)
    assert await here.people() == ["ada"]
    coast.clock.now += QUICK.sweep
    await here.look()
    assert await here.people() == []


async def test_many_threads_and_loops(coast: Coast) -> None:
    """Whoever calls, from whatever thread with whatever loop, sees the same."""
    here = await coast.place()

    def live(number: int) -> None:
        async def connect() -> None:
            channel = here.layer.bind(Mailbox(asyncio.get_running_loop()))
            await here.join_by(channel, f"person{number}")
            assert f"person{number}" in await here.people()
            await here.layer.unbind(channel)

        asyncio.run(connect())

    threads = [threading.Thread(target=live, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert len(await here.people()) == 8  # asked after all of them have left
    coast.clock.now += 2.0
    await here.sees()
    assert here.tracker._channels == {}


async def test_large_groups_hear_less_often(coast: Coast, monkeypatch: pytest.MonkeyPatch) -> None:
    """The more members a group has, the more changes go into one diff."""
    monkeypatch.setattr(tracker, "DELIVERIES", 1)
    here = await coast.place()
    await here.join("ada")
    await here.hears("ada")
    await here.join("mei")
    await here.join("kofi")
    coast.clock.now += 0.9
    await here.hears_nothing()
    coast.clock.now += 0.2
    await here.look()
    assert list((await here.heard())["joins"]) == ["mei", "kofi"]


class Counter:
    """Counts what a roster is told between two turns of the I/O thread's event loop."""

    def __init__(self, place: Place) -> None:
        self.total = self.most = self._now = 0
        self._add, self._remove = place.tracker.roster.add, place.tracker.roster.remove
        place.tracker.roster.add = self.add  # type: ignore[method-assign]  # to count
        place.tracker.roster.remove = self.remove  # type: ignore[method-assign]
        self._running = True
        io.call(self._turn)

    def add(self, entry_id: EntryId, entry: Entry) -> None:
        self._count()
        self._add(entry_id, entry)

    def remove(self, entry_id: EntryId, entry: Entry, until: float) -> None:
        self._count()
        self._remove(entry_id, entry, until)

    def _count(self) -> None:
        self.total += 1
        self._now += 1
        self.most = max(self.most, self._now)

    def _turn(self) -> None:
        self._now = 0
        if self._running:
            asyncio.get_running_loop().call_soon(self._turn)

    def stop(self) -> None:
        self._running = False


async def test_ten_thousand(coast: Coast) -> None:
    """Ten thousand people come, are heard of, listed and go, without a long turn for anybody."""
    here, there = await coast.place(), await coast.place()
    counter = Counter(here)
    names = {f"person{number}" for number in range(10_000)}
    channels = {name: there.channel() for name in names}

    async def come() -> None:
        for count, (name, channel) in enumerate(channels.items()):
            await there.tracker.join("harbour", channel, name, "{}", 0.0)
            if count % SLICE == 0:
                await asyncio.sleep(0)

    async def go() -> None:
        for count, channel in enumerate(channels.values()):
            await there.tracker.leave("harbour", channel, None)
            if count % SLICE == 0:
                await asyncio.sleep(0)

    try:
        await io.run(come())
        joined: set[str] = set()
        while joined != names:
            message = await here.heard()
            assert len(message["joins"]) <= 500
            joined |= set(message["joins"])
        assert await here.count() == 10_000
        assert set(await here.people()) == names

        later = await coast.place()
        assert set(await later.people()) == names

        await io.run(go())
        while joined:
            joined -= set((await here.heard())["leaves"])
        assert await here.people() == []
    finally:
        counter.stop()
    assert counter.total == 20_000
    assert counter.most <= SLICE


async def test_end(coast: Coast) -> None:
    """After its end a tracker hears nothing, and is stopped; ending again does nothing."""
    here = await coast.place()
    channel = await here.join("ada")
    await here.end()
    assert here.tracker.stopped
    assert here.layer.on_unbind == []
    assert here.layer.on_close == []
    await here.layer.unbind(channel)
    await here.tracker.stop()
    with pytest.raises(ChannelLayerUnavailable, match=r"^The channel layer was closed.$"):
        await io.run(here.tracker.start())
