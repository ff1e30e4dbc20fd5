"""Play the snippets of a page in a directory of their own, with real processes."""

import contextlib
import os
import queue
import re
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.commands import PATIENCE, completed, environment
from tests.docs.snippets import ROOT, Snippet

_ADDRESS = re.compile(r"https?://(127\.0\.0\.1|localhost):(\d+)")


class Story:
    """One page at work: its files, commands and servers, in one directory.

    Args:
        directory: Where the reader's project comes to be; empty at first.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def play(self, snippet: Snippet) -> None:
        """Do what the page says with one snippet; servers are for :meth:`serve`."""
        match snippet.verb:
            case "file":
                self._file(snippet).write_text(snippet.text, encoding="utf-8")
            case "append":
                with self._file(snippet).open("a", encoding="utf-8") as file:
                    file.write("\n" + snippet.text)
            case "run":
                for command in snippet.commands:
                    self._run(snippet, shlex.split(command))
            case "python":
                self._run(snippet, ["python", "-c", snippet.text])
            case "make":
                assert unknown_targets(snippet) == [], f"{snippet.place}: not in the Makefile"
            case "excerpt":
                whole = (ROOT / snippet.argument).read_text(encoding="utf-8")
                assert snippet.text in whole, f"{snippet.place}: not in {snippet.argument}"

    def _file(self, snippet: Snippet) -> Path:
        path = self.directory / snippet.argument
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _run(self, snippet: Snippet, command: list[str]) -> None:
        done = completed(*command, here=self.directory)
        assert done.returncode == 0, f"{snippet.place}: {shlex.join(command)}\n{done.stdout}"

    @contextlib.contextmanager
    def serve(self, snippet: Snippet) -> Iterator[str]:
        """Run the server of a snippet on a free port; yield its address."""
        (command,) = snippet.commands
        arguments = shlex.split(command)
        arguments += ["127.0.0.1:0"] if "runserver" in arguments else ["--port", "0"]
        with serving(arguments, self.directory, environment()) as server:
            yield server.address


def unknown_targets(snippet: Snippet) -> list[str]:
    """The targets that a snippet names and the Makefile has not."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    commands = [shlex.split(command, comments=True) for command in snippet.commands]
    return [
        " ".join(words)
        for words in commands
        if words[0] != "make" or not set(words[1:2]) <= targets
    ]


@dataclass(frozen=True)
class Server:
    """A server at work.

    Attributes:
        address: The one that it printed: ``http://127.0.0.1:54321``.
        output: The lines that it has printed so far.
    """

    address: str
    output: list[str]


@contextlib.contextmanager
def serving(command: list[str], directory: Path, variables: dict[str, str]) -> Iterator[Server]:
    """Run a command that serves; when it has said where, yield; then end all that it started."""
    running = subprocess.Popen(
        command,
        cwd=directory,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    output: list[str] = []
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(running, output, lines), daemon=True)
    reader.start()
    try:
        yield Server(_address(command, output, lines), output)
    except BaseException as error:
        error.add_note("The server printed:\n" + "".join(output))
        raise
    finally:
        _end(running)
        reader.join()


def _read(
    running: subprocess.Popen[str], output: list[str], lines: queue.SimpleQueue[str | None]
) -> None:
    assert running.stdout is not None
    with running.stdout as stream:
        for line in stream:
            output.append(line)
            lines.put(line)
    lines.put(None)


def _address(command: list[str], output: list[str], lines: queue.SimpleQueue[str | None]) -> str:
    deadline = time.monotonic() + PATIENCE
    while (left := deadline - time.monotonic()) > 0:
        try:
            line = lines.get(timeout=left)
        except queue.Empty:
            break
        if line is None:
            raise AssertionError(f"{shlex.join(command)} ended:\n{''.join(output)}")
        # A banner that only repeats what it was asked for says port 0; the real one follows.
        if (match := _ADDRESS.search(line)) and match[2] != "0":
            return match[0]
    raise AssertionError(f"{shlex.join(command)} printed no address:\n{''.join(output)}")


def _end(running: subprocess.Popen[str]) -> None:
    """End the whole process group: `make`, `runserver` and its reloader are several processes."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(timeout=15)
            break
    # A grandchild may outlive its parent; nothing may outlive the test.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
