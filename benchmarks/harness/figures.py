"""From turns to figures: medians, and ratios within a round."""

from collections.abc import Sequence
from statistics import median
from typing import TypeAlias

from harness.scenarios import Lane, Turn

#: What was measured of each lane, in the order of the rounds.
Turns: TypeAlias = dict[Lane, list[Turn]]


def values(taken: Sequence[Turn]) -> list[float]:
    """The scenario's figure of each turn."""
    return [turn.value for turn in taken]


def work_per_processor_second(taken: Sequence[Turn]) -> list[float]:
    """Messages or deliveries per second of the server's processor time, of each turn.

    This is the rate of a saturated server that nothing else disturbs; where something does, it says
    what the rate would have been.
    """
    return [1e6 / turn.report["server_us"] for turn in taken]


def reported(taken: Sequence[Turn], key: str) -> float:
    """The median of something else that the load generator said."""
    return median(turn.report[key] for turn in taken)


def ratio(turns: Turns, lane: Lane, against: str, *, processor: bool = False) -> float | None:
    """A lane's figure divided by the named contender's, or None where that says nothing.

    Each turn is divided by the other's turn of the same round, since those two ran close together;
    of these ratios the median is taken.

    Args:
        turns: All lanes of the scenario.
        lane: Whose figure.
        against: The name of the contender to compare with; its first lane counts.
        processor: Compare :func:`work_per_processor_second` rather than the figure.
    """
    other = row(turns, against)
    if other is None or lane.contender == against:
        return None
    figures = work_per_processor_second if processor else values
    return ratio_of(figures(turns[lane]), figures(turns[other]))


def row(turns: Turns, name: str) -> Lane | None:
    """The lane of that name, or the first of the contender of that name."""
    named = [lane for lane in turns if lane.name == name]
    named += [lane for lane in turns if lane.contender == name]
    return named[0] if named else None


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """The median of the ratios within the rounds; None where one divides by nothing."""
    if any(each <= 0 for each in theirs):  # as far as it can be measured
        return None
    return median(one / other for one, other in zip(ours, theirs, strict=True))
