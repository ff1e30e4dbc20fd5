"""Starting, awaiting and ending processes: what is started here is ended here, by its own id."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from proving.environments import clean_environ

START_TIMEOUT = 30.0  #: seconds until a server must accept connections
STOP_TIMEOUT = 15.0  #: seconds that a process has between SIGTERM and SIGKILL

_PR_SET_PDEATHSIG = 1


class ProofError(Exception):
    """Something is not as it should be; the text says what, and what was said by whom."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """How to start a process.

    Attributes:
        words: The command line.
        cwd: Where it runs.
        log: Where its output goes.
        environ: Variables besides those of this process.
        user: Whom it runs as, if this process may choose.
    """

    words: Sequence[str]
    cwd: Path
    log: Path
    environ: Mapping[str, str]
    user: str | None = None


class Running:
    """A process that runs until the end of the block, or until it is asked to stop."""

    def __init__(self, command: Command) -> None:
        self.command = command
        command.log.parent.mkdir(parents=True, exist_ok=True)
        with command.log.open("w") as output:
            # A session of its own keeps the terminal's Ctrl-C away: the process is ended by us.
            self._process = subprocess.Popen(
                command.words,
                cwd=command.cwd,
                env={**clean_environ(), **command.environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=command.user,
                group=command.user,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - no thread holds a lock meanwhile
            )

    @property
    def output(self) -> str:
        """What it has printed."""
        return self.command.log.read_text(errors="replace")

    def wait_until(self, ready: Callable[[], bool], what: str) -> None:
        """Block until ``ready()``.

        Raises:
            ProofError: The process ended, or the time is up.
        """
        deadline = time.monotonic() + START_TIMEOUT
        while self._process.poll() is None and time.monotonic() < deadline:
            if ready():
                return
            time.sleep(0.05)
        how = "ended" if self._process.poll() is not None else f"had no {START_TIMEOUT:.0f} s more"
        raise ProofError(f"{self._name} {how} before {what}; it said:\n{self.tail()}")

    def stop(self) -> int:
        """Ask it to stop and return its exit status.

        Raises:
            ProofError: It did not stop in time, and was killed.
        """
        self._process.terminate()
        try:
            return self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ProofError(
                f"{self._name} ran on {STOP_TIMEOUT:.0f} s after SIGTERM; it said:\n{self.tail()}"
            ) from None

    def kill(self) -> None:
        """End it with all that it has started."""
        # The process leads its session: its group holds what it left behind, and nothing else.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def tail(self) -> str:
        """The end of what it has printed."""
        return "\n".join(self.output.splitlines()[-25:])

    @property
    def _name(self) -> str:
        return Path(self.command.words[0]).name


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def running(command: Command) -> Iterator[Running]:
    """Run a process for the length of the block."""
    process = Running(command)
    try:
        yield process
    finally:
        with contextlib.suppress(ProofError):
            process.stop()
        process.kill()


@contextlib.contextmanager
def serving(command: Command, port: int) -> Iterator[Running]:
    """Run a server for the length of the block; it accepts connections when the block begins."""
    with running(command) as process:
        process.wait_until(lambda: accepts(port), f"it accepted connections on port {port}")
        yield process


def run(command: Command, timeout: float = 120.0) -> str:
    """Run a process to its end and return what it printed.

    Raises:
        ProofError: It failed, or took longer than ``timeout`` seconds.
    """
    with running(command) as process:
        try:
            status = process._process.wait(timeout)  # noqa: SLF001
        except subprocess.TimeoutExpired:
            raise ProofError(
                f"{' '.join(command.words)} took longer than {timeout:.0f} s:\n{process.tail()}"
            ) from None
        if status:
            raise ProofError(f"{' '.join(command.words)} failed:\n{process.tail()}")
        return process.output


def accepts(port: int) -> bool:
    """Whether something accepts connections on a port of the loopback."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def free_port() -> int:
    """A port of the loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
