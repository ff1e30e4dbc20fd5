"""Before the first request: what is imported, and how soon there is an answer."""

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from statistics import median

from harness.build import BENCHMARKS, BUILD
from harness.contenders import (
    APPLICATION,
    CHANNELS,
    DAPHNE,
    FAIRWAY,
    GRANIAN,
    HYPERCORN,
    PLAIN,
    UVICORN,
)
from harness.generator import LoadError, Report
from harness.processes import (
    START_TIMEOUT,
    ServerError,
    descendants,
    end,
    free_port,
    pinned,
    processor_seconds,
)
from harness.scenarios.model import Effort, Lane, Scenario, Target, Turn, Work, lanes

#: What a site without WebSockets has before it imports anything else.
DJANGO = "from django.core.asgi import get_asgi_application; get_asgi_application()"
#: Says what comes behind that takes.
CODE = """\
import json, time
{}
django, began = time.process_time(), time.perf_counter()
{}
used, clock = time.process_time() - django, time.perf_counter() - began
times = {{"processor_ms": used, "clock_ms": clock, "django_ms": django}}
print(json.dumps({{name: 1e3 * seconds for name, seconds in times.items()}}))
"""
POLL = 0.001  #: seconds between asking whether a server listens


def importing(work: Work) -> Turn:
    """Milliseconds of processor time that an import takes in a process that has set up Django.

    The median of ``effort.count`` fresh processes. By the clock it is the same on a quiet machine,
    as nothing waits but for the disk.
    """
    code = CODE.format(DJANGO, "; ".join(work.lane.words))
    reports = [_process(work, code) for _ in range(work.effort.count)]
    report = {name: median(each[name] for each in reports) for name in reports[0]}
    return Turn(value=report.pop("processor_ms"), report=report)


def _process(work: Work, code: str) -> Report:
    """Runs the code in a fresh process, and returns what it says."""
    finished = subprocess.run(
        [str(work.contender.python), "-c", code],
        cwd=BENCHMARKS,
        env={**os.environ, **work.contender.environment},
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=pinned(work.processors.server),
    )
    if finished.returncode:
        raise LoadError(f"A process that imports failed: {finished.stderr.strip()}")
    report: Report = json.loads(finished.stdout)
    return report


def starting(work: Work) -> Turn:
    """Milliseconds from the start of a server's process to its first answer; the median of some."""
    with _on(work.processors.generator):
        taken = [_start(work) for _ in range(work.effort.count)]
    clock, processor = (median(1e3 * each[kind] for each in taken) for kind in (0, 1))
    return Turn(value=clock, report={"processor_ms": processor})


def _start(work: Work) -> tuple[float, float]:
    """Starts a server: seconds by the clock, and of its processor."""
    port = free_port()
    with (BUILD / "server.log").open("w") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            work.command(port),
            cwd=BENCHMARKS,
            env={**os.environ, **work.contender.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=pinned(work.processors.server),  # noqa: PLW1509 - no threads here
        )
        try:
            _answer(process, port, work.lane.path)
            seconds = time.perf_counter() - began
            return seconds, processor_seconds(descendants(process.pid))
        finally:
            end(process)


def _answer(process: "subprocess.Popen[bytes]", port: int, path: str) -> None:
    """Blocks until there is a good answer."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), START_TIMEOUT) as client,
        ):
            client.sendall(request.encode())
            answer = client.makefile("rb").readline()
            if answer.startswith(b"HTTP/1.1 200"):
                return
            raise LoadError(f"The first answer was {answer!r}.")
        time.sleep(POLL)
    raise ServerError(f"The server did not answer within {START_TIMEOUT:.0f} s.")


@contextlib.contextmanager
def _on(processor: int) -> Iterator[None]:
    """Keeps this process away from the servers', for the length of the block."""
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    try:
        yield
    finally:
        os.sched_setaffinity(0, usable)


_SITE = ("import project.asgi",)
_FULL, _QUICK = Effort(turns=3, count=5), Effort(turns=1, count=3)

SCENARIOS = (
    Scenario(
        name="import",
        title="Processor time that importing consumers and routing adds to Django's own",
        unit="ms",
        lower_is_better=True,
        measure=importing,
        lanes=(
            Lane(contender=FAIRWAY, path="", words=_SITE),
            Lane(contender=FAIRWAY, path="", words=("import fairway",), note="import fairway"),
            Lane(contender=CHANNELS, path="", words=_SITE),
        ),
        targets=(Target(at_most=60),),
        full=_FULL,
        quick=_QUICK,
    ),
    Scenario(
        name="start",
        title="From the start of the process to the first answer, a bare ASGI application",
        unit="ms",
        lower_is_better=True,
        measure=starting,
        application=PLAIN,
        lanes=lanes("/", FAIRWAY, UVICORN, GRANIAN, HYPERCORN, DAPHNE),
        targets=(Target(against=UVICORN, at_most=1),),
        full=_FULL,
        quick=_QUICK,
    ),
    Scenario(
        name="start-django",
        title="The same, a Django project with consumers",
        unit="ms",
        lower_is_better=True,
        measure=starting,
        application=APPLICATION,
        lanes=lanes("/async-view/", FAIRWAY, CHANNELS),
        targets=(Target(against=CHANNELS, at_most=1),),
        full=_FULL,
        quick=_QUICK,
    ),
)
