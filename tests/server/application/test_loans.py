"""Where the sync code of a context runs, and from where the short way may be taken."""

import asyncio
import contextvars
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, async_to_sync, sync_to_async

from fairway.server.application.loans import (
    ThreadLoan,
    chosen_executor,
    leave_bridges,
    lent_executor,
    sync_code_waits,
)
from fairway.server.application.threads import LentThread, ThreadPool


class TestThreadLoan:
    """``ThreadLoan``, the context of a connection."""

    async def test_task_of_its_own(self, pool: ThreadPool) -> None:
        """A task that enters the context has its sync code in the pool, whatever began the task."""

        def main() -> str:
            return async_to_sync(bridged)()

        async def bridged() -> str:
            context = contextvars.copy_context()
            context.run(leave_bridges)
            return await context.run(asyncio.ensure_future, task())

        async def task() -> str:
            with ThreadLoan(LentThread(pool)):
                return await sync_to_async(lambda: threading.current_thread().name)()

        assert (await asyncio.to_thread(main)).startswith("fairway")

    async def test_sync_code_runs_in_the_pool(self, pool: ThreadPool) -> None:
        """As with asgiref's own context, the executor says where."""
        async with ThreadLoan(LentThread(pool)):
            name = await sync_to_async(lambda: threading.current_thread().name)()
        assert name.startswith("fairway-")

    def test_known_once_it_is_asked_for(self, pool: ThreadPool) -> None:
        """The executor is told to asgiref when it looks for it, and goes with its context."""
        executors = SyncToAsync.context_to_thread_executor
        first, second = LentThread(pool), LentThread(pool)
        loan = ThreadLoan(first)
        with loan:
            assert first not in executors.values()
            assert executors.get(loan) is first
            assert first in executors.values()
        assert executors.get(loan) is first
        loan.lend(second)
        assert executors.get(loan) is second
        del loan
        gc.collect()
        assert second not in executors.values()

    async def test_tasks_that_outlive_it(self, pool: ThreadPool) -> None:
        """A task that a view left behind runs its sync code in the pool, too."""
        ended = asyncio.Event()

        async def left_behind() -> str:
            await ended.wait()
            return await sync_to_async(lambda: threading.current_thread().name)()

        async with ThreadLoan(LentThread(pool)):
            task = asyncio.create_task(left_behind())
        ended.set()
        assert (await task).startswith("fairway-")

    async def test_context_that_is_handed_on(self, pool: ThreadPool) -> None:
        """What another server starts from within it, Django's own handler say, is not refused."""

        async def next_request() -> str:
            async with ThreadSensitiveContext():
                return await sync_to_async(lambda: threading.current_thread().name)()

        async with ThreadLoan(LentThread(pool)):
            following = asyncio.create_task(next_request())
        assert (await following).startswith("fairway-")


class TestLentExecutor:
    """``lent_executor()``: from where the short way may be taken."""

    async def test_in_a_loan(self, lent: LentThread) -> None:
        """Where a connection has been lent a thread, and in what it was put into."""
        assert lent_executor() is lent
        other = LentThread(lent.pool)
        loan = ThreadLoan(lent)
        with loan:
            loan.lend(other)
            assert lent_executor() is other

    async def test_outside(self) -> None:
        """Nowhere else."""
        assert lent_executor() is None

    async def test_while_a_thread_waits(self, lent: LentThread) -> None:
        """Not in a coroutine that a thread waits for: sync code belongs into that thread."""

        async def inner() -> object:
            return lent_executor()

        assert await lent.call(async_to_sync(inner)) is None

    async def test_while_an_exception_is_handled(self, lent: LentThread) -> None:
        """Not then, as asgiref shows the exception to sync code."""
        try:
            raise LookupError
        except LookupError:
            assert lent_executor() is None
        assert lent_executor() is lent


class TestChosenExecutor:
    """``chosen_executor()``: where asgiref runs the sync code of a context."""

    async def test_in_a_loan(self, lent: LentThread) -> None:
        """In a context that was lent something, there."""
        assert chosen_executor() is lent

    async def test_of_asgiref(self) -> None:
        """In a context of asgiref's own, nowhere before the first call has made it choose."""
        async with ThreadSensitiveContext():
            assert chosen_executor() is None
            await sync_to_async(int)()
            assert isinstance(chosen_executor(), ThreadPoolExecutor)

    async def test_outside(self) -> None:
        """Without a context there is nothing to ask."""
        assert chosen_executor() is None


class TestSyncCodeWaits:
    """``sync_code_waits()``: whether a sync caller waits for the code that runs here."""

    async def test_nobody(self) -> None:
        """Nobody does where an event loop runs by itself."""
        assert not sync_code_waits()

    def test_caller_without_a_loop(self) -> None:
        """Who calls ``async_to_sync`` waits, and so until the end of what was called."""

        async def inner() -> bool:
            await asyncio.sleep(0)
            return sync_code_waits()

        assert async_to_sync(inner)()

    async def test_caller_in_a_thread(self, lent: LentThread) -> None:
        """So does a view that is in a thread."""

        async def inner() -> bool:
            return sync_code_waits()

        assert await lent.call(async_to_sync(inner))
        assert not sync_code_waits()
