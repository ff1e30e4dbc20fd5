"""Database access from async code, with connections that do not go stale in their threads."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar, overload

from asgiref.sync import SyncToAsync, sync_to_async
from django.db import connections

_P = ParamSpec("_P")
_R = TypeVar("_R")

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

    # Any: asgiref hands its own internals through here.
    def thread_handler(self, loop: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the function; called by asgiref, in the thread that it chose."""
        close_old_connections()
        try:
            return super().thread_handler(loop, *args, **kwargs)  # type: ignore[no-untyped-call]  # asgiref
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
        executor: Where to run it if it is not thread-sensitive; the event loop's own by default.

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

    For async code that uses the ORM for hours without returning to a handler.
    """
    await sync_to_async(close_old_connections)()
