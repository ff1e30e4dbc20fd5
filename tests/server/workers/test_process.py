"""The supervisor's side of one worker, whose process says and does what the test wants."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable

import pytest

from fairway.server.workers import process as process_module
from fairway.server.workers.process import WorkerProcess, describe_exit
from tests.server.running import DEADLINE, Logs, until

#: A worker: ``say`` writes to the supervisor.
PRELUDE = """
import faulthandler, json, os, signal, socket, sys, time
faulthandler.enable()
line = socket.socket(fileno=int(sys.argv[1]))
def say(**message):
    line.sendall(json.dumps(message).encode() + b"\\n")
def ready(patience=30.0, timeout=0.0):
    say(say="ready", patience=patience, timeout=timeout)
"""


class Requests(list[tuple[WorkerProcess, str]]):
    """Who has asked for a successor, and why."""

    def note(self, worker: WorkerProcess, why: str) -> None:
        """Keep it."""
        self.append((worker, why))


@contextlib.asynccontextmanager
async def worker(
    code: str, on_request: Callable[[WorkerProcess, str], None] = lambda *_: None
) -> AsyncIterator[WorkerProcess]:
    """A process that runs the code."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PRELUDE + code, str(theirs.fileno())),
            pass_fds=[theirs.fileno()],
            stderr=asyncio.subprocess.DEVNULL,
        )
    found = WorkerProcess(process, ours, 30.0, on_request)
    try:
        async with asyncio.timeout(DEADLINE):
            yield found
    finally:
        found.send(signal.SIGKILL)
        await found.ended


async def test_life() -> None:
    """It serves when it says so, and ends gracefully when it is told to."""
    code = """
signal.signal(signal.SIGTERM, lambda *_: os._exit(4))
ready(patience=7.5)
time.sleep(3600)
"""
    async with worker(code) as found:
        assert await found.ready()
        assert (found.patience, found.ended.done()) == (7.5, False)
        assert found.age > 0
        await found.end()
        assert found.ended.result() == 4
        found.send(signal.SIGTERM)  # to nobody


async def test_relieved() -> None:
    """Where another one serves in its place, it is told so instead."""
    code = """
ready()
os._exit(line.recv(9)[0])
"""
    async with worker(code) as found:
        assert await found.ready()
        await found.end(relieved=True)
        assert found.ended.result() == ord("!")


async def test_relieved_early() -> None:
    """One that does not serve yet would not hear of it."""
    async with worker("time.sleep(3600)") as found:
        await found.end(relieved=True)
        assert found.ended.result() == -signal.SIGTERM


async def test_never_serves() -> None:
    """One that ends before it serves never will."""
    async with worker("sys.exit(3)") as found:
        assert not await found.ready()
        assert await found.ended == 3


async def test_slow_start(monkeypatch: pytest.MonkeyPatch, logs: Logs) -> None:
    """One that takes its time to start is mentioned again and again."""
    monkeypatch.setattr(process_module, "SLOW_START", 0.01)
    async with worker("time.sleep(3600)") as found:
        ready = asyncio.create_task(found.ready())
        await until(lambda: len(logs.records) >= 2)
        for message in logs.take():
            assert message.startswith(f"WARNING Worker {found.pid} does not serve yet, after ")
        ready.cancel()
        await asyncio.wait([ready])
    logs.take()


async def test_request() -> None:
    """A worker can ask for a successor."""
    requests = Requests()
    code = "ready()\nsay(say='replace', why='it is old')\ntime.sleep(3600)"
    async with worker(code, requests.note) as found:
        await until(lambda: requests)
        assert requests == [(found, "it is old")]


async def test_silence(logs: Logs) -> None:
    """One that says nothing for as long as it has named is ended, and what it did is shown."""
    async with worker("ready(timeout=0.2)\ntime.sleep(3600)") as found:
        assert await found.ended == -signal.SIGABRT
        (message,) = logs.take()
        assert message == (
            f"ERROR Worker {found.pid} hangs: its event loop has not run for 0.2 s "
            "(worker_timeout). It is ended; this is what its threads were doing:"
        )


async def test_signs_of_life() -> None:
    """One that goes on saying that it lives, lives."""
    code = """
ready(timeout=10.0)
for _ in range(5):
    time.sleep(0.01)
    say(say="beat")
say(say="replace", why="it has lived")
time.sleep(3600)
"""
    requests = Requests()
    async with worker(code, requests.note) as found:
        await until(lambda: requests)
        assert not found.ended.done()


async def test_deaf(monkeypatch: pytest.MonkeyPatch, logs: Logs) -> None:
    """One that does not end when it is told to, and cannot even say why, is killed."""
    monkeypatch.setattr(process_module, "STACKS_TIMEOUT", 0.1)
    code = """
faulthandler.disable()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGABRT, signal.SIG_IGN)
ready(patience=0.1)
time.sleep(3600)
"""
    async with worker(code) as found:
        assert await found.ready()
        await found.end()
        assert found.ended.result() == -signal.SIGKILL
        assert logs.take() == [f"ERROR Worker {found.pid} did not end within 0.1 s and is killed"]


@pytest.mark.parametrize(
    ("code", "text"), [(3, "ended with code 3"), (-signal.SIGKILL, "was ended by SIGKILL")]
)
def test_describe_exit(code: int, text: str) -> None:
    """The end of a process in words."""
    assert describe_exit(code) == text
