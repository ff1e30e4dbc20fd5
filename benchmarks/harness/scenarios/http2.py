"""HTTP/2 without TLS, the load put on by h2load, which nghttp2 brings."""

import re
import resource
import shutil
import subprocess

from harness.build import BuildError
from harness.contenders import FAIRWAY, GRANIAN, HYPERCORN, PLAIN
from harness.generator import LoadError, Report
from harness.processes import descendants, pinned, processor_seconds
from harness.scenarios.model import Effort, Lane, Scenario, Target, Turn, Work
from harness.scenarios.turns import BODY, servers_of

STREAMS = 10  #: requests in flight on each connection
WARM = 500  #: requests before the measured ones; they tell how many of these there can be
TIMEOUT = 60.0  #: seconds that h2load may take

_FINISHED = re.compile(r"^finished in .*, ([0-9.]+) req/s", re.MULTILINE)
_PROTOCOL = re.compile(r"^Application protocol: (\S+)", re.MULTILINE)
_MEAN = re.compile(r"^time for request: +\S+ +\S+ +([0-9.]+)(us|ms|s) ", re.MULTILINE)
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def under_h2load(work: Work) -> Turn:
    """Requests per second, each of them proven to have been answered as it should.

    Raises:
        BuildError: There is no h2load.
        LoadError: An answer was missing, or another one than expected.
    """
    with servers_of(work) as (server,):
        warm = _h2load(work, server.port, WARM)
        count = max(WARM, round(warm["per_second"] * work.effort.seconds))
        pids = descendants(server.pid)
        before, busy = processor_seconds(pids), _own_seconds()
        report = _h2load(work, server.port, count)
        spent, busy = processor_seconds(pids) - before, _own_seconds() - busy
    seconds = count / report["per_second"]
    report |= {"requests": count, "seconds": seconds, "server_us": spent * 1e6 / count}
    report |= {"server_busy": spent / seconds, "generator_busy": busy / seconds}
    return Turn(value=report["per_second"], report=report)


def _h2load(work: Work, port: int, count: int) -> Report:
    """So many requests, as fast as they go."""
    program = shutil.which("h2load")
    if program is None:
        raise BuildError("h2load is needed (Debian: nghttp2-client)")
    clients = work.effort.sockets // STREAMS
    url = f"http://127.0.0.1:{port}{work.lane.path}"
    finished = subprocess.run(
        [program, "-c", str(clients), "-m", str(STREAMS), "-n", str(count), url],
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        preexec_fn=pinned(work.processors.generator),
    )
    said = finished.stdout
    proofs = (
        f"{count} succeeded, 0 failed, 0 errored, 0 timeout",
        f"status codes: {count} 2xx",
        f"({count * len(BODY)}) data",
    )
    for proof in proofs:
        if proof not in said:
            tail = "\n".join((said + finished.stderr).splitlines()[-12:])
            raise LoadError(f"h2load does not say {proof!r}:\n{tail}")
    protocol, rate, mean = _PROTOCOL.search(said), _FINISHED.search(said), _MEAN.search(said)
    if protocol is None or protocol[1] != "h2c" or rate is None or mean is None:
        raise LoadError(f"h2load is expected to speak h2c and to say how fast:\n{said}")
    return {"per_second": float(rate[1]), "mean_ms": float(mean[1]) * _MILLISECONDS[mean[2]]}


def _own_seconds() -> float:
    """Processor time of the programs that have run here and ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


SCENARIOS = (
    Scenario(
        name="http2",
        title=f"Thirteen bytes over HTTP/2 in cleartext: 5 connections, {STREAMS} requests each",
        unit="requests/s",
        measure=under_h2load,
        application=PLAIN,
        lanes=(
            Lane(contender=FAIRWAY, path="/", words=("--http2-cleartext",)),
            Lane(contender=GRANIAN, path="/", words=("--http", "2")),
            Lane(contender=HYPERCORN, path="/"),
        ),
        targets=(Target(against=HYPERCORN, at_least=5),),
        full=Effort(turns=5, sockets=50, seconds=2.0),
        quick=Effort(turns=1, sockets=50, seconds=1.0),
    ),
)
