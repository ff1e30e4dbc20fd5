"""The figures of several workers as one: what they count together, and the state of each.

A worker that ends takes nothing away: what it had counted when it was last asked, or told by itself
before its end, stays in the sums.
"""

from collections.abc import Iterable, Sequence

from fairway.server.observing.collecting import label_gauges
from fairway.server.observing.figures import Family


class Merged:
    """Adds up what workers report.

    Workers are named by numbers that are used once, and by the place that they serve in, which
    their successors take over.
    """

    def __init__(self) -> None:
        self._gone: dict[str, Family] = {}
        self._last: dict[int, tuple[int, list[Family]]] = {}

    def report(self, worker: int, place: int, families: Iterable[Family]) -> None:
        """A worker has said what it has counted since its start, and how it is."""
        self._last[worker] = (place, list(families))

    def end(self, worker: int) -> None:
        """A worker has ended: what it has counted stays, how it was does not."""
        _, families = self._last.pop(worker, (0, []))
        for family in families:
            if family.kind != "gauge":
                _add(self._gone, family)

    def families(self) -> list[Family]:
        """What all of them have counted, and how those are that live."""
        found: dict[str, Family] = {}
        for family in self._gone.values():
            _add(found, family)
        for place, families in self._last.values():
            for family in label_gauges(families, str(place)):
                # While two serve in one place, the old one ends: what both hold is there twice.
                _add(found, family)
        return list(found.values())


def _add(into: dict[str, Family], family: Family) -> None:
    known = into.get(family.name)
    if known is None:
        samples = dict(family.samples)
        into[family.name] = Family(family.name, family.kind, family.help, samples)
        return
    for key, value in family.samples.items():
        known.samples[key] = known.samples.get(key, 0) + value


def to_json(families: Iterable[Family]) -> list[Sequence[object]]:
    """Figures as a worker sends them."""
    return [family.to_json() for family in families]


def from_json(data: Iterable[Sequence[object]]) -> list[Family]:
    """Figures as the supervisor gets them."""
    return [Family.from_json(each) for each in data]
