"""Counts beside those of another commit."""

from dataclasses import replace
from pathlib import Path

import pytest

from counts.baseline import Baseline, Comparison, compare, table

BASELINE = Baseline(
    date="2026-11-20T20:00:00Z",
    commit="abc1234",
    python="3.11.7",
    machine="x86_64",
    valgrind="3.19.0",
    versions={"django": "5.2.1", "uvloop": "0.22.0"},
    counts={"echo": 10_000, "group": 2_000},
)


def test_store(tmp_path: Path) -> None:
    """What was stored is loaded; nothing is, where there is no file."""
    path = tmp_path / "baseline.json"
    assert Baseline.load(path) is None
    BASELINE.store(path)
    assert Baseline.load(path) == BASELINE


def test_kind() -> None:
    """Counts are compared within one minor version of Python and one architecture."""
    assert BASELINE.kind == "3.11-x86_64"
    assert replace(BASELINE, python="3.11.9").kind == BASELINE.kind
    assert replace(BASELINE, python="3.12.0").kind != BASELINE.kind
    assert replace(BASELINE, machine="aarch64").kind != BASELINE.kind


def test_differences() -> None:
    """Other versions are told of: they may be the reason."""
    now = replace(BASELINE, python="3.11.9", versions={"uvloop": "0.23.0", "django": "5.2.1"})
    assert BASELINE.differences(now) == ["python 3.11.7, now 3.11.9", "uvloop 0.22.0, now 0.23.0"]
    assert BASELINE.differences(replace(BASELINE, versions={"django": "5.2.1"})) == [
        "uvloop 0.22.0, now absent"
    ]
    assert BASELINE.differences(replace(BASELINE, commit="def5678", counts={})) == []


@pytest.mark.parametrize(
    ("now", "regressed"), [(8_000, False), (10_000, False), (11_500, False), (11_501, True)]
)
def test_limit(now: int, regressed: bool) -> None:
    """A path may take 15 % more than it did, and not one instruction beyond."""
    (comparison,) = compare({"echo": now}, BASELINE)
    assert comparison == Comparison("echo", now, 10_000)
    assert comparison.regressed is regressed


def test_unknown_path() -> None:
    """A path that the baseline does not know, or that has no baseline, is compared with nothing."""
    for baseline in (BASELINE, None):
        (comparison,) = compare({"new": 5}, baseline)
        assert comparison.ratio is None
        assert not comparison.regressed


def test_table() -> None:
    """The table names what takes more than it may."""
    units = {"echo": "message", "group": "delivery", "new": "socket"}
    counts = {"echo": 9_000, "group": 4_000, "new": 7}
    assert table(compare(counts, BASELINE), units, "abc1234").splitlines() == [
        "  path               instructions   for each              abc1234   ratio",
        "  echo                      9,000   message                10,000   0.900",
        "  group                     4,000   delivery                2,000   2.000  <- beyond 15 %",
        "  new                           7   socket                      -       -",
    ]
