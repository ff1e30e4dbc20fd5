"""The channel layer of one process: for tests, development, and as reference of the contract."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Final

from fairway._types import Event
from fairway.delivery import ChannelQueue, Hub
from fairway.delivery.hub import Endpoint, Group
from fairway.layers.base import ChannelLayer
from fairway.layers.bus import Bus
from fairway.layers.names import ChannelPattern

#: How often expired messages and memberships are looked for within the shorter of the expiries.
_SWEEPS: Final = 10


class MemoryBus(Bus):
    """Connects a process with nobody: there is no other, and queues live in its own hub.

    Args:
        hub: Where the queues are.
        new_queue: Makes the queue of a name.
    """

    def __init__(self, hub: Hub, new_queue: Callable[[str], ChannelQueue]) -> None:
        self._hub = hub
        self._new_queue = new_queue

    async def publish(self, topic: str, payload: bytes) -> None:
        """There is no other process."""

    async def subscribe(self, topic: str) -> None:
        """There is no other process."""

    async def unsubscribe(self, topic: str) -> None:
        """There is no other process."""

    async def push(self, queue: str, payload: bytes, *, capacity: int, expiry: float) -> bool:
        """Add to a queue; False when it is full."""
        with self._hub.lock:  # nobody drops the queue as idle in between
            return self._queue(queue).put_message(payload)

    async def pop(self, queue: str) -> bytes:
        """Take the next payload from a queue, waiting for one if need be."""
        with ExitStack() as stack:
            with self._hub.lock:
                found = self._queue(queue)
                stack.enter_context(found.reading())
            return await found.get()

    async def close(self) -> None:
        """There is nothing to leave."""

    def _queue(self, name: str) -> ChannelQueue:
        found = self._hub.channels.get(name)
        if not isinstance(found, ChannelQueue):
            found = self._new_queue(name)
            self._hub.attach(name, found)
        return found


class InMemoryChannelLayer(ChannelLayer):
    """A channel layer whose messages never leave the process.

    It keeps the whole contract, whatever threads and event loops its users live on, and encodes
    messages like every other layer: what works here works across machines.

    Args:
        expiry: Seconds after which a message that nobody took is dropped, and its channel leaves
            its groups.
        group_expiry: Seconds after its last ``group_add`` that a channel stays in a group; a
            consumer's channel stays until its connection ends.
        capacity: Messages that a channel may hold.
        channel_capacity: Other capacities by glob or compiled regular expression.
        clock: Seconds that only go forwards; for tests.

    Attributes:
        channels: The channels that hold messages or are read, by name.
        groups: The groups with their channels, by name; an empty group is not kept.
    """

    def __init__(
        self,
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Mapping[ChannelPattern, int] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        hub = Hub()
        super().__init__(
            MemoryBus(hub, self._new_queue),
            hub,
            expiry=expiry,
            group_expiry=group_expiry,
            capacity=capacity,
            channel_capacity=channel_capacity,
            clock=clock,
        )
        self.channels: dict[str, Endpoint] = hub.channels
        self.groups: dict[str, Group] = hub.groups
        self._joined: dict[tuple[str, str], float] = {}
        self._next_sweep = clock()

    def _process_name(self) -> str:
        return "inmemory"

    async def send(self, channel: str, message: Event) -> None:
        """Send a message to one channel; see :meth:`ChannelLayer.send`."""
        if self._clock() >= self._next_sweep + 2 * self.expiry:
            self._sweep()  # reading sweeps; this is for processes that only ever send
        await super().send(channel, message)

    async def receive(self, channel: str) -> Event:
        """Take the next message of a channel; see :meth:`ChannelLayer.receive`."""
        self._sweep()
        try:
            return await super().receive(channel)
        finally:
            self._drop_if_idle(channel)

    async def group_add(self, group: str, channel: str) -> None:
        """Put a channel into a group; see :meth:`ChannelLayer.group_add`."""
        await super().group_add(group, channel)
        if isinstance(self.channels.get(channel), ChannelQueue):
            self._joined[group, channel] = self._clock()

    async def group_discard(self, group: str, channel: str) -> None:
        """Take a channel out of a group; see :meth:`ChannelLayer.group_discard`."""
        await super().group_discard(group, channel)
        self._joined.pop((group, channel), None)
        self._drop_if_idle(channel)

    async def group_send(self, group: str, message: Event) -> None:
        """Send a message to every channel of a group; see :meth:`ChannelLayer.group_send`."""
        self._sweep()
        await super().group_send(group, message)

    async def flush(self) -> None:
        """Forget every message and every membership."""
        await super().flush()
        self._joined.clear()

    def _sweep(self) -> None:
        """Drop what has expired, now and then: the bill for each call stays small."""
        now = self._clock()
        if now < self._next_sweep:
            return
        self._next_sweep = now + min(self.expiry, self.group_expiry) / _SWEEPS
        for name, endpoint in list(self.channels.items()):
            if isinstance(endpoint, ChannelQueue) and endpoint.drop_expired():
                # Nobody reads it: the specification lets such a channel fall out of its groups.
                for group in list(endpoint.groups):
                    self._leave(group, name)
                self._drop_if_idle(name)
        for (group, name), since in list(self._joined.items()):
            if since + self.group_expiry <= now:
                self._leave(group, name)
                self._drop_if_idle(name)

    def _leave(self, group: str, channel: str) -> None:
        self._hub.leave(group, channel)
        self._joined.pop((group, channel), None)

    def _drop_if_idle(self, channel: str) -> None:
        """Forget a queue that holds nothing, that nobody waits for and that is in no group."""
        with self._hub.lock:
            queue = self.channels.get(channel)
            if isinstance(queue, ChannelQueue) and queue.idle and not queue.groups:
                self._hub.detach(channel)
