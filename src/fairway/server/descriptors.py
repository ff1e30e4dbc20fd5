"""How many files and sockets a process may have open: ``ulimit -n``, RLIMIT_NOFILE.

Systems start processes with a soft limit of 1024, or 256, and a hard one of hundreds of thousands:
``select()`` cannot wait for descriptors beyond 1024, and so each program has to say for itself that
it does not use it (getrlimit(2); nginx, HAProxy and all programs in Go do). Event loops do not.
"""

import logging
import sys
from typing import Final

from fairway.server.config import Config, ConfigError

if sys.platform != "win32":
    import resource

logger = logging.getLogger("fairway.server")

#: What a server needs for itself before anybody comes: its event loop, sockets, logs, and the files
#: that are open while modules are imported.
NEEDED: Final = 32
#: What an application needs beside its clients: databases, channel layers, files, uploads.
BESIDE: Final = 100
#: The limit is not raised beyond this, though some containers would allow a billion. There are
#: programs that close every descriptor that they could have when they start, one by one.
CEILING: Final = 1 << 20

_DEFAULT: Final = Config()


def limit() -> int:
    """How many this process may have; 0 where the system does not say so (Windows)."""
    if sys.platform == "win32":
        return 0
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CEILING if soft == resource.RLIM_INFINITY else soft


def prepare(config: Config) -> str:
    """Let this process, and those that it starts, have as many as the system allows it.

    Args:
        config: Says whether it is to change anything.

    Returns:
        What was changed, for the log; empty for nothing.

    Raises:
        ConfigError: There are too few to serve anybody.
    """
    before = limit()
    if config.raise_open_files:
        _raise()
    now = limit()
    if 0 < now < NEEDED:
        raise ConfigError(
            f"This process may have only {now} files and sockets open at once, and needs {NEEDED} "
            "before the first client comes. Raise the limit: ulimit -n, or LimitNOFILE= of a "
            "systemd unit."
        )
    return f"The limit of open files is raised from {before} to {now}" if now > before else ""


def _raise() -> None:
    if sys.platform == "win32":
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CEILING if hard == resource.RLIM_INFINITY else min(hard, CEILING)
    # A system may allow less than it says: macOS has no hard limit, and kern.maxfilesperproc.
    while limit() < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return
        except (OSError, ValueError):
            wanted //= 2


def advise(config: Config) -> None:
    """Say in the log that there are fewer than the options let connections in.

    Only if a number was named: the default is one that nobody has asked for.

    Args:
        config: The whole configuration, with the project's settings.
    """
    now, wanted = limit(), config.max_connections
    if now and wanted != _DEFAULT.max_connections and wanted + BESIDE > now:
        logger.warning(
            "max_connections is %d, but this process may have only %d files and sockets open, its "
            "own among them: who comes when they are used up gets a 503. Raise the limit (ulimit "
            "-n, or LimitNOFILE= of a systemd unit) to %d or more, or start more workers.",
            wanted,
            now,
            wanted + BESIDE,
        )
