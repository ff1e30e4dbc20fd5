"""Database access from async code, with connections that do not go stale in their threads."""

import asyncio
import contextlib
import functools
import itertools
import os
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, Final, ParamSpec, Protocol, TypeVar, TypeVarTuple, overload

from asgiref.sync import SyncToAsync, sync_to_async
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage
from django.db import connections

from fairway.server.application.loans import (
    ThreadLoan,
    chosen_executor,
    lent_executor,
    sync_code_waits,
)
from fairway.server.application.threads import LentThread, ThreadPool, at_thread_end

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Ts = TypeVarTuple("_Ts")

#: Seconds between two checks of a thread that cannot be told for whom it works.
CHECK_INTERVAL: Final = 1.0

_keepers = 0
_keepers_lock = threading.Lock()


def close_old_connections() -> None:
    """Close unusable and expired database connections of this thread.

    Unlike Django's function of this name, which runs only where a request begins or ends, it leaves
    a connection alone that is inside a transaction: the code that began it, further up in the same
    thread, is not done with it. While a test runs an application (``keep_connections``), no
    connection is closed at all. Whoever replaces this function in the module is called instead.
    """
    if _keepers:
        return
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def _close_connections_of_thread() -> None:
    """Close the database connections of a thread that ends, but for those that are lent to it."""
    for connection in connections.all(initialized_only=True):
        if connection.allow_thread_sharing or connection.in_atomic_block:
            continue
        with contextlib.suppress(Exception):
            connection.close()
            if connection.connection is not None:  # Django never closes those in memory
                connection.connection.close()
                connection.connection = None


at_thread_end.append(_close_connections_of_thread)


def keep_connections(application: "asyncio.Future[Any]") -> None:
    """Let ``close_old_connections`` do nothing until ``application`` is done.

    For tools that run an application inside a test, where it may use the test's own connections.
    """
    _count_keepers(1)
    application.add_done_callback(lambda _: _count_keepers(-1))


def _count_keepers(change: int) -> None:
    global _keepers  # noqa: PLW0603  applications of several event loops count together
    with _keepers_lock:
        _keepers += change


class DatabaseSyncToAsync(SyncToAsync[_P, _R]):
    """A ``SyncToAsync`` that closes unusable and expired connections before and after each call.

    The connections concerned are those of the thread that runs the function; when one has expired
    is for Django's ``CONN_MAX_AGE`` and ``CONN_HEALTH_CHECKS`` to say.
    """

    def __init__(
        self,
        func: Callable[_P, _R],
        thread_sensitive: bool = True,
        executor: Executor | None = None,
    ) -> None:
        # asgiref says ThreadPoolExecutor, and takes any.
        super().__init__(func, thread_sensitive, executor)  # type: ignore[arg-type]
        self._anywhere = not thread_sensitive and executor is None
        # A class of somebody's own may do something else in the thread, or before.
        self._short = thread_sensitive and type(self) is DatabaseSyncToAsync

    async def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Run the function in a thread, and return what it returns."""
        if self._short:
            executor = unwrapped(lent_executor())  # what is around it would check, too
            if isinstance(executor, LentThread):
                return await executor.call(self._between_checks, args, kwargs)
        if self._anywhere and (_keepers or sync_code_waits()):
            # A test's data are in its own thread. And a thread of the pool that waits for this does
            # it itself: if all of them asked for another one, none would ever get it.
            return await DatabaseSyncToAsync(self.func)(*args, **kwargs)
        pool = _current_pool() if self._anywhere else None
        if pool is None:
            return await super().__call__(*args, **kwargs)
        # Any thread, but one of the pool: its size is the number of database connections.
        elsewhere = DatabaseSyncToAsync(self.func, False, LentThread(pool))
        return await elsewhere(*args, **kwargs)

    def _between_checks(self, args: Any, kwargs: Any) -> _R:
        close_old_connections()
        try:
            return self.func(*args, **kwargs)
        finally:
            close_old_connections()

    # Any: asgiref hands its own internals through here.
    def thread_handler(self, loop: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the function; called by asgiref, in the thread that it chose."""
        close_old_connections()
        try:
            return super().thread_handler(loop, *args, **kwargs)  # type: ignore[no-untyped-call]  # asgiref
        except StopIteration as error:
            # No future takes it: whoever awaits this would wait for ever. PEP 479 says what else.
            raise RuntimeError("sync code raised StopIteration") from error
        finally:
            close_old_connections()


@overload
def database_sync_to_async(
    func: Callable[_P, _R],
    thread_sensitive: bool = True,
    executor: ThreadPoolExecutor | None = None,
) -> Callable[_P, Coroutine[Any, Any, _R]]: ...


@overload
def database_sync_to_async(
    func: None = None,
    thread_sensitive: bool = True,
    executor: ThreadPoolExecutor | None = None,
) -> Callable[[Callable[_P, _R]], Callable[_P, Coroutine[Any, Any, _R]]]: ...


def database_sync_to_async(
    func: Callable[_P, _R] | None = None,
    thread_sensitive: bool = True,
    executor: ThreadPoolExecutor | None = None,
) -> (
    Callable[_P, Coroutine[Any, Any, _R]]
    | Callable[[Callable[_P, _R]], Callable[_P, Coroutine[Any, Any, _R]]]
):
    """Turn a sync function that uses the database into an async one.

    Used as a call, ``await database_sync_to_async(load)(pk)``, or as a decorator of a function or
    method, with or without arguments.

    Args:
        func: The sync function or method.
        thread_sensitive: Run it where the other sync code of the same connection runs, one after
            the other. With False it runs in any thread of ``executor``, and at the same time as
            others.
        executor: Where to run it if it is not thread-sensitive; by default any thread of the
            server's, or of the event loop's own outside of a server.

    Returns:
        A coroutine function with the metadata of ``func``, or a decorator that makes one.

    Raises:
        TypeError: ``func`` is not a sync function, or there is an executor although
            ``thread_sensitive`` is True.
    """
    if func is None:
        return lambda function: DatabaseSyncToAsync(function, thread_sensitive, executor)
    return DatabaseSyncToAsync(func, thread_sensitive, executor)


async def aclose_old_connections() -> None:
    """Close unusable and expired database connections of the thread that sync code runs in.

    For async code that uses the ORM for hours without returning to a handler. Inside a consumer
    under Fairway's server this holds for every thread that the connection is lent from now on.
    """
    executor = chosen_executor()
    if isinstance(executor, FreshThread):
        executor.begin_turn()
    await sync_to_async(close_old_connections)()


def check_databases(**kwargs: Any) -> list[CheckMessage]:
    """Find databases whose connections are kept although nobody asks whether they live (W009)."""
    return [
        checks.Warning(
            f"DATABASES[{alias!r}] keeps connections (CONN_MAX_AGE) without checking them: one "
            "that the database has closed meanwhile fails the next request or handler.",
            hint='Add "CONN_HEALTH_CHECKS": True beside it.',
            id="fairway.W009",
        )
        for alias, database in connections.settings.items()
        if database.get("CONN_MAX_AGE", 0) != 0
        and not database.get("CONN_HEALTH_CHECKS")
        and "sqlite" not in database["ENGINE"]
    ]


# ------------------------------------------------------------------ threads under other servers

_pools: dict[int, ThreadPool] = {}


def _process_pool() -> ThreadPool:
    """The threads of this process for connections that another server serves.

    As many as the ``FAIRWAY`` setting says (``threads``), or ``ASGI_THREADS``, or 32.
    """
    # A process that was forked since, as Gunicorn does with a preloaded application, has none.
    pool = _pools.get(os.getpid())
    if pool is None:
        # Not at the top: a quarter of what consumers import, and only needed under other servers.
        from fairway.server.config import Config  # noqa: PLC0415

        config = Config.from_mapping(getattr(settings, "FAIRWAY", None) or {})
        pool = ThreadPool(config.threads, config.stream_threads)
        pool = _pools.setdefault(os.getpid(), pool)
    return pool


def _current_pool() -> ThreadPool | None:
    """The pool whose threads the current connection is lent, if it is lent any."""
    executor = unwrapped(chosen_executor())
    return executor.pool if isinstance(executor, LentThread) else None


def connection_thread() -> contextlib.AbstractAsyncContextManager[object]:
    """Let the sync code of one connection run in threads that are lent to it, in this context.

    Fairway's server has seen to that for each connection, and this changes nothing. Under another
    server, whose sync code would share one thread or start one for each request, the threads come
    from one bounded pool of the process. Nothing is changed either where somebody else has chosen a
    thread, such as a sync caller that waits (``async_to_sync``), and while a test runs an
    application: it is to use the test's own connections.
    """
    if SyncToAsync.thread_sensitive_context.get(None) is not None or _keepers or sync_code_waits():
        return contextlib.nullcontext()
    loan: contextlib.AbstractAsyncContextManager[object] = ThreadLoan(LentThread(_process_pool()))
    return loan


# ------------------------------------------------------------------ async ORM in handlers

_turns = itertools.count(1)
_thread = threading.local()


class Turns(Protocol):
    """What keeps old connections from the handlers of one connection, or of all of them."""

    def begin_turn(self) -> bool:
        """A handler begins; returns whether it has to give the event loop one turn before."""


class FreshThread(Executor):
    """The executor of one connection, whose threads begin each turn without old connections.

    The async methods of models reach the database through it. A pool may lend it another thread for
    every call, each with database connections of its own; so each thread remembers the turn that it
    worked for last, and closes what is old before it works for another.

    Args:
        executor: Where the calls run.

    Attributes:
        inner: That executor.
    """

    __slots__ = ("_turn", "inner")

    def __init__(self, executor: Executor) -> None:
        self.inner = executor
        self._turn = next(_turns)

    def begin_turn(self) -> bool:
        """A handler begins; returns False, since it need not wait for anything."""
        self._turn = next(_turns)
        return False

    def submit(self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> "Future[_R]":
        """Call ``fn`` where and when the inner executor does."""
        return self.inner.submit(self._run, self._turn, functools.partial(fn, *args, **kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut the inner executor down."""
        self.inner.shutdown(wait, cancel_futures=cancel_futures)

    def call(
        self, lent: LentThread, function: Callable[[*_Ts], _R], *args: *_Ts
    ) -> Coroutine[Any, Any, _R]:
        """The same on the short way, for what it is made around."""
        return lent.call(self._run, self._turn, functools.partial(function, *args))

    @staticmethod
    def _run(turn: int, call: Callable[[], _R]) -> _R:
        if getattr(_thread, "turn", 0) != turn:
            _thread.turn = turn
            close_old_connections()
        return call()


def unwrapped(executor: Executor | None) -> Executor | None:
    """What a :class:`FreshThread` is made around; any other executor as it is."""
    return executor.inner if isinstance(executor, FreshThread) else executor


async def in_thread(function: Callable[[*_Ts], _R], *args: *_Ts) -> _R:
    """Run what ``sync_to_async(function)(*args)`` runs, where it does, by the short way if it can.

    See :meth:`fairway.server.application.threads.LentThread.call`.
    """
    executor = lent_executor()
    if isinstance(executor, LentThread):
        return await executor.call(function, *args)
    if isinstance(executor, FreshThread) and isinstance(executor.inner, LentThread):
        return await executor.call(executor.inner, function, *args)
    return await sync_to_async(function)(*args)


def lent_turns() -> LentThread | None:
    """What this connection has been lent, if whatever it calls there finds no old connection.

    So it is after :func:`connection_turns`, where nobody else decides about threads.
    """
    executor = lent_executor()
    if isinstance(executor, FreshThread) and isinstance(executor.inner, LentThread):
        return executor.inner
    return None


class TimedCheck:
    """Sends ``close_old_connections`` to the thread of sync code, but not too often.

    Args:
        clock: Seconds that only go forwards.
    """

    __slots__ = ("_clock", "_due", "_task")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due = 0.0
        self._task: asyncio.Task[None] | None = None

    def begin_turn(self) -> bool:
        """A handler begins; returns whether it has to give the event loop one turn before.

        After that turn the check is in the thread's queue, ahead of what the handler sends there.
        """
        now = self._clock()
        if now < self._due or _keepers:
            return False
        self._due = now + CHECK_INTERVAL
        self._task = asyncio.ensure_future(aclose_old_connections())
        self._task.add_done_callback(_forget_failure)
        return True


def _forget_failure(check: "asyncio.Task[None]") -> None:
    # The thread may end before its check. Whoever uses it next meets the same error, and is told.
    if not check.cancelled():
        check.exception()


_shared_thread = TimedCheck()


def connection_turns() -> Turns:
    """Return what a consumer tells when a handler begins, so that it meets no old connection.

    It is for the async methods of models, and takes no hop for each message. Under Fairway's server
    it costs nothing but a number: the first call that the handler sends to a thread finds it there.
    Where all sync code of a process shares one thread, as under other servers, that thread is
    checked once in ``CHECK_INTERVAL`` at most. While a test runs an application
    (``keep_connections``) nothing is checked.

    Its ``begin_turn()`` says whether the caller must give the event loop a turn. A bound method
    would be 64 bytes that each idle socket keeps.
    """
    context = SyncToAsync.thread_sensitive_context.get(None)
    if context is None:
        return _shared_thread
    if isinstance(context, ThreadLoan):
        lent = context.lent
        if not isinstance(lent, FreshThread):
            lent = FreshThread(lent)
            context.lend(lent)
        return lent
    executors = SyncToAsync.context_to_thread_executor
    executor = executors.get(context)
    if executor is None:  # asgiref makes one with the first call, such as for a worker
        return TimedCheck()
    if not isinstance(executor, FreshThread):
        executor = executors[context] = FreshThread(executor)
    return executor
