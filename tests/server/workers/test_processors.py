"""How many workers ``-w auto`` stands for."""

import os
from pathlib import Path

import pytest

from fairway.server.config import ConfigError
from fairway.server.workers.processors import processors, worker_count
from tests.server.process import launched, outcome, with_application

MANY = 64


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with many processors, on all of which this process may run."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(MANY)), raising=False)


def make(root: Path, files: dict[str, str]) -> Path:
    """A file system with these files."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({}, MANY),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, MANY),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "10000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "9900000 100000\n"}, MANY),
    ],
    ids=["not Linux", "no quota", "quota", "part", "little", "more than there are"],
)
def test_quota(tmp_path: Path, files: dict[str, str], count: int) -> None:
    """A container's quota counts, rounded up, where it is less than the processors."""
    assert processors(make(tmp_path, files)) == count


def test_groups_around(tmp_path: Path) -> None:
    """The smallest quota counts, of the groups that the process's own is in."""
    files = {
        "proc/self/cgroup": "0::/system.slice/mysite.service\n",
        "sys/fs/cgroup/system.slice/mysite.service/cpu.max": "800000 100000\n",
        "sys/fs/cgroup/system.slice/cpu.max": "300000 100000\n",
    }
    assert processors(make(tmp_path, files)) == 3


def test_paths_of_the_machine(tmp_path: Path) -> None:
    """A container that sees the machine's names has its own group at the top."""
    files = {"proc/self/cgroup": "0::/docker/0123\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}
    assert processors(make(tmp_path, files)) == 2


@pytest.mark.parametrize(("quota", "count"), [("250000", 3), ("-1", MANY)])
def test_first_version(tmp_path: Path, quota: str, count: int) -> None:
    """The first version of control groups has two files, and a folder for each controller."""
    files = {
        "proc/self/cgroup": "5:memory:/\n4:cpu,cpuacct:/site\n",
        "sys/fs/cgroup/cpu,cpuacct/site/cpu.cfs_quota_us": quota,
        "sys/fs/cgroup/cpu,cpuacct/site/cpu.cfs_period_us": "100000",
    }
    assert processors(make(tmp_path, files)) == count


def test_affinity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Processors that this process may not run on do not count."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5}, raising=False)
    assert processors(tmp_path) == 2


def test_other_systems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Systems without such a choice let it run on all of them."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert processors(tmp_path) == 7


def test_words() -> None:
    """A number is what it says, and anything else a mistake."""
    assert worker_count("3") == 3
    with pytest.raises(ConfigError, match=r"^workers must be a number or auto, not 'x'\.$"):
        worker_count("x")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The working directory of a server."""
    return with_application(tmp_path.resolve())


@pytest.mark.parametrize(
    ("arguments", "environment"), [(("-w", "auto"), {}), ((), {"WEB_CONCURRENCY": "auto"})]
)
async def test_command(
    here: Path,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The supervisor starts so many, and says how many."""
    monkeypatch.undo()
    command = (*arguments, "-p", "0", "app:path")
    async with launched(*command, directory=here, environment=environment) as process:
        await process.address()
        assert f"with {processors()} workers" in (await process.stop()).stderr


async def test_neither(here: Path) -> None:
    """A word that is none is refused with those that are."""
    ended = await outcome("-w", "many", "app:path", directory=here)
    assert ended.code == 2
    line = "fairway: error: argument -w/--workers: workers must be a number or auto, not 'many'."
    assert ended.stderr.splitlines()[-1] == line
