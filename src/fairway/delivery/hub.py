"""Which channel is read where in this process, and who is in which group."""

import asyncio
import logging
import weakref
from asyncio import _get_running_loop  # None on a thread that has none
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from fairway import forks, native
from fairway.delivery.group import Endpoint, Group
from fairway.delivery.mailbox import Mailbox
from fairway.delivery.outbox import Tally
from fairway.delivery.patience import Patience
from fairway.delivery.queue import ChannelQueue
from fairway.wire.prepared import PreparedMessage

logger = logging.getLogger("fairway.delivery")

#: Members that are served before the event loop gets a turn: 0.15 ms of work, or 0.25 ms with
#: handlers. An echo meanwhile waits for a turn or two; that there are more turns costs nothing that
#: could be measured. With fewer, whoever sends all the time would leave too little for groups.
SLICE: Final = 20
#: Messages, and bytes of them, that a sender hands over before readers get a turn of the event
#: loop: well below what a queue or a mailbox may hold, so that a loop of sends overflows none.
YIELD_AFTER: Final = 25
YIELD_AFTER_BYTES: Final = 64 * 1024

_Delivery: TypeAlias = tuple[Sequence[Endpoint], bytes, PreparedMessage | None]


class Hub:
    """Channels and groups of one process, whatever threads and event loops their readers live on.

    Membership may be changed from any thread. A message for a mailbox is put in on the thread of
    its loop. It reaches every member once, and a sender's messages reach each member in order.

    Args:
        patience: How long senders wait for members that are behind, if not as long as usual.

    Attributes:
        channels: What each channel name stands for here.
        groups: The groups that have members here; an empty group is not kept.
        dropped: How many messages found their channel full, or its event loop gone.
        lock: Held wherever channels or groups change; for those who look first and change then.
    """

    def __init__(self, patience: Patience | None = None) -> None:
        self.channels: dict[str, Endpoint] = {}
        self.groups: dict[str, Group] = {}
        self.dropped = 0
        self.lock = native.RLock()
        self._posted: dict[asyncio.AbstractEventLoop, deque[_Delivery]] = {}
        self._unread = self._unread_bytes = 0
        self._patience = patience or Patience()
        # Who has said that it is behind since a delivery began; and of those of another loop.
        self._crowded: list[Mailbox] = []
        self._crowded_elsewhere: list[Mailbox] = []
        self._note = self._note_crowded  # one for all of them
        _hubs.add(self)

    # ------------------------------------------------------------------ membership

    def attach(self, channel: str, endpoint: Endpoint) -> None:
        """Let ``channel`` stand for ``endpoint`` from now on."""
        if isinstance(endpoint, Mailbox):
            endpoint.channel = channel
            endpoint.on_crowded = self._note
        with self.lock:
            self.channels[channel] = endpoint

    def detach(self, channel: str) -> list[str]:
        """Forget a channel and let it leave its groups; returns those that are now empty here."""
        with self.lock:
            endpoint = self.channels.pop(channel, None)
            if endpoint is None:
                return []
            names, endpoint.groups = endpoint.groups, []
            return [name for name in names if self._discard(name, channel)]

    def join(self, group: str, channel: str) -> bool:
        """Put a channel of this process into a group; says whether it is the group's first here.

        Raises:
            KeyError: No such channel is read in this process.
        """
        with self.lock:
            endpoint = self.channels[channel]
            entry = self.groups.get(group)
            first = entry is None
            if entry is None:
                entry = self.groups[group] = Group()
            elif channel in entry:
                return False
            entry.add(channel, endpoint)
            endpoint.groups.append(group)
            return first

    def leave(self, group: str, channel: str) -> bool:
        """Take a channel out of a group; says whether the group is now empty here."""
        with self.lock:
            endpoint = self.channels.get(channel)
            if endpoint is None or group not in endpoint.groups:
                return False
            endpoint.groups.remove(group)
            return self._discard(group, channel)

    def clear(self) -> None:
        """Forget every group and every waiting message of a queue.

        Mailboxes stay, since their connections are still there, and so do queues that are read.
        """
        with self.lock:
            for name, endpoint in list(self.channels.items()):
                endpoint.groups = []
                if isinstance(endpoint, ChannelQueue):
                    endpoint.clear()
                    if endpoint.idle:
                        del self.channels[name]
            self.groups.clear()

    def forget_parent(self) -> None:
        """Begin anew in a forked process: every reader lives in the parent, and so may the lock."""
        self.lock = native.RLock()
        self.channels.clear()
        self.groups.clear()
        self._posted.clear()

    def _discard(self, group: str, channel: str) -> bool:
        entry = self.groups.get(group)
        if entry is None:
            return False
        entry.discard(channel)
        if entry:
            return False
        del self.groups[group]
        return True

    # ------------------------------------------------------------------ delivery

    def put(self, channel: str, payload: bytes) -> bool:
        """Hand an encoded message to a channel of this process; False when that is full.

        For a mailbox of another thread's loop the answer cannot be waited for and is True.

        Raises:
            KeyError: No such channel is read in this process.
        """
        endpoint = self.channels[channel]
        loop = endpoint.loop
        if loop is None or loop is _get_running_loop():
            taken = endpoint.put_message(payload)
            if not taken:
                self.dropped += 1
            return taken
        self._deliver_on(loop, (endpoint,), payload, None)
        return True

    async def publish(
        self, group: str, payload: bytes, prepared: PreparedMessage | None = None
    ) -> int:
        """Hand one encoded message to every member of a group in this process.

        Args:
            group: Its name.
            payload: The encoded message; every member gets these very bytes.
            prepared: The same message ready for the wire, where members need no handler for it. It
                is written at once to each member whose reader waits and whose socket can take it;
                every other member gets ``payload``.

        Returns:
            How many members it was handed to.
        """
        with self.lock:
            entry = self.groups.get(group)
            by_loop = entry.by_loop() if entry is not None else []
        reached = 0
        current = _get_running_loop()
        crowded: list[Mailbox] = []
        elsewhere: list[asyncio.AbstractEventLoop] = []
        for loop, members in by_loop:
            reached += len(members)
            if loop is not None and loop is not current:
                self._deliver_on(loop, members, payload, prepared)
                elsewhere.append(loop)
                continue
            for start in range(0, len(members), SLICE):
                if start:
                    await asyncio.sleep(0)
                self._crowded = crowded
                self._deliver(members[start : start + SLICE], payload, prepared)
        await self._let_read(len(payload))
        if crowded or elsewhere:
            await self._let_catch_up(crowded, elsewhere)
        return reached

    def post(self, group: str, payload: bytes, prepared: PreparedMessage | None = None) -> int:
        """Do what :meth:`publish` does, and wait for nobody.

        For a thread whose event loop has no member, or that has none.
        """
        with self.lock:
            entry = self.groups.get(group)
            by_loop = entry.by_loop() if entry is not None else []
        reached = 0
        for loop, members in by_loop:
            reached += len(members)
            if loop is None:
                self._deliver(members, payload, prepared)
            else:
                self._deliver_on(loop, members, payload, prepared)
        return reached

    async def _let_read(self, size: int) -> None:
        """Let the readers of this loop have a turn, now and then."""
        self._unread += 1
        self._unread_bytes += size
        if self._unread >= YIELD_AFTER or self._unread_bytes >= YIELD_AFTER_BYTES:
            self._unread = self._unread_bytes = 0
            await asyncio.sleep(0)

    async def _let_catch_up(
        self, crowded: list[Mailbox], elsewhere: list[asyncio.AbstractEventLoop]
    ) -> None:
        """Let members that are behind, and other loops, catch up, as long as there is patience."""
        if elsewhere:
            crowded += self._crowded_elsewhere

        def behind() -> bool:
            return any(mailbox.crowded for mailbox in crowded) or any(
                len(self._posted.get(loop, ())) >= YIELD_AFTER for loop in elsewhere
            )

        await self._patience.wait_while(behind)

    def _note_crowded(self, mailbox: Mailbox) -> None:
        self._crowded.append(mailbox)

    def _deliver(
        self, members: Iterable[Endpoint], payload: bytes, prepared: PreparedMessage | None
    ) -> None:
        if prepared is None:
            for member in members:
                if not member.put_message(payload):
                    self.dropped += 1
            return
        written = 0
        tally: Tally | None = None
        # What is asked for each member is asked here: a call of its own takes 30 ns of 150, and to
        # look for a method in `outbox.write(frame)` 7.
        deflater, frame = None, prepared.plain
        for member in members:
            outbox = member.direct
            if outbox is not None and outbox.ready and member.parked is not None:
                if outbox.deflater is not deflater:  # most share one, or have none
                    deflater = outbox.deflater
                    frame = prepared.frame_for(deflater)
                write = outbox.write
                write(frame)
                outbox.sent += len(frame)
                tally = outbox.tally
                written += 1
            elif not member.put_message(payload):
                self.dropped += 1
        if tally is not None:  # one for all: those of a loop belong to one server
            tally.messages_sent += written

    def _deliver_on(
        self,
        loop: asyncio.AbstractEventLoop,
        members: Sequence[Endpoint],
        payload: bytes,
        prepared: PreparedMessage | None,
    ) -> None:
        """Deliver on another thread's loop, after everything that was posted to it before."""
        with self.lock:
            waiting = self._posted.setdefault(loop, deque())
            waiting.append((members, payload, prepared))
            if len(waiting) > 1 and not loop.is_closed():
                return
        try:
            loop.call_soon_threadsafe(self._deliver_posted, loop, 0)
        except RuntimeError:
            self._give_up(loop)

    def _deliver_posted(self, loop: asyncio.AbstractEventLoop, start: int) -> None:
        """Deliver what was posted to this loop, a slice per turn of it.

        Args:
            loop: The running loop.
            start: How many members the first delivery has already reached.
        """
        waiting = self._posted.get(loop)
        room = SLICE
        while waiting and room > 0:
            members, payload, prepared = waiting[0]
            self._crowded = self._crowded_elsewhere = []
            part = members[start : start + room]
            try:
                self._deliver(part, payload, prepared)
            except Exception:
                # The posters have long gone on, and what others posted must not wait for ever.
                logger.exception("A message could not be delivered to all of its receivers")
            start += len(part)
            room -= max(len(part), 1)
            if start >= len(members):
                start = 0
                with self.lock:
                    waiting.popleft()
                    if not waiting:
                        self._posted.pop(loop, None)
        if waiting:
            loop.call_soon(self._deliver_posted, loop, start)

    def _give_up(self, loop: asyncio.AbstractEventLoop) -> None:
        """A loop was closed and its connections with it, without a chance to say so."""
        with self.lock:
            for members, _, _ in self._posted.pop(loop, ()):
                self.dropped += len(members)
                for member in members:
                    if isinstance(member, Mailbox) and member.channel is not None:
                        self.detach(member.channel)


_hubs: "weakref.WeakSet[Hub]" = weakref.WeakSet()


def _forget_parent() -> None:
    for hub in list(_hubs):
        hub.forget_parent()


forks.in_child(_forget_parent)
