"""Commands that are run as a reader runs them, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

#: How long a command or the start of a server may take, in seconds: far more than any needs.
PATIENCE = 120.0


def environment() -> dict[str, str]:
    """The variables of a reader: no settings module, this interpreter's commands first on PATH."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CHAT_", "DJANGO_", "FAIRWAY_", "MAKE", "MFLAGS", "PYTEST_"))
    }
    variables["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), variables["PATH"]])
    variables["PYTHONUNBUFFERED"] = "1"
    return variables


def completed(
    *command: str, here: Path, typed: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end.

    Args:
        command: Its words.
        here: The directory in which it runs.
        typed: What it reads from its standard input.
        variables: More of its environment.

    Returns:
        How it ended; ``stdout`` is all that it has printed, errors too.
    """
    return subprocess.run(
        command,
        cwd=here,
        env={**environment(), **variables},
        check=False,
        input=typed,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )


def printed(*command: str, here: Path, typed: str = "", **variables: str) -> str:
    """What a command prints, which has to succeed; arguments as for :func:`completed`."""
    done = completed(*command, here=here, typed=typed, **variables)
    assert done.returncode == 0, done.stdout
    return done.stdout
