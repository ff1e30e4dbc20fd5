"""What is stored of a run, and shown."""

from pathlib import Path

import pytest

from proving import report
from proving.report import line, load, markdown, store, table
from proving.rows import Outcome, Row, Status


def outcome(name: str, status: Status, note: str = "it talks", group: str = "Servers") -> Outcome:
    row = Row(
        group=group,
        name=name,
        packages=("one",),
        environment="servers",
        prove=lambda stage: note,
        limits="No | in names.",
    )
    return Outcome(row=row, status=status, note=note, seconds=1.25, versions={"one": "1.0"})


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "results.json"
    monkeypatch.setattr(report, "RESULTS", path)
    monkeypatch.setattr(report, "PROGRAMS", {"nothing": ("no-such-program-here", "--version")})
    return path


def test_line() -> None:
    """The first line of a note stands behind sign and time, the others below it."""
    assert line(outcome("Daphne", "fails", "closed\nit said:")) == (
        "      FAILS   1.2 s  closed\n             it said:"
    )


def test_table() -> None:
    """Rows stand below their group, and are counted at the end."""
    outcomes = [
        outcome("Daphne", "works"),
        outcome("a", "absent"),
        outcome("b", "fails", group="X"),
    ]
    assert table(outcomes).splitlines() == [
        "Servers",
        "  ok     Daphne  one 1.0",
        "  absent a       one 1.0",
        "X",
        "  FAILS  b       one 1.0",
        "1 works, 1 absent, 1 fails",
    ]


def test_store_keeps_what_was_not_run(results: Path) -> None:
    """A run of some rows leaves the others, in the order of all; rows that are gone go."""
    order = [("Servers", "a"), ("Servers", "b")]
    store([outcome("b", "works"), outcome("gone", "works")], [*order, ("Servers", "gone")])
    store([outcome("a", "fails", "closed")], order)
    stored = load()["rows"]
    assert [(row["name"], row["status"], row["note"]) for row in stored] == [
        ("a", "fails", "closed"),
        ("b", "works", "it talks"),
    ]
    assert results.read_text().endswith("}\n")


@pytest.mark.usefixtures("results")
def test_store_keeps_what_is_absent() -> None:
    """A row that cannot be tried here leaves what was found elsewhere; else it says so."""
    order = [("Servers", "a"), ("Servers", "b")]
    store([outcome("a", "works")], order)
    store([outcome("a", "absent", "no nginx"), outcome("b", "absent", "no nginx")], order)
    assert [(row["name"], row["status"], row["note"]) for row in load()["rows"]] == [
        ("a", "works", "it talks"),
        ("b", "absent", "no nginx"),
    ]


@pytest.mark.usefixtures("results")
def test_markdown() -> None:
    """There is a table for each group; cells hold no line breaks and no bars."""
    store([outcome("Daphne", "works", "two\nlines")], [("Servers", "Daphne")])
    stored = load()
    stored["rows"][0]["date"] = "2026-01-02"
    assert markdown(stored).splitlines()[2:] == [
        "## Servers",
        "",
        "| With | | What was shown | What does not work |",
        "|---|---|---|---|",
        "| **Daphne**<br>one 1.0 | works, 2026-01-02 | two lines | No \\| in names. |",
    ]
