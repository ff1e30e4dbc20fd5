"""How many processors this process may keep busy: what ``-w auto`` means."""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from fairway.server.options import ConfigError


def worker_count(text: str) -> int:
    """The number of workers that a word on the command line stands for.

    Args:
        text: A number, or ``"auto"`` for one worker for each processor.

    Raises:
        ConfigError: It is neither.
    """
    if text == "auto":
        return processors()
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"workers must be a number or auto, not {text!r}.") from None


def workers_in_environment() -> int | None:
    """How many workers ``WEB_CONCURRENCY`` asks for; None if it says nothing, or no number.

    It is what hosting platforms set, and what Gunicorn and uvicorn read.
    """
    text = os.environ.get("WEB_CONCURRENCY", "")
    if text == "auto":
        return processors()
    return int(text) if text.isdecimal() else None


def processors(root: Path = Path("/")) -> int:
    """Those that the system lets this process run on, or fewer if a container's quota is smaller.

    A quota of one and a half counts as two: one process can use no more than one.

    Args:
        root: Where the files of the system are.
    """
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    return max(1, min([count, *(math.ceil(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """Of each control group that this process is in, how many processors it may keep busy.

    See https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.max), and for the first version
    https://docs.kernel.org/scheduler/sched-bwc.html.
    """
    for folder in _groups(root):
        with contextlib.suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text().split()
            yield int(quota) / int(period)  # "max" is none
        with contextlib.suppress(OSError, ValueError):
            quota = (folder / "cpu.cfs_quota_us").read_text()
            if int(quota) > 0:
                yield int(quota) / int((folder / "cpu.cfs_period_us").read_text())


def _groups(root: Path) -> Iterator[Path]:
    """The folders of these control groups, and of those around them.

    In a container, the paths may be the machine's, which do not exist there: what counts then is
    the folder at the top.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        inner = PurePosixPath(path.lstrip("/"))
        for part in (inner, *inner.parents):
            yield root / "sys/fs/cgroup" / controllers / part
