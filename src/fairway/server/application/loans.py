"""Whose sync code runs where: asgiref's contexts, each with the executor that is lent to it."""

import asyncio
import contextvars
import sys
from concurrent.futures import Executor

from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext

from fairway.server.application.crossing import restore_context


class ThreadLoan(ThreadSensitiveContext):
    """The context of one connection, in which sync code runs where its executor says.

    It is asgiref's context with an executor, but for what comes after its end. An application may
    leave tasks behind, and some servers begin the next request of a connection in the context of
    the one before: their sync code goes on in threads of the same pool, where asgiref would refuse
    to run it.

    Args:
        executor: Where the sync code runs.

    Attributes:
        lent: As above; others may put their own around it by :meth:`lend`.
    """

    def __init__(self, executor: Executor) -> None:
        super().__init__(executor=executor)
        self.lent = executor
        self._announced = False

    def __hash__(self) -> int:
        """The identity of the context; asgiref needs it to look up the executor.

        And knows the executor from then on: most requests run no sync code that asgiref sees, and
        to tell it of each executor and to forget it again takes 0.7 µs.
        """
        if not self._announced:
            self._announced = True  # first, as it needs the hash
            SyncToAsync.context_to_thread_executor[self] = self.lent
        return object.__hash__(self)

    def lend(self, executor: Executor) -> None:
        """Let the sync code run there from now on."""
        self.lent = executor
        if self._announced:
            SyncToAsync.context_to_thread_executor[self] = executor

    def __enter__(self) -> None:
        """Enter the context in a task of its own, which has entered no other.

        To ask which one has been entered before, as ``async with`` does, takes a fifth of the time
        of a small request. The task must not have begun within ``async_to_sync()``: see
        :func:`leave_bridges`.
        """
        self._entered = SyncToAsync.thread_sensitive_context.set(self)

    def __exit__(self, *exception: object) -> None:
        """Leave it."""
        # The task would hold, by its context, what holds the task.
        SyncToAsync.thread_sensitive_context.reset(self._entered)

    async def __aexit__(self, *exception: object) -> None:
        """Leave the context."""
        await super().__aexit__(*exception)  # type: ignore[no-untyped-call]  # asgiref
        self._exited = False
        SyncToAsync.context_to_thread_executor[self] = self.lent


def lend_for_good(context: contextvars.Context, executor: Executor) -> None:
    """Let the sync code of a context run there, as in a :class:`ThreadLoan` that is never left.

    Args:
        context: One that was made for a task, and ends with it; as that of ``with ThreadLoan()``.
            Nothing that ``executor`` leads to may hold the task once it is done.
        executor: Where the sync code runs.
    """
    context.run(SyncToAsync.thread_sensitive_context.set, ThreadLoan(executor))


def leave_bridges() -> None:
    """Forget, in this context, that it may have begun within ``async_to_sync()``.

    Sync code would go to the thread that waits there, and not to where a :class:`ThreadLoan` says.
    """
    if getattr(AsyncToSync.executors, "current", None) is not None:
        AsyncToSync.executors.current = None


def chosen_executor() -> Executor | None:
    """Where asgiref lets the sync code of this context run; None if that is for it to choose."""
    context = SyncToAsync.thread_sensitive_context.get(None)
    return SyncToAsync.context_to_thread_executor.get(context) if context else None


def sync_code_waits() -> bool:
    """Whether a sync caller waits for the code that runs here (``async_to_sync``)."""
    return (
        getattr(AsyncToSync.executors, "current", None) is not None
        or asyncio.get_running_loop() in AsyncToSync.loop_thread_executors
    )


def lent_executor() -> Executor | None:
    """Where the short way leads to from here; None if asgiref has to decide where sync code runs.

    So it has where this connection's code runs in a thread that waits for it (``async_to_sync``),
    or where no connection has been lent a thread. Nor does the short way tell sync code which
    exception is being handled.
    """
    loan = SyncToAsync.thread_sensitive_context.get(None)
    if (
        type(loan) is ThreadLoan
        and restore_context is not None
        and sys.exception() is None
        and getattr(AsyncToSync.executors, "current", None) is None
    ):
        return loan.lent
    return None
