"""The queues of one process: channels that are read with ``layer.receive()``, not by a consumer."""

from collections.abc import Callable
from typing import Final

from fairway.delivery import ChannelQueue, Hub
from fairway.delivery.queue import Lease

#: How often expired messages and memberships are looked for within the shorter of the expiries.
_SWEEPS: Final = 10


class Queues:
    """Queues that live in a hub, made when first used and forgotten when idle.

    Args:
        hub: Where they are, beside the mailboxes of consumers.
        new_queue: Makes the queue of a name.
        expiry: Seconds after which a message that nobody took is dropped.
        patience: Seconds after which a queue leaves its groups if nobody has read it since messages
            began to expire in it.
        group_expiry: Seconds after its last :meth:`join` that a queue stays in a group.
        clock: Seconds that only go forwards.
        emptied: Called with each group that has no member here any more since one of its queues
            was not read, or has not joined again; with the hub's lock held.
    """

    def __init__(
        self,
        hub: Hub,
        new_queue: Callable[[str], ChannelQueue],
        *,
        expiry: float,
        patience: float,
        group_expiry: float,
        clock: Callable[[], float],
        emptied: Callable[[str], None],
    ) -> None:
        self._hub = hub
        self._new_queue = new_queue
        self._expiry = expiry
        self._patience = patience
        self._group_expiry = group_expiry
        self._clock = clock
        self._emptied = emptied
        self._joined: dict[tuple[str, str], float] = {}
        # Since when messages expire in queues that nobody has read since.
        self._unread: dict[str, float] = {}
        # Those that were idle at the last sweep: made for a name that nobody has used yet.
        self._unused: set[str] = set()
        self._next_sweep = clock()
        self._expired = 0  # in queues that are forgotten

    @property
    def expired(self) -> int:
        """How many messages were dropped because nobody took them in time."""
        return self._expired + sum(
            endpoint.expired
            for endpoint in list(self._hub.channels.values())
            if isinstance(endpoint, ChannelQueue)
        )

    def put(self, channel: str, payload: bytes, delay: float = 0.0) -> bool:
        """Add a message; False when the queue is full."""
        if self._clock() >= self._next_sweep + 2 * self._expiry:
            self.sweep()  # reading sweeps; this is for processes that only ever send
        with self._hub.lock:  # nobody drops the queue as idle in between
            return self.queue(channel).put_message(payload, delay)

    async def get(self, channel: str, limit: int) -> list[bytes]:
        """Take the next messages, at most ``limit``, waiting for the first if need be."""
        queue = self._open(channel)
        try:
            return await queue.get(limit)
        finally:
            self._close(channel, queue)

    async def lease(self, channel: str, seconds: float) -> Lease:
        """Take the next message for ``seconds``."""
        queue = self._open(channel)
        try:
            return await queue.lease(seconds)
        finally:
            self._close(channel, queue)

    # No context manager: that takes as long as all the rest of what is done for a message.
    def _open(self, channel: str) -> ChannelQueue:
        """The queue of that name, which nobody forgets as idle until it is closed."""
        self.sweep()
        self._unread.pop(channel, None)
        with self._hub.lock:
            queue = self.queue(channel)
            queue.begin_reading()
            return queue

    def _close(self, channel: str, queue: ChannelQueue) -> None:
        queue.end_reading()
        self._drop_if_idle(channel)

    def queue(self, channel: str) -> ChannelQueue:
        """The queue of that name, made if need be."""
        found = self._hub.channels.get(channel)
        if not isinstance(found, ChannelQueue):
            found = self._new_queue(channel)
            self._hub.attach(channel, found)
        return found

    def join(self, group: str, channel: str) -> bool:
        """Put a queue into a group; says whether it is the group's first member here."""
        with self._hub.lock:
            # What has expired before is no reason to leave afterwards.
            self.queue(channel).drop_expired()
            self._joined[group, channel] = self._clock()
            return self._hub.join(group, channel)

    def leave(self, group: str, channel: str) -> bool:
        """Take a queue out of a group; says whether the group is now empty here."""
        emptied = self._hub.leave(group, channel)
        self._joined.pop((group, channel), None)
        self._drop_if_idle(channel)
        return emptied

    def clear(self) -> None:
        """Forget the memberships; the hub has been cleared."""
        self._joined.clear()
        self._unread.clear()
        self._unused.clear()

    def sweep(self) -> None:
        """Drop what has expired, now and then: the bill for each call stays small."""
        now = self._clock()
        if now < self._next_sweep:
            return
        self._next_sweep = now + min(self._expiry, self._group_expiry) / _SWEEPS
        unused, self._unused = self._unused, set()
        for name, endpoint in list(self._hub.channels.items()):
            if not isinstance(endpoint, ChannelQueue):
                continue
            if endpoint.drop_expired():
                if self._unread.setdefault(name, now) + self._patience <= now:
                    # Nobody reads it: the specification lets it fall out of its groups.
                    for group in list(endpoint.groups):
                        self._expel(group, name)
                self._drop_if_idle(name)
            elif name in unused:
                self._drop_if_idle(name)
            elif endpoint.idle and not endpoint.groups:
                self._unused.add(name)
        for (group, name), since in list(self._joined.items()):
            if since + self._group_expiry <= now:
                self._expel(group, name)

    def _expel(self, group: str, channel: str) -> None:
        with self._hub.lock:  # nobody joins the group in between, to hear of its end afterwards
            if self.leave(group, channel):
                self._emptied(group)

    def _drop_if_idle(self, channel: str) -> None:
        """Forget a queue that holds nothing, that nobody waits for and that is in no group."""
        with self._hub.lock:
            queue = self._hub.channels.get(channel)
            if isinstance(queue, ChannelQueue) and queue.idle and not queue.groups:
                self._hub.detach(channel)
                self._unread.pop(channel, None)
                self._expired += queue.expired
