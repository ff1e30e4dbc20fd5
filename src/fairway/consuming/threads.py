"""Which threads the sync code of one consumer runs in, whatever server calls it.

Fairway's server lends every connection a thread of its pool. Other servers know nothing of that:
asgiref would then run the sync code of all their connections in one thread, one after the other. So
a consumer that finds itself in such a place borrows from a pool of the process, see
:func:`fairway.db.connection_thread`.
"""

import asyncio
import contextlib
import functools
from collections.abc import Callable
from concurrent.futures import Executor

from asgiref.sync import AsyncToSync, SyncToAsync

from fairway._types import Scope
from fairway.db import FreshThread
from fairway.server.stacks import format_thread
from fairway.server.threads import LentThread


def current_executor() -> Executor | None:
    """Where the server lets this connection's sync code run; None if it does not care."""
    context = SyncToAsync.thread_sensitive_context.get(None)
    executor = SyncToAsync.context_to_thread_executor.get(context) if context else None
    return executor.inner if isinstance(executor, FreshThread) else executor


def needs_thread(scope: Scope) -> bool:
    """Whether nobody has seen to it that this connection's sync code has a thread of its own.

    Not so in tests: a communicator's scope has no ``asgi``, and under ``async_to_sync`` (as in
    Django's ``TestCase``) sync code belongs into the thread of the sync caller, which waits for it.
    There it has to see the test's own data.
    """
    return (
        "asgi" in scope
        and SyncToAsync.thread_sensitive_context.get(None) is None
        and getattr(AsyncToSync.executors, "current", None) is None
        and asyncio.get_running_loop() not in AsyncToSync.loop_thread_executors
    )


def thread_maker() -> Callable[[], LentThread] | None:
    """What makes executors for code that may run at the same time as the connection's other code.

    None where all sync code has to stay in one thread, as in tests.
    """
    executor = current_executor()
    if not isinstance(executor, LentThread):
        return None
    return functools.partial(LentThread, executor.pool, executor.label)


def calls_in(executor: Executor | None) -> str:
    """The stack of the sync code that runs there now, innermost last; empty if none does."""
    thread = executor.thread if isinstance(executor, LentThread) else None
    return format_thread(thread) if thread is not None else ""


async def returned(executor: Executor) -> None:
    """Wait until the sync code that runs there now has returned."""
    with contextlib.suppress(RuntimeError):  # the pool has ended, and waits for nobody
        await asyncio.wrap_future(executor.submit(int))
