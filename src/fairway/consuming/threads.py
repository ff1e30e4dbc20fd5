"""Which threads the sync code of one consumer runs in, whatever server calls it.

Fairway's server lends every connection a thread of its pool. Other servers know nothing of that:
asgiref would then run the sync code of all their connections in one thread, one after the other. So
a consumer that finds itself in such a place borrows from a pool of the process, see
:func:`fairway.db.connection_thread`.
"""

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Final

from asgiref.sync import AsyncToSync, SyncToAsync

from fairway._types import Scope
from fairway.db import database_sync_to_async, unwrapped
from fairway.server.application.loans import chosen_executor, sync_code_waits
from fairway.server.application.stacks import format_thread
from fairway.server.application.threads import LentThread

#: Seconds that sync code has to end when its task was cancelled.
LAST_WORDS: Final = 10.0


def current_executor() -> Executor | None:
    """Where the server lets this connection's sync code run; None if it does not care."""
    return unwrapped(chosen_executor())


def needs_thread(scope: Scope) -> bool:
    """Whether nobody has seen to it that this connection's sync code has a thread of its own.

    Not so in tests: a communicator's scope has no ``asgi``, and under ``async_to_sync`` (as in
    Django's ``TestCase``) sync code belongs into the thread of the sync caller, which waits for it.
    There it has to see the test's own data.
    """
    return (
        "asgi" in scope
        and SyncToAsync.thread_sensitive_context.get(None) is None
        and not sync_code_waits()
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


async def finished_in_thread(function: Callable[[], object]) -> bool:
    """Run sync code to its end, also if the waiting task has been cancelled, or is meanwhile.

    A task that was cancelled mostly means that the event loop is about to end. Sync code that waits
    for a coroutine on that loop (``async_to_sync``) would then wait for ever, and with it whatever
    else has to run in its thread. So it gets an event loop of its own for that.

    Returns:
        False if the thread that it belongs to has ended already, so that it did not run.

    Raises:
        asyncio.CancelledError: The task was cancelled meanwhile; the code has ended, or not begun.
    """
    task = asyncio.current_task()
    alone = task is not None and task.cancelling() > 0
    done: Future[None] = Future()

    def call() -> None:
        if not done.set_running_or_notify_cancel():
            return
        here = SyncToAsync.threadlocal
        loop = getattr(here, "main_event_loop", None)
        try:
            if alone:
                here.main_event_loop = None
            function()
        finally:
            here.main_event_loop = loop
            done.set_result(None)

    try:
        return await _run_in_its_thread(call, done)
    except asyncio.CancelledError:
        # asgiref lets go of the thread.
        until = time.monotonic() + LAST_WORDS
        while not done.cancel() and not done.done() and time.monotonic() < until:
            waiting = asyncio.wrap_future(done)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([waiting], timeout=until - time.monotonic())
        raise


async def _run_in_its_thread(call: Callable[[], None], done: "Future[None]") -> bool:
    for last_try in (False, True):
        try:
            await database_sync_to_async(call)()
        except RuntimeError:
            if done.running() or done.done():
                raise
            if last_try:
                done.cancel()
                return False  # the thread of a sync caller that has waited, and waits no longer
            # A task that was cancelled while a thread was in async_to_sync may have kept its mark.
            with contextlib.suppress(AttributeError):
                del AsyncToSync.executors.current
        else:
            break
    return True
