"""Who waits in this process for what comes into a queue."""

import asyncio
import concurrent.futures
import functools
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from fairway import native
from fairway.layers.handover import Handover
from fairway.layers.io import io
from fairway.layers.redis.calls import Call, CallCommand
from fairway.layers.redis.command import Command, ignore
from fairway.layers.redis.connection import Reply, Word
from fairway.layers.redis.keys import Keys
from fairway.layers.redis.node import Router
from fairway.layers.redis.scripts import IN_LINE, NUMBER, PASS_ON, RELEASE, TAKE, TAKE_TERMS, UNTAKE
from fairway.layers.redis.subscriptions import Certain

logger = logging.getLogger("fairway.layers.redis")

#: Seconds after which a process that waits asks again on its own. Nothing relies on it but the rare
#: case that the one which was woken is frozen, or that the call was lost with a connection.
#: Less than it is in line for; but a dead process is not called for long.
ASK_AGAIN: Final = IN_LINE / 3
#: Seconds that a queue is listened to after its last reader.
LINGER: Final = 10.0
#: Seconds before a reader asks again when the server answered with an error.
AFTER_ERROR: Final = 0.5
#: Terms for which the call that takes is not put together anew each time.
_KEPT: Final = 100


class Taken(NamedTuple):
    """What a reader got.

    Attributes:
        ticket: That of the lease; empty if there is none.
        entries: The entries, in order and as they are in the queue: at least one.
    """

    ticket: str
    entries: list[bytes]


class Waiter(Handover[Taken]):
    """Somebody who waits for entries of a queue, on an event loop of its own.

    Args:
        lease: Milliseconds for which one entry is wanted; 0 for good.
        limit: How many entries are wanted at most.
    """

    __slots__ = ("lease", "limit")

    def __init__(self, lease: int = 0, limit: int = 1) -> None:
        super().__init__()
        self.lease = lease
        self.limit = limit


class Reader:
    """The readers of one queue in this process, who are served in their order.

    One of them asks at a time. If there is nothing, the process is in line at the server, which
    calls whoever is first in line when something comes.

    Args:
        queue: The queue's name.
        router: Where its server is.
        keys: What its keys are called.
        expiry: Milliseconds, for entries that come back.
        idle: Called when it has not been used for a while.

    Attributes:
        expired: How many entries it found expired.
        asks: Whether the server has yet to answer it.
    """

    def __init__(
        self, queue: str, router: Router, keys: Keys, expiry: int, idle: Callable[[str], None]
    ) -> None:
        self.queue = queue
        self.expired = 0
        self._router = router
        self._keys = keys
        self._expiry = expiry
        self._idle = idle
        # Mostly somebody has asked on the same terms before.
        self._taking = functools.lru_cache(_KEPT)(self._call)
        # Held wherever it changes who waits, whether somebody asks, and when it is looked after.
        self._lock = native.Lock()
        self._waiters: deque[Waiter] = deque()
        self._asked: Command | None = None
        self._lease = 0  # for which it was asked last
        self._ended = False
        self._called = False
        # As far as is known here: a call that comes late may have been for an earlier place. Who
        # is in line for nothing is called in vain, once, and passes the call on.
        self._in_line = False
        self._expiring = False
        self._used = 0.0
        # When it is looked after, by time.monotonic(), and what does it then.
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._channel = (keys.wake(queue) + keys.process).encode()
        # Who got in line before it could be called asks again when it can.
        callable_now: Certain = concurrent.futures.Future()
        callable_now.add_done_callback(lambda _: self.stir())
        router.subscribe(queue, self._channel, self._wake, callable_now)
        # For the one that it was made for may have stopped waiting before it asked.
        self._set_timer(LINGER, sooner=False)

    @property
    def asks(self) -> bool:
        """Whether the server has yet to answer it."""
        return self._asked is not None

    def add(self, waiter: Waiter) -> bool:
        """Serve somebody, after all others; on any thread. False when this reader has ended."""
        with self._lock:
            if self._ended:
                return False
            self._waiters.append(waiter)
            command = self._next()
        if command is not None:
            self._router.send(command)
        return True

    def forget(self, waiter: Waiter) -> None:
        """Somebody has stopped waiting."""
        with self._lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            if not self._waiters and self._asked is None:
                self._leave_line()

    def stir(self) -> None:
        """Ask again: calls may have been missed."""
        with self._lock:
            self._called = self._called or self._asked is not None
        self._ask()

    def close(self, error: Exception) -> None:
        """Send everybody away."""
        with self._lock:
            self._ended = True
            waiters, self._waiters = self._waiters, deque()
        if self._timer is not None:
            self._timer.cancel()
        for waiter in waiters:
            waiter.give(None, error)

    # ------------------------------------------------------------------ asking

    def _wake(self, _channel: bytes, _data: bytes) -> asyncio.AbstractEventLoop | None:
        """There is something, and this process is the one to take it; for whom, on which loop."""
        with self._lock:
            self._in_line = False
            self._called = self._called or self._asked is not None
            # Who was cancelled may be there still, and takes nothing any more.
            waiter = self._first()
            if waiter is None and self._asked is None:
                self._leave_line(always=True)
        if waiter is None:
            return None
        self._ask()
        return waiter.get_loop()

    def _ask(self) -> None:
        """Ask for whoever is first, unless somebody asks already; on any thread."""
        with self._lock:
            command = self._next()
        if command is not None:
            self._router.send(command)

    def _next(self) -> Command | None:
        """The command to ask with, if somebody has to; with the lock held. It is to be sent."""
        waiter = self._first()
        if waiter is None or self._asked is not None or self._ended:
            return None
        self._called = False
        self._lease = waiter.lease
        call = self._taking(waiter.lease, waiter.limit, self._in_line)
        self._asked = command = CallCommand(
            self.queue, call, None, self._answered, home=waiter.get_loop()
        )
        return command

    def _call(self, lease: int, limit: int, in_line: bool) -> Call:
        names = (*self._keys.queue(self.queue), self._keys.taken(self.queue))
        return Call(TAKE, names, TAKE_TERMS.pack(lease, self._expiry, limit, in_line))

    def _answered(self, reply: Reply, error: Exception | None) -> None:
        """The server has answered; on the event loop that reads replies."""
        command, lease = self._asked, self._lease
        assert command is not None
        command.finished = True  # what is interrupted from here on is not heard twice
        due, entries = ASK_AGAIN, []
        if error is not None:
            due = AFTER_ERROR  # it has been logged where it came
        elif type(reply) is bytes:
            entries = [reply]
        else:
            expired, *entries = reply
            if expired:
                self._count_expired(expired)
            if type(entries[0]) is int:
                if entries[0] >= 0:
                    due = min(entries[0] / 1000 + 0.001, ASK_AGAIN)
                entries = []
        # Before anybody asks again: what goes back has to be there first.
        if entries:
            self._expiring = False
            ticket = f"{self._keys.process}:{command.number}" if lease else ""
            self._hand_over(Taken(ticket, entries), lease)
        with self._lock:
            self._asked = None
            if error is None:
                self._in_line = not entries
            at_once = self._called or bool(entries)
            nobody = self._first() is None
            if nobody:
                # What this process was called for meanwhile is for another one then.
                self._leave_line(always=self._called)
        if nobody:
            self._set_timer(LINGER, sooner=False)
        elif at_once:
            self._ask()
        else:
            self._set_timer(due, sooner=True)

    def _hand_over(self, taken: Taken, lease: int) -> None:
        while True:
            with self._lock:
                waiter = self._first_for(lease, taken)
            if waiter is None:
                break
            if waiter.give(taken):
                self._used = time.monotonic()
                return
        # Nobody waits any more, or on other terms, and asks for itself.
        self.put_back(taken, lease)

    def _first_for(self, lease: int, taken: Taken) -> Waiter | None:
        """Takes the first who waits, if it wants that many on these terms; with the lock held."""
        waiter = self._first()
        if waiter is not None and waiter.lease == lease and waiter.limit >= len(taken.entries):
            return self._waiters.popleft()
        return None

    def _first(self) -> Waiter | None:
        while self._waiters and not self._waiters[0].waits:
            self._waiters.popleft()
        return self._waiters[0] if self._waiters else None

    def _set_timer(self, seconds: float, *, sooner: bool) -> None:
        """Look after it in a while; a timer that is there stays, unless this has to be sooner.

        On any thread.
        """
        due = time.monotonic() + seconds
        with self._lock:
            if self._ended or not (self._due is None or (sooner and due < self._due)):
                return
            self._due = due
        io.call(self._start_timer, due)

    def _start_timer(self, due: float) -> None:
        if self._ended or self._due != due:
            return  # something else is due before that
        if self._timer is not None:
            self._timer.cancel()
        delay = due - time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        with self._lock:
            self._timer = self._due = None
            wanted = self._asked is not None or self._first() is not None
            left = self._used + LINGER - time.monotonic()
            self._ended = self._ended or (not wanted and left <= 0)
        if self._ended:
            self._router.unsubscribe(self.queue, self._channel)
            self._idle(self.queue)
        elif wanted:
            self._ask()
        else:
            self._set_timer(left, sooner=False)

    # ------------------------------------------------------------------ giving back

    def put_back(self, taken: Taken, lease: int) -> None:
        """Put to the front what reached nobody, as if it had not been taken."""
        keys, queue = self._keys, self.queue
        wake = keys.call(self._router.publish_command, queue)
        if lease:
            release: tuple[Word, ...] = (
                *keys.queue(queue),
                taken.ticket,
                "unlease",
                0,
                self._expiry,
                wake,
            )
            command = Command(queue, lambda _: release, ignore, script=RELEASE)
        else:
            names = (*keys.queue(queue), keys.changed(queue))
            command = Command(
                queue,
                lambda number: (*names, NUMBER.pack(number), self._expiry, wake, *taken.entries),
                ignore,
                script=UNTAKE,
            )
        self._router.send(command)

    def _leave_line(self, *, always: bool = False) -> None:
        """Let the server call another process.

        With the lock held: it must not be sent after somebody has asked, who may be in line by it.
        """
        if not self._in_line and not always:
            return
        self._in_line = False
        keys, queue = self._keys, self.queue
        call = keys.call(self._router.publish_command, queue)
        words = (*keys.queue(queue), keys.process, call)
        self._router.send(Command(queue, lambda _: words, ignore, script=PASS_ON))

    def _count_expired(self, count: int) -> None:
        self.expired += count
        if not self._expiring:
            self._expiring = True  # one line per burst: it ends when somebody takes a message
            logger.warning(
                "Channel %s: %d messages were dropped, since nobody received them in time "
                "('expiry').",
                self.queue,
                count,
            )
