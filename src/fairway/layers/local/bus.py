"""The bus of one machine: a mesh for topics, a store for queues."""

import asyncio
import concurrent.futures
import logging
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from typing import Final, TypeVar

from fairway import forks, native
from fairway.delivery.queue import Lease
from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.bus import ACKNOWLEDGEMENT, COUNTING, DELAY, Bus, Confirmation, Published
from fairway.layers.io import io
from fairway.layers.local.clerk import Clerk
from fairway.layers.local.directory import Directory
from fairway.layers.local.mesh import Mesh
from fairway.layers.local.store import BUSY_TIMEOUT, Store

logger = logging.getLogger("fairway.layers.local")

T = TypeVar("T")

#: Before a queue's name, the topic by which its readers are woken.
_WAKE: Final = "?"
#: Seconds after which a reader looks again although nobody woke it: whoever sent may have been
#: killed between the two.
_LOOK_AGAIN: Final = 30.0
#: Seconds between two words in the log about a file that cannot be used.
_SAY_AGAIN: Final = 30.0
#: Seconds before a reader looks again into a file that could not be used.
_STORE_AGAIN: Final = 1.0


class _Reader:
    """Somebody who waits for a queue, on whatever event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()

    def wake(self) -> bool:
        """Let it look again, from any thread; False if its loop was closed."""
        try:
            self._loop.call_soon_threadsafe(self._woken.set)
        except RuntimeError:
            return False
        return True

    async def wait(self, seconds: float) -> None:
        """Until it is woken, at most ``seconds``."""
        timer = self._loop.call_later(seconds, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            timer.cancel()
        self._woken.clear()


class LocalBus(Bus):
    """Connects the processes of one machine.

    Args:
        directory: Where they meet.
        expiry: Seconds for which a message that was given back is wanted.
        clock: Seconds since the epoch.
    """

    abilities = frozenset({ACKNOWLEDGEMENT, COUNTING, DELAY})

    def __init__(
        self, directory: Directory, expiry: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._directory = directory
        self._expiry = expiry
        self._mesh = Mesh(
            directory, self._deliver, self._missed, self._read_members, self._look_after
        )
        self._begin()
        _buses.add(self)

    def _begin(self) -> None:
        self._members: dict[str, dict[str, float]] = {}
        # SQLite blocks, and a connection is for one thread. Memberships are read on the thread that
        # talks, with a connection of their own: in WAL mode reading waits for nobody.
        self._store = self._new_store(busy_timeout=0)
        self._clerk = Clerk(self._store)
        self._looking = self._new_store()
        # Held while it is used: a process is not to fork then.
        self._looking_used = native.Lock()
        self._readers: dict[str, set[_Reader]] = {}
        self._heard: dict[str, Confirmation] = {}
        # Those that had no reader when it was last looked after them; and what is held wherever
        # somebody comes to read a queue, or goes.
        self._unread: set[str] = set()
        self._coming = native.Lock()
        self._quiet_until = 0.0
        self._closed = True

    def _new_store(self, busy_timeout: float = BUSY_TIMEOUT) -> Store:
        directory = self._directory
        path = directory.path / "queues.sqlite3"
        return Store(
            path,
            directory.file_mode,
            self._clock,
            directory.check_file,
            busy_timeout,
            directory.hand_over,
        )

    def _use(self) -> None:
        """To be called first by whatever may be called from outside."""
        forks.notice()
        if self._closed:
            self._closed = False
            io.at_exit(self._goodbye)

    def before_fork(self) -> None:
        """Close the files: SQLite's connections, and its locks, do not survive a fork."""
        for used, store in self._stores():
            used.acquire()
            store.close()

    def after_fork_in_parent(self) -> None:
        """Go on; the files are opened again when they are needed."""
        for used, _ in self._stores():
            used.release()

    def forget_parent(self) -> None:
        """Begin anew in a forked child, at once: others are to notice when the parent dies."""
        self._mesh.forget_parent()
        self._begin()

    def _stores(self) -> list[tuple[threading.Lock, Store]]:
        return [(self._clerk.used, self._store), (self._looking_used, self._looking)]

    # ------------------------------------------------------------------ topics

    async def publish(self, topic: str, payload: bytes) -> Published:
        """Hand a payload to the processes that want it."""
        self._use()
        mesh = self._mesh
        if not mesh.started and not await self._started():
            return _NOBODY
        queues = self._queues_of(topic)
        wanting = mesh.wanting.get(topic)
        if not wanting:
            return Published(0, queues) if queues else _NOBODY
        return Published(mesh.publish(topic, payload), queues)

    def tell(self, topic: str, payload: bytes) -> None:
        """Publish without waiting for it."""
        self._use()
        self._mesh.publish(topic, payload)

    def subscribe(self, topic: str) -> Confirmation:
        """Want a topic."""
        self._use()
        # Whoever comes after this call is told of the topic after this call.
        confirmed: Confirmation = None if self._mesh.alone else concurrent.futures.Future()
        io.call(self._mesh.subscribe, topic, confirmed)
        return confirmed

    def unsubscribe(self, topic: str) -> None:
        """Want it no more."""
        self._use()
        io.call(self._mesh.unsubscribe, topic)

    def _deliver(self, topic: str, payload: bytes) -> None:
        if topic.startswith(_WAKE):
            self._wake(topic.removeprefix(_WAKE))
        else:
            self.deliver(topic, payload)

    def _missed(self) -> None:
        self.lost()
        for queue in self._readers:
            self._wake(queue)

    async def _started(self) -> bool:
        return not self._mesh.given_up and await io.run(self._mesh.try_to_start())

    async def adopt(self, topic: str, queue: str, expiry: float) -> None:
        """Make a queue a member of a topic; returns when every process knows."""
        await self._change_members(lambda: self._store.adopt(topic, queue, expiry))

    async def release(self, topic: str, queue: str) -> None:
        """End the membership of a queue."""
        await self._change_members(lambda: self._store.release(topic, queue))

    async def _change_members(self, change: Callable[[], None]) -> None:
        self._use()
        if not self._mesh.started:
            await io.run(self._mesh.start())
        await self._clerk.do(change)
        await io.run(self._read_members_here())
        confirmed: concurrent.futures.Future[None] = concurrent.futures.Future()
        io.call(self._mesh.tell_change, confirmed)
        await asyncio.shield(asyncio.wrap_future(confirmed))

    def _read_members(self) -> None:
        """Know which queues are members of which topics; another process may have changed it."""
        try:
            with self._looking_used:
                self._members = self._looking.members()
        except (sqlite3.Error, ChannelLayerUnavailable) as error:
            logger.error("Cannot read %s: %s", self._looking.path, error)

    def _look_after(self) -> None:
        """See now and then that the files are those that other processes find."""
        self._hear_no_more()
        for used, store in self._stores():
            if store.look_after():
                continue
            logger.warning(
                "%s was removed while it was in use. Messages that waited in it are lost.",
                store.path,
            )
            with used:
                store.close()

    async def _read_members_here(self) -> None:
        self._read_members()

    def _queues_of(self, topic: str) -> list[str]:
        members = self._members.get(topic)
        if not members:
            return []
        now = self._clock()
        return [queue for queue, expires in members.items() if expires > now]

    # ------------------------------------------------------------------ queues

    async def push(
        self, queue: str, payload: bytes, *, capacity: int, expiry: float, delay: float = 0.0
    ) -> bool:
        """Add to a queue, and wake a reader."""
        self._use()
        if not self._mesh.started:
            await io.run(self._mesh.start())
        taken = await self._clerk.do(
            lambda: self._store.push(queue, payload, capacity, expiry, delay)
        )
        if taken:
            await self._wake_everywhere(queue)
        return taken

    async def pop(self, queue: str, limit: int) -> list[bytes]:
        """Take the next payloads from a queue, waiting for the first if need be."""
        rows = await self._take(
            queue,
            lambda: self._store.pop(queue, limit) or None,
            lambda rows: self._store.put_back(queue, rows),
        )
        return [row.payload for row in rows]

    async def waiting(self, queue: str) -> int:
        """How many payloads wait in a queue."""
        self._use()
        return await self._clerk.do(lambda: self._store.count(queue))

    async def lease(self, queue: str, seconds: float) -> Lease:
        """Take the next payload for ``seconds``."""
        return await self._take(
            queue,
            lambda: self._store.lease(queue, seconds),
            lambda lease: self._store.unlease(lease.ticket),
        )

    async def extend(self, queue: str, ticket: str, seconds: float) -> bool:
        """Keep a leased payload for ``seconds`` from now."""
        self._use()
        return await self._clerk.do(lambda: self._store.extend(ticket, seconds))

    async def acknowledge(self, queue: str, ticket: str) -> bool:
        """Be done with a leased payload."""
        self._use()
        return await self._clerk.do(lambda: self._store.acknowledge(ticket))

    async def give_back(self, queue: str, ticket: str, delay: float = 0.0) -> bool:
        """Put a leased payload back, and wake a reader."""
        self._use()
        given = await self._clerk.do(lambda: self._store.give_back(ticket, self._expiry, delay))
        if given:
            await self._wake_everywhere(queue)
        return given

    async def _take(
        self, queue: str, take: Callable[[], T | None], undo: Callable[[T], object]
    ) -> T:
        self._use()
        if not self._mesh.started:
            await io.run(self._mesh.start())
        reader, everyone = _Reader(), self._readers
        with self._coming:
            everyone.setdefault(queue, set()).add(reader)

        # In quotes: these would be put together anew for each message, which takes 5 µs.
        def look() -> "tuple[T | None, float | None]":
            found = take()
            return found, self._store.next_due(queue) if found is None else None

        def untake(looked: "tuple[T | None, float | None]") -> None:
            if looked[0] is None:
                return
            undo(looked[0])
            # Others may have looked meanwhile, and found nothing.
            self._wake(queue)
            self._mesh.publish(_WAKE + queue, b"")

        try:
            await self._hear_of(queue)
            while True:
                try:
                    found, due = await self._clerk.do(look, untake)
                except ChannelLayerUnavailable as error:
                    # As with every bus: who waits for a message waits for the transport, too.
                    self._complain(str(error))
                    found, due = None, _STORE_AGAIN
                if found is not None:
                    return found
                await reader.wait(_LOOK_AGAIN if due is None else min(due, _LOOK_AGAIN))
                if self._readers is not everyone:
                    raise ChannelLayerUnavailable("The channel layer was closed.")
        finally:
            with self._coming:
                readers = everyone.get(queue, set())
                readers.discard(reader)
                if not readers:
                    everyone.pop(queue, None)

    def _complain(self, text: str) -> None:
        if time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + _SAY_AGAIN
            logger.error("%s. Readers of named channels wait until it can be used again.", text)

    async def _hear_of(self, queue: str) -> None:
        """Be told of what comes into a queue; for a while, since who reads once reads again."""
        with self._coming:
            if queue not in self._heard:
                self._heard[queue] = self.subscribe(_WAKE + queue)
            heard = self._heard[queue]
        if heard is not None and not heard.done():
            await asyncio.shield(asyncio.wrap_future(heard))

    def _hear_no_more(self) -> None:
        """Let go of the queues that nobody has read since the last time."""
        with self._coming:
            unread = self._heard.keys() - self._readers.keys()
            for queue in unread & self._unread:
                del self._heard[queue]
                self.unsubscribe(_WAKE + queue)
            self._unread = unread

    async def _wake_everywhere(self, queue: str) -> None:
        self._wake(queue)
        await self.publish(_WAKE + queue, b"")

    def _wake(self, queue: str) -> None:
        readers = self._readers.get(queue, set())
        for reader in list(readers):
            if not reader.wake():
                readers.discard(reader)

    # ------------------------------------------------------------------ all of it

    @property
    def is_open(self) -> bool:
        """Whether it was used since it was closed."""
        return not self._closed

    def stats(self) -> dict[str, int]:
        """``peers``, ``missed`` and ``expired``; see docs/layers.md."""
        links = self._mesh.publishers
        return {
            "peers": len(links),
            "missed": self._mesh.payloads_missed + sum(link.missed for link in links),
            "expired": self._store.expired,
        }

    async def flush(self) -> None:
        """Forget every queue and every membership of queues."""
        self._use()
        await self._change_members(self._store.flush)

    async def close(self) -> None:
        """Leave; the queues stay."""
        if self._closed:
            return
        self._closed = True
        io.no_exit(self._goodbye)
        await io.run(self._goodbye())

    async def _goodbye(self) -> None:
        await self._mesh.stop()
        await self._clerk.close()
        self._store.close()
        self._looking.close()
        waiting = self._readers
        self._begin()
        for readers in list(waiting.values()):
            for reader in list(readers):
                reader.wake()  # to be told that there is nothing to wait for


_NOBODY = Published(0)

_buses: "weakref.WeakSet[LocalBus]" = weakref.WeakSet()


def _before_fork() -> None:
    for bus in list(_buses):
        bus.before_fork()


def _after_fork_in_parent() -> None:
    for bus in list(_buses):
        bus.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for bus in list(_buses):
        bus.forget_parent()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
forks.in_child(_after_fork_in_child)
