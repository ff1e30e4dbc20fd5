"""Processes that others have left behind, which become children of a container's first process."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Final

#: Seconds after which it is looked again behind an end that somebody else is about to take note of.
LOOK_AGAIN: Final = 0.1


class Orphans:
    """Takes note of the ends of processes that nobody waits for, so that they are gone.

    As process 1 of a container, the supervisor inherits what a worker has started and not waited
    for. Without this, each such process would stay in the table of processes when it has ended,
    until there is room for no other.

    All of it is for the main thread, with its event loop running.
    """

    def __init__(self) -> None:
        self._children: set[int] = set()
        self._starting = 0

    def begin(self) -> None:
        """Take note of each end from now on."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self.look)
        self.look()

    @contextlib.contextmanager
    def left_alone(self) -> Iterator[None]:
        """While a child is started, and :meth:`leave_alone` is called: its end may come at once."""
        self._starting += 1
        try:
            yield
        finally:
            self._starting -= 1
            self.look()

    def leave_alone(self, pid: int) -> None:
        """The end of this child is for somebody else, who says :meth:`forget` then."""
        self._children.add(pid)

    def forget(self, pid: int) -> None:
        """Its end has been taken note of."""
        self._children.discard(pid)
        self.look()

    def look(self) -> None:
        """Take note of those that have ended by now."""
        while not self._starting and (pid := _ended()):
            if pid in self._children:
                # The system shows one at a time, and this one until somebody has taken note of it.
                asyncio.get_running_loop().call_later(LOOK_AGAIN, self.look)
                return
            os.waitpid(pid, os.WNOHANG)


def _ended() -> int:
    """A child that has ended, and that nobody has taken note of yet; 0 if there is none."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13, where no process inherits others
        return 0
    try:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # there is no child at all
        return 0
    return 0 if ended is None else ended.si_pid
