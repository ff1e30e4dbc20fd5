"""What a target is judged by, and what is said of it."""

from dataclasses import replace

import pytest

from harness.figures import Turns
from harness.report import table
from harness.scenarios import Effort, Lane, Scenario, Target, Turn, Work
from harness.targets import FIGURE, PROCESSOR, RATE, Verdict, verdicts

OURS, THEIRS = Lane(contender="Fairway", path="/"), Lane(contender="a peer", path="/")


def idle(_: Work) -> Turn:
    raise AssertionError("nothing is measured here")


def scenario(target: Target, *, lower_is_better: bool = False) -> Scenario:
    return Scenario(
        name="echo",
        title="Echo",
        unit="messages/s",
        measure=idle,
        lanes=(OURS, THEIRS),
        targets=(target,),
        lower_is_better=lower_is_better,
        full=Effort(turns=1),
        quick=Effort(turns=1),
    )


def turn(value: float, server_us: float, busy: float = 1.0) -> Turn:
    return Turn(
        value=value,
        report={"server_us": server_us, "server_busy": busy, "generator_busy": 0.5, "p99_ms": 7},
    )


def verdict(target: Target, turns: Turns, *, lower_is_better: bool = False) -> Verdict:
    (found,) = verdicts(scenario(target, lower_is_better=lower_is_better), turns)
    return found


def test_judged_by_rate() -> None:
    """Where both servers had something to do all the time, the ratio of the rates counts."""
    target = Target(against="a peer", at_least=3)
    turns = {OURS: [turn(300, 10)], THEIRS: [turn(100, 20)]}
    expected = Verdict(target=target, by=RATE, measured=3, rate=3, processor=2)
    assert verdict(target, turns) == expected
    assert expected.met


@pytest.mark.parametrize("idle_one", [OURS, THEIRS])
def test_judged_by_processor_time(idle_one: Lane) -> None:
    """Where one of them had nothing to do at times, the processor time counts."""
    target = Target(against="a peer", at_least=3)
    turns = {OURS: [turn(300, 10)], THEIRS: [turn(100, 20)]}
    (taken,) = turns[idle_one]
    turns[idle_one] = [replace(taken, report=taken.report | {"server_busy": 0.79})]
    expected = Verdict(target=target, by=PROCESSOR, measured=2, rate=3, processor=2)
    assert verdict(target, turns) == expected
    assert expected.met is False


def test_ratios_are_taken_within_a_round() -> None:
    """Of the ratios of turns that were close together the median is taken."""
    target = Target(against="a peer", at_least=1)
    turns = {
        OURS: [turn(value, 1) for value in (100, 200, 900)],
        THEIRS: [turn(value, 1) for value in (50, 200, 300)],
    }
    assert verdict(target, turns).rate == 2


def test_a_figure() -> None:
    """Without a peer it is our own figure that has a limit, or another one of the report."""
    turns = {OURS: [turn(8001, 1), turn(7000, 1), turn(9000, 1)]}
    assert verdict(Target(at_most=8000), turns).measured == 8001
    assert verdict(Target(at_most=8000), turns).met is False
    found = verdict(Target(figure="p99_ms", at_most=7), turns)
    assert (found.by, found.measured, found.met) == (FIGURE, 7, True)


def test_costs_are_compared_as_they_are() -> None:
    """Where less is better, the ratio of the figures counts, whatever the processor did."""
    target = Target(against="a peer", at_most=1)
    turns = {OURS: [turn(90, 1)], THEIRS: [turn(100, 1)]}
    found = verdict(target, turns, lower_is_better=True)
    assert found == Verdict(target=target, by=FIGURE, measured=0.9, rate=0.9)


def test_rows_that_are_missing() -> None:
    """A target whose rows are not there is neither met nor missed, and the table says so."""
    target = Target(against="a peer", at_least=3)
    turns = {OURS: [turn(300, 10)]}
    assert verdict(target, turns) == Verdict(target=target)
    assert verdict(target, turns).met is None
    said = table(scenario(target), turns).splitlines()[-1]
    assert said == "  Target: Fairway >= 3 x a peer: not measured"


def test_what_is_said() -> None:
    """The line has the limit, the measured ratio, the other one, and whether it is enough."""
    turns = {OURS: [turn(300, 10)], THEIRS: [turn(100, 20)]}
    lines = table(scenario(Target(against="a peer", at_least=3)), turns).splitlines()
    assert lines[-1] == ("  Target: Fairway >= 3 x a peer: 3 by rate (2.00 by processor time): met")
    lines = table(scenario(Target(at_most=250)), turns).splitlines()
    assert lines[-1] == "  Target: Fairway <= 250: 300: MISSED"


def test_a_target_has_one_limit() -> None:
    """A target without a limit, or with two, is a mistake."""
    with pytest.raises(ValueError, match="either at_least or at_most"):
        Target(against="a peer")
    with pytest.raises(ValueError, match="either at_least or at_most"):
        Target(at_least=1, at_most=2)
