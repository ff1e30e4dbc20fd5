"""``manage.py fairway_migrate``; what it does is tested in tests/compat/migrate."""

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.compat.migrate.test_command import COUNT, DIFF, NEW, OLD


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one file to change."""
    (tmp_path / "a.py").write_text(OLD)
    return tmp_path


def test_shows(project: Path) -> None:
    """It shows the difference."""
    out = io.StringIO()
    call_command("fairway_migrate", str(project), "--dry-run", stdout=out)
    assert out.getvalue() == f"{DIFF}{COUNT}"


def test_writes(project: Path) -> None:
    """It writes what it has shown."""
    out = io.StringIO()
    call_command("fairway_migrate", str(project), "--write", stdout=out)
    assert out.getvalue() == f"{DIFF}{COUNT}Wrote 1 file.\n"
    assert (project / "a.py").read_text() == NEW


def test_checks(project: Path) -> None:
    """Its exit code tells whether there is something to do."""
    with pytest.raises(SystemExit) as caught:
        call_command("fairway_migrate", str(project), "--check", stdout=io.StringIO())
    assert caught.value.code == 1


def test_asks(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who is there is asked."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: "y")
    call_command("fairway_migrate", str(project), stdout=io.StringIO())
    assert (project / "a.py").read_text() == NEW


def test_missing(tmp_path: Path) -> None:
    """A project that is not there is an error."""
    with pytest.raises(CommandError, match=r"^There is no .*absent\.$"):
        call_command("fairway_migrate", str(tmp_path / "absent"))
