"""What a scenario is: one kind of work, who does it, how much of it, and how a turn is taken."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.contenders import APPLICATION, FAIRWAY, Contender
from harness.generator import Generator, Report
from harness.processes import Processors


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One row of a scenario's table: a contender at one of the project's paths.

    Attributes:
        contender: The name of who serves.
        path: Where the sockets are opened; it picks the consumer.
        note: What is special about this row, or nothing.
        words: What the command line ends with, where the contender's own does not do.
        event: Of Socket.IO, as which messages travel; nothing where they are messages.
    """

    contender: str
    path: str
    note: str = ""
    words: tuple[str, ...] = ()
    event: str = ""

    @property
    def name(self) -> str:
        """The row's name."""
        return f"{self.contender}, {self.note}" if self.note else self.contender


def lanes(path: str, *contenders: str, note: str = "") -> list[Lane]:
    """Rows of several contenders that do the same."""
    return [Lane(contender=contender, path=path, note=note) for contender in contenders]


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
class Turn:
    """One measurement of one lane.

    Attributes:
        value: The figure, in the scenario's unit.
        report: Everything else that the load generator said, by name.
    """

    value: float
    report: Report


@dataclass(frozen=True, kw_only=True)
class Target:
    """What one of our rows has to reach; :mod:`harness.targets` tells whether it does.

    Attributes:
        lane: The row's name.
        against: The name of another row, or of a contender, whose first row counts: what is limited
            is the ratio of the two figures. With nothing it is the figure itself.
        figure: The one of the load generator's report that counts; without, the scenario's.
        at_least, at_most: The limits; one of them is given.
    """

    lane: str = FAIRWAY
    against: str = ""
    figure: str = ""
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("a target has either at_least or at_most")


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One comparison.

    Attributes:
        name: The word on the command line.
        title: What is measured, for readers.
        unit: Of the figure.
        lower_is_better: A cost rather than a rate.
        measure: Takes a turn: one of the functions in :mod:`harness.scenarios.turns`, or another.
        mode: The load generator's; nothing where it has no part.
        size: Payload of each message in bytes.
        options: Further options of the load generator.
        lanes: Who takes part; the first is ours.
        processes: How many share the sockets.
        application: What is served, for servers that are told.
        targets: What is to be reached.
        full, quick: The two efforts.
    """

    name: str
    title: str
    unit: str
    measure: "Callable[[Work], Turn]"
    lanes: Sequence[Lane]
    full: Effort
    quick: Effort
    mode: str = ""
    size: int = 128
    options: Mapping[str, str] = field(default_factory=dict)
    processes: int = 1
    application: str = APPLICATION
    targets: Sequence[Target] = ()
    lower_is_better: bool = False


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be done in one turn, and with what.

    Attributes:
        scenario, lane, effort: What.
        contender: Who serves.
        generator: What makes the load.
        processors: Where either of them runs.
    """

    scenario: Scenario
    lane: Lane
    effort: Effort
    contender: Contender
    generator: Generator
    processors: Processors

    def command(self, port: int) -> list[str]:
        """The command line of the server for a port."""
        command = self.contender.command(port, self.scenario.application)
        return [*command, *self.lane.words]

    def take_turn(self) -> Turn:
        """Measures once, in a fresh server process.

        Raises:
            ServerError: The server did not start.
            LoadError: The server did not do the work it was asked to do.
        """
        return self.scenario.measure(self)
