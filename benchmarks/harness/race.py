"""Has the contenders take their turns, and goes on without those that cannot."""

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from harness import report
from harness.build import BuildError
from harness.contenders import BARE, CHANNELS, CONTENDERS, FAIRWAY, Contender
from harness.figures import Turns
from harness.generator import Generator, LoadError
from harness.processes import Processors, ServerError
from harness.scenarios import Effort, Lane, Scenario, Work

#: What one row can do wrong without a loss for the others. Of a server that has died in a turn
#: there is nothing to read in /proc, or nobody who accepts: that is an OSError.
FAILURES = (BuildError, LoadError, ServerError, OSError, subprocess.SubprocessError)


class Field:
    """The contenders, each made when it is first asked for.

    Args:
        words: Of :data:`~harness.contenders.CONTENDERS`: those that take part.
        refresh: Whether the newest releases of everything are installed first.
    """

    def __init__(self, words: Iterable[str], *, refresh: bool) -> None:
        self._makers = dict(CONTENDERS[word] for word in words)
        self._refresh = refresh
        self._made: dict[str, Contender] = {}
        self.missing: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        """Whether a contender of that name takes part."""
        return name in self._makers

    def find(self, name: str) -> Contender | None:
        """The contender; None if it cannot run here, which :attr:`missing` then explains."""
        if name not in self._made and name not in self.missing:
            try:
                self._made[name] = self._makers[name](refresh=self._refresh)
            except BuildError as error:
                self.missing[name] = str(error)
        return self._made.get(name)

    @property
    def made(self) -> Sequence[Contender]:
        """All that can run, of those that somebody has asked for."""
        return [*self._made.values()]


@dataclass(frozen=True, kw_only=True)
class Heat:
    """A scenario with those of its rows that take part.

    Attributes:
        scenario, effort, lanes: What is to be measured.
        turns: What was.
        left_out: Why some rows have no figure, by their names.
        failed: Those of them that could run here, and did not do the work.
    """

    scenario: Scenario
    effort: Effort
    lanes: Sequence[Lane]
    turns: Turns = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    failed: set[Lane] = field(default_factory=set)

    @property
    def total(self) -> int:
        """How many turns there are to take."""
        return self.effort.turns * len(self.lanes)

    @property
    def lost(self) -> bool:
        """Whether a row of ours has failed, so that nothing was compared with it."""
        return any(lane.contender.startswith(FAIRWAY) for lane in self.failed)

    def run(
        self,
        contenders: Field,
        generator: Generator,
        processors: Processors,
        progress: "Progress",
    ) -> None:
        """Takes all turns; a row that fails once is left out with the reason.

        Args:
            contenders: Who takes part.
            generator: What makes the load.
            processors: Where either of them runs.
            progress: What is told of each turn.
        """
        self.turns.update({lane: [] for lane in self.lanes})
        for lane in _order(self.lanes, self.effort.turns):
            if lane.name in self.left_out:
                continue
            contender = contenders.find(lane.contender)
            try:
                if contender is None:
                    raise BuildError(contenders.missing[lane.contender])
                turn = Work(
                    scenario=self.scenario,
                    lane=lane,
                    effort=self.effort,
                    contender=contender,
                    generator=generator,
                    processors=processors,
                ).take_turn()
            except FAILURES as error:
                self.left_out[lane.name] = str(error)
                if not isinstance(error, BuildError):
                    self.failed.add(lane)
                progress.skip(self.effort.turns - 1 - len(self.turns.pop(lane)))
                progress.say(f"{self.scenario.name:11} {lane.name} is left out: {error}")
            else:
                self.turns[lane].append(turn)
                progress.say(report.announce_turn(self.scenario, lane, turn))


def heats(
    scenarios: Iterable[Scenario],
    contenders: Field,
    effort: Callable[[Scenario], Effort],
    *,
    leading: bool,
) -> list[Heat]:
    """Each scenario with its rows.

    Args:
        scenarios: What is to be measured.
        contenders: Who takes part.
        effort: How much of it.
        leading: Leave out those peers that no target of the scenario names.
    """
    return [
        Heat(
            scenario=scenario,
            effort=effort(scenario),
            lanes=[
                lane
                for lane in scenario.lanes
                if lane.contender in contenders and (not leading or _leads(scenario, lane))
            ],
        )
        for scenario in scenarios
    ]


def _leads(scenario: Scenario, lane: Lane) -> bool:
    named = {target.against for target in scenario.targets} | {FAIRWAY, CHANNELS, BARE}
    return bool(named & {lane.name, lane.contender})


def _order(lanes: Sequence[Lane], turns: int) -> Iterator[Lane]:
    """All lanes in turn, again and again; every second round in reverse: drift favours none."""
    for number in range(turns):
        yield from lanes if number % 2 == 0 else reversed(lanes)


class Progress:
    """Numbers the lines, so that one sees how far it is."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._started = time.monotonic()

    def say(self, line: str) -> None:
        """Prints a line behind its number and the seconds so far."""
        self._done += 1
        elapsed = time.monotonic() - self._started
        print(f"[{self._done:2}/{self._total}] {elapsed:4.0f} s  {line}", flush=True)

    def skip(self, turns: int) -> None:
        """Says nothing of turns that will not be taken."""
        self._total -= turns
