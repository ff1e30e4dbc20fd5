"""What channel layers do between processes: where these meet, and turns without a WebSocket."""

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from harness.build import BENCHMARKS
from harness.contenders import Contender
from harness.generator import Report
from harness.processes import Processors, Server, ServerError, end, pinned, settled_memory
from harness.redis import Monitor, redis_server, used_memory


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the processes of one contender meet, for one turn.

    Attributes:
        contender: Who.
        environment: Its variables, those that name the place among them.
        redis: The Redis server, if it needs one.
        processor: What its processes are pinned to.
    """

    contender: Contender
    environment: dict[str, str]
    redis: Server | None
    processor: int

    def role(
        self, name: str, count: int, processor: int | None = None
    ) -> contextlib.AbstractContextManager["Role"]:
        """Runs a process of ``project/roles.py`` for the length of the block."""
        return self._run(name, ["project.roles", name, str(count)], processor, {})

    def worker(
        self, count: int, options: Sequence[str] = ()
    ) -> contextlib.AbstractContextManager["Role"]:
        """Runs the project's background worker for the length of the block.

        It is ready when it has done a job.
        """
        words = ["django", "runworker", "jobs", *options]
        return self._run("runworker", words, None, {"BENCH_JOBS": str(count)})

    @contextlib.contextmanager
    def _run(
        self, name: str, module: Sequence[str], processor: int | None, more: Mapping[str, str]
    ) -> Iterator["Role"]:
        role = Role(
            name,
            [str(self.contender.python), "-m", *module],
            {**self.environment, **more},
            pinned(self.processor if processor is None else processor),
        )
        try:
            role.hear()  # it is ready
            yield role
        finally:
            end(role.process)


class Role:
    """A process of the project that says what it does, as ``project/roles.py`` does."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        pin: Callable[[], None],
    ) -> None:
        self.name = name
        self.process = subprocess.Popen(
            command,
            cwd=BENCHMARKS,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=pin,  # noqa: PLW1509 - there are no threads here
        )

    def hear(self) -> Report:
        """What it says next; blocks for it.

        Raises:
            ServerError: It has ended instead.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise ServerError(f"The process in the role {self.name!r} failed; see above.")
        return {key: float(value) for key, value in json.loads(line).items()}

    def go(self) -> Self:
        """Tells it to begin."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self


@contextlib.contextmanager
def meeting(contender: Contender, processors: Processors) -> Iterator[Place]:
    """Makes the place where a contender's processes meet, fresh for the block."""
    with contextlib.ExitStack() as stack:
        redis, where = None, ""
        if contender.needs_redis:
            redis = stack.enter_context(redis_server(processors.server))
            where = str(redis.port)
        elif contender.layer == "local":
            where = stack.enter_context(tempfile.TemporaryDirectory(prefix="fairway-bench-"))
        environment = {**os.environ, **contender.environment, "BENCH_PLACE": where}
        yield Place(
            contender=contender,
            environment=environment,
            redis=redis,
            processor=processors.server,
        )


def jobs(contender: Contender, processors: Processors, count: int) -> Report:
    """One producer, one worker: jobs per second, from the first to the last that is received.

    The producer has the load generator's processor; the worker and Redis have the server's.
    """
    with (
        meeting(contender, processors) as place,
        place.role("work", count) as worker,
        place.role("produce", count, processors.generator) as producer,
    ):
        return worker.hear() | producer.hear()


def background_jobs(
    contender: Contender, processors: Processors, count: int, options: Sequence[str]
) -> Report:
    """The same with the background worker that the project has, and a consumer in it.

    Args:
        contender: Whose layer and worker.
        processors: Where they run.
        count: How many jobs.
        options: Of ``runworker``.
    """
    with (
        meeting(contender, processors) as place,
        place.role("employ", count, processors.generator) as producer,
        place.worker(count, options) as worker,
    ):
        producer.go()
        return worker.hear() | producer.hear()


def backlog(
    contender: Contender, processors: Processors, count: int, options: Sequence[str]
) -> Report:
    """The same with a worker that starts when all jobs have been sent."""
    with (
        meeting(contender, processors) as place,
        place.role("employ", count, processors.generator) as producer,
    ):
        produced = producer.go().hear()
        with place.worker(count, options) as worker:
            return worker.hear() | produced


def commands(contender: Contender, processors: Processors, count: int) -> Report:
    """Redis commands per group message, of all who take part, with members in two processes."""
    with (
        meeting(contender, processors) as place,
        place.role("listen", count) as one,
        place.role("listen", count) as other,
        place.role("tell", count) as sender,
    ):
        assert place.redis is not None
        monitor = Monitor(place.redis)
        for role in (sender.go(), one, other):
            role.hear()
        sent, called = monitor.stop()
    report = {"sent": sent.total() / count, "called_by_scripts": called.total() / count}
    report |= {f"sent_{name.lower()}": times / count for name, times in sent.items()}
    return report | {f"called_{name.lower()}": times / count for name, times in called.items()}


def memberships(
    contender: Contender, processors: Processors, count: int, role_name: str = "join"
) -> Report:
    """Bytes for each membership of a thousand consumers in so many groups, here and in Redis."""
    with meeting(contender, processors) as place, place.role(role_name, count) as role:
        before = settled_memory(role.process.pid)
        stored = 0 if place.redis is None else used_memory(place.redis)
        total = role.go().hear()["memberships"]
        after = settled_memory(role.process.pid)
        if place.redis is not None:
            stored = used_memory(place.redis) - stored
    return {"process": (after - before) / total, "redis": stored / total}
