"""A conftest.py that installs the alias does so before Django is set up."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fairway.compat.pytest_plugin import installs

SETTINGS = """
SECRET_KEY = "a key"
INSTALLED_APPS = ["daphne", "channels"]
"""
TEST = """
def test_alias():
    import channels.layers, fairway.layers
    assert channels.layers is fairway.layers
"""


def test_in_time(tmp_path: Path) -> None:
    """With pytest-django, which sets Django up before any conftest.py is imported."""
    (tmp_path / "project_settings.py").write_text(SETTINGS)
    (tmp_path / "test_it.py").write_text(TEST)
    (tmp_path / "conftest.py").write_text("import fairway.compat\n\nfairway.compat.install()\n")
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nDJANGO_SETTINGS_MODULE = project_settings\npythonpath = .\n"
    )
    # Named, as the environment of the tests need not have been installed anew.
    plugin = ["-p", "fairway.compat.pytest_plugin"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugin],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import fairway.compat\nfairway.compat.install()", True),
        ("import fairway.compat as c\nc.install()", True),
        ("from fairway import compat\ncompat.install()", True),
        ("from fairway.compat import install as i\n\ni()", True),
        ("import fairway.compat\ndef later():\n    fairway.compat.install()", False),
        ("# fairway.compat.install()", False),
        ("import other as compat\n# fairway\ncompat.install()", False),
        ("fairway (", False),
    ],
)
def test_what_installs(tmp_path: Path, text: str, expected: bool) -> None:
    """A call counts, however it was imported, if nothing decides about it later."""
    path = tmp_path / "conftest.py"
    path.write_text(text)
    assert installs(path) is expected
    assert installs(tmp_path / "missing.py") is False
