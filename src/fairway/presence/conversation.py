"""What the trackers of a layer tell each other, and what each of them concludes.

They talk in one group of the layer. Each tells what its own channels join and leave, and every
second that it is there; one that starts asks all of them for what they have.
"""

import asyncio
import logging
from collections.abc import Callable, Generator
from typing import Final, NamedTuple, TypeVar

from fairway._types import Event
from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.base import ChannelLayer
from fairway.presence import messages
from fairway.presence.roster import Roster
from fairway.presence.state import Others, Own

logger = logging.getLogger("fairway.presence")

T = TypeVar("T")

#: The group in which trackers talk.
GROUP: Final = "fairway.presence"

_NEVER: Final = float("-inf")


class Timing(NamedTuple):
    """How patient a tracker is, in seconds.

    Attributes:
        batch: For which changes are collected before they are told.
        beat: Between two signs of life, while this process has somebody to tell of.
        suspect: Of silence after which another process is asked whether it is there.
        answer: That it has to answer.
        down: Of silence after which its people are gone.
        forget: Of silence after which what is known of it is forgotten.
        patience: That a start waits for the other processes' answers.
        sweep: Between two looks for channels that ended without a word.
    """

    batch: float = 0.05
    beat: float = 1.0
    suspect: float = 2.5
    answer: float = 0.5
    down: float = 4.0
    forget: float = 60.0
    patience: float = 1.0
    sweep: float = 10.0


class Conversation:
    """One process among those of a layer.

    Everything belongs to one thread, that of :data:`~fairway.layers.io.io`.

    Args:
        layer: Through which they talk.
        name: The channel under which the others know this process.
        roster: Told of who comes and goes.
        timing: How patient it is.
        clock: Seconds that only go forwards.

    Attributes:
        own: What the channels of this process have joined.
        others: What is known of other processes.
        to_say: Set when there is something for :meth:`speak`.
        met: Set when every process that was there at the start has told what it has.
    """

    def __init__(
        self,
        layer: ChannelLayer,
        name: str,
        roster: Roster,
        timing: Timing,
        clock: Callable[[], float],
    ) -> None:
        self.own = Own(name, roster)
        self.others = Others(roster)
        self.to_say = asyncio.Event()
        self.met = asyncio.Event()
        self._layer = layer
        self._name = name
        self._timing = timing
        self._clock = clock
        self._merging = asyncio.Lock()
        self._assembly = messages.Assembly()
        # Who wants to know all that is here, and whose all is wanted.
        self._askers: dict[str, None] = {}
        self._asks: dict[str, None] = {}
        self._asked: dict[str, float] = {}
        self._answered: set[str] = set()
        self._expected: int | None = None
        self._next_beat = 0.0
        self._spoke = _NEVER
        # Whether others may have missed something of this process, and this one of others.
        self._owes_beat, self._cut_off = False, True

    # ------------------------------------------------------------------ speaking

    async def speak(self) -> float | None:
        """Tell the others what there is to be told; returns for how many seconds that was all."""
        now = self._clock()
        try:
            if await self._speak(now):
                self._spoke = now
        except ChannelLayerUnavailable as error:
            self.lose_contact(str(error))
            return self._timing.beat
        if self.own.entries or self._owes_beat:
            return max(self._next_beat - self._clock(), 0.0)
        return None

    async def _speak(self, now: float) -> bool:
        """Whether anything was said."""
        said = await self._make_contact(now)
        for delta in self.own.deltas():
            await self._tell_all(messages.from_delta(delta), now)
            said = True
        if (self.own.entries or self._owes_beat) and now >= self._next_beat:
            await self._tell_all(messages.beat(self._name, self.own.clock), now)
            said = True
        askers, self._askers = self._askers, {}
        for asker in askers:
            for message in messages.from_snapshot(self.own.snapshot()):
                await self._layer.send(asker, message)
                await asyncio.sleep(0)
            said = True
        asks, self._asks = self._asks, {}
        for name in asks:
            await self._layer.send(name, messages.ask(self._name))
            said = True
        return said

    async def _tell_all(self, message: Event, now: float) -> None:
        self._owes_beat = True  # unless this one arrives
        await self._layer.group_send(GROUP, message)
        self._owes_beat = False
        self._next_beat = now + self._timing.beat

    async def _make_contact(self, now: float) -> bool:
        """At the start and after an outage, ask what was missed; says whether that was so."""
        if not self._cut_off:
            return False
        await self._layer.group_add(GROUP, self._name)
        reached = await self._layer.group_send(GROUP, messages.ask(self._name))
        self._cut_off = False
        self._expected = reached.processes - 1
        self._look_whether_met()
        self.others.excuse(now)
        return True

    def lose_contact(self, why: str) -> None:
        """Others may have missed something of this process, and this one of others."""
        if not self._cut_off:
            logger.info("Presence in other processes may have changed unnoticed: %s", why)
        self._cut_off, self._owes_beat = True, self.own.clock > 0
        self._next_beat = 0.0
        self.to_say.set()

    # ------------------------------------------------------------------ hearing

    async def hear(self, message: Event) -> None:
        """Take what another process says; what is not known is ignored.

        Raises:
            Exception: It has another form than it should.
        """
        kind, sender, now = message["type"], message.get("sender"), self._clock()
        if not isinstance(sender, str) or sender == self._name:
            return
        if kind == messages.ASK:
            self._askers[sender] = None
            self.to_say.set()
            return
        async with self._merging:
            if kind == messages.BEAT:
                await slowly(self.others.hear(sender, now))
                if not self.others.knows(sender, message["clock"]):
                    self._ask(sender, now)
            elif kind == messages.DELTA:
                if not await slowly(self.others.merge_delta(messages.read_delta(message), now)):
                    self._ask(sender, now)
            elif kind == messages.STATE:
                await self._hear_part(messages.read_part(message), now)

    async def _hear_part(self, part: messages.Part, now: float) -> None:
        snapshot = self._assembly.add(part)
        if snapshot is None:
            await slowly(self.others.hear(part.replica, now))
            return
        await slowly(self.others.merge_snapshot(snapshot, now))
        if not self.met.is_set():
            self._answered.add(part.replica)
            self._look_whether_met()

    def _look_whether_met(self) -> None:
        if self._expected is not None and len(self._answered) >= self._expected:
            self.met.set()

    def _ask(self, name: str, now: float) -> None:
        """Ask a process for all that it has, unless that was asked just now."""
        if now - self._asked.get(name, _NEVER) >= self._timing.beat:
            self._asked[name] = now
            self._asks[name] = None
            self.to_say.set()

    # ------------------------------------------------------------------ silence

    async def look(self) -> None:
        """See which processes are gone."""
        if not self._cut_off and not self._layer.group_size(GROUP):  # flush() forgets memberships
            self.lose_contact("memberships were flushed")
        now, timing = self._clock(), self._timing
        async with self._merging:
            for name, replica in list(self.others.replicas.items()):
                silent = now - replica.seen
                if silent < timing.suspect:
                    continue
                if replica.up and replica.entries:
                    self._ask(name, now)
                    if replica.doubted is None:
                        replica.doubted = now
                    if silent > timing.down and self._would_have_heard(replica.doubted, now):
                        logger.info("Nothing was heard of %s for %.1f s: it is gone", name, silent)
                        await slowly(self.others.take_for_dead(name, now))
                elif silent > (timing.forget if replica.entries else timing.down):
                    self._forget(name)

    def _would_have_heard(self, asked: float, now: float) -> bool:
        """Whether an answer would be here: not of somebody who could not speak themselves.

        Nor of a process that was stopped, as its machine was: what it was told is still to be read.
        """
        return self._spoke >= asked and now - asked >= self._timing.answer and not self._cut_off

    def _forget(self, name: str) -> None:
        self.others.forget(name)
        self._assembly.forget(name)
        self._asked.pop(name, None)


async def slowly(steps: Generator[None, None, T]) -> T:
    """Do the steps of something large, with turns for everybody else in between."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: T = done.value
            return result
        await asyncio.sleep(0)
