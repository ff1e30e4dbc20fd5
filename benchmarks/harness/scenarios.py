"""What is compared: each scenario is one kind of work that every contender does in turn."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from harness.contenders import (
    APPLICATION,
    BARE,
    CHANNELS,
    CORE,
    DAPHNE,
    FAIRWAY,
    GRANIAN,
    GRANIAN_WSGI,
    GUNICORN,
    HYPERCORN,
    LOCAL,
    PICOWS,
    PLAIN,
    PUBSUB,
    REDIS,
    UVICORN,
    WEBSOCKETS,
    WS,
    Contender,
)
from harness.generator import Generator, Report
from harness.layers import commands, jobs, meeting, memberships
from harness.processes import Processors, Server, serving, settled_memory

WARM_SOCKETS = "100"  # opened and closed before memory is read for the first time
BODY = "Hello, world!"  # of every page
HOLD = "60"  # seconds after which the generator gives up holding idle sockets


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One row of a scenario's table: a contender at one of the project's paths.

    Attributes:
        contender: The name of who serves.
        path: Where the sockets are opened; it picks the consumer.
        note: What is special about this row, or nothing.
    """

    contender: str
    path: str
    note: str = ""

    @property
    def name(self) -> str:
        """The row's name."""
        return f"{self.contender}, {self.note}" if self.note else self.contender


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is done: everything that ``--quick`` makes smaller.

    Attributes:
        turns: How often every lane has its turn.
        seconds: The measured part of a turn, in seconds.
        warmup: What comes before it, in seconds.
        sockets: How many are opened.
        count: How often something is done, where neither of those applies.
    """

    turns: int
    sockets: int = 0
    seconds: float = 0.0
    warmup: float = 0.0
    count: int = 0


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One comparison.

    Attributes:
        name: The word on the command line.
        title: What is measured, for readers.
        unit: Of the figure.
        lower_is_better: A cost rather than a rate.
        mode: The load generator's, or a word of :data:`LAYER_MODES`.
        size: Payload of each message in bytes.
        lanes: Who takes part; the first is ours.
        processes: How many share the sockets.
        application: What is served, for servers that are told.
        full, quick: The two efforts.
    """

    name: str
    title: str
    unit: str
    mode: str
    lanes: Sequence[Lane]
    full: Effort
    quick: Effort
    size: int = 128
    processes: int = 1
    application: str = APPLICATION
    lower_is_better: bool = False


#: Without the load generator: what they do, and the figure of their report.
LAYER_MODES: dict[str, tuple[Callable[[Contender, Processors, int], Report], str]] = {
    "jobs": (jobs, "per_second"),
    "commands": (commands, "sent"),
    "memberships": (memberships, "process"),
    "own groups": (partial(memberships, role_name="join_own"), "process"),
}

SCENARIOS = (
    Scenario(
        name="echo",
        title="Echo through an async consumer: 50 sockets, 128 bytes, one message in flight each",
        unit="messages/s",
        mode="echo",
        lanes=(
            Lane(contender=FAIRWAY, path="/echo/"),
            Lane(contender=CHANNELS, path="/echo/"),
            Lane(contender=BARE, path="/echo/"),
        ),
        full=Effort(turns=5, sockets=50, seconds=2.5, warmup=0.5),
        quick=Effort(turns=2, sockets=50, seconds=1.0, warmup=0.3),
    ),
    Scenario(
        name="group",
        title="Group message of 128 bytes to 1,000 sockets, the next one when all have it",
        unit="deliveries/s",
        mode="group",
        lanes=(
            Lane(contender=FAIRWAY, path="/group/"),
            Lane(contender=FAIRWAY, path="/broadcast/", note="websocket.send"),
            Lane(contender=CHANNELS, path="/group/"),
            Lane(contender=BARE, path="/group/"),
        ),
        full=Effort(turns=5, sockets=1000, seconds=2.5, warmup=0.5),
        quick=Effort(turns=2, sockets=1000, seconds=1.0, warmup=0.2),
    ),
    Scenario(
        name="idle",
        title="Memory per idle socket, its consumer in a group",
        unit="bytes/socket",
        mode="idle",
        lower_is_better=True,
        lanes=(
            Lane(contender=FAIRWAY, path="/group/"),
            Lane(contender=CHANNELS, path="/group/"),
        ),
        full=Effort(turns=3, sockets=3000),
        quick=Effort(turns=1, sockets=1000),
    ),
)


def _pages(name: str, title: str, path: str, *contenders: str, application: str) -> Scenario:
    """Requests for one page, each on one of 50 connections that stay."""
    return Scenario(
        name=name,
        title=title,
        unit="requests/s",
        mode="http",
        application=application,
        lanes=[Lane(contender=contender, path=path) for contender in contenders],
        full=Effort(turns=5, sockets=50, seconds=2.0, warmup=0.5),
        quick=Effort(turns=1, sockets=50, seconds=1.0, warmup=0.3),
    )


#: Beside other servers; ``servers`` on the command line stands for all of them.
SERVER_SCENARIOS = (
    _pages(
        "hello", "Thirteen bytes from an ASGI application over HTTP/1.1, 50 connections", "/",
        FAIRWAY, UVICORN, GRANIAN, HYPERCORN, DAPHNE, BARE, application=PLAIN,
    ),
    _pages(
        "view", "The same from a sync view of Django without middleware", "/view/",
        FAIRWAY, UVICORN, DAPHNE, GUNICORN, GRANIAN_WSGI, application=APPLICATION,
    ),
    _pages(
        "async-view", "The same from an async view", "/async-view/",
        FAIRWAY, UVICORN, GRANIAN, HYPERCORN, DAPHNE, application=APPLICATION,
    ),
    Scenario(
        name="asgi-echo",
        title="Echo through a bare ASGI application: 50 sockets, 128 bytes, one message in flight",
        unit="messages/s",
        mode="echo",
        application=PLAIN,
        lanes=[
            Lane(contender=contender, path="/echo/")
            for contender in (
                FAIRWAY, UVICORN, GRANIAN, HYPERCORN, DAPHNE, WEBSOCKETS, PICOWS, WS, BARE,
            )
        ],
        full=Effort(turns=5, sockets=50, seconds=2.0, warmup=0.5),
        quick=Effort(turns=1, sockets=50, seconds=1.0, warmup=0.3),
    ),
    Scenario(
        name="sync-echo",
        title="Echo through a sync consumer: 20 sockets, 128 bytes, one message in flight each",
        unit="messages/s",
        mode="echo",
        lanes=(
            Lane(contender=FAIRWAY, path="/sync-echo/"),
            Lane(contender=CHANNELS, path="/sync-echo/"),
        ),
        full=Effort(turns=5, sockets=20, seconds=2.0, warmup=0.5),
        quick=Effort(turns=1, sockets=20, seconds=1.0, warmup=0.3),
    ),
    Scenario(
        name="open",
        title="Sockets opened one after the other, 64 at a time, a consumer for each",
        unit="sockets/s",
        mode="open",
        lanes=(
            Lane(contender=FAIRWAY, path="/echo/"),
            Lane(contender=CHANNELS, path="/echo/"),
            Lane(contender=BARE, path="/echo/"),
        ),
        full=Effort(turns=5, sockets=3000),
        quick=Effort(turns=1, sockets=1000),
    ),
)  # fmt: skip

#: Between processes; ``layers`` on the command line stands for all of them.
LAYER_SCENARIOS = (
    Scenario(
        name="processes",
        title="Group message of 128 bytes to 1,000 sockets in two processes, all on one processor",
        unit="deliveries/s",
        mode="group",
        processes=2,
        lanes=(
            Lane(contender=REDIS, path="/group/"),
            Lane(contender=REDIS, path="/broadcast/", note="websocket.send"),
            Lane(contender=LOCAL, path="/group/"),
            Lane(contender=LOCAL, path="/broadcast/", note="websocket.send"),
            Lane(contender=PUBSUB, path="/group/"),
            Lane(contender=CORE, path="/group/"),
        ),
        full=Effort(turns=5, sockets=1000, seconds=2.0, warmup=0.5),
        quick=Effort(turns=1, sockets=1000, seconds=1.0, warmup=0.3),
    ),
    Scenario(
        name="jobs",
        title="Named channel: one producer, one worker, 128 bytes",
        unit="jobs/s",
        mode="jobs",
        lanes=(
            Lane(contender=REDIS, path="", note="receive()"),
            Lane(contender=LOCAL, path="", note="receive()"),
            Lane(contender=CORE, path="", note="receive()"),
        ),
        full=Effort(turns=5, count=5000),
        quick=Effort(turns=1, count=2000),
    ),
    Scenario(
        name="commands",
        title="Redis commands for each group message, members in two other processes",
        unit="commands",
        mode="commands",
        lower_is_better=True,
        lanes=(
            Lane(contender=REDIS, path=""),
            Lane(contender=PUBSUB, path=""),
            Lane(contender=CORE, path=""),
        ),
        full=Effort(turns=1, count=90),
        quick=Effort(turns=1, count=90),
    ),
    Scenario(
        name="memberships",
        title="Memory per membership: 1,000 consumers in 50 groups each",
        unit="bytes",
        mode="memberships",
        lower_is_better=True,
        lanes=(
            Lane(contender=REDIS, path=""),
            Lane(contender=LOCAL, path=""),
            Lane(contender=PUBSUB, path=""),
            Lane(contender=CORE, path=""),
        ),
        full=Effort(turns=3, count=50),
        quick=Effort(turns=1, count=50),
    ),
    Scenario(
        name="own-groups",
        title="Memory per membership: 1,000 consumers alone in 10 groups each",
        unit="bytes",
        mode="own groups",
        lower_is_better=True,
        lanes=(
            Lane(contender=REDIS, path=""),
            Lane(contender=LOCAL, path=""),
            Lane(contender=PUBSUB, path=""),
            Lane(contender=CORE, path=""),
        ),
        full=Effort(turns=3, count=10),
        quick=Effort(turns=1, count=10),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One measurement of one lane.

    Attributes:
        value: The figure, in the scenario's unit.
        report: Everything else that the load generator said, by name.
    """

    value: float
    report: Report


def take_turn(
    scenario: Scenario,
    lane: Lane,
    effort: Effort,
    contender: Contender,
    generator: Generator,
    processors: Processors,
) -> Turn:
    """Measures a lane once, in a fresh server process.

    Raises:
        ServerError: The server did not start.
        LoadError: The server did not do the work it was asked to do.
    """
    if scenario.mode in LAYER_MODES:
        measure, figure = LAYER_MODES[scenario.mode]
        report = measure(contender, processors, effort.count)
        return Turn(value=report[figure], report=report)
    options = {"--path": lane.path, "--sockets": str(effort.sockets)}
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(meeting(contender, processors))
        servers = [
            stack.enter_context(
                serving(
                    partial(contender.command, application=scenario.application),
                    place.environment,
                    processors.server,
                )
            )
            for _ in range(scenario.processes)
        ]
        if scenario.mode == "idle":
            return _weigh(servers[0], options, generator)
        if scenario.mode == "open":
            return _open(servers[0], options, generator)
        if place.redis is not None:
            servers.append(place.redis)
        if scenario.mode == "http":
            options["--body"] = BODY
        options["--size"] = str(scenario.size)
        options["--seconds"] = str(effort.seconds)
        options["--warmup"] = str(effort.warmup)
        report = generator.run(scenario.mode, servers, options)
    return Turn(value=report["per_second"], report=report)


def _open(server: Server, options: dict[str, str], generator: Generator) -> Turn:
    """How fast sockets open at a server that has already seen a few come and go."""
    options["--seconds"] = HOLD
    generator.run("idle", [server], options | {"--sockets": WARM_SOCKETS})
    report = generator.run("idle", [server], options)
    return Turn(value=report["opened_per_second"], report=report)


def _weigh(server: Server, options: dict[str, str], generator: Generator) -> Turn:
    """The memory that idle sockets add to a server that has already seen a few come and go."""
    options["--seconds"] = HOLD
    generator.run("idle", [server], options | {"--sockets": WARM_SOCKETS})
    before = settled_memory(server.pid)
    with generator.hold("idle", [server], options) as report:
        after = settled_memory(server.pid)
    report["memory_before"], report["memory_after"] = before, after
    return Turn(value=(after - before) / int(options["--sockets"]), report=report)
