"""A limit for those who send too much: nothing is refused or lost, it only takes its time.

While a consumer waits, Fairway stops reading its socket once 64 kB are there, so a flood stays in
the sender's own machine.
"""

from weakref import WeakValueDictionary

BURST = 100  # events that are taken at once; a page that is back sends all it has waiting
RATE = 10.0  # events per second after that


class Allowance:
    """What one person may send, with all their sockets together."""

    def __init__(self, burst: int, rate: float) -> None:
        self._interval = 1 / rate
        self._ahead = burst / rate
        self._paid_until = 0.0

    def take(self, now: float) -> float:
        """Count one more event at `now`; return how many seconds it has to wait."""
        self._paid_until = max(self._paid_until, now) + self._interval
        return max(0.0, self._paid_until - self._ahead - now)


_allowances: WeakValueDictionary[int, Allowance] = WeakValueDictionary()


def allowance_of(person_id: int) -> Allowance:
    """Return the allowance that a person's sockets share; with the last of them it is gone."""
    return _allowances.setdefault(person_id, Allowance(BURST, RATE))
