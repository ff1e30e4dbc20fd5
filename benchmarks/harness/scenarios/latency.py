"""How long an echo takes while the same server sends to a large group."""

from harness.contenders import CHANNELS, FAIRWAY
from harness.scenarios.consumers import ENCODED_ONCE
from harness.scenarios.model import Effort, Lane, Scenario, Target, Turn, Work
from harness.scenarios.turns import options_of, servers_of

#: What is kept of the load generator's report, beside the figure.
KEPT = (
    "quiet_p50_ms",
    "quiet_p99_ms",
    "loaded_p50_ms",
    "loaded_p99_ms",
    "loaded_max_ms",
    "gap_p99_ms",
    "gap_max_ms",
    "generator_busy",
    "echoes",
    "rounds",
)


def tail(work: Work) -> Turn:
    """The 99th percentile of an echo's latency under load, divided by that of a quiet server."""
    options = options_of(work) | {
        "--size": str(work.scenario.size),
        "--seconds": str(work.effort.seconds),
        "--warmup": str(work.effort.warmup),
        "--probes": "20",
        "--probe-path": "/echo/",
    }
    if work.contender.name == CHANNELS:
        options["--sockets"] = str(CHANNELS_GROUP)
    with servers_of(work) as servers:
        report = work.generator.run("latency", servers, options)
    value = report["loaded_p99_ms"] / report["quiet_p99_ms"]
    return Turn(value=value, report={key: report[key] for key in KEPT})


#: Its in-memory layer goes over all channels for each message that one of them receives: each
#: delivery takes so much longer as the group is larger, and a message to 10,000 most of a minute.
CHANNELS_GROUP = 1000

SCENARIOS = (
    Scenario(
        name="latency",
        title="p99 of an echo while a group of 10,000 is being sent to, by that of a quiet server",
        unit="x quiet",
        mode="latency",
        measure=tail,
        lower_is_better=True,
        lanes=(
            Lane(contender=FAIRWAY, path="/group/"),
            ENCODED_ONCE,
            Lane(contender=CHANNELS, path="/group/", note="a group of 1,000"),
        ),
        targets=(Target(at_most=3), Target(lane=ENCODED_ONCE.name, at_most=3)),
        full=Effort(turns=3, sockets=10_000, seconds=4.0, warmup=0.5),
        quick=Effort(turns=1, sockets=10_000, seconds=2.0, warmup=0.5),
    ),
)
