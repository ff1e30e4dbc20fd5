"""Who does what is to be done with the store of named channels, and in which thread."""

import asyncio
import concurrent.futures
import functools
import sqlite3
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from fairway import native
from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.local.store import BUSY_TIMEOUT, Store

T = TypeVar("T")

#: Seconds that something may take on the caller's event loop: a hundred times what it does take, as
#: a busy machine may stop any thread for some time. After that the file counts as slow …
QUICK: Final = 0.025
#: … for so many seconds, in which a thread does everything.
SLOW_FOR: Final = 5.0
#: What is done on an event loop in a row, before others on that loop have a turn.
IN_A_ROW: Final = 10
#: Seconds between the first attempts to use a file that another process is writing, and the last.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0001, 0.02


class Clerk:
    """Uses a store for everybody in the process, one thing after the other, in their order.

    What takes less time than waking a thread is done there and then. A thread takes over while
    another process is writing, while there is something before it, and where the disk is slow.

    Args:
        store: A store that does not wait by itself when its file is locked.

    Attributes:
        store: That one.
        used: Held while it is used: a process is not to fork then.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.used = native.Lock()
        self._thread = native.SerialThread("fairway-queues")
        self._doing: set[concurrent.futures.Future[Any]] = set()
        self._slow_until = 0.0
        self._in_a_row = 0

    async def do(self, work: Callable[[], T], undo: Callable[[T], object] | None = None) -> T:
        """Do something with the store; undone if the caller is cancelled before it has the result.

        Args:
            work: One call of the store, which may be repeated when it finds the file locked.
            undo: Takes the result.

        Raises:
            ChannelLayerUnavailable: The file cannot be used, or is locked for
                :data:`~fairway.layers.local.store.BUSY_TIMEOUT` seconds from now.
        """
        self._in_a_row += 1
        if self._in_a_row >= IN_A_ROW:
            self._in_a_row = 0
            await asyncio.sleep(0)
        try:
            if self._is_quick() and self.used.acquire(blocking=False):
                try:
                    return self._do_here(work)
                except sqlite3.OperationalError as error:
                    if not is_busy(error):
                        raise
                finally:
                    self.used.release()
            return await self._do_in_thread(work, undo)
        except (sqlite3.Error, OSError) as error:
            raise ChannelLayerUnavailable(f"Cannot use {self.store.path}: {error}") from error

    def _is_quick(self) -> bool:
        # What waits in the thread was asked for before; and opening a file takes a while.
        return not self._doing and self.store.is_open and time.monotonic() >= self._slow_until

    def _do_here(self, work: Callable[[], T]) -> T:
        begun = time.monotonic()
        try:
            return work()
        finally:
            now = time.monotonic()
            if now - begun > QUICK:
                self._slow_until = now + SLOW_FOR

    async def _do_in_thread(self, work: Callable[[], T], undo: Callable[[T], object] | None) -> T:
        self._in_a_row = 0
        doing = self._submit(work)
        try:
            return await asyncio.wrap_future(doing)
        except asyncio.CancelledError:
            if undo is not None and not doing.cancel():
                self._submit(functools.partial(_undo, doing, undo))
            raise

    def _submit(self, work: Callable[[], T]) -> "concurrent.futures.Future[T]":
        # All who meet a locked file wait for it together, not one after the other.
        until = time.monotonic() + BUSY_TIMEOUT
        doing = self._thread.submit(lambda: self._do_patiently(work, until))
        self._doing.add(doing)
        doing.add_done_callback(self._doing.discard)
        return doing

    def _do_patiently(self, work: Callable[[], T], until: float) -> T:
        pause = _FIRST_PAUSE
        while True:
            with self.used:
                try:
                    return work()
                except sqlite3.OperationalError as error:
                    if not is_busy(error) or time.monotonic() >= until:
                        raise
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def close(self) -> None:
        """End the thread once it has done what it was asked for: that may wait for the file.

        Not left to the end of Python, which waits for no daemon thread.
        """
        doing = [asyncio.wrap_future(each) for each in list(self._doing)]
        await asyncio.gather(*doing, return_exceptions=True)
        self._thread.end()


def is_busy(error: sqlite3.Error) -> bool:
    """Whether it says no more than that somebody else is writing.

    https://www.sqlite.org/rescode.html: the low byte is the primary result code.
    """
    code: int = getattr(error, "sqlite_errorcode", 0)  # not on errors of the module's own
    return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _undo(doing: "concurrent.futures.Future[Any]", undo: Callable[[Any], object]) -> None:
    if doing.exception() is None:
        undo(doing.result())
