"""Between processes: channel layers beside those of channels_redis."""

from functools import partial

from harness.contenders import CORE, LOCAL, PUBSUB, REDIS
from harness.layers import background_jobs, commands, jobs, memberships
from harness.scenarios.model import Effort, Lane, Scenario, Target
from harness.scenarios.turns import in_roles, under_load

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
            Lane(contender=PUBSUB, path="/group/"),
            Lane(contender=CORE, path="/group/"),
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
    Scenario(
        name="jobs",
        title="Named channel: one producer, one worker, 128 bytes",
        unit="jobs/s",
        measure=in_roles(jobs, "per_second"),
        lanes=(
            Lane(contender=REDIS, path="", note="receive()"),
            Lane(contender=LOCAL, path="", note="receive()"),
            Lane(contender=CORE, path="", note="receive()"),
        ),
        targets=(Target(lane=f"{REDIS}, receive()", against=CORE, at_least=5),),
        full=Effort(turns=5, count=5000),
        quick=Effort(turns=1, count=2000),
    ),
    Scenario(
        name="worker",
        title="Background worker: one producer, one `runworker` with a consumer, 128 bytes",
        unit="jobs/s",
        measure=in_roles(background_jobs, "per_second"),
        lanes=(
            Lane(contender=REDIS, path="", note="runworker"),
            Lane(contender=LOCAL, path="", note="runworker"),
            Lane(contender=CORE, path="", note="runworker"),
        ),
        targets=(Target(lane=f"{REDIS}, runworker", against=CORE, at_least=5),),
        full=Effort(turns=5, count=5000),
        quick=Effort(turns=1, count=2000),
    ),
    Scenario(
        name="commands",
        title="Redis commands for each group message, members in two other processes",
        unit="commands",
        measure=in_roles(commands, "sent"),
        lower_is_better=True,
        lanes=(
            Lane(contender=REDIS, path=""),
            Lane(contender=PUBSUB, path=""),
            Lane(contender=CORE, path=""),
        ),
        targets=(Target(lane=REDIS, at_most=1),),
        full=Effort(turns=1, count=90),
        quick=Effort(turns=1, count=90),
    ),
    Scenario(
        name="memberships",
        title="Memory per membership: 1,000 consumers in 50 groups each",
        unit="bytes",
        measure=in_roles(memberships, "process"),
        lower_is_better=True,
        lanes=(
            Lane(contender=REDIS, path=""),
            Lane(contender=LOCAL, path=""),
            Lane(contender=PUBSUB, path=""),
            Lane(contender=CORE, path=""),
        ),
        targets=(Target(lane=REDIS, at_most=300), Target(lane=LOCAL, at_most=300)),
        full=Effort(turns=3, count=50),
        quick=Effort(turns=1, count=50),
    ),
    Scenario(
        name="own-groups",
        title="Memory per membership: 1,000 consumers alone in 10 groups each",
        unit="bytes",
        measure=in_roles(partial(memberships, role_name="join_own"), "process"),
        lower_is_better=True,
        lanes=(
            Lane(contender=REDIS, path=""),
            Lane(contender=LOCAL, path=""),
            Lane(contender=PUBSUB, path=""),
            Lane(contender=CORE, path=""),
        ),
        targets=(Target(lane=REDIS, at_most=300), Target(lane=LOCAL, at_most=300)),
        full=Effort(turns=3, count=10),
        quick=Effort(turns=1, count=10),
    ),
)
