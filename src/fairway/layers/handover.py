"""From where a process hears of others to a task that waits for it, on whatever event loop."""

import asyncio
from asyncio import _get_running_loop  # None on a thread that has none
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Handover(Generic[T]):
    """Something that one task awaits, once, and that is given to it on another thread.

    An :class:`asyncio.Future` belongs to its event loop: another thread has to call there, and
    there the future calls the task, a turn of the loop later. Here the thread calls the task
    itself: a system call and two objects less for each. What it has besides is what a task asks of
    a future, as :func:`asyncio.isfuture` knows them.

    To be made in a task, on its event loop.
    """

    __slots__ = (
        "_asyncio_future_blocking", "_cancelled", "_chance", "_context", "_error", "_loop",
        "_meeting", "_value", "_wake_up",
    )  # fmt: skip

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._asyncio_future_blocking = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._cancelled = False
        # Who takes something out of a list is the first, whatever the threads: to give or to leave,
        self._chance = [True]
        # to have given or to wait. Who comes to the meeting as the second wakes the task.
        self._meeting = [True]

    def __await__(self) -> Generator[Any, None, T]:
        self._asyncio_future_blocking = True
        yield self  # raises what the task found in result()
        return self._value  # type: ignore[return-value]  # there is one where there is no error

    # ------------------------------------------------------------------ who gives

    @property
    def waits(self) -> bool:
        """Whether nothing was given yet, and the task has not left."""
        return bool(self._chance)

    def give(self, value: T | None, error: BaseException | None = None) -> bool:
        """Hand it over, or raise ``error`` there; on any thread.

        Returns:
            False when nobody waits for it any more: it was given something before, it was
            cancelled, or its event loop is closed.
        """
        if not _first(self._chance):
            return False
        self._value, self._error = value, error
        if _first(self._meeting):
            return True
        loop = self._loop
        if loop is _get_running_loop():
            loop.call_soon(self._wake_up, self, context=self._context)
            return True
        try:  # not suppress(): this is done for each answer
            loop.call_soon_threadsafe(self._wake_up, self, context=self._context)
        except RuntimeError:
            return False
        return True

    # ------------------------------------------------------------------ who waits

    def leave(self) -> T | None:
        """Wait no more, after a cancellation; returns what was given at the same moment."""
        return None if _first(self._chance) or self._cancelled else self._value

    def result(self) -> T | None:
        """What was given; for the task, before it goes on.

        Raises:
            BaseException: What was given in place of it, or that it was cancelled.
        """
        if self._error is not None:
            raise self._error
        return self._value

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Where the task runs."""
        return self._loop

    def add_done_callback(self, wake_up: Callable[[Any], object], *, context: Context) -> None:
        """The task waits from now on."""
        self._wake_up = wake_up
        self._context = context
        if not _first(self._meeting):
            self._loop.call_soon(wake_up, self, context=context)

    def cancel(self, msg: Any = None) -> bool:
        """The task is cancelled; False when it has been given something."""
        if not _first(self._chance):
            return False
        self._cancelled = True
        self._error = asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg)
        self._loop.call_soon(self._wake_up, self, context=self._context)
        return True


def _first(chance: list[bool]) -> bool:
    if not chance:
        return False  # an exception takes ten times as long
    try:
        return chance.pop()
    except IndexError:
        return False
