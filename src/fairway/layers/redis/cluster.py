"""A Redis Cluster: which node has which slot, and what to do when that changes.

https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
"""

import asyncio
import binascii
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from fairway.exceptions import ChannelLayerUnavailable
from fairway.later import create_task_later
from fairway.layers.io import io
from fairway.layers.redis.command import Command
from fairway.layers.redis.connection import Connection, Reply, ServerError, connect
from fairway.layers.redis.hosts import Server
from fairway.layers.redis.link import Reporter, back_off, logger
from fairway.layers.redis.node import Node
from fairway.layers.redis.subscriptions import Certain, Handler, SubscriptionLink, resolve
from fairway.layers.redis.version import require_version

#: How many slots a cluster has.
SLOTS: Final = 16384

#: A node's host and port.
Address: TypeAlias = tuple[str, int]

_REDIRECTION: Final = re.compile(r"(MOVED|ASK) (\d+) (.*):(\d+)")


class Owner(NamedTuple):
    """The slots from ``first`` to ``last``, both included, and the master that has them."""

    first: int
    last: int
    address: Address


def slot_of(tag: str) -> int:
    """The slot of a hash tag: CRC-16/XMODEM modulo 16384."""
    return binascii.crc_hqx(tag.encode(), 0) % SLOTS


def owners_of(reply: Reply, host: str) -> list[Owner]:
    """Read the reply to ``CLUSTER SLOTS``.

    Args:
        reply: The reply.
        host: Who was asked; nodes that do not know their own name leave it out.
    """
    return [
        Owner(first, last, ((master[0] or b"").decode() or host, master[1]))
        for first, last, master, *_ in reply
    ]


class Subscribed(NamedTuple):
    """A channel that is subscribed to: its slot and what takes its messages."""

    slot: int
    handler: Handler


class Cluster:
    """The router of a cluster.

    It learns the owners of the slots from any node, when it is first used and whenever a node says
    that something is elsewhere, cannot be reached, or the slots of a channel were moved. Until then
    commands wait. A channel whose owner has changed is subscribed to there.

    Args:
        seeds: Some of the nodes.
        make_node: Makes a node of this router.
        patience: Seconds to wait for the owners of slots.
    """

    publish_command = "SPUBLISH"
    count_command = "SHARDNUMSUB"

    def __init__(
        self,
        seeds: Sequence[Server],
        make_node: Callable[[Server, "Cluster"], Node],
        *,
        patience: float,
    ) -> None:
        self._seeds = seeds
        self._make_node = make_node
        self._patience = patience
        self._nodes: dict[Address, Node] = {}
        self._owners: dict[int, Node] = {}
        self._waiting: deque[Command] = deque()
        self._subscribed: dict[bytes, Subscribed] = {}
        # Where each channel is subscribed to; None while its owner is being looked for.
        self._homes: dict[bytes, SubscriptionLink | None] = {}
        self._certain: dict[bytes, list[Certain]] = {}
        self._reporter = Reporter(seeds[0])
        self._trouble = "the owners of its slots are not known yet"
        self._learning: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._learned = asyncio.Event()
        self._closed = False
        self._changed = float("-inf")

    # ------------------------------------------------------------------ what a router does

    def send(self, command: Command) -> None:
        """Send a command about a queue or topic to the owner of its slot."""
        node = self._owners.get(slot_of(command.name))
        if node is not None:
            node.commands.send(command)
        else:
            command.trouble = lambda: f"cluster at {self._seeds[0]}: {self._trouble}"
            io.call(self._keep, command)

    def _keep(self, command: Command) -> None:
        """Keep a command until the owner of its slot is known."""
        if command.finished:
            return
        node = self._owners.get(slot_of(command.name))
        if node is not None:
            node.commands.send(command)
        elif self._closed:
            command.fail(ChannelLayerUnavailable("The channel layer was closed."))
        else:
            self._waiting.append(command)
            self._learn()

    def subscribe(self, name: str, channel: bytes, handler: Handler, *certain: Certain) -> None:
        """Subscribe to a channel of a queue or topic, at the owner of its slot."""
        slot = slot_of(name)
        self._subscribed[channel] = Subscribed(slot, handler)
        node = self._owners.get(slot)
        if node is not None:
            self._homes[channel] = node.subscriptions
            node.subscriptions.subscribe(channel, handler, *certain)
            return
        self._homes[channel] = None
        if certain:
            self._certain.setdefault(channel, []).extend(certain)
            asyncio.get_running_loop().call_later(self._patience, resolve, *certain)
        self._learn()

    def unsubscribe(self, name: str, channel: bytes) -> None:
        """Take that back."""
        self._subscribed.pop(channel, None)
        home = self._homes.pop(channel, None)
        resolve(*self._certain.pop(channel, ()))
        if home is not None:
            home.unsubscribe(channel)

    def is_subscribed(self, name: str, channel: bytes) -> bool:
        """Whether it was done, and not taken back."""
        return channel in self._subscribed

    def sequence(self, name: str) -> int:
        """The slot of a name."""
        return slot_of(name)

    def came_back(self, name: str) -> float:
        """When the owner of a name was last back, or became its owner."""
        node = self._owners.get(slot_of(name))
        return self._changed if node is None else max(self._changed, node.commands.came_back)

    def nodes(self) -> Iterable[Node]:
        """The masters that are known now."""
        return list(self._nodes.values())

    async def each(self) -> Iterable[Node]:
        """All masters.

        Raises:
            ChannelLayerUnavailable: Nobody said in time who they are.
        """
        self._learn()
        try:
            async with asyncio.timeout(self._patience):
                await self._learned.wait()
        except TimeoutError:
            raise ChannelLayerUnavailable(
                f"The cluster at {self._seeds[0]} did not answer within {self._patience:g} s "
                f"(send_timeout): {self._trouble}."
            ) from None
        return self.nodes()

    async def close(self) -> None:
        """End all connections."""
        self._closed = True
        self._owners = {}
        if self._learning is not None:
            self._learning.cancel()
            await asyncio.wait([self._learning, *self._closing])
        for certain in self._certain.values():
            resolve(*certain)
        await asyncio.gather(*(node.close() for node in self._nodes.values()))

    # ------------------------------------------------------------------ what nodes say

    def redirect(self, command: Command, text: str) -> None:
        """A node says that another one has what a command is about."""
        found = _REDIRECTION.match(text)
        if found is None:
            return
        slot, node = int(found[2]), self._node((found[3], int(found[4])))
        if found[1] == "MOVED":
            self._owners[slot] = node
            self._changed = time.monotonic()
            self._learn()
            node.commands.send(command)
        else:
            command.asking = True  # this one alone, while the slot is on its way
            node.commands.send(command)

    def refused(self, link: SubscriptionLink, text: str) -> None:
        """A node did not take a subscription."""
        found = _REDIRECTION.match(text)
        if found is None:
            homeless = link.unconfirmed()
        else:
            slot = int(found[2])
            homeless = [name for name, (owned, _) in self._subscribed.items() if owned == slot]
        for channel in homeless:
            self.unsubscribed(link, channel)

    def unsubscribed(self, link: SubscriptionLink, channel: bytes) -> None:
        """A node does not publish to a channel any more, or never did."""
        if self._homes.get(channel) is link:
            self._leave(channel, link)
            self._learn()

    def failing(self) -> None:
        """A node cannot be reached: another one may be about to take its place."""
        self._learn()

    # ------------------------------------------------------------------ who owns what

    def _learn(self) -> None:
        if not self._closed and (self._learning is None or self._learning.done()):
            # Later: a failure may lead back here.
            self._learning = create_task_later(asyncio.get_running_loop(), self._keep_learning())

    async def _keep_learning(self) -> None:
        """Ask for the owners until all is well: each node answers, each channel has a home."""
        for attempt in range(1_000_000):
            if attempt:
                await asyncio.sleep(back_off(attempt))
            try:
                owners = await self._ask_anybody()
            except OSError as error:
                self._trouble = str(error)
                self._reporter.lost("owners", str(error))
                continue
            self._reporter.back("owners")
            self._apply(owners)
            if self._is_well():
                return

    def _is_well(self) -> bool:
        return (
            not any(node.failing for node in self._nodes.values())
            and None not in self._homes.values()
            and all(command.finished for command in self._waiting)
        )

    async def _ask_anybody(self) -> list[Owner]:
        reasons = {}
        for server in self._candidates():
            try:
                connection = await connect(server)
                try:
                    async with asyncio.timeout(server.connect_timeout):
                        return await _ask_for_owners(connection, server.host)
                finally:
                    connection.abort("it was asked")
            except OSError as error:  # TimeoutError is one
                reasons[str(server)] = error
        if len(reasons) == 1:
            raise next(iter(reasons.values()))
        raise OSError("; ".join(f"{server}: {error}" for server, error in reasons.items()))

    def _candidates(self) -> Iterator[Server]:
        """Those that seem to be well, then the others."""
        nodes = sorted(self._nodes.values(), key=lambda node: node.failing)
        seen = {(node.server.host, node.server.port) for node in nodes}
        yield from (node.server for node in nodes)
        yield from (seed for seed in self._seeds if (seed.host, seed.port) not in seen)

    def _apply(self, owners: list[Owner]) -> None:
        """Make it true."""
        before = self._owners
        self._owners = {
            slot: self._node(owner.address)
            for owner in owners
            for slot in range(owner.first, owner.last + 1)
        }
        if before and self._owners != before:
            self._changed = time.monotonic()
        self._retire(set(self._nodes) - {owner.address for owner in owners})
        for channel, (slot, handler) in self._subscribed.items():
            node = self._owners.get(slot)
            home = self._homes[channel]
            if node is None or home is node.subscriptions:
                continue
            if home is not None:
                self._leave(channel, home)
            self._homes[channel] = node.subscriptions
            if before:
                node.subscriptions.restore()
            node.subscriptions.subscribe(channel, handler, *self._certain.pop(channel, ()))
        waiting, self._waiting = self._waiting, deque()
        for command in waiting:
            if not command.finished:
                self.send(command)
        self._learned.set()

    def _retire(self, addresses: set[Address]) -> None:
        """End the connections to nodes that own nothing any more; others answer in their place."""
        for address in addresses:
            node = self._nodes.pop(address)
            logger.warning("Redis at %s is not a master of the cluster any more.", node.server)
            for channel, home in self._homes.items():
                if home is node.subscriptions:
                    self._leave(channel, home)
            self._waiting.extend(node.commands.take_back(self.send))
            closing = asyncio.get_running_loop().create_task(node.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _leave(self, channel: bytes, link: SubscriptionLink) -> None:
        self._homes[channel] = None
        self._certain.setdefault(channel, []).extend(link.drop(channel))

    def _node(self, address: Address) -> Node:
        node = self._nodes.get(address)
        if node is None:
            node = self._nodes[address] = self._make_node(self._seeds[0].at(*address), self)
        return node


async def _ask_for_owners(connection: Connection, host: str) -> list[Owner]:
    because = "of a cluster, version 7 is needed, which has sharded pub/sub"
    await require_version(connection, 7, because)
    try:
        owners = owners_of(await connection.ask("CLUSTER", "SLOTS"), host)
    except ServerError as error:
        raise ServerError(f'{error} (is it no cluster? then remove "cluster": True)') from error
    if not owners:
        raise OSError("its slots have no owners yet")
    return owners
