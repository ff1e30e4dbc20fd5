"""Turns are taken in an order that favours none, and without those that cannot run here."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from harness import race
from harness.build import BuildError
from harness.contenders import CONTENDERS, Contender
from harness.generator import Generator, LoadError
from harness.processes import Processors, ServerError
from harness.race import Field, Heat, Progress, heats
from harness.scenarios import ALL, SUITES, Effort, Lane, Scenario, Target, Turn, Work

GENERATOR, PROCESSORS = Generator(Path("load"), 0), Processors(server=1, generator=0)


def make(name: str, *, refresh: bool) -> Contender:
    assert refresh
    if name == "not here":
        raise BuildError("It needs a library.")
    return Contender(name=name, words=("serve",))


@pytest.fixture
def field(monkeypatch: pytest.MonkeyPatch) -> Field:
    """Four contenders, one of which cannot be made."""
    names = {"ours": "Fairway", "theirs": "a peer", "other": "another", "missing": "not here"}
    makers = {word: (name, partial(make, name)) for word, name in names.items()}
    monkeypatch.setattr(race, "CONTENDERS", makers)
    return Field(names, refresh=True)


def scenario(measure: Callable[[Work], Turn], *targets: Target) -> Scenario:
    return Scenario(
        name="echo",
        title="Echo",
        unit="messages/s",
        measure=measure,
        lanes=[
            Lane(contender=name, path="/") for name in ("Fairway", "a peer", "not here", "another")
        ],
        targets=targets,
        full=Effort(turns=2),
        quick=Effort(turns=1),
    )


def run(scenario: Scenario, field: Field) -> Heat:
    (heat,) = heats([scenario], field, lambda each: each.full, leading=False)
    heat.run(field, GENERATOR, PROCESSORS, Progress(heat.total))
    return heat


def test_order(field: Field, capsys: pytest.CaptureFixture[str]) -> None:
    """Every second round goes in reverse, and who cannot run here is left out of it."""
    order: list[str] = []

    def measure(work: Work) -> Turn:
        order.append(work.contender.name)
        return Turn(value=1000, report={})

    heat = run(scenario(measure), field)
    assert order == ["Fairway", "a peer", "another", "another", "a peer", "Fairway"]
    assert heat.left_out == {"not here": "It needs a library."}
    assert not heat.lost
    assert [lane.contender for lane in heat.turns] == ["Fairway", "a peer", "another"]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7
    assert lines[2].startswith("[ 3/7]")
    assert lines[2].endswith("not here is left out: It needs a library.")
    assert lines[-1].startswith("[ 7/7]")


@pytest.mark.parametrize("error", [LoadError, ServerError, ProcessLookupError])
@pytest.mark.parametrize(("name", "lost"), [("Fairway", True), ("a peer", False)])
def test_failure(field: Field, name: str, lost: bool, error: type[Exception]) -> None:
    """Who did not do the work has no figure at all, and the others go on."""
    order: list[str] = []

    def measure(work: Work) -> Turn:
        order.append(work.contender.name)
        if work.contender.name == name and len(order) > 3:
            raise error("socket 1: message 2 came back changed")
        return Turn(value=1000, report={})

    heat = run(scenario(measure), field)
    assert heat.left_out[name] == "socket 1: message 2 came back changed"
    assert heat.lost is lost
    assert name not in {lane.contender for lane in heat.turns}
    assert all(len(taken) == 2 for taken in heat.turns.values())


def test_leading(field: Field) -> None:
    """Without a word, peers that no target names are not measured."""

    def measure(_: Work) -> Turn:
        raise AssertionError("nothing is measured here")

    one = scenario(measure, Target(against="another", at_least=1))
    (heat,) = heats([one], field, lambda each: each.quick, leading=True)
    assert [lane.contender for lane in heat.lanes] == ["Fairway", "another"]
    assert heat.total == 2


def test_scenarios_name_what_there_is() -> None:
    """Rows are of contenders that exist, and targets of rows that do; no name is there twice."""
    contenders = {name for name, _ in CONTENDERS.values()}
    names = [scenario.name for scenario in ALL]
    assert len(names) == len({*names})
    assert sum(map(len, SUITES.values())) == len(ALL)
    for each in ALL:
        rows = [lane.name for lane in each.lanes]
        assert len(rows) == len({*rows}), each.name
        assert {lane.contender for lane in each.lanes} <= contenders, each.name
        known = {*rows, *(lane.contender for lane in each.lanes)}
        for target in each.targets:
            assert target.lane in known, each.name
            assert not target.against or target.against in known, each.name
