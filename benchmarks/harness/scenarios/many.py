"""More idle sockets than one process can hold."""

import contextlib
import math
import time

from harness.contenders import LOCAL
from harness.generator import LoadError
from harness.layers import meeting
from harness.processes import (
    descendants,
    most_files,
    processor_seconds,
    serving,
    settled_memory,
)
from harness.scenarios.model import Effort, Lane, Scenario, Target, Turn, Work
from harness.scenarios.turns import options_of

PING_INTERVAL = 25  #: seconds
#: Share of the files that a process may open, so that no worker gets more sockets than it can: the
#: kernel spreads them by chance. The rest is for what a process needs besides.
FILLED = 0.85
LEAST_PARTS, MOST_PARTS = 2, 16
HOLD = "240"  #: seconds after which a load generator gives up


def holding(work: Work) -> Turn:
    """The processor time of all workers while their sockets idle, in cores.

    Then one message goes to all sockets, and each proves that it lives.
    """
    parts = parts_of(work.effort.sockets)
    options = options_of(work) | {
        "--size": str(work.scenario.size),
        "--seconds": HOLD,
    }

    def command(port: int) -> list[str]:
        words = ["--workers", str(parts), "--ping-interval", str(PING_INTERVAL)]
        return [*work.command(port), *words]

    with contextlib.ExitStack() as stack:
        place = stack.enter_context(meeting(work.contender, work.processors))
        both = work.processors.both
        server = stack.enter_context(serving(command, place.environment, *both))
        generator = work.generator.among(both)
        shares = [(work.effort.sockets + number) // parts for number in range(parts)]
        started = [
            stack.enter_context(
                generator.start(
                    "many",
                    [server],
                    options | {"--sockets": str(share), "--source": f"127.0.{number}.1"},
                )
            )
            for number, share in enumerate(shares, 1)
        ]
        opened = [running.hear() for running in started]
        memory = settled_memory(server.pid)
        workers = descendants(server.pid)
        began, before = time.monotonic(), processor_seconds(workers)
        time.sleep(work.effort.seconds)
        seconds, used = time.monotonic() - began, processor_seconds(workers) - before
        started[0].say("speak")
        heard = [running.hear() for running in started]
        for running in started:
            running.stop()
        reports = [running.finish() for running in started]
    pinged = sum(report["pinged"] for report in reports)
    rounds = work.effort.seconds // PING_INTERVAL
    if pinged < rounds * work.effort.sockets:
        raise LoadError(f"{pinged:,.0f} pings came, and not {rounds:.0f} to each socket")
    return Turn(
        value=used / seconds,
        report={
            "held": sum(report["alive"] for report in reports),
            "workers": parts,
            "pinged": pinged,
            "broadcast_seconds": max(report["last"] for report in heard) - heard[0]["spoken"],
            "memory_per_socket": memory / work.effort.sockets,
            "opening_seconds": max(report["seconds"] for report in opened),
        },
    )


def parts_of(sockets: int) -> int:
    """How many workers share the sockets, and how many load generators.

    Raises:
        LoadError: The machine lets no process open enough files.
    """
    files = most_files()
    parts = max(LEAST_PARTS, math.ceil(sockets / (FILLED * files)))
    if parts > MOST_PARTS:
        needed = math.ceil(sockets / MOST_PARTS / FILLED)
        raise LoadError(
            f"{sockets:,} sockets need processes that may open {needed:,} files each, and here it"
            f" is {files:,}: raise the hard limit (ulimit -Hn {needed}, which takes root)"
        )
    return parts


SCENARIOS = (
    Scenario(
        name="many",
        title=f"Idle sockets in one group, pinged every {PING_INTERVAL} s: processor"
        " time of all workers, on two processors",
        unit="cores",
        mode="many",
        measure=holding,
        lower_is_better=True,
        lanes=(Lane(contender=LOCAL, path="/broadcast/"),),
        targets=(
            Target(lane=LOCAL, at_most=0.2),
            Target(lane=LOCAL, figure="held", at_least=100_000),
            Target(lane=LOCAL, figure="broadcast_seconds", at_most=2),
        ),
        full=Effort(turns=1, sockets=100_000, seconds=50.0),
        quick=Effort(turns=1, sockets=20_000, seconds=10.0),
    ),
)
