"""One timer for all connections of an event loop.

A timer of the loop for each socket would cost memory and time for things that hardly ever happen
(pings, timeouts). Here a connection only stands in the list of the moment at which it wants to be
asked again; the loop holds one timer, for the nearest of these moments.
"""

import asyncio
import contextvars
import heapq
import math
from collections import deque
from typing import Final, Protocol

#: Seconds that are treated as one moment: a deadline may come this much late.
RESOLUTION: Final = 0.05
#: The farthest moment, in seconds from now, that is kept. What is due later is asked earlier, too:
#: else connections that come and go would leave a day full of moments at which nobody waits.
HORIZON: Final = 60.0
#: Most that are asked before the event loop gets a turn: 2 ms of Pings. After a message that all of
#: them have answered, a hundred thousand clients are due at one moment.
SLICE: Final = 250


class Timed(Protocol):
    """Something with a next deadline.

    Attributes:
        slot: Where it stands in :class:`Deadlines`, which keeps this; 0 while it stands nowhere.
    """

    slot: int

    def on_deadline(self, now: float) -> float | None:
        """Do what is due at ``now``, which may be nothing yet.

        Returns:
            The moment of the next deadline, or None.
        """


class Deadlines:
    """Asks each :class:`Timed` at the moment that it named, or soon after."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # Not that of whoever arms it: an application's would be kept alive by the timer.
        self._context = contextvars.copy_context()
        # By the number of the moment: that number, which all who stand there share, and those.
        self._slots: dict[int, tuple[int, dict[Timed, None]]] = {}
        self._order: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_slot = 0
        # Whose moment has come, but who have not been asked yet; and the last of these moments.
        self._due: deque[Timed] = deque()
        self._due_slot = 0

    def arm(self, target: Timed, when: float) -> None:
        """Ask ``target`` at ``when``, unless it stands for an earlier moment already.

        What is asked too early simply names its next deadline, so moving one back costs nothing.
        """
        slot = math.ceil(when / RESOLUTION)
        if target.slot:
            if target.slot <= slot:
                return
            self.disarm(target)
        slot = min(slot, math.ceil((self._loop.time() + HORIZON) / RESOLUTION))
        moment = self._slots.get(slot)
        if moment is None:
            moment = self._slots[slot] = slot, {}
            heapq.heappush(self._order, slot)
            if self._timer is None or slot < self._timer_slot:
                self._set_timer()
        target.slot, targets = moment
        targets[target] = None

    def disarm(self, target: Timed) -> None:
        """Ask ``target`` no more."""
        moment = self._slots.get(target.slot)
        if moment is not None:
            moment[1].pop(target, None)
        target.slot = 0

    def close(self) -> None:
        """Stop the timer and forget everyone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._slots.clear()
        self._order.clear()
        self._due.clear()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._due:
            self._timer_slot, when = 0, self._loop.time()
        else:
            self._timer_slot = self._order[0]
            when = self._timer_slot * RESOLUTION
        self._timer = self._loop.call_at(when, self._ring, context=self._context)

    def _ring(self) -> None:
        """Ask those whose moment has come, a slice of them in each turn of the loop."""
        self._timer = None
        now, due = self._loop.time(), self._due
        while len(due) < SLICE and self._order and self._order[0] * RESOLUTION <= now:
            self._due_slot = heapq.heappop(self._order)
            due.extend(self._slots.pop(self._due_slot)[1])
        for _ in range(min(len(due), SLICE)):
            target = due.popleft()
            if 0 < target.slot <= self._due_slot:  # else disarmed or moved in the meantime
                self._ask(target, now)
        if due or self._order:
            self._set_timer()

    def _ask(self, target: Timed, now: float) -> None:
        target.slot = 0
        try:
            when = target.on_deadline(now)
        except Exception as error:  # noqa: BLE001  one must not stop the clock for all others
            message = f"Exception at the deadline of {target!r}"
            self._loop.call_exception_handler({"message": message, "exception": error})
            return
        if when is not None:
            self.arm(target, max(when, now + RESOLUTION))
