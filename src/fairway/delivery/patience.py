"""How long who sends to a group waits for members that are behind."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

#: Seconds that the senders of a process wait for all who are behind, together, …
LONGEST: Final = 1.0
#: … and the part of the time after that: who is always behind delays the others no longer.
SHARE: Final = 0.1
#: Seconds between two looks at those that are behind.
LOOK_AGAIN: Final = 0.001


class Patience:
    """Lets members catch up of whose budget half is used, within bounds.

    So a loop of sends loses nothing at an ordinary reader, also if its handlers run in threads, and
    slow or stuck ones delay nobody for long.

    Args:
        clock: Seconds that only go forwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = LONGEST
        self._since = clock()

    async def wait_while(self, behind: Callable[[], bool]) -> None:
        """Return when ``behind()`` is false, or when patience is over."""
        self._refill()
        while self._left > 0 and behind():
            began = self._clock()
            await asyncio.sleep(LOOK_AGAIN)
            self._left -= self._clock() - began
        self._since = self._clock()

    def _refill(self) -> None:
        now = self._clock()
        self._left = min(LONGEST, self._left + (now - self._since) * SHARE)
        self._since = now
