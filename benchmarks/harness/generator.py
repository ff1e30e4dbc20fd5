"""Running the compiled load generator (``benchmarks/load``) and reading what it reports."""

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from harness.processes import Server, descendants, end, pinned

Report: TypeAlias = dict[str, float]


class LoadError(Exception):
    """The generator found something wrong with what the server did; the text is its sentence."""


class Generator:
    """The load generator, pinned to one processor.

    Args:
        program: What was compiled.
        processors: The number of its processor, or the numbers of several.
        sleeps: Whether it leaves its processor to others while there is nothing to read. Without
            that it polls, as whoever wakes it is charged for the waking.
        naps: Whether it sleeps by the clock, from which nobody has to wake it.
    """

    def __init__(
        self, program: Path, *processors: int, sleeps: bool = False, naps: bool = False
    ) -> None:
        self._program = program
        self._processors = processors
        self._waits = "sleeping" if sleeps else "napping" if naps else "spinning"

    def among(self, processors: Sequence[int]) -> "Generator":
        """The same on processors that servers have too, which it leaves to them where it can."""
        return Generator(self._program, *processors, naps=True)

    def run(self, mode: str, servers: Sequence[Server], options: Mapping[str, str]) -> Report:
        """Measures once; blocks until the generator has ended.

        Raises:
            LoadError: The proof of correctness failed.
        """
        with self.hold(mode, servers, options) as report:
            pass
        return report

    @contextlib.contextmanager
    def hold(
        self, mode: str, servers: Sequence[Server], options: Mapping[str, str]
    ) -> Iterator[Report]:
        """Runs the block while the sockets are open, then tells the generator to stop.

        The sockets are opened at all of the servers that serve; what they need beside them, such as
        a Redis, is weighed with them.

        Only mode ``idle`` waits for the word to stop. Inside the block the report has what was said
        of the opening, its names beginning with ``opened_``, and behind it everything else. The
        generator ends by itself if nothing happens, so that no wait here is unbounded.

        Raises:
            LoadError: The proof of correctness failed.
        """
        with self.start(mode, servers, options) as running:
            opened = running.hear()
            report = {f"opened_{key}": value for key, value in opened.items()}
            yield report
            report |= running.finish()

    @contextlib.contextmanager
    def start(
        self, mode: str, servers: Sequence[Server], options: Mapping[str, str]
    ) -> Iterator["Running"]:
        """Runs the generator for the length of the block, at most; what it does is up to both."""
        command = [str(self._program), mode, "--waits", self._waits]
        for server in servers:
            for pid in descendants(server.pid):
                command += ["--server", str(pid)]
            if server.serves:
                command += ["--port", str(server.port)]
        command += [word for option in options.items() for word in option]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=pinned(*self._processors),  # noqa: PLW1509 - there are no threads here
        )
        running = Running(process)
        try:
            yield running
        finally:
            end(process)
            running.close()


class Running:
    """A load generator at work."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._input, self._output, self._complaint = process.stdin, process.stdout, process.stderr

    def hear(self) -> Report:
        """What it says next; blocks for it.

        Raises:
            LoadError: It has ended instead.
        """
        line = self._output.readline()
        if not line.endswith("\n"):  # whatever it has begun to say
            raise self._error()
        return _flat(line)

    def say(self, line: str) -> None:
        """Tells it something; if it has ended, the next that one wants to hear raises."""
        with contextlib.suppress(BrokenPipeError):
            self._input.write(f"{line}\n")
            self._input.flush()

    def stop(self) -> None:
        """Says the last word: its standard input ends."""
        with contextlib.suppress(BrokenPipeError):
            self._input.close()

    def finish(self) -> Report:
        """Stops it; what it says last, once it has ended well.

        Raises:
            LoadError: The proof of correctness failed.
        """
        self.stop()
        # Not communicate(), which would miss what readline() has already buffered.
        report = self.hear()
        if self._process.wait():
            raise self._error()
        return report

    def close(self) -> None:
        """Closes what connects it with this process."""
        self.stop()
        self._output.close()
        self._complaint.close()

    def _error(self) -> LoadError:
        complaint = self._complaint.read().strip()
        return LoadError(complaint or f"the generator ended with {self._process.wait()}")


def _flat(line: str) -> Report:
    """The numbers of one JSON object.

    Those of ``latency_ms`` become ``p50_ms`` and so on, those of ``quiet_ms`` ``quiet_p50_ms``.
    """
    numbers: Report = {}
    for key, value in json.loads(line).items():
        if isinstance(value, dict):
            prefix = key.removesuffix("ms").removeprefix("latency_")
            numbers |= {f"{prefix}{name}_ms": float(each) for name, each in value.items()}
        elif key != "event":
            numbers[key] = float(value)
    return numbers
