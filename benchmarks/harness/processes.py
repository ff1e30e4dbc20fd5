"""Starting, pinning, weighing and ending processes: what is started here is ended here."""

import contextlib
import ctypes
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.build import BENCHMARKS, BUILD

START_TIMEOUT = 20.0  #: seconds until a server must accept connections
STOP_TIMEOUT = 2.0  #: seconds between asking a process to end and ending it
SETTLE_TIMEOUT = 5.0  #: seconds until its memory must stand still
FILES = 200_000  #: that a process may have open, if the machine's hard limit lets it
SETTLED = 64 * 1024  #: bytes that two readings may differ by

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl


class ServerError(Exception):
    """A server did not start; the text holds the end of what it printed."""


@dataclass(frozen=True, kw_only=True)
class Processors:
    """Which processor each side is pinned to."""

    server: int
    generator: int

    @classmethod
    def choose(cls) -> "Processors":
        """The last two that this process may use; the same one twice if there is no other."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(server=usable[-1], generator=usable[-2] if len(usable) > 1 else usable[-1])

    @property
    def both(self) -> tuple[int, ...]:
        """All that there are."""
        return tuple(sorted({self.server, self.generator}))

    @property
    def shared(self) -> bool:
        """Both sides take turns on one processor: throughput then says little."""
        return self.server == self.generator


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that accepts connections on ``127.0.0.1:port``.

    Attributes:
        pid: Its process.
        port: Where it listens.
        serves: Whether it is a contender's: the load generator's sockets are opened there.
    """

    pid: int
    port: int
    serves: bool = True


def pinned(*processors: int) -> Callable[[], None]:
    """For ``preexec_fn``: pins the child, lets it open files, and has it end with this process."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    def prepare() -> None:
        os.sched_setaffinity(0, processors)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most_files(), hard))
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return prepare


def most_files() -> int:
    """How many files a process may have open that is started here."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)


@contextlib.contextmanager
def serving(
    command: Callable[[int], Sequence[str]],
    environment: Mapping[str, str],
    *processors: int,
    serves: bool = True,
) -> Iterator[Server]:
    """Runs a server for the length of the block.

    Args:
        command: Gives the command line for a port.
        environment: Variables added to those of this process.
        processors: The numbers of those that it is pinned to.
        serves: Whether it is a contender's, rather than a part of what contenders need.

    Raises:
        ServerError: It ended, or accepted no connection within ``START_TIMEOUT``.
    """
    port = free_port()
    log = BUILD / "server.log"
    with log.open("w+") as output:
        # A session of its own keeps the terminal's Ctrl-C away: the server is ended below.
        process = subprocess.Popen(
            command(port),
            cwd=BENCHMARKS,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=pinned(*processors),  # noqa: PLW1509 - there are no threads here
        )
        try:
            _wait_until_open(process, port, log)
            if serves:
                _wait_until_answering(port)
            yield Server(pid=process.pid, port=port, serves=serves)
        finally:
            end(process)


def end(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    """Asks the process to end, and ends it with all of its session if it takes too long."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    # The process leads its session: its group holds what it has left behind, and nothing else.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """The process and all that it has started, by their ids."""
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        # A thread may end between being listed and being asked.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for child in children.read_text().split():
                found += descendants(int(child))
    return found


def processor_seconds(pids: Sequence[int]) -> float:
    """What the processes have taken of their processor so far, all of their threads together."""
    # The kernel's number for another process's clock, as clock_getcpuclockid(3) has it.
    return sum(time.clock_gettime(~pid << 3 | 2) for pid in pids)


def settled_memory(pid: int) -> int:
    """Bytes of memory of the process and its descendants, once two readings in a row agree."""
    deadline = time.monotonic() + SETTLE_TIMEOUT
    before = _memory(pid)
    while True:
        time.sleep(0.25)
        after = _memory(pid)
        if abs(after - before) <= SETTLED or time.monotonic() > deadline:
            return after
        before = after


def _memory(pid: int) -> int:
    """Proportional set size, so that pages shared between workers count once."""
    total = 0
    for each in descendants(pid):
        for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_open(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    tail = "\n".join(log.read_text().splitlines()[-20:])
    what = "gave up" if process.poll() is not None else f"was not there after {START_TIMEOUT:.0f} s"
    raise ServerError(f"The server {what}; the end of what it said:\n{tail}")


def _wait_until_answering(port: int) -> None:
    """Until somebody answers, whatever it is: a server with workers listens before it has any."""
    with socket.create_connection(("127.0.0.1", port), START_TIMEOUT) as probe:
        probe.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            probe.recv(1)
