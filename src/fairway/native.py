"""Threads, locks and sockets of the operating system, also where greenlets have taken their place.

gevent and eventlet put their own in the place of Python's, so that other greenlets go on while one
waits. An event loop that runs in a greenlet would stop all the others of its thread. So what talks
to other processes keeps to a thread that is one, and shares with greenlets only locks that know
nothing of them: a greenlet cannot be woken from another thread.
"""

import asyncio
import concurrent.futures
import importlib
import sys
import threading
import time
from _queue import SimpleQueue  # of `queue` they replace it
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias, TypeVar

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.02


def replaced_by() -> str:
    """Whose greenlets have taken the place of threads: ``"gevent"``, ``"eventlet"``, or nobody's.

    That may change while a process starts: some are patched after this was imported.
    """
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("_thread"):
        return "gevent"
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched("thread"):
        return "eventlet"
    return ""


def _original(module: str, name: str) -> Any:
    """What a module had under this name at first."""
    replacer = replaced_by()
    if replacer == "gevent":
        return sys.modules["gevent.monkey"].get_original(module, name)
    if replacer == "eventlet":
        return getattr(sys.modules["eventlet.patcher"].original(module), name)
    return getattr(importlib.import_module(module), name)


#: For what is held for a moment, by threads and greenlets, and never while a greenlet waits.
Lock: Final[Callable[[], threading.Lock]] = _original("_thread", "allocate_lock")
RLock: Final[Callable[[], "threading._RLock"]] = _original("_thread", "RLock")
#: For what is read and written without waiting.
socket: Final = _original("socket", "socket")
#: Of the thread, whatever greenlet runs in it.
get_ident: Final[Callable[[], int]] = _original("_thread", "get_ident")
_start_new_thread: Final = _original("_thread", "start_new_thread")


def start_thread(run: Callable[[], object], name: str) -> threading.Lock:
    """Run a function in a daemon thread.

    Args:
        run: The function.
        name: What the thread is called, where threads have names.

    Returns:
        A lock that is released when the function has ended.

    Raises:
        RuntimeError: The system starts no further thread.
    """
    ended = Lock()
    ended.acquire()

    def run_to_the_end() -> None:
        try:
            run()
        finally:
            ended.release()

    if replaced_by():
        _start_new_thread(run_to_the_end, ())
    else:
        threading.Thread(target=run_to_the_end, name=name, daemon=True).start()
    return ended


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that the caller runs in, and would stop if it blocked; None without one.

    A loop in another greenlet of this thread is none of the caller's: it waits while this one runs.
    """
    loop = asyncio._get_running_loop()  # noqa: SLF001  without an exception where there is none
    if loop is not None and replaced_by() and asyncio.current_task(loop) is None:
        return None
    return loop


class Waitable(Protocol):
    """What there is of a lock for who waits until another thread has done something."""

    def acquire(self, *, timeout: float = -1) -> bool:
        """Wait, at most ``timeout`` seconds; False when they are over."""

    def release(self) -> None:
        """Let it go on."""


def new_waitable() -> Waitable:
    """A lock that is taken. Whoever waits for its release lets other greenlets go on."""
    lock: Waitable = _Polled() if replaced_by() else Lock()
    lock.acquire()
    return lock


class _Polled:
    """A lock that greenlets can wait for: no other thread can wake them.

    With locks of gevent's one could, but only while other greenlets wait for something of its own.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self.release = self._lock.release

    def acquire(self, *, timeout: float = -1) -> bool:
        """Look again and again, at growing intervals; they bound how late it is noticed."""
        until = float("inf") if timeout < 0 else time.monotonic() + timeout
        pause = _FIRST_PAUSE
        while not self._lock.acquire(blocking=False):
            left = until - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(pause, left))  # their own: others go on
            pause = min(2 * pause, _LONGEST_PAUSE)
        return True


_Job: TypeAlias = "tuple[concurrent.futures.Future[Any], Callable[[], Any]]"


class SerialThread:
    """One daemon thread that does one thing after the other, started by the first of them.

    Args:
        name: What the thread is called.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        # Held while it is started, asked for something, or ended.
        self._lock = Lock()
        self._running: threading.Lock | None = None
        self._over = False

    def submit(self, work: Callable[[], T]) -> "concurrent.futures.Future[T]":
        """Have something done, after everything that was asked for before; from any thread.

        Raises:
            RuntimeError: The system starts no further thread, or this one was ended.
        """
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        with self._lock:
            if self._over:
                raise RuntimeError(f"The thread {self._name} was ended.")
            if self._running is None:
                self._running = start_thread(self._work, self._name)
            self._jobs.put((future, work))
        return future

    def end(self) -> None:
        """End the thread once it has done what it was asked for; blocks for it."""
        with self._lock:
            running, self._running = self._running, None
            self._over = True
            self._jobs.put(None)
        if running is not None:
            running.acquire()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, work = job
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:  # noqa: BLE001  somebody waits to hear of it
                    future.set_exception(error)
            del future, work, job  # while it waits for the next, it holds nothing of the last
