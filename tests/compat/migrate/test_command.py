"""The command, without Django."""

import argparse
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fairway.compat.migrate.command import add_arguments, dirty_files, execute
from fairway.compat.migrate.project import make_plan

OLD, NEW = "from channels.db import a\n", "from fairway.db import a\n"
DIFF = f"--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-{OLD}+{NEW}"
COUNT = "\n1 file to change, 0 notes.\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one file to change."""
    (tmp_path / "a.py").write_text(OLD)
    return tmp_path


def run(project: Path, **options: Any) -> tuple[int, str]:
    """The exit code and what is shown."""
    out = io.StringIO()
    defaults: dict[str, Any] = {
        "write_at_once": False,
        "show_only": False,
        "check": False,
        "force_dirty": False,
        "ask": None,
    }
    code = execute(path=project, out=out, **{**defaults, **options})
    return code, out.getvalue()


class TestModes:
    """What is done with the plan."""

    @pytest.mark.parametrize("answer", ["y", "Yes ", "YES"])
    def test_yes(self, answer: str, project: Path) -> None:
        """The difference is shown, and written if somebody says so."""
        questions: list[str] = []

        def ask(question: str) -> str:
            questions.append(question)
            return answer

        assert run(project, ask=ask) == (0, f"{DIFF}{COUNT}Wrote 1 file.\n")
        assert questions == ["Write these changes? [y/N] "]
        assert (project / "a.py").read_text() == NEW

    @pytest.mark.parametrize("answer", ["", "n", "maybe"])
    def test_no(self, answer: str, project: Path) -> None:
        """Anything else is no."""
        assert run(project, ask=lambda _: answer) == (0, f"{DIFF}{COUNT}Nothing was written.\n")
        assert (project / "a.py").read_text() == OLD

    def test_nobody_there(self, project: Path) -> None:
        """Where nobody can be asked, nothing is written."""
        end = "Nothing was written. Add --write to write these changes.\n"
        assert run(project) == (0, f"{DIFF}{COUNT}{end}")
        assert (project / "a.py").read_text() == OLD

    def test_write(self, project: Path) -> None:
        """Or it is written without a question; then nothing is left to do."""
        assert run(project, write_at_once=True) == (0, f"{DIFF}{COUNT}Wrote 1 file.\n")
        assert run(project, write_at_once=True) == (0, "Nothing to change.\n")
        assert run(project, check=True) == (0, "Nothing to change.\n")

    @pytest.mark.parametrize(("mode", "code"), [("show_only", 0), ("check", 1)])
    def test_show(self, mode: str, code: int, project: Path) -> None:
        """Or it is only shown."""
        assert run(project, **{mode: True}) == (code, f"{DIFF}{COUNT}")
        assert (project / "a.py").read_text() == OLD

    def test_notes(self, project: Path) -> None:
        """What is to be done by hand is shown below, also if it is all there is."""
        (project / "a.py").unlink()
        (project / "Procfile").write_text("web: daphne a:b\n")
        assert run(project) == (
            0,
            (
                "\nTo look at by hand:\n"
                '  Procfile:1: This was left: write "fairway" for "daphne"; its flags mean the '
                "same.\n"
                "Nothing to change.\n"
            ),
        )


class TestGit:
    """Changes that are not committed."""

    @pytest.fixture
    def repository(self, project: Path) -> Path:
        """The project in a repository."""
        for arguments in (
            ["init", "-q"],
            ["add", "-A"],
            ["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "a"],
        ):
            subprocess.run(["git", *arguments], cwd=project, check=True)
        return project

    def test_clean(self, repository: Path) -> None:
        """A clean file is written."""
        (repository / "other.py").write_text("x = 1\n")
        assert run(repository, write_at_once=True)[0] == 0

    def test_dirty(self, repository: Path) -> None:
        """One with changes is not, unless somebody insists."""
        file = repository / "a.py"
        file.write_text(f"x = 1\n{OLD}")
        assert dirty_files(make_plan(repository)) == list(make_plan(repository).changes)
        code, shown = run(repository, write_at_once=True)
        assert code == 1
        assert shown.endswith(
            "Nothing was written: these files have changes that are not committed, which could not "
            "be told from those above afterwards. Commit them, or add --force-dirty.\n"
            f"  {file}\n"
        )
        assert file.read_text() == f"x = 1\n{OLD}"
        assert run(repository, write_at_once=True, force_dirty=True)[0] == 0
        assert file.read_text() == f"x = 1\n{NEW}"

    def test_no_git(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without Git nothing is known, and nothing in the way."""
        monkeypatch.setenv("PATH", str(project))
        assert dirty_files(make_plan(project)) == []


def test_arguments() -> None:
    """The working directory is meant unless another is named; one mode at a time."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert parser.parse_args([]).path == Path()
    assert parser.parse_args(["--yes"]).write is True
    with pytest.raises(SystemExit):
        parser.parse_args(["--check", "--write"])


class TestModule:
    """``python -m fairway.compat.migrate``."""

    @staticmethod
    def run(*arguments: str, directory: Path) -> "subprocess.CompletedProcess[str]":
        """Run it where Django cannot be imported."""
        program = (
            "import runpy, sys; sys.modules['django'] = None; sys.argv[0] = 'migrate';"
            "runpy.run_module('fairway.compat.migrate', run_name='__main__')"
        )
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd=directory,
        )

    def test_runs(self, project: Path) -> None:
        """It needs neither Django nor settings."""
        result = self.run("--check", directory=project)
        assert (result.returncode, result.stdout, result.stderr) == (1, f"{DIFF}{COUNT}", "")
        assert self.run("--write", str(project), directory=project).returncode == 0
        assert (project / "a.py").read_text() == NEW

    def test_missing(self, project: Path) -> None:
        """A wrong path is a line on standard error."""
        result = self.run("absent", directory=project)
        assert result.returncode == 2
        assert result.stderr.splitlines()[-1].endswith("error: There is no absent.")
