"""Threads and locks of the operating system, also where greenlets have taken their place.

gevent and eventlet themselves are in ``interop/``. Here something stands in for what they say of
themselves, and threads that the standard library starts come to nothing.
"""

import asyncio
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError
from types import SimpleNamespace
from typing import Any

import pytest

from fairway import native

#: Seconds that are over before a test is.
LONG = 60.0


def never(*args: object, **options: object) -> None:
    raise AssertionError("This is for greenlets.")


@pytest.fixture
def gevent(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if gevent had replaced what there is for threads."""
    monkey = SimpleNamespace(is_module_patched=lambda module: module == "_thread")
    monkeypatch.setitem(sys.modules, "gevent.monkey", monkey)
    monkeypatch.setattr(threading.Thread, "start", never)


@pytest.fixture
def eventlet(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if eventlet had."""
    patcher = SimpleNamespace(is_monkey_patched=lambda module: module == "thread")
    monkeypatch.setitem(sys.modules, "eventlet.patcher", patcher)
    monkeypatch.setattr(threading.Thread, "start", never)


def test_replaced_by_nobody() -> None:
    """Mostly, threads are threads."""
    assert native.replaced_by() == ""


def test_imported_but_not_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has imported gevent or eventlet has not replaced anything yet."""
    no: Any = SimpleNamespace(is_module_patched=lambda _: False, is_monkey_patched=lambda _: False)
    monkeypatch.setitem(sys.modules, "gevent.monkey", no)
    monkeypatch.setitem(sys.modules, "eventlet.patcher", no)
    assert native.replaced_by() == ""


@pytest.mark.parametrize("replacer", ["gevent", "eventlet"])
def test_replaced(replacer: str, request: pytest.FixtureRequest) -> None:
    """A process that was patched says by whom, and its native threads are threads all the same."""
    request.getfixturevalue(replacer)
    assert native.replaced_by() == replacer
    idents: list[int] = []
    ended = native.start_thread(lambda: idents.append(threading.get_ident()), "aside")
    assert ended.acquire(timeout=LONG)
    assert idents != [threading.get_ident()]
    assert len(idents) == 1


def test_thread() -> None:
    """A thread has its name, keeps no process from ending, and releases a lock when it ends."""
    said: list[tuple[str, bool]] = []

    def run() -> None:
        thread = threading.current_thread()
        said.append((thread.name, thread.daemon))

    assert native.start_thread(run, "aside").acquire(timeout=LONG)
    assert said == [("aside", True)]


@pytest.mark.parametrize("module", ["gevent.monkey", "eventlet.patcher"])
def test_originals(module: str) -> None:
    """What is imported after the patching finds what was there before it."""
    code = f"""
import _thread, asyncio, queue, socket, sys, types
names = ("allocate_lock", "get_ident", "start_new_thread", "RLock")
first = {{"_thread": {{name: getattr(_thread, name) for name in names}},
         "socket": {{"socket": socket.socket}}}}
_thread.allocate_lock = lambda: first["_thread"]["allocate_lock"]()
_thread.RLock = lambda: first["_thread"]["RLock"]()
_thread.start_new_thread = socket.socket = queue.SimpleQueue = None
module = types.ModuleType("greenlets")
module.is_module_patched = module.is_monkey_patched = lambda module: True
module.get_original = lambda module, name: first[module][name]
module.original = lambda module: types.SimpleNamespace(**first[module])
sys.modules[{module!r}] = module
from fairway import native
assert native.Lock is first["_thread"]["allocate_lock"]
assert native.RLock is first["_thread"]["RLock"]
assert native.socket is first["socket"]["socket"]
worker = native.SerialThread("aside")
assert worker.submit(lambda: 1).result(60) == 1
worker.end()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=LONG)


def release_soon(lock: native.Waitable) -> None:
    native.start_thread(lock.release, "aside")


@pytest.mark.parametrize("replacer", ["", "gevent", "eventlet"])
def test_waiting(replacer: str, request: pytest.FixtureRequest) -> None:
    """Who waits goes on when another thread says so, or when the time is over."""
    if replacer:
        request.getfixturevalue(replacer)
    lock = native.new_waitable()
    assert not lock.acquire(timeout=0.01)
    release_soon(lock)
    assert lock.acquire()
    release_soon(lock)
    assert lock.acquire(timeout=LONG)


@pytest.mark.parametrize("replacer", ["gevent", "eventlet"])
def test_others_go_on(
    replacer: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A greenlet that waits sleeps, as others go on then, ever longer but never long."""
    request.getfixturevalue(replacer)
    pauses: list[float] = []
    lock = native.new_waitable()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 10:
            lock.release()

    monkeypatch.setattr(time, "sleep", sleep)
    lock.acquire(timeout=LONG)
    assert len(pauses) == 10
    assert pauses == sorted(pauses)
    assert pauses[-1] == 0.02


def test_serial_thread() -> None:
    """A serial thread does one thing after the other, and then ends."""
    worker = native.SerialThread("aside")
    idents: list[int] = []
    futures = [worker.submit(lambda: idents.append(threading.get_ident())) for _ in range(3)]
    worker.end()
    assert [future.result(0) for future in futures] == [None] * 3
    assert len(idents) == 3
    assert len({*idents, threading.get_ident()}) == 2
    with pytest.raises(RuntimeError, match=r"^The thread aside was ended\.$"):
        worker.submit(never)
    worker.end()  # again is the same as once


def test_serial_thread_without_work() -> None:
    """One that was asked for nothing has no thread to end."""
    before = threading.active_count()
    worker = native.SerialThread("aside")
    assert threading.active_count() == before
    worker.end()


def test_errors_of_work() -> None:
    """What work raises is told to who asked for it, and the next is done."""
    worker = native.SerialThread("aside")

    def fail() -> None:
        raise LookupError("reason")

    failing, next_one = worker.submit(fail), worker.submit(lambda: 1)
    worker.end()
    assert next_one.result(0) == 1
    with pytest.raises(LookupError, match="reason"):
        failing.result(0)


def test_cancelled_work() -> None:
    """What was cancelled before its turn is not done."""
    worker = native.SerialThread("aside")
    go_on = threading.Event()
    worker.submit(lambda: go_on.wait(LONG))
    future = worker.submit(never)
    assert future.cancel()
    go_on.set()
    worker.end()
    with pytest.raises(CancelledError):
        future.result(0)


async def test_running_loop(gevent: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where greenlets share a thread, the loop of another is not the caller's."""
    loop = asyncio.get_running_loop()
    found = loop.create_future()
    loop.call_soon(lambda: found.set_result(native.running_loop()))  # no task runs meanwhile
    assert await found is None
    assert native.running_loop() is loop
    monkeypatch.undo()
    found = loop.create_future()
    loop.call_soon(lambda: found.set_result(native.running_loop()))
    assert await found is loop
    assert await asyncio.to_thread(native.running_loop) is None
