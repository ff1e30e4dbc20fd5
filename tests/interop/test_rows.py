"""The choice and the proving of rows; what they prove takes ``make interop``."""

from dataclasses import replace
from pathlib import Path

import pytest

from proving import rows
from proving.environments import REQUIREMENTS, Environment, MissingError
from proving.processes import ProofError
from proving.proofs import ROWS
from proving.rows import Row, Stage, exists, prove, select


def row(name: str, *, needs: str = "fairway", fails: bool = False) -> Row:
    def proof(stage: Stage) -> str:
        if fails:
            raise ProofError("it said nothing")
        return f"{stage.row} talks"

    return Row(
        group="Servers",
        name=name,
        packages=("one",),
        environment="servers",
        prove=proof,
        needs=needs,
    )


@pytest.fixture(autouse=True)
def no_environments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = Environment(name="servers", folder=tmp_path, versions={"one": "1.0", "two": "2.0"})
    monkeypatch.setattr(rows, "environment", lambda name, *, refresh: made)


def test_select_by_word() -> None:
    """A word of group or name selects, in any case; no word selects all."""
    some = [row("Daphne"), row("uvicorn"), row("Granian")]
    assert [each.name for each in select(some, "daphne GRAN")] == ["Daphne", "Granian"]
    assert select(some, "servers") == some
    assert select(some, "") == some
    assert select(some, "nginx") == []


def test_works(tmp_path: Path) -> None:
    """A row that works says what it has shown, and with which versions."""
    outcome = prove(row("Daphne"), tmp_path, refresh=False)
    assert (outcome.status, outcome.note) == ("works", "Daphne talks")
    assert outcome.versions == {"one": "1.0"}


def test_fails(tmp_path: Path) -> None:
    """A row that fails says why, and with which versions."""
    outcome = prove(row("Daphne", fails=True), tmp_path, refresh=False)
    assert (outcome.status, outcome.note) == ("fails", "it said nothing")
    assert outcome.versions == {"one": "1.0"}


def test_absent(tmp_path: Path) -> None:
    """A row about something that Fairway has not yet is neither a success nor a failure."""
    outcome = prove(row("Daphne", needs="fairway.layers:CarrierPigeon"), tmp_path, refresh=False)
    assert outcome.status == "absent"
    assert outcome.note == "fairway.layers:CarrierPigeon is not there yet"


def test_missing(tmp_path: Path) -> None:
    """So is one that cannot be tried on this machine; it says what it misses."""

    def proof(stage: Stage) -> str:
        raise MissingError("there is no sea")

    outcome = prove(replace(row("Daphne"), prove=proof), tmp_path, refresh=False)
    assert (outcome.status, outcome.note) == ("absent", "there is no sea")


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("fairway.layers", True),
        ("fairway.layers:InMemoryChannelLayer", True),
        ("fairway.layers:CarrierPigeon", False),
        ("fairway.pigeons:CarrierPigeon", False),
    ],
)
def test_exists(name: str, there: bool) -> None:
    """A module, or a name in one, is there or not."""
    assert exists(name) is there


def test_exists_without_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs a package that only the row's environment has is there, too."""
    (tmp_path / "carrier.py").write_text("import a_package_that_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert exists("carrier:Pigeon")


def test_names_are_unique() -> None:
    """Results are kept by group and name."""
    assert len({(each.group, each.name) for each in ROWS}) == len(ROWS)


def test_requirements_exist() -> None:
    """Each environment has its requirements, which name ranges and no place to get them from."""
    for name in {each.environment for each in ROWS}:
        for path in REQUIREMENTS.glob(f"{name}*.txt"):
            lines = [
                line for line in path.read_text().splitlines() if line and not line.startswith("#")
            ]
            assert lines
            assert all(">=" in line and "://" not in line and line[0] != "-" for line in lines)
        assert (REQUIREMENTS / f"{name}.txt").exists()
