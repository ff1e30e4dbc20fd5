"""What can be measured of a server, as plain data: families of figures, and who else has some.

Counters, gauges and histograms mean what Prometheus calls so; see
https://prometheus.io/docs/concepts/metric_types/.
"""

import bisect
import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

logger = logging.getLogger("fairway.server")

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
Labels: TypeAlias = tuple[tuple[str, str], ...]
#: What stands behind the family's name (``"_bucket"``, mostly nothing), and the labels.
Key: TypeAlias = tuple[str, Labels]


@dataclasses.dataclass(frozen=True, slots=True)
class Family:
    """Figures of one name.

    Attributes:
        name: With its unit, but without the ``_total`` of counters, such as ``"fairway_requests"``.
        kind: A counter and a histogram only grow; a gauge is the state of now.
        help: One sentence.
        samples: The figures by their labels.
    """

    name: str
    kind: Kind
    help: str
    samples: dict[Key, float]

    def to_json(self) -> list[Any]:
        """As something that JSON can carry from a worker to its supervisor."""
        samples = [[suffix, labels, value] for (suffix, labels), value in self.samples.items()]
        return [self.name, self.kind, self.help, samples]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> "Family":
        """What :meth:`to_json` was made of."""
        name, kind, text, samples = data
        return cls(
            name,
            kind,
            text,
            {
                (suffix, tuple((key, value) for key, value in labels)): number
                for suffix, labels, number in samples
            },
        )


def family(
    name: str, kind: Kind, text: str, samples: Mapping[tuple[str, ...], float], *labels: str
) -> Family:
    """A family whose samples differ by the values of the same labels.

    Args:
        name: As in :class:`Family`.
        kind: As there.
        text: Its help.
        samples: The figures by the values of the labels, in their order.
        labels: The names of the labels.
    """
    keys: dict[Key, float] = {
        ("", tuple(zip(labels, values, strict=True))): number for values, number in samples.items()
    }
    return Family(name, kind, text, keys)


def single(name: str, kind: Kind, text: str, value: float) -> Family:
    """A family of one figure, without labels."""
    return Family(name, kind, text, {("", ()): value})


class Histogram:
    """How often something took how long.

    Args:
        bounds: The upper ends of its buckets, in seconds and in order; more than the last is
            counted, too.
    """

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect.bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def family(self, name: str, text: str) -> Family:
        """It as figures: each bucket holds what the ones below it hold, too."""
        samples: dict[Key, float] = {}
        total = 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            samples["_bucket", (("le", bound),)] = total
        samples["_sum", ()] = self._sum
        samples["_count", ()] = total
        return Family(name, "histogram", text, samples)


#: What others than the server have to show. Each is called on the event loop's thread or on that of
#: an exporter, whenever somebody looks.
_sources: Final[dict[Callable[[], Iterable[Family]], bool]] = {}


def add_source(source: Callable[[], Iterable[Family]]) -> None:
    """Show more figures than those of the server itself; again is the same as once.

    Args:
        source: Returns them as they are now; must be quick, and must not block. One that raises is
            left out, and its first exception is logged.
    """
    _sources.setdefault(source, True)


def remove_source(source: Callable[[], Iterable[Family]]) -> None:
    """Show them no more."""
    _sources.pop(source, None)


def from_sources() -> list[Family]:
    """What all sources have to show now."""
    found: list[Family] = []
    for source, fine in list(_sources.items()):
        try:
            found += source()
        except Exception:
            if fine:
                logger.exception("The source of figures %r fails and is left out", source)
            _sources[source] = False
        else:
            _sources[source] = True
    return found
