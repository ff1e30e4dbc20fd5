"""What it costs to know who has connected: sockets behind ``AuthMiddlewareStack``."""

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness.build import BENCHMARKS
from harness.contenders import CHANNELS, FAIRWAY
from harness.processes import ServerError
from harness.scenarios.model import Effort, Scenario, Target, Turn, Work, lanes
from harness.scenarios.turns import idle_memory, opening


def signed_in(measure: Callable[[Work], Turn]) -> Callable[[Work], Turn]:
    """The same with a user whose session's cookie all sockets send.

    User and session are in an SQLite file that is made for the turn.
    """

    def take(work: Work) -> Turn:
        with tempfile.TemporaryDirectory() as folder:
            database = {"BENCH_DATABASE": str(Path(folder) / "database.sqlite3")}
            environment = {**work.contender.environment, **database}
            contender = replace(work.contender, environment=environment)
            cookie = {"--cookie": log_in(replace(work, contender=contender))}
            options = {**work.scenario.options, **cookie}
            scenario = replace(work.scenario, options=options)
            return measure(replace(work, contender=contender, scenario=scenario))

    return take


def log_in(work: Work) -> str:
    """Makes the database; returns the cookie.

    Raises:
        ServerError: The project could not.
    """
    finished = subprocess.run(
        [str(work.contender.python), "-m", "project.login"],
        cwd=BENCHMARKS,
        env=dict(work.contender.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise ServerError(f"There is nobody to log in:\n{finished.stderr}")
    return finished.stdout.strip()


SCENARIOS = (
    Scenario(
        name="open-auth",
        title="As open, behind AuthMiddlewareStack, with the cookie of a session in SQLite",
        unit="sockets/s",
        mode="idle",
        measure=signed_in(opening),
        lanes=lanes("/member/echo/", FAIRWAY, CHANNELS),
        targets=(Target(against=CHANNELS, at_least=6),),
        full=Effort(turns=5, sockets=2000),
        quick=Effort(turns=1, sockets=500),
    ),
    Scenario(
        name="idle-auth",
        title="As idle, behind AuthMiddlewareStack, the session's user in the scope",
        unit="bytes/socket",
        mode="idle",
        measure=signed_in(idle_memory),
        lower_is_better=True,
        lanes=lanes("/member/group/", FAIRWAY, CHANNELS),
        targets=(Target(at_most=12000),),
        full=Effort(turns=3, sockets=3000),
        quick=Effort(turns=1, sockets=1000),
    ),
)
