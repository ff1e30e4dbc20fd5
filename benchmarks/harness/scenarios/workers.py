"""Several processes behind one address."""

from harness.contenders import LOCAL
from harness.generator import Report
from harness.layers import meeting
from harness.processes import serving
from harness.scenarios.model import Effort, Lane, Scenario, Target, Turn, Work
from harness.scenarios.turns import options_of


def two_by_one(work: Work) -> Turn:
    """The processor time of two workers for a delivery, divided by that of one.

    One has the server's processor for itself, two have both; the load generator naps on either in
    both cases, so that it waits alike.
    """
    one = _deliver(work, 1, work.processors.server)
    two = _deliver(work, 2, *work.processors.both)
    report = {
        "one_us": one["server_us"],
        "two_us": two["server_us"],
        "one_per_second": one["per_second"],
        "two_per_second": two["per_second"],
    }
    return Turn(value=two["server_us"] / one["server_us"], report=report)


def _deliver(work: Work, workers: int, *processors: int) -> Report:
    options = options_of(work) | {
        "--size": str(work.scenario.size),
        "--seconds": str(work.effort.seconds),
        "--warmup": str(work.effort.warmup),
    }

    def command(port: int) -> list[str]:
        return [*work.command(port), "--workers", str(workers)]

    with (
        meeting(work.contender, work.processors) as place,
        serving(command, place.environment, *processors) as server,
    ):
        generator = work.generator.among(work.processors.both)
        return generator.run("group", [server], options)


ENCODED_ONCE = Lane(contender=LOCAL, path="/broadcast/", note="websocket.send")

SCENARIOS = (
    Scenario(
        name="two-workers",
        title="Processor time for each delivery to 1,000 sockets: two workers by one",
        unit="x one",
        mode="group",
        measure=two_by_one,
        lower_is_better=True,
        lanes=(Lane(contender=LOCAL, path="/group/"), ENCODED_ONCE),
        targets=(
            Target(lane=LOCAL, at_most=1.1),
            Target(lane=ENCODED_ONCE.name, at_most=1.1),
        ),
        full=Effort(turns=5, sockets=1000, seconds=2.0, warmup=0.5),
        quick=Effort(turns=1, sockets=1000, seconds=1.0, warmup=0.3),
    ),
)
