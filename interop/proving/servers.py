"""The servers that Fairway's applications run under, with their commands: the only place for them.

The documentation shows these commands, and ``proving.proofs.servers`` runs them, with other ports.
"""

from collections.abc import Sequence
from dataclasses import dataclass

HOST, PORT = "127.0.0.1", 8000


@dataclass(frozen=True, kw_only=True)
class Server:
    """An ASGI server.

    Attributes:
        name: As its people write it.
        packages: The distributions to install, by their names; the first says the version.
        command: What serves an application. ``{application}``, ``{host}`` and ``{port}`` are to
            be filled in.
        workers: What to append for several processes; nothing if it has only one.
        settle: Seconds without a new connection before it can be stopped cleanly.
        finishes: It waits for the applications when it stops.
        limits: What does not work with it.
    """

    name: str
    packages: Sequence[str]
    command: str
    workers: str = ""
    settle: float = 0.0
    finishes: bool = True
    limits: str = ""

    def shown(self, application: str = "mysite.asgi:application") -> str:
        """The command as one types it."""
        return self.command.format(application=application, host=HOST, port=PORT)


SERVERS = (
    Server(
        name="Daphne",
        packages=("daphne",),
        command="daphne -b {host} -p {port} {application}",
        settle=2.5,
        limits="SIGTERM within a second after a socket was opened drops all connections, and no"
        " `disconnect()` runs: Daphne's shutdown fails on an entry that it has not tidied up yet.",
    ),
    Server(
        name="uvicorn",
        packages=("uvicorn", "websockets"),
        command="uvicorn --host {host} --port {port} {application}",
        workers="--workers 2",
    ),
    Server(
        name="Hypercorn",
        packages=("hypercorn",),
        command="hypercorn --bind {host}:{port} {application}",
        workers="--workers 2",
    ),
    Server(
        name="Granian",
        packages=("granian",),
        command="granian --interface asgi --host {host} --port {port} {application}",
        workers="--workers 2",
    ),
    Server(
        name="Gunicorn with uvicorn's worker",
        packages=("gunicorn", "uvicorn-worker", "uvicorn"),
        command="gunicorn --worker-class uvicorn_worker.UvicornWorker --bind {host}:{port}"
        " {application}",
        workers="--workers 2",
    ),
)


def markdown() -> str:
    """The commands for the documentation: a table."""
    lines = ["| Server | Command | Several processes |", "|---|---|---|"]
    for server in SERVERS:
        workers = f"`{server.workers}`" if server.workers else "no"
        lines.append(f"| {server.name} | `{server.shown()}` | {workers} |")
    return "\n".join(lines) + "\n"
