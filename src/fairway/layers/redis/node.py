"""One server, as the layer sees it: two connections, and how names find their way to one."""

import asyncio
import binascii
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from fairway.layers.redis.command import Command
from fairway.layers.redis.commands import CommandLink
from fairway.layers.redis.hosts import Server
from fairway.layers.redis.link import Elsewhere, Reporter
from fairway.layers.redis.sentinel import locate
from fairway.layers.redis.subscriptions import Certain, Handler, SubscriptionLink


class Node:
    """A server and the connections of this process to it, made when they are needed.

    Attributes:
        commands: The one that sends.
        subscriptions: The one that is told.
    """

    def __init__(
        self,
        server: Server,
        numbers: Iterator[int],
        *,
        patience: float,
        interrupted: Callable[[], None],
        recovered: Callable[[], None],
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self.server = server
        reporter = Reporter(server)
        self.commands = CommandLink(
            server,
            reporter,
            locate,
            numbers=numbers,
            elsewhere=elsewhere,
            demoted=self._listen_elsewhere,
        )
        self.subscriptions = SubscriptionLink(
            server,
            reporter,
            locate,
            patience=patience,
            interrupted=interrupted,
            recovered=recovered,
            sharded=elsewhere is not None,
            elsewhere=elsewhere,
        )

    @property
    def failing(self) -> bool:
        """Whether one of its connections was lost, or could not be made."""
        return self.commands.failing or self.subscriptions.failing

    def _listen_elsewhere(self, why: str) -> None:
        """What is published at a master reaches a replica, too, but as long as it is one only."""
        if self.subscriptions.connection is not None:
            self.subscriptions.connection.abort(why)

    async def close(self) -> None:
        """End both connections."""
        await asyncio.gather(self.commands.close(), self.subscriptions.close())


class Router(Protocol):
    """Which server is responsible for a queue or a topic.

    Commands may be sent from any thread; everything else belongs to the thread of the connections.

    Attributes:
        publish_command: The command that publishes.
        count_command: What asks, behind ``PUBSUB``, how many subscribers a channel has.
    """

    publish_command: str
    count_command: str

    def send(self, command: Command) -> None:
        """Send a command about a queue or topic to its server."""

    def subscribe(self, name: str, channel: bytes, handler: Handler, *certain: Certain) -> None:
        """Subscribe to a channel of a queue or topic."""

    def unsubscribe(self, name: str, channel: bytes) -> None:
        """Take that back, if it was done."""

    def is_subscribed(self, name: str, channel: bytes) -> bool:
        """Whether it was done, and not taken back; on any thread."""

    def sequence(self, name: str) -> int:
        """A number for names whose commands keep their order among each other."""

    def came_back(self, name: str) -> float:
        """When the server of a name was last back from an outage, by :func:`time.monotonic`."""

    def nodes(self) -> Iterable[Node]:
        """The servers that are known now."""

    async def each(self) -> Iterable[Node]:
        """All the servers, once they are known."""

    async def close(self) -> None:
        """End all connections."""


class Shards:
    """One server, or several that know nothing of each other and share the names.

    Args:
        servers: The servers; in every process in the same order.
        make_node: Makes the node of one.
    """

    publish_command = "PUBLISH"
    count_command = "NUMSUB"

    def __init__(self, servers: Iterable[Server], make_node: Callable[[Server], Node]) -> None:
        self._nodes = [make_node(server) for server in servers]
        self._only = self._nodes[0] if len(self._nodes) == 1 else None

    def send(self, command: Command) -> None:
        """Send a command about a queue or topic to its server."""
        self._node(command.name).commands.send(command)

    def subscribe(self, name: str, channel: bytes, handler: Handler, *certain: Certain) -> None:
        """Subscribe to a channel of a queue or topic."""
        node = self._node(name)
        node.subscriptions.subscribe(channel, handler, *certain)
        node.commands.start()  # it is the one that hears when the server is the master no more

    def unsubscribe(self, name: str, channel: bytes) -> None:
        """Take that back."""
        self._node(name).subscriptions.unsubscribe(channel)

    def is_subscribed(self, name: str, channel: bytes) -> bool:
        """Whether it was done, and not taken back."""
        return channel in self._node(name).subscriptions.handlers

    def sequence(self, name: str) -> int:
        """The number of its server."""
        return shard_of(name, len(self._nodes))

    def came_back(self, name: str) -> float:
        """When the server of a name was last back from an outage."""
        return self._node(name).commands.came_back

    def nodes(self) -> Iterable[Node]:
        """All of them."""
        return self._nodes

    async def each(self) -> Iterable[Node]:
        """All of them."""
        return self._nodes

    async def close(self) -> None:
        """End all connections."""
        await asyncio.gather(*(node.close() for node in self._nodes))

    def _node(self, name: str) -> Node:
        return self._only or self._nodes[self.sequence(name)]


def shard_of(name: str, shards: int) -> int:
    """The number of the server that has a name, the same in every process.

    By the whole name, for senders and receivers alike: the ranges of a twelve-bit hash.
    """
    if shards == 1:
        return 0
    return (binascii.crc32(name.encode()) & 0xFFF) * shards // 4096
