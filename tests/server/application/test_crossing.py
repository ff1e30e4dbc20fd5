"""The short way into a thread and back: what ``sync_to_async`` does, for less."""

import asyncio
import contextvars
import gc
import os
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.local import Local
from asgiref.sync import async_to_sync, sync_to_async

from fairway.server.application.crossing import Crossing, Landing
from fairway.server.application.loans import ThreadLoan
from fairway.server.application.threads import LentThread, ThreadPool
from tests.server.running import DEADLINE, Logs, until

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
local = Local()


Begin = Callable[..., "asyncio.Task[Any]"]


@pytest.fixture(params=["short", "long"])
def begin(pool: ThreadPool, request: pytest.FixtureRequest) -> Begin:
    """Makes a call in a task of its own, on either way, so that both are known to be equal."""

    async def cross(function: Callable[..., Any], *args: Any) -> Any:
        lent = LentThread(pool)
        with ThreadLoan(lent):
            if request.param == "long":
                return await sync_to_async(function)(*args)
            return await lent.call(function, *args)

    return lambda *args: asyncio.ensure_future(cross(*args))


class TestCrossing:
    """``Crossing``, beside asgiref's own."""

    async def test_result(self, begin: Begin) -> None:
        """What the function returns comes back, from a thread of the pool."""
        assert await begin(divmod, 7, 2) == (3, 1)
        assert (await begin(lambda: threading.current_thread().name)).startswith("fairway-")

    @pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
    async def test_exception(self, pool: ThreadPool, error: type[BaseException]) -> None:
        """What it raises comes back, whatever it is, with the lines where it was raised."""

        def fail() -> None:
            raise error("here")

        with pytest.raises(error, match=r"^here$") as raised:
            await LentThread(pool).call(fail)
        assert raised.traceback[-1].name == "fail"
        assert await LentThread(pool).call(int) == 0

    async def test_end_of_iteration(self, pool: ThreadPool) -> None:
        """``StopIteration`` is no way out of a coroutine."""
        with pytest.raises(RuntimeError, match=r"^coroutine raised StopIteration$"):
            await LentThread(pool).call(next, iter(()))

    @pytest.mark.parametrize("short", [True, False])
    async def test_context(self, lent: LentThread, *, short: bool) -> None:
        """The function sees what the task has set, which sees what it changed; if it fails, too."""

        def function() -> None:
            seen = variable.get(), local.value
            variable.set("changed")
            local.value = "changed, too"
            raise LookupError(*seen)

        async def around() -> tuple[str, str]:
            variable.set("given")
            local.value = "given, too"
            with pytest.raises(LookupError, match=r"^\('given', 'given, too'\)$"):
                await (lent.call(function) if short else sync_to_async(function)())
            return variable.get(), local.value

        assert await asyncio.create_task(around()) == ("changed", "changed, too")

    async def test_back_to_the_loop(self, begin: Begin) -> None:
        """``async_to_sync`` in it runs on the loop, and sync code below that in the same thread."""

        async def inner() -> tuple[int, int]:
            return threading.get_ident(), await sync_to_async(threading.get_ident)()

        def outer() -> tuple[int, tuple[int, int]]:
            return threading.get_ident(), async_to_sync(inner)()

        mine, (middle, nested) = await begin(outer)
        assert middle == threading.get_ident()
        assert nested == mine != middle

    async def test_in_order(self, lent: LentThread) -> None:
        """It waits for what came before, and what comes after waits for it."""
        order: list[int] = []
        before = lent.submit(order.append, 1)
        call = asyncio.ensure_future(lent.call(order.append, 2))
        await asyncio.sleep(0)
        after = lent.submit(order.append, 3)
        await call
        assert before.result(DEADLINE) is None
        assert after.result(DEADLINE) is None
        assert order == [1, 2, 3]

    async def test_cancelled_before_it_begins(self, pool: ThreadPool, lent: LentThread) -> None:
        """It is not made; what comes after it is."""
        entered, leave = threading.Event(), threading.Event()

        def hold() -> None:
            entered.set()
            assert leave.wait(DEADLINE)

        made: list[str] = []
        lent.submit(hold)
        task = asyncio.ensure_future(lent.call(made.append, "cancelled"))
        await asyncio.sleep(0)
        last = lent.submit(made.append, "last")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        leave.set()
        last.result(DEADLINE)
        assert made == ["last"]

    async def test_cancelled_while_it_runs(self, begin: Begin) -> None:
        """Nobody waits for it any more; what it raises then is nobody's."""
        entered, leave, left = threading.Event(), threading.Event(), threading.Event()

        def hold() -> None:
            entered.set()
            assert leave.wait(DEADLINE)
            left.set()
            raise LookupError

        task = begin(hold)
        await until(entered.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not left.is_set()
        leave.set()
        await until(left.is_set)

    async def test_cancelled_while_it_waits_for_a_coroutine(self, begin: Begin) -> None:
        """The coroutine is cancelled, and what the function makes of that is the result."""
        waiting = asyncio.Event()

        async def inner() -> None:
            waiting.set()
            await asyncio.Event().wait()

        def outer() -> str:
            try:
                async_to_sync(inner)()
            except asyncio.CancelledError:
                return "cancelled, and tidied up"
            return ""

        task = begin(outer)
        await waiting.wait()
        task.cancel()
        assert await task == "cancelled, and tidied up"

    async def test_cancelled_twice(self, begin: Begin) -> None:
        """A function that goes on after its coroutine was cancelled is left alone the next time."""
        waiting, leave, tidying = asyncio.Event(), threading.Event(), threading.Event()

        async def inner() -> None:
            waiting.set()
            await asyncio.Event().wait()

        def outer() -> None:
            try:
                async_to_sync(inner)()
            finally:
                tidying.set()
                assert leave.wait(DEADLINE)

        task = begin(outer)
        await waiting.wait()
        task.cancel()
        await until(tidying.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        leave.set()

    async def test_closed_pool(self, pool: ThreadPool, lent: LentThread) -> None:
        """What waits when the pool is closed is cancelled; afterwards calls are refused."""
        entered, leave = threading.Event(), threading.Event()

        def hold() -> None:
            entered.set()
            assert leave.wait(DEADLINE)

        first = asyncio.ensure_future(lent.call(hold))
        second = asyncio.ensure_future(lent.call(int))
        await until(entered.is_set)
        pool.close()
        leave.set()
        await first
        with pytest.raises(asyncio.CancelledError):
            await second
        with pytest.raises(RuntimeError, match=r"^The server has ended, so no sync code can be"):
            await LentThread(pool).call(int)

    async def test_keeps_nothing(self, pool: ThreadPool) -> None:
        """Neither a result nor an exception leaves a circle behind for the collector."""

        class Connection:
            def handle(self) -> None:
                raise LookupError

        connection = Connection()
        gone = weakref.ref(connection)
        gc.disable()
        try:
            with pytest.raises(LookupError):
                await LentThread(pool).call(connection.handle)
            await LentThread(pool).call(id, connection)
            del connection
            # Two calls at once, so that each thread has got past the call before.
            barrier = threading.Barrier(2)
            await asyncio.gather(*(LentThread(pool).call(barrier.wait, DEADLINE) for _ in range(2)))
            assert gone() is None
        finally:
            gc.enable()

    def test_closed_loop(self) -> None:
        """A result for an event loop that is closed is dropped."""
        loop = asyncio.new_event_loop()
        crossing = Crossing(Landing(loop), int, ())
        loop.close()
        crossing.run()
        crossing.refuse()


class TestLanding:
    """``Landing``, where threads leave what the loop does."""

    async def test_in_order_and_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """All that was left is done in order, for one wake-up; what is left then, for another."""
        loop = asyncio.get_running_loop()
        landing, done = Landing(loop), [0]
        woken: list[object] = []
        wake = loop.call_soon_threadsafe

        def count(step: Callable[[], object]) -> asyncio.Handle:
            woken.append(step)
            return wake(step)

        monkeypatch.setattr(loop, "call_soon_threadsafe", count)

        def leave() -> None:
            for number in range(1, 100):
                landing.leave(lambda number=number: done.append(number))  # type: ignore[misc]  # bound now

        thread = threading.Thread(target=leave)
        thread.start()
        thread.join(DEADLINE)  # the loop stands still meanwhile
        assert done == [0]
        assert len(woken) == 1
        await until(lambda: len(done) == 100)
        assert done == list(range(100))
        landing.leave(lambda: done.append(100))
        await until(lambda: len(done) == 101)
        assert len(woken) == 2

    def test_closed_loop(self) -> None:
        """Whoever leaves something for a loop that is closed is told, each time."""
        loop = asyncio.new_event_loop()
        landing = Landing(loop)
        loop.close()
        for _ in range(2):
            with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
                landing.leave(int)

    async def test_failure(self, logs: Logs) -> None:
        """What a step raises is logged by the event loop, and stops none behind it."""
        landing, done = Landing(asyncio.get_running_loop()), [0]
        landing.leave(lambda: done[5])
        landing.leave(lambda: done.append(1))
        await until(lambda: done == [0, 1])
        landing.leave(lambda: done.append(2))
        await until(lambda: done == [0, 1, 2])
        [(message, error)] = logs.take_exceptions()
        assert message.startswith("ERROR Exception in callback Landing._land()")
        assert error is IndexError

    async def test_one_for_a_pool(self, pool: ThreadPool) -> None:
        """All connections of a loop use the same one; another loop has its own."""
        loop = asyncio.get_running_loop()
        landing = LentThread(pool).landing(loop)
        assert LentThread(pool).landing(loop) is landing
        other = asyncio.new_event_loop()
        assert LentThread(pool).landing(other) is not landing
        other.close()


def test_watched_steps() -> None:
    """A tracer that has put itself around asgiref's steps sees each call, as New Relic's has to."""
    program = """
        import asyncio
        from asgiref.sync import SyncToAsync

        class Watched:
            __class__ = type(lambda: None)  # as wrapt's wrappers say of themselves
            def __init__(self, step):
                self.step = step
            def __get__(self, instance, owner):
                seen.append(self.step.__name__)
                return self.step.__get__(instance, owner)

        seen = []
        SyncToAsync.thread_handler = Watched(SyncToAsync.thread_handler)
        from fairway.db import in_thread
        from fairway.server.application.loans import ThreadLoan
        from fairway.server.application.threads import LentThread, ThreadPool

        async def main():
            with ThreadLoan(LentThread(ThreadPool(1))):
                return await in_thread(divmod, 7, 2)

        assert asyncio.run(main()) == (3, 1)
        assert seen == ["thread_handler"], seen
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
    )
    assert (done.returncode, done.stderr) == (0, "")
