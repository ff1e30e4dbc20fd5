"""How a turn is taken: servers are started, load is put on them, and a figure is read."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

from harness.contenders import Contender
from harness.generator import Report
from harness.layers import meeting
from harness.processes import Processors, Server, serving, settled_memory
from harness.scenarios.model import Turn, Work

WARM_SOCKETS = "100"  # opened and closed before memory is read for the first time
BODY = "Hello, world!"  # of every page
HOLD = "60"  # seconds after which the generator gives up holding idle sockets

#: Something that processes do with a channel layer: a function of :mod:`harness.layers`.
Play = Callable[[Contender, Processors, int], Report]


@contextlib.contextmanager
def servers_of(work: Work) -> Iterator[list[Server]]:
    """Runs as many servers as the scenario wants for the length of the block.

    Behind those that serve comes the Redis that they share, if they need one: it is weighed too.
    """
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(meeting(work.contender, work.processors))
        servers = [
            stack.enter_context(serving(work.command, place.environment, work.processors.server))
            for _ in range(work.scenario.processes)
        ]
        if place.redis is not None:
            servers.append(place.redis)
        yield servers


def options_of(work: Work) -> dict[str, str]:
    """Where the load generator's sockets are opened, how many of them, and what is special."""
    return {
        "--path": work.lane.path,
        "--sockets": str(work.effort.sockets),
        **({"--event": work.lane.event} if work.lane.event else {}),
        **work.scenario.options,
    }


def under_load(work: Work) -> Turn:
    """What is done per second while the load generator asks for more without a pause."""
    options = options_of(work)
    options["--size"] = str(work.scenario.size)
    options["--seconds"] = str(work.effort.seconds)
    options["--warmup"] = str(work.effort.warmup)
    if work.scenario.mode == "http":
        options["--body"] = BODY
    with servers_of(work) as servers:
        report = work.generator.run(work.scenario.mode, servers, options)
    return Turn(value=report["per_second"], report=report)


def opening(work: Work) -> Turn:
    """How fast sockets open at a server that has already seen a few come and go."""
    options = options_of(work) | {"--seconds": HOLD}
    with servers_of(work) as servers:
        work.generator.run("idle", servers, options | {"--sockets": WARM_SOCKETS})
        report = work.generator.run("idle", servers, options)
    opened = {key.removeprefix("opened_"): value for key, value in report.items()}
    return Turn(value=opened["per_second"], report=opened)


def idle_memory(work: Work) -> Turn:
    """The memory that idle sockets add to a server that has already seen a few come and go."""
    options = options_of(work) | {"--seconds": HOLD}
    with servers_of(work) as servers:
        pid = servers[0].pid
        work.generator.run("idle", servers, options | {"--sockets": WARM_SOCKETS})
        before = settled_memory(pid)
        with work.generator.hold("idle", servers, options) as report:
            after = settled_memory(pid)
    report["memory_before"], report["memory_after"] = before, after
    return Turn(value=(after - before) / work.effort.sockets, report=report)


def at_work(
    play: Callable[[Contender, Processors, int, Sequence[str]], Report],
) -> Callable[[Work], Turn]:
    """How many jobs per second a background worker does, with the options of its row."""

    def measure(work: Work) -> Turn:
        report = play(work.contender, work.processors, work.effort.count, work.lane.words)
        return Turn(value=report["per_second"], report=report)

    return measure


def in_roles(play: Play, figure: str) -> Callable[[Work], Turn]:
    """Something that processes do with a channel layer, without servers or load generator.

    Args:
        play: What they do.
        figure: That of its report.
    """

    def measure(work: Work) -> Turn:
        report = play(work.contender, work.processors, work.effort.count)
        return Turn(value=report[figure], report=report)

    return measure
