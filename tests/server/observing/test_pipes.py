"""Standard streams that lead to a pipe which nobody reads."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairway.server.observing import pipes
from fairway.server.observing.pipes import ROOM, PatientFile
from tests.server.process import connected, launched, with_application

pytest.importorskip("fcntl")

#: Shows what stands in the place of the standard streams, before and after.
STREAMS = """
import sys
from fairway.server.observing.pipes import let_nobody_wait
before = sys.stdout, sys.stderr
let_nobody_wait()
for old, new in zip(before, (sys.stdout, sys.stderr)):
    same = [(s.encoding, s.errors, s.line_buffering, s.write_through) for s in (old, new)]
    print(type(getattr(new.buffer, "raw", new.buffer)).__name__, same[0] == same[1])
"""


#: Writes from several threads at once.
THREADS = """
import sys, threading
from fairway.server.observing.pipes import let_nobody_wait
let_nobody_wait()
def write():
    for _ in range(5000):
        sys.stdout.write("line\\n")
threads = [threading.Thread(target=write) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


#: An application that shows what it writes to.
SHOWN = """
import sys

async def app(scope, receive, send):
    buffers = sys.stdout.buffer, sys.stderr.buffer
    kinds = [type(getattr(buffer, "raw", buffer)).__name__ for buffer in buffers]
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": " ".join(kinds).encode()})
"""


class Pipe:
    """A pipe, the patient file that writes to it, and who may read it."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        self.file = PatientFile(self.writing)

    def fill(self) -> int:
        """Write lines until there is no room; returns how many bytes there are."""
        os.set_blocking(self.writing, False)
        count = 0
        try:
            while True:
                count += os.write(self.writing, bytes(ROOM - 1) + b"\n")
        except BlockingIOError:
            os.set_blocking(self.writing, True)
            return count

    def read(self, size: int = 1 << 20) -> bytes:
        """What is there, or a part of it."""
        return os.read(self.reading, size)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    """A pipe for whose reader nobody waits."""
    monkeypatch.setattr(pipes, "PATIENCE", 0)
    pipe = Pipe()
    yield pipe
    os.close(pipe.reading)
    os.close(pipe.writing)


def test_read(pipe: Pipe) -> None:
    """While somebody reads, all of it comes, however long it is."""
    text = b"line\n" * ROOM
    assert pipe.file.write(text) == len(text)
    assert pipe.read() == text


def test_not_read(pipe: Pipe) -> None:
    """What there is no room for is counted, and the next line says so when there is."""
    pipe.fill()
    for _ in range(3):
        assert pipe.file.write(b"lost\nlost\n") == 10
    pipe.read()
    assert pipe.file.write(b"found\n") == 6
    assert pipe.read() == b"fairway: 6 lines are missing here: nobody has read on\nfound\n"
    pipe.file.write(b"found, too\n")
    assert pipe.read() == b"found, too\n"


def test_pieces(pipe: Pipe) -> None:
    """A line that comes in pieces, as print() writes it where nothing is buffered, is one."""
    pipe.fill()
    for piece in (b"lost", b"\n", b"lost", b"\n", b"cut"):
        pipe.file.write(piece)
    pipe.read()
    pipe.file.write(b"found\n")
    assert pipe.read() == b"fairway: 2 lines are missing here: nobody has read on\nfound\n"


def test_end(pipe: Pipe) -> None:
    """At the end it is said once more what is missing, if somebody hears it."""
    pipe.fill()
    pipe.file.write(b"lost\n")
    pipe.file.conclude()
    pipe.read()
    pipe.file.conclude()
    pipe.file.conclude()
    assert pipe.read() == b"fairway: 1 line is missing here: nobody has read on\n"


def test_cut(pipe: Pipe) -> None:
    """A text that does not find room to its end is cut, and what comes later begins a line."""
    filled = pipe.fill()
    pipe.read(filled - ROOM)  # the pipe now holds one part
    assert pipe.file.write(b"x" * filled + b"\n") == filled + 1
    assert pipe.read() == bytes(ROOM - 1) + b"\n" + b"x" * (filled - ROOM)
    pipe.file.write(b"found\n")
    assert pipe.read() == b"\nfairway: 1 line is missing here: nobody has read on\nfound\n"


def test_gone(pipe: Pipe) -> None:
    """Nobody can read any more: that is an error, as it is elsewhere."""
    os.close(pipe.reading)
    with pytest.raises(BrokenPipeError):
        pipe.file.write(b"lost\n")
    pipe.reading = os.dup(pipe.writing)


@pytest.mark.parametrize("options", [(), ("-u",)])
def test_streams(options: tuple[str, ...], tmp_path: Path) -> None:
    """They are as before otherwise; files are left alone."""
    command = [sys.executable, *options, "-c", STREAMS]
    with (tmp_path / "errors").open("w") as errors:
        output = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, check=True).stdout
    assert output.decode().split() == ["PatientFile", "True", "FileIO", "True"]


def test_threads() -> None:
    """Threads that write at the same time, without a buffer whose lock they would wait for."""
    command = [sys.executable, "-u", "-c", THREADS]
    ended = subprocess.run(command, capture_output=True, check=True)
    assert (ended.stdout, ended.stderr) == (b"line\n" * 20000, b"")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The working directory of the server."""
    return with_application(tmp_path.resolve())


async def test_server(here: Path) -> None:
    """A server whose access log nobody reads goes on serving, and ends."""
    async with launched("-p", "0", "app:path", directory=here) as process:
        async with connected(await process.address()) as client:
            for number in range(100):
                response = await client.fetch(f"/{number}?{'x' * 8000}")
                assert response.body == b"|/%d" % number
        ended = await process.stop()
    assert ended.code == 0
    lines = ended.stdout.splitlines()
    assert len(lines) < 100


@pytest.mark.parametrize(
    ("options", "kind"), [((), "PatientFile"), (("--no-drop-unread-output",), "FileIO")]
)
async def test_option(here: Path, options: tuple[str, ...], kind: str) -> None:
    """Who may lose no line lets everybody wait."""
    (here / "shown.py").write_text(SHOWN)
    async with (
        launched(*options, "-p", "0", "shown:app", directory=here) as process,
        connected(await process.address()) as client,
    ):
        assert (await client.fetch("/")).body == f"{kind} {kind}".encode()
