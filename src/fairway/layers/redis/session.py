"""What one process has to do with Redis for one layer, from its first use until it is closed."""

import asyncio
import contextlib
import functools
import itertools
import secrets
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.bus import Deliver
from fairway.layers.handover import Handover
from fairway.layers.io import io
from fairway.layers.redis.calls import Call, CallCommand
from fairway.layers.redis.cluster import Cluster
from fairway.layers.redis.command import Command, Deadlines, Done, Words, ignore
from fairway.layers.redis.connection import Reply, Word
from fairway.layers.redis.hosts import Hosts, Server
from fairway.layers.redis.keys import Keys
from fairway.layers.redis.link import Elsewhere
from fairway.layers.redis.node import Node, Router, Shards
from fairway.layers.redis.readers import Reader, Taken, Waiter
from fairway.layers.redis.scripts import PUSH, PUSH_TERMS, Script
from fairway.layers.redis.subscriptions import Certain, Handler, resolve
from fairway.layers.redis.wire import HEADER, Wire

#: Processes whose last number is remembered, for each server.
REMEMBERED: Final = 10_000
#: Seconds in which the ends of outages of several servers count as one.
TOGETHER: Final = 0.25
#: Keys that are looked at in one step of a flush.
_KEYS_AT_ONCE: Final = 1000
#: Seconds that closing waits for answers under way.
_FAREWELL: Final = 1.0
#: Queues for which the call that adds is not put together anew each time.
_KEPT: Final = 1000


def milliseconds(seconds: float) -> int:
    """Seconds as Redis counts them."""
    return round(seconds * 1000)


class Options(NamedTuple):
    """What a session is made with.

    Attributes:
        hosts: Where Redis is.
        prefix: What all names begin with.
        expiry: Seconds, for entries of queues that come back.
        send_timeout: Seconds that a command may take.
        wire: The form of payloads.
        deliver: Takes what others publish.
        interrupted: Called when a server that publishes to this process is lost.
        recovered: Called when it is back, and what was published meanwhile is missed.
    """

    hosts: Hosts
    prefix: str
    expiry: float
    send_timeout: float
    wire: Wire
    deliver: Deliver
    interrupted: Callable[[], None]
    recovered: Callable[[], None]


class Session:
    """The connections of one process for one layer, and what waits for them.

    All of it runs on the thread of :data:`fairway.layers.io.io`, but where it says otherwise.

    Attributes:
        keys: What keys and channels are called.
        router: Where they are.
        counts: What has been done so far.
        pushing: The call that adds to a queue, given its name, the expiry, the capacity and the
            delay; times in seconds.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self.keys = Keys(options.prefix, secrets.token_hex(8))
        self.counts: Counter[str] = Counter()
        self._me = bytes.fromhex(self.keys.process)
        self._numbers = itertools.count(1)
        self._deadlines = Deadlines(options.send_timeout)
        self._readers: dict[str, Reader] = {}
        # The last number of each process, by sequence and process.
        self._seen: dict[int, dict[bytes, int]] = {}
        # One for all topics: there are as many of them as sockets, or more.
        self._arrive: Handler = self._arrived
        self._telling: asyncio.TimerHandle | None = None
        self._closed = False
        self.router = self._make_router(options.hosts)
        self.pushing = functools.lru_cache(_KEPT)(self._pushing)

    def _make_router(self, hosts: Hosts) -> Router:
        if hosts.cluster:
            return Cluster(hosts.servers, self._make_node, patience=self._options.send_timeout)
        return Shards(hosts.servers, self._make_node)

    def _make_node(self, server: Server, elsewhere: Elsewhere | None = None) -> Node:
        return Node(
            server,
            self._numbers,
            patience=self._options.send_timeout,
            interrupted=self._options.interrupted,
            recovered=self._recovered,
            elsewhere=elsewhere,
        )

    # ------------------------------------------------------------------ commands

    async def ask(self, name: str, words: Words, script: Script | None = None) -> Reply:
        """Have a command about a queue or topic executed; on any event loop.

        Raises:
            ChannelLayerUnavailable: That was not possible in time.
        """
        answer: Handover[Reply] = Handover()
        command = self._command(name, words, answer.give, script, answer.get_loop())
        self._send(command)
        try:
            return await answer
        finally:
            command.finished = True  # who was cancelled does not wait for it to be sent

    async def call(self, name: str, call: Call, payload: bytes) -> Reply:
        """The same for a script whose arguments are known but for its payload."""
        answer: Handover[Reply] = Handover()
        deadline = time.monotonic() + self._options.send_timeout
        command = CallCommand(
            name, call, payload, answer.give, deadline=deadline, home=answer.get_loop()
        )
        self._send(command)
        try:
            return await answer
        finally:
            command.finished = True

    def tell(self, name: str, words: Words, script: Script | None = None) -> None:
        """Have a command executed, if that is possible soon."""
        self._send(self._command(name, words, ignore, script))

    def _command(
        self,
        name: str,
        words: Words,
        done: Done,
        script: Script | None = None,
        home: asyncio.AbstractEventLoop | None = None,
    ) -> Command:
        deadline = time.monotonic() + self._options.send_timeout
        return Command(name, words, done, script=script, deadline=deadline, home=home)

    def _send(self, command: Command) -> None:
        self._deadlines.watch(command)
        self.router.send(command)

    def _pushing(self, queue: str, expiry: float, capacity: int, delay: float) -> Call:
        words: tuple[Word, ...] = (
            *self.keys.queue(queue),
            self.keys.changed(queue),
            milliseconds((expiry + 1) * 1.5),  # half as long again: not each has to prolong it
            self.keys.call(self.router.publish_command, queue),
        )
        terms = PUSH_TERMS.pack(milliseconds(expiry), capacity, milliseconds(delay))
        return Call(PUSH, words, terms)

    # ------------------------------------------------------------------ topics

    def subscribe(self, topic: str, certain: Certain) -> None:
        """Receive what is published to a topic."""
        if self._closed:
            resolve(certain)
            return
        self.router.subscribe(topic, self.keys.channel(topic).encode(), self._arrive, certain)

    def unsubscribe(self, topic: str) -> None:
        """Receive it no more."""
        self.router.unsubscribe(topic, self.keys.channel(topic).encode())

    def header(self, number: int) -> bytes:
        """What comes before a published payload."""
        return HEADER.pack(self._me, number)

    def is_subscribed(self, topic: str) -> bool:
        """Whether this process is among those that a payload reaches; on any thread."""
        return self.router.is_subscribed(topic, self.keys.channel(topic).encode())

    # Who waits for it, if anybody does, the layer knows: it returns nothing.
    def _arrived(self, channel: bytes, data: bytes) -> None:
        if len(data) <= HEADER.size:
            return
        sender, number = HEADER.unpack_from(data)
        if sender == self._me:
            return
        topic = self.keys.topic(channel)
        seen = self._seen.setdefault(self.router.sequence(topic), {})
        if number <= seen.get(sender, 0):
            self.counts["repeated"] += 1
            return
        seen[sender] = number
        if len(seen) > REMEMBERED:
            for old in list(itertools.islice(seen, REMEMBERED // 2)):
                del seen[old]
        envelope = self._options.wire.open_envelope(data[HEADER.size :], topic)
        if envelope is not None:
            self._options.deliver(topic, envelope)

    def _recovered(self) -> None:
        for reader in list(self._readers.values()):
            reader.stir()
        if self._telling is None:
            nodes = sum(1 for _ in self.router.nodes())
            delay = TOGETHER if nodes > 1 else 0.0
            self._telling = asyncio.get_running_loop().call_later(delay, self._tell)

    def _tell(self) -> None:
        self._telling = None
        self._options.recovered()

    # ------------------------------------------------------------------ readers

    def read(self, queue: str, waiter: Waiter) -> None:
        """Give somebody the next entry of a queue; on any thread."""
        reader = self._readers.get(queue)
        if reader is None or not reader.add(waiter):
            io.call(self._read, queue, waiter)

    def _read(self, queue: str, waiter: Waiter) -> None:
        if self._closed:
            waiter.give(None, ChannelLayerUnavailable("The channel layer was closed."))
        else:
            self._reader(queue).add(waiter)

    def forget(self, queue: str, waiter: Waiter) -> None:
        """Somebody has stopped waiting; on any thread."""
        reader = self._readers.get(queue)
        if reader is not None:
            reader.forget(waiter)

    def put_back(self, queue: str, taken: Taken, lease: int) -> None:
        """Somebody has stopped waiting at the moment when it was given something; on any thread."""
        reader = self._readers.get(queue)
        if reader is not None:
            reader.put_back(taken, lease)
        elif not self._closed:
            io.call(lambda: self._reader(queue).put_back(taken, lease))

    def _reader(self, queue: str) -> Reader:
        reader = self._readers.get(queue)
        if reader is None:
            expiry = int(self._options.expiry * 1000)
            reader = Reader(queue, self.router, self.keys, expiry, self._drop_reader)
            self._readers[queue] = reader
        return reader

    def _drop_reader(self, queue: str) -> None:
        reader = self._readers.pop(queue)
        self.counts["expired"] += reader.expired

    # ------------------------------------------------------------------ all of it

    def stats(self) -> dict[str, int]:
        """What is there and what was done; on any thread."""
        nodes = list(self.router.nodes())
        expired = sum(reader.expired for reader in list(self._readers.values()))
        return {
            "subscriptions": sum(len(node.subscriptions) for node in nodes),
            "pending": sum(len(node.commands) for node in nodes),
            "reconnects": sum(
                node.commands.reconnects + node.subscriptions.reconnects for node in nodes
            ),
            "disconnected": sum(
                node.commands.failing + node.subscriptions.failing for node in nodes
            ),
            "resent": sum(node.commands.resent for node in nodes),
            "repeated": self.counts["repeated"],
            "unreadable": self._options.wire.unreadable,
            "expired": self.counts["expired"] + expired,
        }

    async def flush(self) -> None:
        """Delete everything of this layer at all servers."""
        for node in await self.router.each():
            for pattern in self.keys.patterns():
                await self._delete(node, pattern)

    async def _delete(self, node: Node, pattern: str) -> None:
        cursor: Word = 0
        while True:
            cursor, keys = await self._ask_node(
                node, ("SCAN", cursor, "MATCH", pattern, "COUNT", _KEYS_AT_ONCE)
            )
            # One by one: in a cluster, one command may not name several slots.
            await asyncio.gather(*(self._ask_node(node, ("UNLINK", key)) for key in keys))
            if int(cursor) == 0:
                return

    async def _ask_node(self, node: Node, words: tuple[Word, ...]) -> Reply:
        answer: Handover[Reply] = Handover()
        command = self._command("", lambda _: words, answer.give)
        self._deadlines.watch(command)
        node.commands.send(command)
        return await answer

    async def close(self) -> None:
        """End all connections; who still waits is told."""
        self._closed = True
        error = ChannelLayerUnavailable("The channel layer was closed.")
        for reader in list(self._readers.values()):
            reader.close(error)
        if any(reader.asks for reader in self._readers.values()):
            await self._hear_the_last()
        self._readers.clear()
        self._deadlines.stop()
        if self._telling is not None:
            self._telling.cancel()
        await self.router.close()

    async def _hear_the_last(self) -> None:
        """Wait for entries that are under way to readers who have left, and for their way back."""
        nodes = [node for node in self.router.nodes() if node.commands.connection is not None]
        with contextlib.suppress(TimeoutError, ChannelLayerUnavailable):
            async with asyncio.timeout(_FAREWELL):
                for _ in range(2):  # behind the questions, and behind what was put back
                    await asyncio.gather(*(self._ask_node(node, ("PING",)) for node in nodes))

    def abandon(self) -> None:
        """In a forked child: keep the parent's connections from being used or held open here."""
        for node in self.router.nodes():
            for link in (node.commands, node.subscriptions):
                if link.connection is not None:
                    link.connection.abandon()
