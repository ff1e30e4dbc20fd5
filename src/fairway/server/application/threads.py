"""Where sync code runs: one bounded pool of warm threads, lent to connections.

asgiref decides *that* a call goes to a thread; the executor that a connection gives to
``ThreadSensitiveContext`` decides *which* thread. Stock behaviour is one thread for all (sync code
of all connections queues up) or, in Django's own handler, a new thread for each request. Here a
connection borrows a thread of the pool while its sync code runs, and gives it back before it
awaits anything. So the code of one connection runs in order, connections run in parallel, and the
number of database connections is the number of threads.
"""

import asyncio
import functools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from contextvars import ContextVar
from typing import Any, Final, ParamSpec, Protocol, TypeVar, TypeVarTuple

from fairway.delivery import Mailbox
from fairway.server.application.crossing import Crossing, Landing

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_Job = Callable[[], None]
_STOP: Final = None


#: Set while a part of a streaming response is asked for, which may wait as long as its iterator
#: likes: for the next row of a table, or for the next event of the day.
streaming: ContextVar[bool] = ContextVar("fairway_streaming", default=False)


#: Called in each thread of a pool before it ends, to close what belongs to the thread; must not
#: raise.
at_thread_end: Final[list[Callable[[], None]]] = []


class ThreadPool:
    """At most ``size`` threads, started as they are needed and then kept.

    They are daemons: a sync handler that never returns cannot keep the process from ending, which
    the standard library's pool would let it do.

    Args:
        size: How many threads there may be.
        streams: How many of them may be in iterators of streaming responses at once, so that
            iterators that wait leave threads for everything else; 0 for half of them.

    Attributes:
        size: As above.
        streams: As above.
        waits: Calls that have waited for a thread.
        wait_seconds: For how long, together.
    """

    def __init__(self, size: int, streams: int = 0) -> None:
        self.size = size
        self.waits = 0
        self.wait_seconds = 0.0
        self._waiting = 0
        self.streams = min(streams or max(1, size // 2), size)
        self._streaming = 0
        self._waiting_streams: deque[_Job] = deque()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._landing: Landing | None = None
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closed = False
        self._lock = threading.Lock()

    def run(self, job: _Job, *, stream: bool = False) -> None:
        """Run ``job``, which must not raise, as soon as a thread is free.

        Args:
            job: What to call.
            stream: It is one of those of which only ``streams`` run at once.

        Raises:
            RuntimeError: The pool is closed.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("The server has ended, so no sync code can be run any more.")
            if not stream:
                self._start(job)
            elif self._streaming < self.streams:
                self._streaming += 1
                self._start(functools.partial(self._run_stream, job))
            else:
                self._waiting_streams.append(job)

    def _start(self, job: _Job) -> None:
        """Give the job to a thread; with the lock held."""
        if self._idle > 0:
            self._idle -= 1
        elif len(self._threads) < self.size:
            name = f"fairway-{len(self._threads) + 1}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        else:
            self._waiting += 1
            job = functools.partial(self._run_late, job, time.monotonic())
        self._jobs.put(job)

    def _run_late(self, job: _Job, since: float) -> None:
        """Run what had to wait for a thread."""
        with self._lock:
            self._idle -= 1  # its thread has counted itself as idle, behind the job before
            self._waiting -= 1
            self.waits += 1
            self.wait_seconds += time.monotonic() - since
        job()

    @property
    def busy(self) -> int:
        """Threads that run something now."""
        return len(self._threads) - max(0, self._idle)

    @property
    def waiting(self) -> int:
        """Calls that wait for a thread, and parts of responses that wait for their turn."""
        return self._waiting + len(self._waiting_streams)

    def _run_stream(self, job: _Job) -> None:
        job()
        with self._lock:
            if self._waiting_streams:
                self._start(functools.partial(self._run_stream, self._waiting_streams.popleft()))
            else:
                self._streaming -= 1

    def landing(self, loop: asyncio.AbstractEventLoop) -> Landing:
        """Where the threads leave what is for an event loop; the same one each time.

        Where connections of several loops take turns there are several, which costs some wake-ups.
        """
        landing = self._landing
        if landing is None or landing.loop is not loop:
            landing = self._landing = Landing(loop)
        return landing

    def close(self) -> None:
        """Let the threads end when what they were given is done; returns at once."""
        with self._lock:
            if not self._closed:
                self._closed = True
                while self._waiting_streams:
                    self._jobs.put(self._waiting_streams.popleft())
                for _ in self._threads:
                    self._jobs.put(_STOP)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is _STOP:
                for last in at_thread_end:
                    last()
                return
            job()
            del job  # an idle thread must not keep a connection alive
            with self._lock:
                self._idle += 1


class _Errand(Protocol):
    """What a thread does for a connection."""

    def run(self) -> None:
        """Do it; must not raise."""

    def refuse(self) -> None:
        """Tell whoever waits for it that it will not be done."""


class _Submitted:
    """A call whose result goes into a future."""

    __slots__ = ("_call", "_future")

    def __init__(self, future: "Future[T]", call: Callable[[], T]) -> None:
        self._future: Future[Any] = future
        self._call = call

    def run(self) -> None:
        future = self._future
        try:
            if future.set_running_or_notify_cancel():
                future.set_result(self._call())
        except BaseException as error:  # noqa: BLE001  it is handed on, whatever it is
            future.set_exception(error)
            del future, self  # which hold the error, which holds this frame

    def refuse(self) -> None:
        self._future.cancel()


#: Held while a lock is made that several threads may ask for.
_making_lock: Final = threading.Lock()


class LentThread(Executor):
    """The executor of one connection: one call at a time, in order, on any thread of the pool.

    Attributes:
        label: Whom the thread is lent to, such as ``"GET /"``.
        mailbox: What the connection's application reads, if it is known.
        pool: Whose threads they are.
        used: Whether anything was ever called in one of them.
        began: When its work began, by the event loop's clock; 0 if that is not known.
    """

    __slots__ = (
        "_landing",
        "_own_lock",
        "_running",
        "_thread",
        "_waiting",
        "began",
        "label",
        "mailbox",
        "pool",
        "used",
    )

    def __init__(
        self,
        pool: ThreadPool,
        label: str = "",
        mailbox: Mailbox | None = None,
        began: float = 0.0,
    ) -> None:
        self.began = began
        self.label = label
        self.mailbox = mailbox
        self.pool = pool
        self.used = False
        self._own_lock: threading.Lock | None = None
        self._running = False
        self._thread = 0
        self._waiting: deque[tuple[_Errand, bool]] | None = None
        self._landing: Landing | None = None

    @property
    def _lock(self) -> threading.Lock:
        """Its lock, which those that never run sync code do without: 88 bytes less a socket."""
        lock = self._own_lock
        if lock is None:
            with _making_lock:
                lock = self._own_lock
                if lock is None:
                    lock = self._own_lock = threading.Lock()
        return lock

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
        self._take(_Submitted(future, functools.partial(fn, *args, **kwargs)))
        return future

    def call(self, function: Callable[[*Ts], T], *args: *Ts) -> Coroutine[Any, Any, T]:
        """Call ``function`` after everything before, as ``sync_to_async`` would; see Crossing.

        Returns:
            What to await at once.

        Raises:
            RuntimeError: The pool is closed.
        """
        crossing = Crossing(self.landing(asyncio.get_running_loop()), function, args)
        self._take(crossing)
        return crossing.outcome()

    def landing(self, loop: asyncio.AbstractEventLoop) -> Landing:
        """Where its threads leave what is for an event loop, in order."""
        landing = self._landing
        if landing is None or landing.loop is not loop:
            landing = self._landing = self.pool.landing(loop)
        return landing

    def _take(self, errand: _Errand) -> None:
        stream = streaming.get()
        self.used = True
        with self._lock:
            if self._running:
                if self._waiting is None:
                    self._waiting = deque()
                self._waiting.append((errand, stream))
                return
            self.pool.run(functools.partial(self._run, errand), stream=stream)
            self._running = True

    def _run(self, errand: _Errand) -> None:
        self._thread = threading.get_ident()
        errand.run()
        del errand
        self._thread = 0
        self._next()

    def _next(self) -> None:
        with self._lock:
            while self._waiting:
                errand, stream = self._waiting.popleft()
                try:
                    # Back through the pool, so that one busy connection does not keep a thread to
                    # itself.
                    self.pool.run(functools.partial(self._run, errand), stream=stream)
                except RuntimeError:
                    errand.refuse()
                else:
                    return
            self._running = False
