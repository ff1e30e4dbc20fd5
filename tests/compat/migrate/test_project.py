"""A project's files."""

import os
import stat
from pathlib import Path

import pytest

from fairway.compat.migrate.project import MAX_SIZE, make_plan, write

IMPORT = "from channels.db import a\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Files of many kinds, some of which are to be left alone."""
    files = {
        "manage.py": b"import os\n",
        "mysite/asgi.py": b"from channels.routing import URLRouter\r\n",
        "mysite/latin.py": b"# -*- coding: latin-1 -*-\nx = '\xe9', 'channels.db'\n",
        "mysite/bom.py": b"\xef\xbb\xbffrom channels.db import a\n",
        "mysite/no_end.py": b"import channels.db as d",
        "mysite/form_feed.py": b"x = 1\x0c\nfrom channels.db import a\n",
        "mysite/broken.py": b"x = 'channels\n",
        "mysite/wrong.py": b"x = '\xff channels'\n",
        "mysite/notes.md": IMPORT.encode(),
        "requirements.txt": b"channels\n",
        "requirements/base.txt": b"daphne\n",
        "Procfile": b"web: daphne mysite.asgi:application\n",
        "pyproject.toml": b'dependencies = ["channels>=4"]\n',
        "setup.py": b'from channels.db import a\nsetup(install_requires=["channels"])\n',
        ".hidden/a.py": IMPORT.encode(),
        "node_modules/a.py": IMPORT.encode(),
        "env/pyvenv.cfg": b"",
        "env/a.py": IMPORT.encode(),
        "large.py": IMPORT.encode() + b"#" * MAX_SIZE,
    }
    for name, content in files.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "project"


def contents(project: Path) -> dict[str, bytes]:
    """Every file and what is in it."""
    return {
        path.relative_to(project).as_posix(): path.read_bytes()
        for path in sorted(project.rglob("*"))
        if path.is_file()
    }


class TestPlan:
    """What would be done."""

    def test_changes(self, project: Path) -> None:
        """Everything of the project is read, and nothing is written."""
        before = contents(project)
        plan = make_plan(project)
        assert [change.path.relative_to(project).as_posix() for change in plan.changes] == [
            "mysite/asgi.py",
            "mysite/bom.py",
            "mysite/form_feed.py",
            "mysite/latin.py",
            "mysite/no_end.py",
            "requirements/base.txt",
            "requirements.txt",
            "setup.py",
        ]
        assert contents(project) == before

    def test_remarks(self, project: Path) -> None:
        """Notes name the file and the line."""
        places = [remark.split(": ", 1)[0] for remark in make_plan(project).remarks()]
        assert places == [
            "Procfile:1",
            "mysite/broken.py:1",
            "mysite/wrong.py:1",
            "pyproject.toml:1",
            "setup.py:2",
        ]

    def test_diff(self, project: Path) -> None:
        """The difference is one that ``patch`` takes."""
        (change,) = make_plan(project / "mysite" / "no_end.py").changes
        assert change.diff(change.path) == (
            "--- a/no_end.py\n+++ b/no_end.py\n@@ -1 +1 @@\n"
            "-import channels.db as d\n\\ No newline at end of file\n"
            "+import fairway.db as d\n\\ No newline at end of file\n"
        )
        assert "\n-from channels.routing import URLRouter\r\n" in make_plan(project).diff()

    def test_links(self, project: Path) -> None:
        """A link leads somewhere else, and is left."""
        (project / "link.py").symlink_to(project / "mysite" / "asgi.py")
        assert "link.py" not in make_plan(project).diff()

    def test_missing(self, tmp_path: Path) -> None:
        """A project that is not there is named."""
        with pytest.raises(FileNotFoundError, match=r"^There is no .*absent\.$"):
            make_plan(tmp_path / "absent")


class TestWrite:
    """Doing it."""

    def test_written(self, project: Path) -> None:
        """Only the files of the plan change, in nothing but what was shown; then all is done."""
        before = contents(project)
        plan = make_plan(project)
        write(plan)
        after = contents(project)
        changed = {change.path.relative_to(project).as_posix() for change in plan.changes}
        assert {name for name in before if before[name] != after[name]} == changed
        assert before.keys() == after.keys()
        assert after["mysite/asgi.py"] == b"from fairway.routing import URLRouter\r\n"
        assert after["mysite/latin.py"] == (
            b"# -*- coding: latin-1 -*-\nx = '\xe9', 'fairway.db'\n"
        )
        assert after["mysite/bom.py"] == b"\xef\xbb\xbffrom fairway.db import a\n"
        assert after["mysite/form_feed.py"] == b"x = 1\x0c\nfrom fairway.db import a\n"
        assert make_plan(project).changes == ()

    def test_mode(self, project: Path) -> None:
        """Permissions stay."""
        path = project / "mysite" / "asgi.py"
        path.chmod(0o751)
        write(make_plan(path))
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o751

    def test_changed_meanwhile(self, project: Path) -> None:
        """A file that somebody has changed meanwhile is not overwritten."""
        path = project / "mysite" / "asgi.py"
        plan = make_plan(path)
        path.write_text("precious")
        with pytest.raises(RuntimeError, match=r"has changed meanwhile; start again\.$"):
            write(plan)
        assert path.read_text() == "precious"
