"""What of the stored results is shown: in the docs and in the README."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import publish
from harness import published
from harness.published import claims, goal, load, missed, plots, remarks, runs, table, unexplained
from harness.scenarios import ALL, Target


def lane(*values: float, busy: float = 1.0) -> dict[str, Any]:
    """A row as it is stored; a busy server takes a microsecond for each million a second."""
    turns = [
        {"value": each, "server_us": 1e6 * busy / each, "server_busy": busy} for each in values
    ]
    return {"path": "/echo/", "median": values[0], "turns": turns}


def run(date: str, lanes: dict[str, Any], scenario: str = "echo", **more: Any) -> dict[str, Any]:
    return {
        "date": date,
        "quick": False,
        "commit": "abc1234",
        "machine": {
            "processor": "A processor",
            "processors": 2,
            "system": "Linux 6.18",
            "python": "3.11.7",
            "compiler": "12.2.0 -O2",
        },
        "method": {"turns": "alternating", "figure": "medians", "memory": "proportional"},
        "contenders": {"bare C": {"command": "bare --port {port}", "versions": {}}},
        "scenarios": {
            scenario: {"title": f"Title of {scenario}", "unit": "messages/s", "lanes": lanes}
        },
        **more,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs: an old one, and one in which Fairway does 7 times and 0.4 times as much."""
    store(tmp_path, "old.json", run("2026-01-01T00:00:00Z", {"Fairway": lane(1)}))
    lanes = {
        "Fairway": lane(70, 69, 71),
        "Channels on uvicorn": lane(10, 10, 10),
        "bare C": lane(100, 100, 100, busy=0.5),
    }
    lanes["Fairway"]["turns"].sort(key=lambda turn: turn["value"])
    store(tmp_path, "new.json", run("2026-02-01T12:00:00Z", lanes))
    return tmp_path


def store(folder: Path, name: str, document: dict[str, Any]) -> None:
    (folder / name).write_text(json.dumps(document))


def rows(text: str, words: str) -> Sequence[str]:
    return [line for line in text.splitlines() if words in line]


def test_newest(folder: Path) -> None:
    """The newest run of each scenario counts, and a quick one never does."""
    quick = run("2026-03-01T00:00:00Z", {"Fairway": lane(5)}, quick=True)
    store(folder, "quick.json", quick)
    other = run("2026-01-15T00:00:00Z", {"Fairway": lane(3)}, "idle")
    store(folder, "other.json", other)
    assert [(each.scenario.name, each.run["date"]) for each in load(folder)] == [
        ("echo", "2026-02-01T12:00:00Z"),
        ("idle", "2026-01-15T00:00:00Z"),
    ]


def test_table(folder: Path) -> None:
    """Each target stands beside what was measured; one judged by processor time has an asterisk."""
    lines = table(load(folder)).splitlines()
    at = lines.index("| Title of echo | ≥ 6 × Channels on uvicorn | 7 ×, reached |")
    assert lines[at + 1] == r"|  | ≥ 0.45 × bare C | 0.35 ×, **missed** \* |"


@pytest.mark.parametrize(
    ("target", "unit", "words"),
    [
        (Target(against="bare C", at_least=0.45), "messages/s", "≥ 0.45 × bare C"),
        (Target(at_most=8000), "bytes/socket", "≤ 8,000 bytes/socket"),
        (Target(at_most=3), "x quiet", "≤ 3 × quiet"),
        (Target(figure="broadcast_seconds", at_most=2), "cores", "≤ 2 broadcast seconds"),
    ],
)
def test_goal(target: Target, unit: str, words: str) -> None:
    """A target is said in words: beside whom, or in which unit."""
    assert goal(target, replace(ALL[0], unit=unit)) == words


def test_table_of_nothing(tmp_path: Path) -> None:
    """Targets that were not measured are there, too."""
    assert rows(table(load(tmp_path)), "Channels on uvicorn")[0].endswith(
        "| ≥ 6 × Channels on uvicorn | not yet |"
    )


def test_picture(folder: Path) -> None:
    """A bar for each row, and a line where a target is: on the side that the verdict says."""
    ((title, picture),) = plots(load(folder))
    assert title == "Title of echo"
    assert picture.count("<rect") == 3
    assert "messages per second of the server's processor time, more is better" in picture
    # Fairway's bar has 70 of the 200 that the bare loop would do: 35 %.
    assert 'width="35.00%"' in picture
    assert '<line x1="30.00%"' in picture  # 6 x Channels: reached
    assert '<line x1="45.00%"' in picture  # 0.45 x the bare loop: missed


def test_remarks(folder: Path, tmp_path: Path) -> None:
    """A target that is missed is explained; what is reached is not talked about."""
    path = tmp_path / "remarks.toml"
    path.write_text('[[remark]]\nscenario = "echo"\nagainst = "bare C"\ntext = "It is *Python*."\n')
    assert remarks(load(folder), path) == (
        "**Title of echo: 0.35 ×, where it should be ≥ 0.45 × bare C.**\n\nIt is *Python*."
    )
    assert unexplained(load(folder), path) == []


def test_unexplained(folder: Path, tmp_path: Path) -> None:
    """It is told which remark is missing, and which has no target."""
    path = tmp_path / "remarks.toml"
    path.write_text('[[remark]]\nscenario = "walk"\ntext = "On foot."\n')
    assert unexplained(load(folder), path) == [
        'missed, and not explained: scenario = "echo", lane = "Fairway", against = "bare C"',
        'no such target: scenario = "walk", lane = "Fairway", against = ""',
    ]


def test_runs(folder: Path) -> None:
    """Date, commit, machine, method, commands and versions of the runs that are shown."""
    assert runs(load(folder)) == "\n".join(
        [
            "**2026-02-01, 12:00:00 UTC**",
            "",
            "- Scenarios: `echo`",
            "- Commit: `abc1234`",
            "- Machine: A processor, 2 processors, Linux 6.18, Python 3.11.7, gcc 12.2.0",
            "- Turns: alternating; medians",
            "- Memory: proportional",
            "- Versions:",
            "  - bare C (`bare --port {port}`)",
        ]
    )


def test_claims(folder: Path) -> None:
    """The README says what was measured, with two digits, and of nothing else."""
    assert claims(load(folder)).splitlines()[2:5] == [
        "| an echo through an async consumer, 50 sockets | Channels on uvicorn | 7 × as many |",
        "| the same | a bare loop in C | 0.35 × as many |",
        "",
    ]


def test_readme() -> None:
    """The README's figures are those of the stored results: benchmarks/publish.py writes them."""
    assert publish.figures() == claims(load())


def test_publish(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but what stands between the marks is replaced."""
    monkeypatch.setattr(publish, "load", lambda: load(folder))
    page = tmp_path / "README.md"
    page.write_text("# A\n\n<!-- figures: begin -->\nold\n<!-- figures: end -->\n\nB\n")
    publish.main(page)
    assert publish.figures(page) == claims(load(folder))
    text = page.read_text()
    assert text.startswith("# A\n\n<!-- figures: begin -->\n| Work")
    assert text.endswith("\n<!-- figures: end -->\n\nB\n")


def test_every_miss_is_explained() -> None:
    """Who misses a target says why: in benchmarks/remarks.toml."""
    assert unexplained(load()) == []


def test_no_miss_is_hidden() -> None:
    """Each target that the stored results miss stands in the table and below it."""
    results = load()
    shown, said = table(results), remarks(results)
    assert shown.count("**missed**") == len(missed(results))
    assert said.count("where it should be") == len(missed(results))


def test_judge(folder: Path) -> None:
    """Something that is no target is measured in the same way."""
    (result,) = load(folder)
    assert result.judge(Target(against="bare C", at_most=1)).measured == pytest.approx(0.35)
    assert result.judge(Target(against="nobody", at_most=1)).measured is None


def test_claims_are_of_scenarios() -> None:
    """What the README may claim is measured by scenarios and rows that there are."""
    known = {scenario.name: scenario for scenario in ALL}
    for _, name, ours, against in published.CLAIMS:
        lanes = known[name].lanes
        assert ours in [each.name for each in lanes]
        assert against in [each.contender for each in lanes]


def test_no_path_of_a_machine() -> None:
    """The commands of stored results mean the same wherever somebody repeats them."""
    commands = [
        contender["command"]
        for path in published.RESULTS.glob("*.json")
        for contender in json.loads(path.read_text())["contenders"].values()
    ]
    assert commands
    assert [each for each in commands if " /" in f" {each}"] == []
