"""The shell around presence: one tracker for each layer of a process, on the I/O thread."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any, Final

from fairway.delivery import Mailbox, Overflow
from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.base import ChannelLayer
from fairway.layers.codec import decode
from fairway.layers.io import io
from fairway.presence.conversation import Conversation, Timing, slowly
from fairway.presence.roster import Roster
from fairway.presence.state import SLICE, Entry

logger = logging.getLogger("fairway.presence")

#: Messages of other trackers that may wait, and their bytes. One that is lost is asked for again.
MAX_WAITING: Final = 10_000
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
#: Members to whom diffs of one group are delivered in a second, in one process: large groups hear
#: of many changes at once instead of each one.
DELIVERIES: Final = 20_000
#: Seconds that the end of a process waits for the others to be told.
GOODBYE: Final = 1.0

TIMING: Final = Timing()


class Tracker:
    """What one process knows of who is where.

    It hears when its own channels end, tells the other processes of what changes here, and the
    members of each group in this process of what changes anywhere.

    All methods but :meth:`ended` and :meth:`stop` belong to the thread of
    :data:`~fairway.layers.io.io`.

    Args:
        layer: Through which it talks.
        timing: Its patience.
        clock: Seconds that only go forwards.

    Attributes:
        roster: Who is in which group.
        conversation: What it tells and hears; there once it is started.
        stopped: Whether it has said goodbye, and is of no more use.
    """

    conversation: Conversation

    def __init__(
        self,
        layer: ChannelLayer,
        timing: Timing = TIMING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.roster = Roster()
        self.stopped = False
        self._layer = layer
        self._timing = timing
        self._clock = clock
        # The numbers of the entries of each channel, by group.
        self._channels: dict[str, dict[str, int]] = {}
        self._starting: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._to_see = asyncio.Event()
        self._not_before: dict[str, float] = {}
        self._next_sweep = 0.0

    # ------------------------------------------------------------------ from start to end

    async def start(self) -> None:
        """Meet the other trackers; returns when what they know is known, or soon in any case.

        Raises:
            ChannelLayerUnavailable: The layer has just been closed.
        """
        if self.stopped:
            raise ChannelLayerUnavailable("The channel layer was closed.")
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        mailbox = Mailbox(
            asyncio.get_running_loop(),
            overflow=Overflow.DROP_NEWEST,
            max_messages=MAX_WAITING,
            max_bytes=MAX_WAITING_BYTES,
        )
        name = self._layer.bind(mailbox, "presence", gaps=True)
        talk = Conversation(self._layer, name, self.roster, self._timing, self._clock)
        self.conversation = talk
        self._layer.on_unbind.append(self.ended)
        self._layer.on_close.append(self.stop)
        # A context of their own: the first caller's need not live as long as this.
        self._tasks = [
            asyncio.create_task(task, context=Context())
            for task in (
                self._listen(mailbox),
                self._repeat(talk.speak, talk.to_say),
                self._repeat(self.look, self._to_see),
            )
        ]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timing.patience):
                await talk.met.wait()

    async def stop(self) -> None:
        """Say goodbye, as if every channel of this process had ended; for any thread."""
        self.stopped = True
        self.unhook()
        await io.run(self._stop())

    async def _stop(self) -> None:
        starting, self._starting = self._starting, None
        if starting is None:
            return
        starting.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(starting, *self._tasks, return_exceptions=True)
        for count, channel in enumerate(list(self._channels), 1):
            self._leave_all(channel)
            if count % SLICE == 0:
                await asyncio.sleep(0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE):
                await self.conversation.speak()
        await self._layer.unbind(self.conversation.own.replica)

    def unhook(self) -> None:
        """Hear nothing more from the layer."""
        with contextlib.suppress(ValueError):
            self._layer.on_close.remove(self.stop)
        with contextlib.suppress(ValueError):
            self._layer.on_unbind.remove(self.ended)

    async def _repeat(
        self, act: Callable[[], Awaitable[float | None]], wanted: asyncio.Event
    ) -> None:
        """Do something when it is wanted, and when the time that it said has passed."""
        while True:
            try:
                pause = await act()
            except Exception:
                logger.exception("Presence goes on, but something went wrong")
                pause = self._timing.beat
            try:
                async with asyncio.timeout(pause):
                    await wanted.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(self._timing.batch)  # what comes meanwhile goes along
            wanted.clear()

    async def _listen(self, mailbox: Mailbox) -> None:
        while True:
            item = mailbox.take()
            if item is None:
                await mailbox.park()
                continue
            assert isinstance(item, bytes)
            try:
                message = decode(item)
                if message["type"] == "layer.gap":
                    self.conversation.lose_contact("the channel layer had an outage")
                else:
                    await self.conversation.hear(message)
            except Exception:
                # What is wrong with one message must not end the reader of them all.
                logger.exception("What another process told of presence could not be understood")
            self._to_see.set()
            await asyncio.sleep(0)

    # ------------------------------------------------------------------ the channels of here

    async def join(self, group: str, channel: str, key: str, meta: str, linger: float) -> None:
        """Let a person be in a group by a channel of this process; again changes how.

        A channel that has ended joins nothing.

        Raises:
            ValueError: The channel is not of this process.
        """
        if not self._layer.reads(channel):
            return
        own = self.conversation.own
        groups = self._channels.setdefault(channel, {})
        entry = Entry(group, key, meta, linger)
        number = groups.get(group)
        if number is not None and own.entries[number] == entry:
            return
        groups[group] = own.join(entry)
        if number is not None:
            own.leave(number, own.entries[number].linger, self._clock())
        self._changed()
        if not self._layer.reads(channel):
            self._leave_all(channel)  # it ended between the two, and nobody knew yet what it joined

    async def update(self, group: str, channel: str, meta: str) -> None:
        """Change what is known about a person by a channel that has joined.

        Raises:
            ValueError: It has not, or is not of this process.
        """
        number = self._channels.get(channel, {}).get(group)
        if number is not None:
            entry = self.conversation.own.entries[number]
            await self.join(group, channel, entry.key, meta, entry.linger)
        elif self._layer.reads(channel):
            raise ValueError(f"Channel {channel} has not joined {group!r}; join() comes first.")

    async def leave(self, group: str, channel: str, linger: float | None) -> None:
        """Take a channel out; one that is not in is ignored."""
        groups = self._channels.get(channel, {})
        number = groups.pop(group, None)
        if number is None:
            return
        if not groups:
            del self._channels[channel]
        own = self.conversation.own
        own.leave(number, own.entries[number].linger if linger is None else linger, self._clock())
        self._changed()

    def ended(self, channel: str) -> None:
        """A channel of this process has ended; for any thread."""
        if channel in self._channels:
            io.call(self._leave_all, channel)

    def _leave_all(self, channel: str) -> None:
        own, now = self.conversation.own, self._clock()
        for number in self._channels.pop(channel, {}).values():
            own.leave(number, own.entries[number].linger, now)
        self._changed()

    def _changed(self) -> None:
        self.conversation.to_say.set()
        self._to_see.set()

    # ------------------------------------------------------------------ who is here

    async def people(self, group: str) -> dict[str, list[Any]]:
        """The people of a group with their metas."""
        await slowly(self.roster.settle(self._clock()))
        return await slowly(self.roster.people(group))

    async def count(self, group: str) -> int:
        """How many people are in a group."""
        await slowly(self.roster.settle(self._clock()))
        return self.roster.count(group)

    async def forget_the_gone(self) -> None:
        """Whoever lingers is gone now."""
        await slowly(self.roster.settle(float("inf")))
        self._changed()

    # ------------------------------------------------------------------ what is new

    async def look(self) -> float | None:
        """See who is gone, and say what is new; returns when to look again, in seconds."""
        await self.conversation.look()
        now = self._clock()
        await self._look_after_channels(now)
        await slowly(self.roster.settle(now))
        await self._announce(now)
        pauses = []
        if self.roster.changed:
            pauses.append(self._timing.batch)
        if self.roster.next_due is not None:
            pauses.append(max(self.roster.next_due - self._clock(), 0.0))
        if self.conversation.others.replicas or self._channels:
            pauses.append(self._timing.beat)
        return min(pauses, default=None)

    async def _look_after_channels(self, now: float) -> None:
        """Find channels that ended without a word: their event loop was closed, say."""
        if now < self._next_sweep:
            return
        self._next_sweep = now + self._timing.sweep
        for count, channel in enumerate(list(self._channels), 1):
            if not self._layer.reads(channel):
                self._leave_all(channel)
            if count % SLICE == 0:
                await asyncio.sleep(0)

    async def _announce(self, now: float) -> None:
        for group in list(self.roster.changed):
            if self._not_before.get(group, now) > now:
                continue
            diff = self.roster.diff(group)
            size = self._layer.group_size(group)
            if size and any(diff):
                self._layer.group_tell(group, diff.as_message(group))
                if size / DELIVERIES > self._timing.batch:
                    self._not_before[group] = now + size / DELIVERIES
            await asyncio.sleep(0)
        self._not_before = {group: t for group, t in self._not_before.items() if t > now}
