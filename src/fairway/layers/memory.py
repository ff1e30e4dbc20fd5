"""The channel layer of one process: for tests, development, and as reference of the contract."""

import time
from collections.abc import Callable, Mapping

from fairway.delivery import Hub
from fairway.delivery.group import Endpoint, Group
from fairway.delivery.queue import ChannelQueue, Lease
from fairway.layers.base import ChannelLayer
from fairway.layers.bus import ACKNOWLEDGEMENT, COUNTING, DELAY, Bus, Published
from fairway.layers.names import ChannelPattern
from fairway.layers.queues import Queues


class MemoryBus(Bus):
    """Connects a process with nobody: there is no other, and queues live in its own hub."""

    abilities = frozenset({ACKNOWLEDGEMENT, COUNTING, DELAY})

    #: The queues of the layer's own process; the layer's to set.
    queues: Queues

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def publish(self, topic: str, payload: bytes) -> Published:
        """There is no other process."""
        return _NOBODY

    def tell(self, topic: str, payload: bytes) -> None:
        """There is no other process."""

    def subscribe(self, topic: str) -> None:
        """There is no other process."""

    def unsubscribe(self, topic: str) -> None:
        """There is no other process."""

    async def adopt(self, topic: str, queue: str, expiry: float) -> None:
        """Make a queue a member of a topic."""
        self.queues.join(topic, queue)

    async def release(self, topic: str, queue: str) -> None:
        """End the membership of a queue."""
        self.queues.leave(topic, queue)

    async def push(
        self, queue: str, payload: bytes, *, capacity: int, expiry: float, delay: float = 0.0
    ) -> bool:
        """Add to a queue; False when it is full."""
        return self.queues.put(queue, payload, delay)

    async def pop(self, queue: str, limit: int) -> list[bytes]:
        """Take the next payloads from a queue, waiting for the first if need be."""
        return await self.queues.get(queue, limit)

    async def waiting(self, queue: str) -> int:
        """How many payloads wait in a queue."""
        found = self._found(queue)
        return 0 if found is None else found.waiting[1]

    async def lease(self, queue: str, seconds: float) -> Lease:
        """Take the next payload for ``seconds``."""
        return await self.queues.lease(queue, seconds)

    async def extend(self, queue: str, ticket: str, seconds: float) -> bool:
        """Keep a leased payload for ``seconds`` from now."""
        found = self._found(queue)
        return found is not None and found.extend(ticket, seconds)

    async def acknowledge(self, queue: str, ticket: str) -> bool:
        """Be done with a leased payload."""
        found = self._found(queue)
        return found is not None and found.acknowledge(ticket)

    async def give_back(self, queue: str, ticket: str, delay: float = 0.0) -> bool:
        """Put a leased payload back."""
        found = self._found(queue)
        return found is not None and found.give_back(ticket, delay)

    @property
    def is_open(self) -> bool:
        """Never: it holds no connection."""
        return False

    async def flush(self) -> None:
        """The hub has been cleared."""

    async def close(self) -> None:
        """There is nothing to leave."""

    def _found(self, queue: str) -> ChannelQueue | None:
        found = self._hub.channels.get(queue)
        return found if isinstance(found, ChannelQueue) else None


_NOBODY = Published(0)


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

    unread_expiries = 0  # as with the layer of that name in Channels

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
        bus = MemoryBus(hub)
        super().__init__(
            bus,
            hub,
            expiry=expiry,
            group_expiry=group_expiry,
            capacity=capacity,
            channel_capacity=channel_capacity,
            clock=clock,
        )
        bus.queues = self._queues
        self.channels: dict[str, Endpoint] = hub.channels
        self.groups: dict[str, Group] = hub.groups

    @property
    def process(self) -> str:
        """What stands before the ``!`` in channel names."""
        return "inmemory"

    def _is_mine(self, channel: str) -> bool:
        return True  # there is no other process
