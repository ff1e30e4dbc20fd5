"""Processes of a channel layer, as many as a test wants, in this one; and time that it can turn."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from fairway._types import Event
from fairway.delivery import Mailbox
from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.base import ChannelLayer
from fairway.layers.codec import decode
from fairway.layers.contract import Reached
from fairway.layers.io import io
from fairway.layers.local import LocalChannelLayer
from fairway.presence.conversation import Timing
from fairway.presence.tracker import Tracker
from tests.clock import Clock

#: Seconds within which something happens, however busy the machine is.
PATIENCE: Final = 60.0
#: The usual patience by a clock of the test's, and nothing to wait for by the real one.
QUICK: Final = Timing(batch=0.001, patience=PATIENCE)


class FaultyLayer(LocalChannelLayer):
    """A layer of one machine that can be told to be worse than it is.

    Attributes:
        cut_off: Whether nothing comes through, and it says so.
        losing: Types of messages that are lost without a word.
    """

    cut_off = False
    losing: frozenset[str] = frozenset()

    async def send(self, channel: str, message: Event, *, delay: float = 0.0) -> None:
        if self._passes(message):
            await super().send(channel, message, delay=delay)

    async def group_send(self, group: str, message: Event) -> Reached:
        if self._passes(message):
            return await super().group_send(group, message)
        return Reached(0, 0)

    def _passes(self, message: Event) -> bool:
        if self.cut_off:
            raise ChannelLayerUnavailable("The test says so.")
        return message["type"] not in self.losing


class Place:
    """One process: its layer, its tracker, and a member of the group ``harbour`` that listens."""

    def __init__(self, layer: ChannelLayer, clock: Callable[[], float], timing: Timing) -> None:
        self.layer = layer
        self.tracker = Tracker(layer, timing, clock)
        self._mailbox = Mailbox(asyncio.get_running_loop())
        self._listener = layer.bind(self._mailbox)

    @property
    def faulty(self) -> FaultyLayer:
        """The layer, if it is one that can be told to be bad."""
        assert isinstance(self.layer, FaultyLayer)
        return self.layer

    async def begin(self) -> None:
        """Listen, and meet the other places."""
        await self.layer.group_add("harbour", self._listener)
        await io.run(self.tracker.start())

    def channel(self) -> str:
        """One more connection."""
        return self.layer.bind(Mailbox(asyncio.get_running_loop()))

    async def join(self, key: str, meta: str = "{}", linger: float = 2.0) -> str:
        """Somebody comes, by a connection of their own."""
        channel = self.channel()
        await self.join_by(channel, key, meta, linger)
        return channel

    async def join_by(self, channel: str, key: str, meta: str = "{}", linger: float = 2.0) -> None:
        await io.run(self.tracker.join("harbour", channel, key, meta, linger))

    async def leave(self, channel: str, linger: float | None = None) -> None:
        await io.run(self.tracker.leave("harbour", channel, linger))

    async def people(self) -> list[str]:
        """Who is here."""
        return list(await io.run(self.tracker.people("harbour")))

    async def count(self) -> int:
        """How many are here."""
        return await io.run(self.tracker.count("harbour"))

    async def sees(self, *people: str) -> None:
        """Wait until these are here and nobody else."""
        async with asyncio.timeout(PATIENCE):
            while sorted(await self.people()) != sorted(people):  # noqa: ASYNC110  as below
                await asyncio.sleep(0.005)

    async def heard(self) -> dict[str, Any]:
        """Wait for the next message to the members of the group."""
        async with asyncio.timeout(PATIENCE):
            while (item := self._mailbox.take()) is None:
                await self._mailbox.park()
        assert isinstance(item, bytes)
        return decode(item)

    async def hears(self, *joins: str, leaves: tuple[str, ...] = ()) -> None:
        """Wait until those have come and gone, by diffs; an update is none of it."""
        wanted = (set(joins), set(leaves))
        got: tuple[set[str], set[str]] = (set(), set())
        while got != wanted:
            message = await self.heard()
            got = (got[0] | set(message["joins"]), got[1] | set(message["leaves"]))
            assert got[0] <= wanted[0], message
            assert got[1] <= wanted[1], message

    async def hears_nothing(self) -> None:
        """Look, and find that nobody has come or gone."""
        await self.look()
        self.layer.group_tell("harbour", {"type": "nothing"})
        while (message := await self.heard()) != {"type": "nothing"}:
            assert message["joins"] == message["leaves"] == {}

    async def look(self) -> None:
        await io.run(self.tracker.look())

    async def speak(self) -> None:
        await io.run(self.tracker.conversation.speak())

    def hang(self) -> None:
        """Say and hear nothing more, as a process does that was killed or stopped."""
        for task in self.tracker._tasks:
            io.call(task.cancel)

    async def end(self) -> None:
        """Leave in good order."""
        await self.layer.close()


class Coast:
    """Places that are neighbours of each other."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self._path = path
        self._places: list[Place] = []

    async def place(self, timing: Timing = QUICK) -> Place:
        """One more process."""
        place = Place(FaultyLayer(path=self._path / "mesh"), self.clock, timing)
        self._places.append(place)
        await place.begin()
        return place

    async def end(self) -> None:
        for place in self._places:
            await place.end()


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  nobody tells what is known inside
            await asyncio.sleep(0.005)


@asynccontextmanager
async def coast(path: Path) -> AsyncIterator[Coast]:
    """Places of one machine that end with the test."""
    found = Coast(path)
    try:
        yield found
    finally:
        await found.end()
