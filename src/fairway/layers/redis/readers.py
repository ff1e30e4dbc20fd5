"""Who waits in this process for what comes into a queue."""

import asyncio
import concurrent.futures
import logging
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from fairway.layers.redis.command import Command, ignore
from fairway.layers.redis.connection import Reply, Word
from fairway.layers.redis.keys import Keys
from fairway.layers.redis.node import Router
from fairway.layers.redis.scripts import PASS_ON, RELEASE, TAKE, UNTAKE
from fairway.layers.redis.subscriptions import Certain

logger = logging.getLogger("fairway.layers.redis")

#: Seconds after which a process that waits asks again on its own. Nothing relies on it but the rare
#: case that the one which was woken is frozen, or that the call was lost with a connection.
ASK_AGAIN: Final = 5.0
#: Seconds that a queue is listened to after its last reader.
LINGER: Final = 10.0
#: Seconds before a reader asks again when the server answered with an error.
AFTER_ERROR: Final = 0.5


class Taken(NamedTuple):
    """What a reader got: the payload, as it is in the queue, and which attempt it is for."""

    ticket: str
    data: bytes
    attempt: int


class Waiter:
    """Somebody who waits for an entry of a queue.

    Args:
        lease: Milliseconds for which it is wanted; 0 for good.

    Attributes:
        future: Resolved with it, from the thread of the connections.
    """

    __slots__ = ("future", "lease")

    def __init__(self, lease: int = 0) -> None:
        self.lease = lease
        self.future: concurrent.futures.Future[Taken] = concurrent.futures.Future()

    def take(self, taken: Taken) -> bool:
        """Hand it over; False when nobody waits any more."""
        if not self.future.set_running_or_notify_cancel():
            return False
        self.future.set_result(taken)
        return True

    def fail(self, error: Exception) -> None:
        """Nothing will come."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


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
        self._waiters: deque[Waiter] = deque()
        self._asking = False
        self._called = False
        self._in_line = False
        self._expiring = False
        self._timer: asyncio.TimerHandle | None = None
        self._channel = (keys.wake(queue) + keys.process).encode()
        # Who got in line before it could be called asks again when it can.
        callable_now: Certain = concurrent.futures.Future()
        callable_now.add_done_callback(lambda _: self.stir())
        router.subscribe(queue, self._channel, self._wake, callable_now)

    def __len__(self) -> int:
        return len(self._waiters)

    def add(self, waiter: Waiter) -> None:
        """Serve somebody, after all others."""
        self._waiters.append(waiter)
        if not self._asking:
            self._ask()

    def forget(self, waiter: Waiter) -> None:
        """Somebody has stopped waiting."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        if not self._waiters and not self._asking:
            self._leave_line()
            self._set_timer(LINGER, self._end)

    def stir(self) -> None:
        """Ask again: calls may have been missed."""
        if self._waiters:
            self._wake(b"")

    def close(self, error: Exception) -> None:
        """Send everybody away."""
        if self._timer is not None:
            self._timer.cancel()
        while self._waiters:
            self._waiters.popleft().fail(error)

    # ------------------------------------------------------------------ asking

    def _wake(self, _: bytes) -> None:
        """There is something, and this process is the one to take it."""
        self._in_line = False
        if self._asking:
            self._called = True
        elif self._waiters:
            self._ask()
        else:
            self._leave_line(always=True)

    def _ask(self) -> None:
        waiter = self._first()
        if waiter is None:
            self._leave_line()
            self._set_timer(LINGER, self._end)
            return
        self._asking = True
        self._called = False
        self._set_timer(None)
        queue, keys, process, lease = self.queue, self._keys, self._keys.process, waiter.lease
        names = (*keys.queue(queue), keys.taken(queue))

        def words(number: int) -> tuple[Word, ...]:
            # In line for longer than until it asks again: a dead process is not called for long.
            ticket = f"{process}:{number}"
            in_line = int(ASK_AGAIN * 3)
            return (*names, number, process, lease, ticket, self._expiry, in_line)

        command = Command(
            queue,
            words,
            lambda reply, error: self._answered(command, lease, reply, error),
            script=TAKE,
        )
        self._router.send(command)

    def _answered(
        self, command: Command, lease: int, reply: Reply, error: Exception | None
    ) -> None:
        self._asking = False
        if error is not None:
            self._set_timer(AFTER_ERROR, self._ask)  # it has been logged where it came
            return
        data, number, expired = reply
        if expired:
            self._count_expired(expired)
        if data is not None:
            self._expiring = False
            self._hand_over(Taken(f"{self._keys.process}:{command.number}", data, number), lease)
            if self._waiters:
                self._ask()
            else:
                self._set_timer(LINGER, self._end)
        elif self._called:
            self._ask()
        else:
            self._in_line = True
            due = ASK_AGAIN if number < 0 else min(number / 1000 + 0.001, ASK_AGAIN)
            self._set_timer(due, self._ask)
            self._first()
            if not self._waiters:
                self._leave_line()
                self._set_timer(LINGER, self._end)

    def _hand_over(self, taken: Taken, lease: int) -> None:
        while (waiter := self._first()) is not None:
            if waiter.lease != lease:
                break  # it wants it on other terms, and asks for itself
            self._waiters.popleft()
            if waiter.take(taken):
                return
        self.put_back(taken, lease)

    def _first(self) -> Waiter | None:
        while self._waiters and self._waiters[0].future.cancelled():
            self._waiters.popleft()
        return self._waiters[0] if self._waiters else None

    # ------------------------------------------------------------------ giving back

    def put_back(self, taken: Taken, lease: int) -> None:
        """Put to the front what reached nobody, as if it had not been taken."""
        keys, queue = self._keys, self.queue
        wake = (self._router.publish_command, keys.wake(queue))
        if lease:
            release: tuple[Word, ...] = (
                *keys.queue(queue),
                taken.ticket,
                "unlease",
                0,
                self._expiry,
                *wake,
            )
            command = Command(queue, lambda _: release, ignore, script=RELEASE)
        else:
            names = (*keys.queue(queue), keys.changed(queue))
            command = Command(
                queue,
                lambda number: (*names, number, self._expiry, taken.attempt, *wake, taken.data),
                ignore,
                script=UNTAKE,
            )
        self._router.send(command)

    def _leave_line(self, *, always: bool = False) -> None:
        """Let the server call another process."""
        if not self._in_line and not always:
            return
        self._in_line = False
        keys, queue = self._keys, self.queue
        words = (*keys.queue(queue), keys.process, self._router.publish_command, keys.wake(queue))
        self._router.send(Command(queue, lambda _: words, ignore, script=PASS_ON))

    def _end(self) -> None:
        if self._waiters or self._asking:
            return
        self._set_timer(None)
        self._router.unsubscribe(self.queue, self._channel)
        self._idle(self.queue)

    def _set_timer(self, seconds: float | None, then: Callable[[], None] | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None and then is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, then)

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
