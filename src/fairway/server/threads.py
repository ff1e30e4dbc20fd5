"""Where sync code runs: one bounded pool of warm threads, lent to connections.

asgiref decides *that* a call goes to a thread; the executor that a connection gives to
``ThreadSensitiveContext`` decides *which* thread. Stock behaviour is one thread for all (sync code
of all connections queues up) or, in Django's own handler, a new thread for each request. Here a
connection borrows a thread of the pool while its sync code runs, and gives it back before it
awaits anything. So the code of one connection runs in order, connections run in parallel, and the
number of database connections is the number of threads.
"""

import functools
import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Final, ParamSpec, TypeVar

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
        self._closed = False
        self._lock = threading.Lock()

    def run(self, job: _Job) -> None:
        """Run ``job``, which must not raise, as soon as a thread is free.

        Raises:
            RuntimeError: The pool is closed.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("The server has ended, so no sync code can be run any more.")
            if self._idle:
                self._idle -= 1
            elif len(self._threads) < self.size:
                name = f"fairway-{len(self._threads) + 1}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
            self._jobs.put(job)

    def close(self) -> None:
        """Let the threads end when what they were given is done; returns at once."""
        with self._lock:
            if not self._closed:
                self._closed = True
                for _ in self._threads:
                    self._jobs.put(_STOP)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is _STOP:
                return
            job()
            del job  # an idle thread must not keep a connection alive
            with self._lock:
                self._idle += 1


class LentThread(Executor):
    """The executor of one connection: one call at a time, in order, on any thread of the pool.

    Attributes:
        label: Whom the thread is lent to, such as ``"GET /"``.
    """

    __slots__ = ("_lock", "_pool", "_running", "_thread", "_waiting", "label")

    def __init__(self, pool: ThreadPool, label: str = "") -> None:
        self.label = label
        self._pool = pool
        self._lock = threading.Lock()
        self._running = False
        self._thread = 0
        self._waiting: deque[tuple[_Job, Future[Any]]] | None = None

    @property
    def thread(self) -> int | None:
        """The identifier of the thread that runs sync code of this connection, if one does."""
        return (self._thread or None) if self._running else None

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Call ``fn`` after everything that was submitted before.

        Raises:
            RuntimeError: The pool is closed.
        """
        future: Future[T] = Future()
        job = functools.partial(self._run, future, functools.partial(fn, *args, **kwargs))
        with self._lock:
            if self._running:
                if self._waiting is None:
                    self._waiting = deque()
                self._waiting.append((job, future))
                return future
            self._pool.run(job)
            self._running = True
        return future

    def _run(self, future: "Future[T]", call: Callable[[], T]) -> None:
        self._thread = threading.get_ident()
        try:
            if future.set_running_or_notify_cancel():
                future.set_result(call())
        except BaseException as error:  # noqa: BLE001  it is handed on, whatever it is
            future.set_exception(error)
            del future  # which holds the error, which holds this frame
        self._thread = 0
        self._next()

    def _next(self) -> None:
        with self._lock:
            while self._waiting:
                job, future = self._waiting.popleft()
                try:
                    # Back through the pool, so that one busy connection does not keep a thread to
                    # itself.
                    self._pool.run(job)
                except RuntimeError:
                    future.cancel()
                else:
                    return
            self._running = False
