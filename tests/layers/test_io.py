"""InputOutput: one event loop in a thread of its own."""

import asyncio
import concurrent.futures
import subprocess
import sys
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from fairway import native
from fairway.layers import io as module
from fairway.layers.io import InputOutput


@pytest.fixture
def io() -> InputOutput:
    return InputOutput()


async def here() -> threading.Thread:
    return threading.current_thread()


async def test_one_thread(io: InputOutput) -> None:
    """Whoever asks, and however, the same thread does it."""
    threads = {await io.run(here()), await asyncio.to_thread(io.run_sync, here())}
    assert threads.pop() is not threading.current_thread()
    assert not threads
    io.stop()


async def test_within_itself(io: InputOutput) -> None:
    """What runs there may ask for more."""

    async def outer() -> bool:
        return io.here and await io.run(here()) is threading.current_thread()

    assert await io.run(outer())
    io.stop()


async def test_cancelled(io: InputOutput) -> None:
    """Who is cancelled while waiting cancels what runs there."""
    started, cancelled = threading.Event(), threading.Event()

    async def endless() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    waiting = asyncio.ensure_future(io.run(endless()))
    await asyncio.to_thread(started.wait)
    waiting.cancel()
    assert await asyncio.to_thread(cancelled.wait, 30)
    io.stop()


def test_timeout(io: InputOutput) -> None:
    """Who waits no longer has it cancelled."""
    with pytest.raises(TimeoutError):
        io.run_sync(asyncio.sleep(3600), 0.01)
    io.stop()


def test_error(io: InputOutput) -> None:
    """Who blocks for it gets what it raises, or that somebody else has cancelled it."""

    async def fail() -> None:
        raise LookupError("reason")

    async def give_up() -> None:
        raise asyncio.CancelledError

    with pytest.raises(LookupError, match=r"^reason$"):
        io.run_sync(fail())
    with pytest.raises(concurrent.futures.CancelledError):
        io.run_sync(give_up(), 3600)
    io.stop()


class Impatient:
    """A lock for which nobody waits any longer once something has begun, and not before."""

    def __init__(self, lock: native.Waitable, begun: threading.Event) -> None:
        self._lock = lock
        self._begun = begun
        self.release = lock.release

    def acquire(self, *, timeout: float = -1) -> bool:
        return self._lock.acquire(timeout=timeout) if timeout < 0 else not self._begun.wait(60)


def test_done_as_the_time_ends(io: InputOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done by then is a result: a message that was taken would be lost else."""
    begun = threading.Event()

    class Running(module._Running[str]):
        def __init__(self, coroutine: Coroutine[Any, Any, str]) -> None:
            super().__init__(coroutine)
            self.ended = Impatient(self.ended, begun)

    async def take() -> str:
        begun.set()
        return "taken"

    monkeypatch.setattr(module, "_Running", Running)
    assert io.run_sync(take(), 3600) == "taken"
    io.stop()


def test_stop(io: InputOutput) -> None:
    """At the end everyone says goodbye, what still runs is cancelled, and the thread ends."""
    said: list[str] = []

    async def goodbye() -> None:
        said.append("goodbye")

    async def stay() -> None:
        said.append("stay")

    io.at_exit(goodbye)
    io.at_exit(stay)
    io.no_exit(stay)
    endless = io.submit(asyncio.sleep(3600))
    thread = io.run_sync(here())
    io.stop()
    assert said == ["goodbye"]
    assert endless.cancelled()
    assert not thread.is_alive()
    io.stop()  # again is the same as once
    assert io.run_sync(here()).is_alive()  # and the next use starts it again
    io.stop()


def test_no_further_thread(io: InputOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system starts no thread, that is said each time, and it works once it does."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        for _ in range(2):
            with pytest.raises(RuntimeError, match=r"^can't start new thread$"):
                io.call(print)
    assert io.run_sync(here(), 60).is_alive()
    io.stop()


def test_end_of_a_process() -> None:
    """A process that used it ends without a word."""
    code = (
        "from fairway.layers import InMemoryChannelLayer as L\n"
        "L().sync.send('jobs', {'type': 'x'})\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_beside_an_event_loop(io: InputOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where greenlets share a thread, one may block while the event loop of another waits."""
    done = asyncio.get_running_loop().create_future()

    def in_another_greenlet() -> None:  # no task runs meanwhile
        try:
            done.set_result(io.run_verb("layer", "send", asyncio.sleep(0, "sent"), None))
        except RuntimeError as error:
            done.set_exception(error)

    monkeypatch.setattr(native, "replaced_by", lambda: "gevent")
    asyncio.get_running_loop().call_soon(in_another_greenlet)
    assert await done == "sent"
    with pytest.raises(RuntimeError, match=r"Use: await layer\.send"):
        io.run_verb("layer", "send", asyncio.sleep(0), None)
    await asyncio.to_thread(io.stop)


def test_a_signal_while_it_starts() -> None:
    """A signal handler that sends may interrupt the first use: neither waits for the other."""
    code = """
import signal
from fairway.layers import InMemoryChannelLayer, io
from fairway.layers.io import io as it

new_event_loop = io.new_event_loop

def interrupted():
    io.new_event_loop = new_event_loop
    signal.raise_signal(signal.SIGUSR1)
    return new_event_loop()

layer = InMemoryChannelLayer()
signal.signal(signal.SIGUSR1, lambda *_: layer.sync.send("jobs", {"type": "signal"}))
io.new_event_loop = interrupted
layer.sync.send("jobs", {"type": "work"})
assert layer.sync.receive("jobs") == {"type": "signal"}
assert layer.sync.receive("jobs") == {"type": "work"}
threads = it._threads
it.stop()
assert not any(thread._ended.locked() for thread in threads)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_without_uvloop(io: InputOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without uvloop, asyncio's own loop will do; not where gevent has its hands in it."""
    monkeypatch.setattr(module, "new_uvloop", None)
    with monkeypatch.context() as patched:
        patched.setattr(native, "replaced_by", lambda: "gevent")
        with pytest.raises(RuntimeError, match="Install uvloop, which gevent leaves alone"):
            io.call(print)
    assert io.run_sync(here()).is_alive()
    assert isinstance(io.running, asyncio.SelectorEventLoop)
    io.stop()
