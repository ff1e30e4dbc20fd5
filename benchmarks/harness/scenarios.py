"""What is compared: each scenario is one kind of work that every contender does in turn."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.contenders import BARE, CHANNELS, FAIRWAY, Contender
from harness.generator import Generator, Report
from harness.processes import Processors, Server, serving, settled_memory

WARM_SOCKETS = "100"  # opened and closed before memory is read for the first time
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
    """

    turns: int
    sockets: int
    seconds: float = 0.0
    warmup: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One comparison.

    Attributes:
        name: The word on the command line.
        title: What is measured, for readers.
        unit: Of the figure.
        lower_is_better: A cost rather than a rate.
        mode: The load generator's.
        size: Payload of each message in bytes.
        lanes: Who takes part; the first is ours.
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
    lower_is_better: bool = False


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
    options = {"--path": lane.path, "--sockets": str(effort.sockets)}
    with serving(contender.command, contender.environment, processors.server) as server:
        if scenario.mode == "idle":
            return _weigh(server, options, generator)
        options["--size"] = str(scenario.size)
        options["--seconds"] = str(effort.seconds)
        options["--warmup"] = str(effort.warmup)
        report = generator.run(scenario.mode, server, options)
    return Turn(value=report["per_second"], report=report)


def _weigh(server: Server, options: dict[str, str], generator: Generator) -> Turn:
    """The memory that idle sockets add to a server that has already seen a few come and go."""
    options["--seconds"] = HOLD
    generator.run("idle", server, options | {"--sockets": WARM_SOCKETS})
    before = settled_memory(server.pid)
    with generator.hold("idle", server, options) as report:
        after = settled_memory(server.pid)
    report["memory_before"], report["memory_after"] = before, after
    return Turn(value=(after - before) / int(options["--sockets"]), report=report)
