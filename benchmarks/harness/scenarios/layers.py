"""Between processes: channel layers beside those of channels_redis."""

from collections.abc import Callable, Sequence
from functools import partial

from harness.contenders import CORE, LOCAL, PUBSUB, REDIS
from harness.layers import background_jobs, backlog, commands, jobs, memberships
from harness.scenarios.model import Effort, Lane, Scenario, Target, Turn, Work, lanes
from harness.scenarios.turns import Play, at_work, in_roles, under_load


def _work(name: str, title: str, measure: Callable[[Work], Turn], rows: Sequence[Lane]) -> Scenario:
    """One producer and one worker of jobs of 128 bytes, whichever way it takes them."""
    return Scenario(
        name=name,
        title=title,
        unit="jobs/s",
        measure=measure,
        lanes=rows,
        targets=tuple(
            Target(lane=each.name, against=CORE, at_least=5)
            for each in rows
            if each.contender == REDIS
        ),
        full=Effort(turns=9, count=5000),
        quick=Effort(turns=1, count=2000),
    )


#: Rows of background workers.
_WORKERS = (
    *lanes("", REDIS, LOCAL, CORE, note="runworker"),
    *(
        Lane(contender=each, path="", note="--prefetch 15", words=("--prefetch", "15"))
        for each in (REDIS, LOCAL)
    ),
)


def _memory(name: str, title: str, play: Play, groups: int) -> Scenario:
    """A thousand consumers, each in so many groups."""
    return Scenario(
        name=name,
        title=title,
        unit="bytes",
        measure=in_roles(play, "process"),
        lower_is_better=True,
        lanes=lanes("", REDIS, LOCAL, PUBSUB, CORE),
        targets=(Target(lane=REDIS, at_most=300), Target(lane=LOCAL, at_most=300)),
        full=Effort(turns=3, count=groups),
        quick=Effort(turns=1, count=groups),
    )


SCENARIOS = (
    Scenario(
        name="processes",
        title="Group message of 128 bytes to 1,000 sockets in two processes, all on one processor",
        unit="deliveries/s",
        mode="group",
        measure=under_load,
        processes=2,
        lanes=(
            Lane(contender=REDIS, path="/group/"),
            Lane(contender=REDIS, path="/broadcast/", note="websocket.send"),
            Lane(contender=LOCAL, path="/group/"),
            Lane(contender=LOCAL, path="/broadcast/", note="websocket.send"),
            *lanes("/group/", PUBSUB, CORE),
        ),
        targets=(
            Target(lane=REDIS, against=PUBSUB, at_least=8),
            Target(lane=REDIS, against=CORE, at_least=10),
            Target(lane=LOCAL, against=PUBSUB, at_least=20),
            Target(lane=f"{LOCAL}, websocket.send", against=PUBSUB, at_least=20),
        ),
        full=Effort(turns=5, sockets=1000, seconds=2.0, warmup=0.5),
        quick=Effort(turns=1, sockets=1000, seconds=1.0, warmup=0.3),
    ),
    _work(
        "jobs",
        "Named channel: one producer, one worker, 128 bytes",
        in_roles(jobs, "per_second"),
        lanes("", REDIS, LOCAL, CORE, note="receive()"),
    ),
    _work(
        "worker",
        "Background worker: one producer, one `runworker` with a consumer, 128 bytes",
        at_work(background_jobs),
        _WORKERS,
    ),
    _work(
        "backlog",
        "Background worker: one `runworker` with a consumer, and jobs that wait, 128 bytes",
        at_work(backlog),
        _WORKERS,
    ),
    Scenario(
        name="commands",
        title="Redis commands for each group message, members in two other processes",
        unit="commands",
        measure=in_roles(commands, "sent"),
        lower_is_better=True,
        lanes=lanes("", REDIS, PUBSUB, CORE),
        targets=(Target(lane=REDIS, at_most=1),),
        full=Effort(turns=1, count=90),
        quick=Effort(turns=1, count=90),
    ),
    _memory(
        "memberships",
        "Memory per membership: 1,000 consumers in 50 groups each",
        memberships,
        groups=50,
    ),
    _memory(
        "own-groups",
        "Memory per membership: 1,000 consumers alone in 10 groups each",
        partial(memberships, role_name="join_own"),
        groups=10,
    ),
)
