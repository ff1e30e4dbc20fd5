"""A channel that is read with ``layer.receive()``: a bounded queue whose messages expire."""

import asyncio
import heapq
import itertools
import logging
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from fairway import native

logger = logging.getLogger("fairway.delivery")


class Lease(NamedTuple):
    """A message that a reader has taken and not yet finished.

    Attributes:
        ticket: What names it when it is acknowledged, extended or given back.
        payload: The encoded message.
        attempt: 1 for its first reader, one more for each after it.
    """

    ticket: str
    payload: bytes
    attempt: int


class _Entry(NamedTuple):
    expires: float
    payload: bytes
    attempt: int


class ChannelQueue:
    """First in, first out, one reader for each message; usable from any thread and event loop.

    A message may be put in for later. A reader may take a message for good (:meth:`get`), or on
    lease (:meth:`lease`): then it comes back to the front unless it is acknowledged in time.

    Args:
        name: The channel's name.
        capacity: How many messages may wait.
        expiry: Seconds after which a message that nobody took is dropped.
        clock: Seconds that only go forwards.

    Attributes:
        name: The channel's name.
        loop: None, where a mailbox names the loop it belongs to: no thread has to be crossed.
        direct: None, where a mailbox may name what is written to past its reader.
        parked: None, as no handler stands behind it.
        groups: Names of the groups that it is in; the hub's to change.
        expired: How many messages were dropped because nobody took them in time.
    """

    __slots__ = (
        "_capacity",
        "_clock",
        "_expiring",
        "_expiry",
        "_items",
        "_later",
        "_leases",
        "_lock",
        "_mixed",
        "_numbers",
        "_overflowing",
        "_readers",
        "_waiters",
        "expired",
        "groups",
        "name",
    )

    loop: Final = None
    direct: Final = None
    parked: Final = None

    def __init__(self, name: str, capacity: int, expiry: float, clock: Callable[[], float]) -> None:
        self.name = name
        self.groups: list[str] = []
        self.expired = 0
        self._capacity = capacity
        self._expiry = expiry
        self._clock = clock
        self._items: deque[_Entry] = deque()
        # Heaps by time; the number keeps the order of those that are due together.
        self._later: list[tuple[float, int, _Entry]] = []
        self._leases: dict[str, tuple[float, _Entry]] = {}
        self._numbers = itertools.count()
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._lock = native.Lock()
        # Whether some wait in front of others that expire before them: they came back, or late.
        self._mixed = False
        self._overflowing = False
        self._expiring = False
        self._readers = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def idle(self) -> bool:
        """Whether nothing waits in it, nobody reads it and nobody works on what was in it."""
        return not (self._items or self._later or self._leases or self._readers or self._waiters)

    def begin_reading(self) -> None:
        """Somebody reads it: it is not idle, also while the reader is between two waits."""
        with self._lock:
            self._readers += 1

    def end_reading(self) -> None:
        """One who has begun to read it reads it no more."""
        with self._lock:
            self._readers -= 1

    @property
    def waiting(self) -> tuple[int, int]:
        """No events of a client, and how many messages wait; for later too, but not on lease."""
        with self._lock:
            self._settle()
            return 0, len(self._items) + len(self._later)

    def qsize(self) -> int:
        """How many messages wait, under the name that :class:`asyncio.Queue` uses."""
        return len(self._items)

    def empty(self) -> bool:
        """Whether none does, likewise."""
        return not self._items

    # ------------------------------------------------------------------ putting in

    def put_message(self, payload: bytes, delay: float = 0.0) -> bool:
        """Add a message; False when the queue is full.

        Args:
            payload: The encoded message.
            delay: Seconds before a reader may have it. Its expiry counts from then.
        """
        with self._lock:
            self._settle()
            if len(self._items) + len(self._later) >= self._capacity:
                self._log_overflow()
                return False
            if not self._items:
                self._overflowing = False
            due = self._clock() + delay
            entry = _Entry(due + self._expiry, payload, 1)
            if delay > 0:
                heapq.heappush(self._later, (due, next(self._numbers), entry))
                self._wake_all()
            else:
                self._items.append(entry)
                self._wake_one()
        return True

    def drop_expired(self) -> bool:
        """Drop the messages that nobody took in time; says whether there were any."""
        with self._lock:
            return self._settle()

    def clear(self) -> None:
        """Drop every message; readers go on waiting."""
        with self._lock:
            self._items.clear()
            self._later.clear()
            self._leases.clear()

    # ------------------------------------------------------------------ taking out

    async def get(self, limit: int) -> list[bytes]:
        """Take the next message and those behind it, at most ``limit``; waits for the first.

        Only a reader that goes on running takes messages: cancelling this call loses nothing.
        """
        while True:
            with self._lock:
                entry = self._take()
                if entry is not None:
                    payloads = [entry.payload]
                    while self._items and len(payloads) < limit:
                        payloads.append(self._items.popleft().payload)
                    return payloads
            await self._wait()

    async def lease(self, seconds: float) -> Lease:
        """Take the next message for ``seconds``; then it comes back, unless acknowledged."""
        while True:
            with self._lock:
                entry = self._take()
                if entry is not None:
                    ticket = f"{self.name}:{next(self._numbers)}"
                    self._leases[ticket] = (self._clock() + seconds, entry)
                    self._wake_all()
                    return Lease(ticket, entry.payload, entry.attempt)
            await self._wait()

    def acknowledge(self, ticket: str) -> bool:
        """Be done with a leased message; False when its lease had run out."""
        with self._lock:
            self._settle()
            return self._leases.pop(ticket, None) is not None

    def extend(self, ticket: str, seconds: float) -> bool:
        """Keep a leased message for ``seconds`` from now; False when its lease had run out."""
        with self._lock:
            self._settle()
            found = self._leases.get(ticket)
            if found is None:
                return False
            self._leases[ticket] = (self._clock() + seconds, found[1])
            return True

    def give_back(self, ticket: str, delay: float = 0.0) -> bool:
        """Put a leased message back to the front, or in for later; False as above."""
        with self._lock:
            self._settle()
            found = self._leases.pop(ticket, None)
            if found is None:
                return False
            self._return(found[1], delay)
            if delay > 0:
                self._wake_all()
            else:
                self._wake_one()
            return True

    def _take(self) -> _Entry | None:
        self._settle()
        if not self._items:
            return None
        self._expiring = False
        return self._items.popleft()

    async def _wait(self) -> None:
        """Until there may be something to take."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        with self._lock:
            self._settle()
            if self._items:
                return
            self._waiters.append(waiter)
            due = self._next_due()
            timer = (
                None
                if due is None
                else loop.call_later(max(due - self._clock(), 0.0), _resolve, waiter)
            )
        try:
            await waiter
        except asyncio.CancelledError:
            with self._lock:
                if waiter not in self._waiters and self._items:
                    self._wake_one()  # it was called for a message that it will not take
            raise
        finally:
            if timer is not None:
                timer.cancel()
            with self._lock:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)

    # ------------------------------------------------------------------ time

    def _settle(self) -> bool:
        """Bring in what is due and back what was not finished; says whether messages expired."""
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            self._items.append(heapq.heappop(self._later)[2])
            self._mixed = True
        if self._leases:
            for ticket in [t for t, (deadline, _) in self._leases.items() if deadline <= now]:
                self._return(self._leases.pop(ticket)[1], 0.0)
        return self._drop_expired(now)

    def _return(self, entry: _Entry, delay: float) -> None:
        due = self._clock() + delay
        # Somebody has begun with it, so it is wanted: it does not expire while it waits again.
        again = _Entry(max(entry.expires, due + self._expiry), entry.payload, entry.attempt + 1)
        if delay > 0:
            heapq.heappush(self._later, (due, next(self._numbers), again))
        else:
            self._items.appendleft(again)
            self._mixed = True

    def _next_due(self) -> float | None:
        times = [deadline for deadline, _ in self._leases.values()]
        if self._later:
            times.append(self._later[0][0])
        return min(times, default=None)

    def _drop_expired(self, now: float) -> bool:
        before = self.expired
        while self._items and self._items[0].expires <= now:
            self._items.popleft()
            self.expired += 1
        if self._mixed and any(entry.expires <= now for entry in self._items):
            kept = [entry for entry in self._items if entry.expires > now]
            self.expired += len(self._items) - len(kept)
            self._items = deque(kept)
        if not self._items:
            self._mixed = False
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

    def _log_overflow(self) -> None:
        if not self._overflowing:
            self._overflowing = True  # one line per burst: it ends when the queue is empty
            logger.warning(
                "Channel %s holds %d messages, which is its capacity; what is sent to it now is "
                "refused. Receive faster, or raise 'capacity' or 'channel_capacity'.",
                self.name,
                self._capacity,
            )

    def _wake_all(self) -> None:
        """Something is due later: each who waits has to look again then."""
        for _ in range(len(self._waiters)):
            self._wake_one()

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
