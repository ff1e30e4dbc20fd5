"""A bus over Redis: topics by pub/sub, queues in lists, whatever happens to the server."""

import asyncio
import concurrent.futures
import functools
import time
import weakref
from collections.abc import Callable
from typing import Final

from fairway import forks, native
from fairway.delivery.queue import Lease
from fairway.layers.bus import ACKNOWLEDGEMENT, COUNTING, DELAY, Bus, Confirmation, Published
from fairway.layers.io import io
from fairway.layers.redis.connection import Word
from fairway.layers.redis.hosts import Hosts
from fairway.layers.redis.link import LONGEST_DELAY, logger
from fairway.layers.redis.readers import Taken, Waiter
from fairway.layers.redis.scripts import ADOPT, HEAD, PUBLISH, RELEASE, attempt_of
from fairway.layers.redis.session import Options, Session, milliseconds
from fairway.layers.redis.wire import Wire

#: Seconds between two lines about the same full queue.
_BURST: Final = 60.0
#: Seconds after an outage in which other processes may still be on their way back …
_RETURNING: Final = 1.5 * LONGEST_DELAY
#: … and between two attempts to reach one of them.
_TRY_AGAIN: Final = 0.1


class RedisBus(Bus):
    """Processes that share one or several Redis servers, or a cluster.

    While a server is away, subscriptions succeed and are made when it is back; readers wait;
    everything else waits for ``send_timeout`` and then raises
    :class:`~fairway.exceptions.ChannelLayerUnavailable`. It may have been executed then.

    What is published or pushed reaches its reader at most once, also where a connection ends before
    the server's answer and the command is sent again: commands are numbered. An entry taken from a
    queue is lost only if this process ends before its reader has it; for others there are leases.

    Args:
        hosts: Where Redis is.
        prefix: What all keys and channels begin with.
        expiry: Seconds after which entries that came back to a queue are dropped.
        send_timeout: Seconds that a command waits for a server.
        wire: The form of payloads.

    Attributes:
        interrupted: Called when a server that publishes to this process is lost; to be set before
            the first use, like ``deliver`` and ``lost``.
    """

    abilities = frozenset({ACKNOWLEDGEMENT, COUNTING, DELAY})

    def __init__(
        self, hosts: Hosts, *, prefix: str, expiry: float, send_timeout: float, wire: Wire
    ) -> None:
        self._hosts = hosts
        self._prefix = prefix
        self._expiry = expiry
        self._send_timeout = send_timeout
        self._wire = wire
        self._session: Session | None = None
        self._opening = native.Lock()
        self._full: dict[str, float] = {}
        self.interrupted: Callable[[], None] = _nothing
        _buses.add(self)

    def _open(self) -> Session:
        forks.notice()
        session = self._session
        if session is not None:
            return session
        with self._opening:
            if self._session is None:
                self._session = session = Session(
                    Options(
                        self._hosts,
                        self._prefix,
                        self._expiry,
                        self._send_timeout,
                        self._wire,
                        self.deliver,
                        self.interrupted,
                        self.lost,
                    )
                )
                io.at_exit(self._goodbye)
            return self._session

    # ------------------------------------------------------------------ topics

    async def publish(self, topic: str, payload: bytes) -> Published:
        """Hand a payload to every other process that is subscribed to ``topic``."""
        session = self._open()
        sealed = self._wire.seal_envelope(payload)
        deadline = time.monotonic() + self._send_timeout
        if_heard: tuple[Word, ...] = ()
        if topic.startswith("!"):
            if_heard = (session.router.count_command,)
        while True:
            words = functools.partial(self._publish_words, session, topic, sealed, if_heard)
            reached, *queues = await session.ask(topic, words, PUBLISH)
            processes = reached - session.is_subscribed(topic)
            if processes > 0 or not if_heard:
                return Published(max(processes, 0), [queue.decode() for queue in queues])
            # After an outage the process that this is for may not be back yet. Nothing is sent
            # until it is: who hears it at a replica is not counted, and would hear all attempts.
            if (
                time.monotonic() + _TRY_AGAIN > deadline
                or session.router.came_back(topic) + _RETURNING < time.monotonic()
            ):
                if_heard = ()
            else:
                await asyncio.sleep(_TRY_AGAIN)

    def _publish_words(
        self,
        session: Session,
        topic: str,
        sealed: bytes,
        if_heard: tuple[Word, ...],
        number: int,
    ) -> tuple[Word, ...]:
        keys = session.keys
        command, header = session.router.publish_command, session.header(number)
        return (keys.members(topic), command, keys.channel(topic), header, sealed, *if_heard)

    def tell(self, topic: str, payload: bytes) -> None:
        """Publish without waiting for it; what cannot be sent now is lost."""
        session = self._open()
        sealed = self._wire.seal_envelope(payload)
        words = functools.partial(self._publish_words, session, topic, sealed, ())
        io.call(session.tell, topic, words, PUBLISH)

    def subscribe(self, topic: str) -> Confirmation:
        """Receive what is published to ``topic`` from now on."""
        certain: concurrent.futures.Future[None] = concurrent.futures.Future()
        io.call(self._open().subscribe, topic, certain)
        return certain

    def unsubscribe(self, topic: str) -> None:
        """Receive it no more."""
        if self._session is not None:
            io.call(self._session.unsubscribe, topic)

    async def adopt(self, topic: str, queue: str, expiry: float) -> None:
        """Make a queue a member of a topic, for ``expiry`` seconds."""
        session = self._open()
        words = (session.keys.members(topic), queue, milliseconds(expiry))
        await session.ask(topic, lambda _: words, ADOPT)

    async def release(self, topic: str, queue: str) -> None:
        """End the membership of a queue."""
        session = self._open()
        words = ("ZREM", session.keys.members(topic), queue)
        await session.ask(topic, lambda _: words)

    # ------------------------------------------------------------------ queues

    async def push(
        self, queue: str, payload: bytes, *, capacity: int, expiry: float, delay: float = 0.0
    ) -> bool:
        """Add to a queue; False when it is full."""
        session = self._open()
        call = session.pushing(queue, expiry, capacity, delay)
        expired, taken = divmod(await session.call(queue, call, self._wire.seal(payload)), 2)
        if expired:
            session.counts["expired"] += expired
        if not taken:
            self._log_overflow(queue, capacity)
        return bool(taken)

    def _log_overflow(self, queue: str, capacity: int) -> None:
        now = time.monotonic()
        if now - self._full.get(queue, -_BURST) < _BURST:
            return
        self._full = {name: since for name, since in self._full.items() if now - since < _BURST}
        self._full[queue] = now
        logger.warning(
            "Channel %s holds %d messages, which is its capacity; what is sent to it now is "
            "refused. Receive faster, or raise 'capacity' or 'channel_capacity'.",
            queue,
            capacity,
        )

    async def pop(self, queue: str, limit: int) -> list[bytes]:
        """Take the next payloads from a queue, waiting for the first if need be."""
        while True:
            taken = await self._take(queue, 0, limit)
            payloads = []
            for entry in taken.entries:
                payload = self._wire.open(entry[HEAD:], queue)
                if payload is not None:
                    payloads.append(payload)
            if payloads:
                return payloads

    async def waiting(self, queue: str) -> int:
        """How many payloads wait in a queue; those that have just expired may be among them."""
        session = self._open()
        ready, later, *_ = session.keys.queue(queue)
        waiting: int = await session.ask(queue, lambda _: ("LLEN", ready))
        for_later: int = await session.ask(queue, lambda _: ("ZCARD", later))
        return waiting + for_later

    async def lease(self, queue: str, seconds: float) -> Lease:
        """Take the next payload for ``seconds``; then it comes back, unless acknowledged."""
        while True:
            taken = await self._take(queue, max(milliseconds(seconds), 1))
            (entry,) = taken.entries
            payload = self._wire.open(entry[HEAD:], queue)
            if payload is not None:
                return Lease(taken.ticket, payload, attempt_of(entry))
            await self.acknowledge(queue, taken.ticket)

    async def _take(self, queue: str, lease: int, limit: int = 1) -> Taken:
        session = self._open()
        waiter = Waiter(lease, limit)
        session.read(queue, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            taken = waiter.leave()
            # Here and now: the same task may ask again at once.
            if taken is None:
                session.forget(queue, waiter)
            else:
                session.put_back(queue, taken, lease)
            raise

    async def extend(self, queue: str, ticket: str, seconds: float) -> bool:
        """Keep a leased payload for ``seconds`` from now."""
        return await self._release(queue, ticket, "extend", seconds)

    async def acknowledge(self, queue: str, ticket: str) -> bool:
        """Be done with a leased payload."""
        return await self._release(queue, ticket, "done")

    async def give_back(self, queue: str, ticket: str, delay: float = 0.0) -> bool:
        """Put a leased payload back to the front, or in for later."""
        return await self._release(queue, ticket, "return", delay)

    async def _release(self, queue: str, ticket: str, verb: str, seconds: float = 0.0) -> bool:
        session = self._open()
        keys = session.keys
        words: tuple[Word, ...] = (
            *keys.queue(queue),
            ticket,
            verb,
            milliseconds(seconds),
            milliseconds(self._expiry),
            keys.call(session.router.publish_command, queue),
        )
        return bool(await session.ask(queue, lambda _: words, RELEASE))

    # ------------------------------------------------------------------ all of it

    @property
    def is_open(self) -> bool:
        """Whether it was used since it was closed."""
        return self._session is not None

    def stats(self) -> dict[str, int]:
        """Counts of connections and commands; see docs/redis.md."""
        return {} if self._session is None else self._session.stats()

    async def flush(self) -> None:
        """Forget every queue and every membership of queues."""
        await io.run(self._open().flush())

    async def close(self) -> None:
        """End the connections of this process; the next use makes new ones."""
        if self._session is not None:
            io.no_exit(self._goodbye)
            await io.run(self._goodbye())

    async def _goodbye(self) -> None:
        # Who sends after it, in an earlier registered function of atexit say, opens another one.
        with self._opening:
            session, self._session = self._session, None
        if session is not None:
            await session.close()

    def forget_parent(self) -> None:
        """In a forked child: the connections are the parent's, and so are those who wait."""
        self._opening = native.Lock()
        session, self._session = self._session, None
        if session is not None:
            session.abandon()
            _inherited.append(session)


def _nothing() -> None:
    """Nobody wants to know."""


_buses: "weakref.WeakSet[RedisBus]" = weakref.WeakSet()
#: What a child process must not finalize, as that would say goodbye in the name of its parent.
_inherited: list[Session] = []


def _forget_parent() -> None:
    for bus in list(_buses):
        bus.forget_parent()


forks.in_child(_forget_parent)
