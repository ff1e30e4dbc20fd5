"""Where sync code runs: one bounded pool of warm threads, lent to connections.

asgiref decides *that* a call goes to a thread; the executor that a connection gives to
``ThreadSensitiveContext`` decides *which* thread. Stock behaviour is one thread for all (sync code
of all connections queues up) or, in Django's own handler, a new thread for each request. Here a
connection borrows a thread of the pool while its sync code runs, and gives it back before it
awaits anything. So the code of one connection runs in order, connections run in parallel, and the
number of database connections is the number of threads.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_Job = Callable[[], None]
_STOP: Final = None


class ThreadPool:
    """At most ``size`` threads, started as they are needed and then kept.

    They are daemons: a sync handler that never returns cannot keep the process from ending, which
    the standard library's pool would let it do.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._lock = threading.Lock()

    def run(self, job: _Job) -> None:
        """Run ``job``, which must not raise, as soon as a thread is free."""
        with self._lock:
            if self._idle:
                self._idle -= 1
            elif len(self._threads) < self.size:
                name = f"fairway-{len(self._threads) + 1}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
        self._jobs.put(job)

    def close(self) -> None:
        """Let the threads end when their work is done; returns at once."""
        for _ in self._threads:
            self._jobs.put(_STOP)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is _STOP:
                return
            job()
            with self._lock:
                self._idle += 1


class LentThread(Executor):
    """The executor of one connection: one call at a time, in order, on any thread of the pool."""

    __slots__ = ("_lock", "_pool", "_running", "_waiting")

    def __init__(self, pool: ThreadPool) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._running = False
        self._waiting: deque[_Job] | None = None

    @property
    def busy(self) -> bool:
        """Whether sync code of this connection is running."""
        return self._running

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Call ``fn`` after everything that was submitted before."""
        future: Future[T] = Future()

        def job() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    result = fn(*args, **kwargs)
                except BaseException as error:  # noqa: BLE001  it is handed on, whatever it is
                    future.set_exception(error)
                else:
                    future.set_result(result)
            self._next()

        with self._lock:
            if self._running:
                if self._waiting is None:
                    self._waiting = deque()
                self._waiting.append(job)
                return future
            self._running = True
        self._pool.run(job)
        return future

    def _next(self) -> None:
        with self._lock:
            if not self._waiting:
                self._running = False
                return
            job = self._waiting.popleft()
        # Back through the pool, so that one busy connection does not keep a thread to itself.
        self._pool.run(job)
