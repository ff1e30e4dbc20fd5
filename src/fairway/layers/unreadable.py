"""What came in and is no message: dropped, counted, and told of once for a burst."""

import logging
import time
from typing import Final

#: Seconds without another one after which the next has a line of its own again.
_BURST: Final = 60.0


class Unreadable:
    """Counts what could not be read, wherever it came from.

    Args:
        logger: Where the lines go.
        advice: What to look at; the end of each line.

    Attributes:
        count: How many there were.
    """

    def __init__(self, logger: logging.Logger, advice: str) -> None:
        self.count = 0
        self._logger = logger
        self._advice = advice
        self._last = -_BURST

    def drop(self, where: str, why: object) -> None:
        """Count one.

        Args:
            where: Where it was found: ``"in channel jobs"``, ``"to room"``.
            why: What is wrong with it.
        """
        self.count += 1
        now = time.monotonic()
        if now - self._last >= _BURST:
            self._logger.error(
                "A message %s could not be read (%s), and was dropped. %s", where, why, self._advice
            )
        self._last = now
