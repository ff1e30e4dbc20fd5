"""How late an event loop is: the time by which a timer rings too late."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from fairway.server.observing.figures import Histogram

#: Seconds between two samples.
INTERVAL: Final = 0.5
#: Upper ends of the buckets in which lateness is counted, in seconds.
BOUNDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Lag:
    """Measures, again and again, how late an event loop is.

    Args:
        loop: The event loop.
        told: Called with each sample, in seconds.

    Attributes:
        last: The last sample.
        samples: All of them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, told: Callable[[float], None]) -> None:
        self.last = 0.0
        self.samples = Histogram(BOUNDS)
        self._loop = loop
        self._told = told
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, until :meth:`close`."""
        # Not the loop's own clock: that of uvloop stands still while a turn of the loop runs.
        self._due = time.monotonic() + INTERVAL
        self._timer = self._loop.call_later(INTERVAL, self._ring)

    def close(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self.last = late = max(0.0, time.monotonic() - self._due)
        self.samples.observe(late)
        self._told(late)
        self.start()
