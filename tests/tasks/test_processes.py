"""Tasks from one process to another, with the default settings of everything else."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.management.commands.project import Project

SETTINGS = """
TASKS = {{
    "default": {{
        "BACKEND": "fairway.tasks.ChannelLayerBackend",
        "OPTIONS": {{"RESULTS": "default", "ACKNOWLEDGE": True}},
    }}
}}
CACHES = {{
    "default": {{
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "results"
    }}
}}
CHANNEL_LAYERS = {{
    "default": {{"BACKEND": "fairway.layers.LocalChannelLayer", "CONFIG": {{"path": "{path}"}}}}
}}
del ASGI_APPLICATION
"""

WORK = """
from django.tasks import task


@task()
def add(one, other):
    print("adding", flush=True)
    return one + other
"""


@pytest.fixture
def meeting_place() -> Iterator[str]:
    """A directory for the processes of one test, whose name is short enough for Unix sockets."""
    with tempfile.TemporaryDirectory(prefix="fw-") as path:
        yield path


@pytest.fixture
def project(tmp_path: Path, meeting_place: str) -> Project:
    """A project with a task and no application at all."""
    project = Project(tmp_path)
    settings = project.read("settings.py") + SETTINGS.format(path=meeting_place)
    project.write("settings.py", settings)
    project.write("work.py", WORK)
    return project


def shell(project: Project, code: str) -> str:
    """What the last line is that some code prints in ``manage.py shell``."""
    with project.manage("shell", "--no-imports", "-c", code) as process:
        assert process.finish() == 0, process.seen
    return process.seen[-1]


def test_from_a_view_to_a_worker_and_back(project: Project) -> None:
    """Enqueued by one process, run by ``runworker --tasks``, asked for by a third."""
    result = shell(project, "from work import add; print(add.enqueue(40, 2).id)")
    with project.manage("runworker", "--tasks") as process:
        process.wait_for("adding")
        process.interrupt()
        assert process.finish() == 0
    code = f"from work import add; print(add.get_result({result!r}).return_value)"
    assert shell(project, code) == "42"


def test_the_checks_know_the_backend(project: Project) -> None:
    """``manage.py check`` says that a minute is not long for a task."""
    with project.manage("check") as process:
        process.finish()
    assert any("(fairway.W004) TASKS['default'] sends tasks" in line for line in process.seen)
