"""Several processes in one: layers whose buses hand each other everything at once."""

from collections.abc import Iterable

from fairway._types import Event
from fairway.delivery import ChannelQueue, Hub, Mailbox
from fairway.layers.base import ChannelLayer
from fairway.layers.bus import ACKNOWLEDGEMENT, COUNTING, DELAY, Bus, Lease, Published
from fairway.layers.codec import decode


class Network:
    """What connects the buses: who is subscribed to what, and the queues."""

    def __init__(self) -> None:
        self.buses: list[NetworkBus] = []
        self.queues: dict[str, ChannelQueue] = {}
        self.members: dict[str, dict[str, float]] = {}
        self.now = 0.0

    def layer(self) -> ChannelLayer:
        """The layer of one more process."""
        bus = NetworkBus(self)
        self.buses.append(bus)
        return ChannelLayer(bus, Hub(), clock=lambda: self.now)

    def queue(self, name: str) -> ChannelQueue:
        return self.queues.setdefault(name, ChannelQueue(name, 100, 60, lambda: self.now))


class NetworkBus(Bus):
    """One process's end of the network."""

    abilities = frozenset({ACKNOWLEDGEMENT, COUNTING, DELAY})

    def __init__(self, network: Network) -> None:
        self.network = network
        self.topics: set[str] = set()

    async def publish(self, topic: str, payload: bytes) -> Published:
        others = [b for b in self.network.buses if b is not self and topic in b.topics]
        for bus in others:
            bus.deliver(topic, payload)
        return Published(len(others), list(self.network.members.get(topic, ())))

    def tell(self, topic: str, payload: bytes) -> None:
        for bus in self.network.buses:
            if topic in bus.topics:
                bus.deliver(topic, payload)

    def subscribe(self, topic: str) -> None:
        self.topics.add(topic)

    def unsubscribe(self, topic: str) -> None:
        self.topics.discard(topic)

    async def adopt(self, topic: str, queue: str, expiry: float) -> None:
        self.network.members.setdefault(topic, {})[queue] = expiry

    async def release(self, topic: str, queue: str) -> None:
        self.network.members.get(topic, {}).pop(queue, None)

    async def push(
        self, queue: str, payload: bytes, *, capacity: int, expiry: float, delay: float = 0.0
    ) -> bool:
        return self.network.queue(queue).put_message(payload, delay)

    async def pop(self, queue: str, limit: int) -> list[bytes]:
        return await self.network.queue(queue).get(limit)

    async def waiting(self, queue: str) -> int:
        return self.network.queue(queue).waiting[1]

    async def lease(self, queue: str, seconds: float) -> Lease:
        return await self.network.queue(queue).lease(seconds)

    async def extend(self, queue: str, ticket: str, seconds: float) -> bool:
        return self.network.queue(queue).extend(ticket, seconds)

    async def acknowledge(self, queue: str, ticket: str) -> bool:
        return self.network.queue(queue).acknowledge(ticket)

    async def give_back(self, queue: str, ticket: str, delay: float = 0.0) -> bool:
        return self.network.queue(queue).give_back(ticket, delay)

    async def flush(self) -> None:
        self.network.queues.clear()
        self.network.members.clear()

    async def close(self) -> None:
        self.network.buses.remove(self)


def messages(mailbox: Mailbox) -> Iterable[Event]:
    """Take everything that waits, decoded."""
    while (item := mailbox.take()) is not None:
        assert isinstance(item, bytes)
        yield decode(item)
