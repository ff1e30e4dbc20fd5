"""The garbage collector, in a process that serves and nothing else."""

import gc
from collections.abc import Callable
from typing import Any, Final

#: Objects that have come and stayed, about, with which the collector looks at them: as many as with
#: Python's thresholds up to 3.12. It takes 10 to 40 ms.
NEW_OBJECTS: Final = 70_000
#: How many times what is accounted for may be there before everything is looked at again.
SUSPICIOUS: Final = 1.5
#: Objects that the collector sees of an open connection: of a WebSocket with a consumer, about.
OF_A_CONNECTION: Final = 50

#: Python's own thresholds: of 3.11 and 3.12, and of 3.13. Not read from this process, as a project
#: may have set others before this is imported, such as in ``gunicorn.conf.py``.
_DEFAULTS: Final = frozenset({(700, 10, 10), (2000, 10, 10)})

_OLDEST: Final = 2


def settle(connections: Callable[[], int]) -> None:
    """Let the collector look once at what comes and stays, and not at all that is alive each time.

    What was made before the server was ready is not looked at again, and neither is what
    :class:`Elders` keeps from it. Thresholds that the project has set stay as they are, and then
    the collector does what it always does with what comes from now on.

    To be called once, when all is imported.

    Args:
        connections: How many are open.
    """
    gc.freeze()
    young, middle, _ = thresholds = gc.get_threshold()
    if thresholds in _DEFAULTS:
        gc.set_threshold(young, middle, max(1, NEW_OBJECTS // (young * middle)))
        gc.callbacks.append(Elders(connections))


class Elders:
    """Keeps from the collector's walks what has outlived one: a callback of :mod:`gc`.

    Sockets that stay make the collector believe that there is garbage, and it walks through
    everything that is alive to find it, again with each quarter that has come: 0.2 s for 12,000
    sockets, and 1.5 s for 100,000, in which nobody is served. But a closed connection leaves
    nothing to collect, and what a handler leaves dies young. So what has outlived one walk is
    frozen, and the next goes through what is new; and not even that if it belongs to connections
    that have been opened since.

    What becomes a circle of garbage after that, in the project's code say, stays. Therefore what is
    frozen is counted now and then, and when it is :data:`SUSPICIOUS` times what the open
    connections account for, the next walk goes through all of it.

    Args:
        connections: How many are open.
    """

    def __init__(self, connections: Callable[[], int]) -> None:
        self._connections = connections
        self._open = connections()  # at the end of the last walk
        self._learn(gc.get_freeze_count())

    def __call__(self, phase: str, info: dict[str, Any]) -> None:
        """Decide what a walk through the oldest generation goes through, and freeze the rest."""
        if info["generation"] != _OLDEST:
            return
        if phase == "start":
            if not self._look_at_all and self._is_of_connections():
                gc.freeze()
            return
        gc.freeze()
        self._open = self._connections()
        self._uncounted -= NEW_OBJECTS
        if self._look_at_all:
            self._learn(gc.get_freeze_count())
        elif self._uncounted < 0:  # seldom: to count 3,000,000 objects takes 0.1 s
            self._count()

    def _is_of_connections(self) -> bool:
        """Whether what is new since the last walk can belong to connections that are new."""
        more = self._connections() - self._open
        return more * OF_A_CONNECTION * SUSPICIOUS >= NEW_OBJECTS

    def _learn(self, alive: int) -> None:
        """All was looked at: what is there now is needed, for so many connections."""
        self._look_at_all = False
        self._alive, self._open_then = alive, self._open
        self._uncounted = self._allowed() - alive

    def _count(self) -> None:
        frozen, allowed = gc.get_freeze_count(), self._allowed()
        if frozen > allowed:
            gc.unfreeze()
            self._look_at_all = True
        else:
            self._uncounted = allowed - frozen

    def _allowed(self) -> float:
        """How many objects may be frozen before that looks like garbage."""
        more = max(self._open - self._open_then, 0)
        return SUSPICIOUS * (self._alive + OF_A_CONNECTION * more)
