"""Whether what was measured reaches what it has to.

A target that is a ratio of rates is judged by the rates where both servers were the bottleneck,
that is, had something to do for nearly all of the time. Where one of them was not (the bare loop is
faster than the load generator; other work took the processor), the rates say little of the servers,
and the ratio by processor time is taken: it is what the rates would be if nothing but the servers
were slow. Both are given.
"""

from dataclasses import dataclass
from statistics import median

from harness.figures import Turns, ratio_of, reported, row, values, work_per_processor_second
from harness.scenarios import Lane, Scenario, Target

#: A server under load has always something to do: if it ran less, it was not the bottleneck.
SATURATED = 0.8

RATE, PROCESSOR, FIGURE = "rate", "processor time", "figure"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A target and what was measured.

    Attributes:
        target: What was to be reached.
        by: What it is judged by: ``RATE``, ``PROCESSOR`` or ``FIGURE``, or nothing if one of the
            rows is missing.
        measured: Of that.
        rate, processor: The ratios of both kinds, where there are any.
    """

    target: Target
    by: str = ""
    measured: float | None = None
    rate: float | None = None
    processor: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None if nothing was measured."""
        if self.measured is None:
            return None
        if self.target.at_least is not None:
            return self.measured >= self.target.at_least
        assert self.target.at_most is not None
        return self.measured <= self.target.at_most


def verdicts(scenario: Scenario, turns: Turns) -> list[Verdict]:
    """One for each target of the scenario."""
    return [_judge(target, scenario, turns) for target in scenario.targets]


def _judge(target: Target, scenario: Scenario, turns: Turns) -> Verdict:
    lane = row(turns, target.lane)
    if lane is None:
        return Verdict(target=target)
    if not target.against:
        return Verdict(target=target, by=FIGURE, measured=median(_figures(target, turns, lane)))
    other = row(turns, target.against)
    if other is None:
        return Verdict(target=target)
    rate = ratio_of(_figures(target, turns, lane), _figures(target, turns, other))
    if target.figure or scenario.lower_is_better or not _have(turns, lane, other, "server_us"):
        return Verdict(target=target, by=FIGURE, measured=rate, rate=rate)
    processor = ratio_of(
        work_per_processor_second(turns[lane]), work_per_processor_second(turns[other])
    )
    saturated = all(reported(turns[each], "server_busy") >= SATURATED for each in (lane, other))
    return Verdict(
        target=target,
        by=RATE if saturated else PROCESSOR,
        measured=rate if saturated else processor,
        rate=rate,
        processor=processor,
    )


def _figures(target: Target, turns: Turns, lane: Lane) -> list[float]:
    if target.figure:
        return [turn.report[target.figure] for turn in turns[lane]]
    return values(turns[lane])


def _have(turns: Turns, lane: Lane, other: Lane, key: str) -> bool:
    return all(key in turns[each][0].report for each in (lane, other))
