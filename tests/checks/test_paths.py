"""What a dotted path leads to, whatever it is for."""

from pathlib import Path

import pytest

from fairway.checks.paths import Resolved, Unresolved, did_you_mean, resolve


def test_it_leads_somewhere() -> None:
    """What is named is imported."""
    assert resolve("pathlib.Path") == Resolved(Path)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (None, Unresolved("path", "that is not text")),
        ("pathlib", Unresolved("path", "that is not a dotted path")),
        (
            "pathlib:Path",
            Unresolved("path", "a colon is the command line's way", 'Write "pathlib.Path".'),
        ),
        ("nowhere.to.go", Unresolved("module", "there is no module 'nowhere'")),
        (
            "pathlib.Paths",
            Unresolved("name", "module 'pathlib' has no 'Paths'", "Did you mean 'Path'?"),
        ),
    ],
)
def test_it_leads_nowhere(path: object, why: Unresolved) -> None:
    """What is at fault is told apart, with what to do about it."""
    assert resolve(path) == why


def test_the_module_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What importing it raises is told, with the place."""
    monkeypatch.syspath_prepend(tmp_path)
    broken = tmp_path / "broken_by_the_test_of_paths.py"
    broken.write_text("\n1 / 0\n")
    assert resolve(f"{broken.stem}.name") == Unresolved(
        "raised",
        f"importing {broken.stem!r} raises ZeroDivisionError: division by zero",
        f"It is raised at {broken}:2.",
    )


def test_nothing_is_near() -> None:
    """A name that is like none of the others is not asked about."""
    assert did_you_mean("BACKEND", ["x", "y"]) == ""
