"""A channel that is read with ``layer.receive()``: a bounded queue whose messages expire."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

logger = logging.getLogger("fairway.delivery")


class ChannelQueue:
    """First in, first out, one reader for each message; usable from any thread and event loop.

    Args:
        name: The channel's name.
        capacity: How many messages may wait.
        expiry: Seconds after which a message that nobody took is dropped.
        clock: Seconds that only go forwards.

    Attributes:
        name: The channel's name.
        loop: None, where a mailbox names the loop it belongs to: no thread has to be crossed.
        groups: Names of the groups that it is in; the hub's to change.
        expired: How many messages were dropped because nobody took them in time.
    """

    __slots__ = (
        "_capacity",
        "_clock",
        "_expiring",
        "_expiry",
        "_items",
        "_lock",
        "_overflowing",
        "_readers",
        "_waiters",
        "expired",
        "groups",
        "name",
    )

    loop: Final = None

    def __init__(self, name: str, capacity: int, expiry: float, clock: Callable[[], float]) -> None:
        self.name = name
        self.groups: list[str] = []
        self.expired = 0
        self._capacity = capacity
        self._expiry = expiry
        self._clock = clock
        self._items: deque[tuple[float, bytes]] = deque()
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._lock = threading.Lock()
        self._overflowing = False
        self._expiring = False
        self._readers = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def idle(self) -> bool:
        """Whether nothing waits in it and nobody reads it."""
        return not self._items and not self._readers and not self._waiters

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Somebody reads it: it is not idle, also while the reader is between two waits."""
        with self._lock:
            self._readers += 1
        try:
            yield
        finally:
            with self._lock:
                self._readers -= 1

    def qsize(self) -> int:
        """How many messages wait, under the name that :class:`asyncio.Queue` uses."""
        return len(self._items)

    def put_message(self, payload: bytes) -> bool:
        """Add a message; False when the queue is full."""
        with self._lock:
            self._drop_expired()
            if len(self._items) >= self._capacity:
                self._log_overflow()
                return False
            if not self._items:
                self._overflowing = False
            self._items.append((self._clock() + self._expiry, payload))
            self._wake_one()
        return True

    def drop_expired(self) -> bool:
        """Drop the messages that nobody took in time; says whether there were any."""
        with self._lock:
            return self._drop_expired()

    def clear(self) -> None:
        """Drop every message; readers go on waiting."""
        with self._lock:
            self._items.clear()

    async def get(self) -> bytes:
        """Take the next message, waiting for one if need be.

        Only a reader that goes on running takes a message: cancelling this call loses nothing.
        """
        loop = asyncio.get_running_loop()
        while True:
            with self._lock:
                self._drop_expired()
                if self._items:
                    self._expiring = False
                    return self._items.popleft()[1]
                waiter = loop.create_future()
                self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                with self._lock:
                    if waiter in self._waiters:
                        self._waiters.remove(waiter)
                    elif self._items:
                        self._wake_one()  # it was called for a message that it will not take
                raise

    def _log_overflow(self) -> None:
        if not self._overflowing:
            self._overflowing = True  # one line per burst: it ends when the queue is empty
            logger.warning(
                "Channel %s holds %d messages, which is its capacity; what is sent to it now is "
                "refused. Receive faster, or raise 'capacity' or 'channel_capacity'.",
                self.name,
                self._capacity,
            )

    def _drop_expired(self) -> bool:
        now, before = self._clock(), self.expired
        while self._items and self._items[0][0] <= now:
            self._items.popleft()
            self.expired += 1
        if self.expired == before:
            return False
        if not self._expiring:
            self._expiring = True  # one line per burst: it ends when somebody takes a message
            logger.warning(
                "Channel %s: %d messages were dropped, since nobody received them within %g s "
                "('expiry').",
                self.name,
                self.expired - before,
                self._expiry,
            )
        return True

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            try:
                waiter.get_loop().call_soon_threadsafe(_resolve, waiter)
            except RuntimeError:
                continue  # the loop of that reader was closed without cancelling it
            return


def _resolve(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
