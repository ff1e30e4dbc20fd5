"""What the server refuses because of a limit: counted, and told once for each burst."""

import logging
from collections.abc import Callable
from typing import Final

from fairway.server.observing.counters import Counters

logger = logging.getLogger("fairway.server.refused")

#: A limit that refused nothing for so many seconds begins a new burst with its next refusal.
QUIET: Final = 10.0
#: A burst that goes on is told of again after so many seconds.
AGAIN: Final = 60.0


class Refusals:
    """Counts what limits refuse and logs the first of each burst, with the limit and the peer.

    A record has limit, setting, peer and answer as attributes, too, for logs with a structure.

    Args:
        counters: Where it is counted.
        time: The clock, in seconds.
    """

    def __init__(self, counters: Counters, time: Callable[[], float]) -> None:
        self._counters = counters
        self._time = time
        self._bursts: dict[str, _Burst] = {}

    def note(self, limit: str, value: object, peer: object, answer: str) -> None:
        """Something was refused.

        Args:
            limit: The name of the option that is the limit, such as ``"max_body_size"``.
            value: What it is set to.
            peer: Who was refused: an address, or None for the peer of a Unix socket.
            answer: What was answered, such as ``"413"`` or ``"close 1009"``.
        """
        self.count(limit)
        now = self._time()
        burst = self._bursts.get(limit)
        if burst is None:
            burst = self._bursts[limit] = _Burst()
        elif now - burst.last < QUIET and now - burst.told < AGAIN:
            burst.last = now
            burst.untold += 1
            return
        more = f" ({burst.untold} more since the last line)" if burst.untold else ""
        burst.last = burst.told = now
        burst.untold = 0
        facts = {"limit": limit, "setting": value, "peer": _name(peer), "answer": answer}
        logger.warning(
            "The limit %s (%s) refused %s: %s%s",
            *(limit, value, facts["peer"], answer, more),
            extra=facts,
        )

    def count(self, limit: str) -> None:
        """The same, where it is in the ordinary course of things or is told of otherwise."""
        refused = self._counters.refused
        refused[limit] = refused.get(limit, 0) + 1


class _Burst:
    """Refusals by one limit that follow each other closely."""

    __slots__ = ("last", "told", "untold")

    def __init__(self) -> None:
        self.last = 0.0
        self.told = 0.0
        self.untold = 0


def _name(peer: object) -> str:
    if isinstance(peer, tuple) and len(peer) >= 2:
        return f"{peer[0]}:{peer[1]}"
    return str(peer) if peer else "the peer of a Unix socket"
