"""How often a client may do what costs the server more than the client.

Each of the known floods is many cheap frames that each make work or take memory: streams that are
begun and reset (CVE-2023-44487), pings and settings that want an answer (CVE-2019-9512,
CVE-2019-9515), empty frames (CVE-2019-9518). A number in a stretch of time tells them from what
clients do.
"""

from typing import Final

#: Seconds in which a budget may be spent once.
PERIOD: Final = 10.0


class Budget:
    """A number of things that may happen in :data:`PERIOD` seconds, at once or spread out.

    Args:
        size: How many; 0 for any number.
    """

    __slots__ = ("_left", "_size", "_spent_at")

    def __init__(self, size: int) -> None:
        self._size = size
        self._left = float(size)
        self._spent_at = 0.0

    def spend(self, now: float) -> bool:
        """Another one has happened; says whether that was within the budget.

        Args:
            now: This moment, in seconds of any clock that does not go back.
        """
        if not self._size:
            return True
        # What was used comes back evenly, so there is no moment at which all of it is there anew.
        self._left = min(
            self._left + (now - self._spent_at) * self._size / PERIOD, float(self._size)
        )
        self._spent_at = now
        self._left -= 1.0
        return self._left >= 0.0

    def refund(self, count: int) -> None:
        """That many of them were explained by what the server did itself."""
        if self._left < self._size:
            self._left = min(self._left + count, float(self._size))
