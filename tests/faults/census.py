"""Counts what connections may leave behind: tasks, descriptors, and every object of Fairway."""

import asyncio
import contextlib
import gc
import os
from collections import Counter

from tests.server.running import Running, until

__all__ = ["Census"]

#: Kept by the server, one for each limit that has refused somebody.
_KEPT = {"_Burst"}


class Census:
    """What there was when it began; :meth:`nothing_is_left` sees that there is no more."""

    def __init__(self) -> None:
        self._descriptors: dict[str, str] = {}
        self._tasks: set[asyncio.Task[object]] = set()

    def begin(self) -> None:
        """What there is now may stay: the server runs, and nobody is connected."""
        gc.collect()
        gc.freeze()  # nobody looks through it again, which takes most of the time
        self._descriptors = _descriptors()
        self._tasks = asyncio.all_tasks()

    async def begin_when_quiet(self, running: Running) -> None:
        """The same after a visit, for which event loops make what they keep."""
        client = await running.connect()
        client.close()
        await until(lambda: running.context.counters.connections > 0)
        await until(lambda: running.context.quiet and running.context.admission.connections == 0)
        self.begin()

    async def nothing_is_left(self, running: Running) -> None:
        """Wait until nobody is connected, and nothing is left of those who were."""
        try:
            # What the event loop holds until its next turn is not left behind.
            await until(lambda: not self.left(running))
        except TimeoutError:
            raise AssertionError(f"This was left behind: {self.left(running)}") from None

    def left(self, running: Running) -> dict[str, object]:
        """What there is more than at the beginning."""
        context = running.context
        running.records.clear()  # the test's own
        found = {
            "connections": context.connections,
            "applications": context.tasks,
            "admitted": context.admission.connections,
            "tasks": asyncio.all_tasks() - self._tasks,
            "descriptors": _more(_descriptors(), self._descriptors),
        }
        # To count objects takes time: only when all the rest is gone.
        left = {name: value for name, value in found.items() if value}
        return left or dict(_objects())


def _objects() -> Counter[str]:
    """New objects of our classes, by type; what waits for the collector is gone before."""
    gc.collect()
    kinds = [type(thing) for thing in gc.get_objects()]
    ours = (kind for kind in kinds if str(kind.__module__).startswith("fairway."))
    return Counter(kind.__name__ for kind in ours if kind.__name__ not in _KEPT)


def _descriptors() -> dict[str, str]:
    """Open descriptors, and what each is of."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # that of the directory itself
            found[number] = os.readlink(f"/proc/self/fd/{number}")
    return found


def _more(now: dict[str, str], before: dict[str, str]) -> dict[str, str]:
    """Those that are new, if there are more than before: a number may be taken again."""
    new = {number: of for number, of in now.items() if before.get(number) != of}
    return new if len(now) > len(before) else {}
