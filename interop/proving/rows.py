"""Rows: one thing each that has to work, and the running of them."""

import contextlib
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from websockets.exceptions import WebSocketException

from proving import services
from proving.environments import (
    CHECKOUT,
    INTEROP,
    Environment,
    MakingError,
    MissingError,
    environment,
)
from proving.processes import Command, ProofError, Running, free_port, run, serving

PROJECTS = INTEROP / "projects"
CHAT = CHECKOUT / "examples" / "chat"

Status: TypeAlias = Literal["works", "absent", "fails"]


@dataclass(kw_only=True)
class Stage:
    """What a proof works with.

    Attributes:
        row: Its name, which log files are called by.
        environment: Where the packages are.
        place: A directory of its own, gone afterwards.
    """

    row: str
    environment: Environment
    place: Path
    _logs: int = field(default=0, init=False)

    def command(
        self,
        words: str | Sequence[str],
        environ: Mapping[str, str],
        *,
        cwd: Path = PROJECTS,
    ) -> Command:
        """A command of the environment: the first word is one of its programs."""
        first, *rest = words.split() if isinstance(words, str) else words
        log = self.log(first)
        path = f"{PROJECTS}:{cwd}"
        return Command(
            words=(self.environment.program(first), *rest),
            cwd=cwd,
            log=log,
            environ={"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **environ},
        )

    def log(self, program: str) -> Path:
        """Where the output of the next process goes."""
        self._logs += 1
        return services.LOGS / f"{self.row.replace(' ', '-')}-{self._logs}-{program}.log"

    @contextlib.contextmanager
    def server(
        self, words: str, environ: Mapping[str, str], *, cwd: Path = PROJECTS
    ) -> Iterator[tuple[Running, int]]:
        """Run a server for the length of the block; ``{port}`` stands for its port."""
        port = free_port()
        with serving(self.command(words.format(port=port), environ, cwd=cwd), port) as process:
            yield process, port

    def run(
        self,
        words: str | Sequence[str],
        environ: Mapping[str, str],
        *,
        cwd: Path = PROJECTS,
        timeout: float = 120.0,
    ) -> str:
        """Run a command to its end, within so many seconds, and return what it printed."""
        return run(self.command(words, environ, cwd=cwd), timeout)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing that has to work.

    Attributes:
        group: The table it stands in.
        name: What Fairway meets here; unique.
        packages: The distributions whose versions matter.
        environment: The name of the environment with them.
        prove: Shows that it works and says what was shown; raises ProofError if it does not, and
            MissingError if that cannot be tried on this machine.
        needs: A module of ours, or ``module:name``, without which the row is absent.
        limits: What does not work with it, for the documentation.
    """

    group: str
    name: str
    packages: Sequence[str]
    environment: str
    prove: Callable[[Stage], str]
    needs: str = "fairway"
    limits: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a row.

    Attributes:
        row: It.
        status: Whether it works.
        note: What was shown, or what went wrong.
        seconds: How long it took.
        versions: Of the row's packages, by distribution name.
    """

    row: Row
    status: Status
    note: str
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)


def select(rows: Sequence[Row], words: str) -> list[Row]:
    """The rows whose group or name contains one of the words; all of them if there is no word."""
    wanted = words.lower().split()
    return [
        row
        for row in rows
        if not wanted or any(word in f"{row.group} {row.name}".lower() for word in wanted)
    ]


def exists(name: str) -> bool:
    """Whether a module of ours, or ``module:name`` in one, is there yet."""
    module, _, attribute = name.partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        # It is there if what it misses is a package of others: the row's own environment has that.
        return not f"{module}.".startswith(f"{error.name}.")
    return not attribute or hasattr(found, attribute)


def prove(row: Row, place: Path, *, refresh: bool) -> Outcome:
    """Do what the row says.

    Args:
        row: It.
        place: An empty directory.
        refresh: Make the environment anew.
    """
    if not exists(row.needs):
        return Outcome(row=row, status="absent", note=f"{row.needs} is not there yet")
    started = time.monotonic()
    versions: dict[str, str] = {}
    status: Status = "works"
    try:
        made = environment(row.environment, refresh=refresh)
        versions = {name: made.versions[name] for name in row.packages}
        note = row.prove(Stage(row=row.name, environment=made, place=place))
    except MissingError as error:
        status, note = "absent", str(error)
    except (ProofError, MakingError, OSError, WebSocketException) as error:
        status, note = "fails", str(error)
    return Outcome(
        row=row,
        status=status,
        note=note,
        seconds=time.monotonic() - started,
        versions=versions,
    )


def as_environ(value: object) -> str:
    """A setting as an environment variable, for the settings of our projects."""
    return json.dumps(value)


def python_version() -> str:
    """The version that the environments have too."""
    return ".".join(map(str, sys.version_info[:3]))
