"""Database access from async code."""

import asyncio
import inspect
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import (
    SyncToAsync,
    ThreadSensitiveContext,
    iscoroutinefunction,
    sync_to_async,
)
from django.contrib.auth.models import User
from django.db import connection, connections

from fairway import db
from fairway.db import (
    CHECK_INTERVAL,
    DatabaseSyncToAsync,
    TimedCheck,
    aclose_old_connections,
    connection_turns,
    database_sync_to_async,
    keep_connections,
)
from fairway.utils import name_that_thing


def add(first: int, second: int = 0) -> int:
    """Add two numbers."""
    return first + second


@database_sync_to_async
def decorated(number: int) -> int:
    """Double a number."""
    return number * 2


@database_sync_to_async(thread_sensitive=False)
def with_arguments() -> int:
    """Tell the thread."""
    return threading.get_ident()


class Repository:
    """A class with decorated methods."""

    def __init__(self, name: str) -> None:
        self.name = name

    @database_sync_to_async
    def plain(self, suffix: str) -> str:
        """Say the name."""
        return self.name + suffix

    @database_sync_to_async(thread_sensitive=False)
    def elsewhere(self) -> tuple[str, int]:
        """Say the name and the thread."""
        return self.name, threading.get_ident()


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads in which old connections were closed, in order."""
    threads: list[int] = []
    monkeypatch.setattr(db, "close_old_connections", lambda: threads.append(threading.get_ident()))
    return threads


@pytest.mark.usefixtures("closed")
@pytest.mark.row("1.8 database_sync_to_async")
class TestDatabaseSyncToAsync:
    """``database_sync_to_async``."""

    async def test_call(self) -> None:
        """Used as a call, it passes all arguments."""
        assert await database_sync_to_async(add)(1, second=2) == 3
        assert await DatabaseSyncToAsync(add)(1, second=2) == 3

    async def test_decorator(self) -> None:
        """Used as a decorator, with or without arguments."""
        assert await decorated(2) == 4
        assert await with_arguments() != threading.get_ident()

    async def test_method(self) -> None:
        """Methods get their object."""
        repository = Repository("a")
        assert await repository.plain("b") == "ab"
        assert (await repository.elsewhere())[0] == "a"

    def test_is_what_it_looks_like(self) -> None:
        """It is a coroutine function with the name and the docstring of the function."""
        for function in (decorated, database_sync_to_async(add), Repository("a").plain):
            assert iscoroutinefunction(function)
        assert isinstance(decorated, SyncToAsync)
        assert decorated.__doc__ == "Double a number."
        assert name_that_thing(inspect.unwrap(decorated)) == f"{__name__}.decorated"
        assert vars(decorated)["__qualname__"] == "decorated"
        assert vars(Repository("a").plain)["__qualname__"] == "Repository.plain"

    def test_refuses_async_functions(self) -> None:
        """An async function has no use for it."""

        async def already() -> None: ...

        with pytest.raises(TypeError, match="can only be applied to sync functions"):
            database_sync_to_async(already)

    async def test_thread_sensitive(self) -> None:
        """By default it runs where other sync code of the connection runs."""
        sensitive = await sync_to_async(threading.get_ident)()
        assert await database_sync_to_async(threading.get_ident)() == sensitive
        other = database_sync_to_async(threading.get_ident, thread_sensitive=False)
        assert await other() != sensitive

    async def test_executor(self) -> None:
        """Without the sensitivity it may run in an executor, and with it it may not."""
        with ThreadPoolExecutor(1, thread_name_prefix="mine") as executor:
            name = database_sync_to_async(
                lambda: threading.current_thread().name, thread_sensitive=False, executor=executor
            )
            assert (await name()).startswith("mine")
            with pytest.raises(TypeError, match="executor must not be set"):
                database_sync_to_async(add, executor=executor)

    async def test_closes_old_connections(self, closed: list[int]) -> None:
        """Old connections are closed in the thread of the call, before and after it."""
        during: list[int] = []

        def work() -> int:
            during.extend(closed)
            return threading.get_ident()

        thread = await database_sync_to_async(work)()
        assert during == [thread]
        assert closed == [thread, thread]

    async def test_closes_old_connections_after_an_error(self, closed: list[int]) -> None:
        """An error leaves nothing open, either."""

        def fails() -> None:
            raise KeyError("x")

        with pytest.raises(KeyError):
            await database_sync_to_async(fails)()
        assert len(closed) == 2


@pytest.mark.usefixtures("closed")
async def test_what_no_future_takes() -> None:
    """A ``next()`` too many is an error that arrives, where asgiref alone would wait for ever."""

    def fails() -> None:
        next(iter(()))

    with pytest.raises(RuntimeError, match=r"^sync code raised StopIteration$") as caught:
        await asyncio.wait_for(database_sync_to_async(fails)(), 60)
    assert type(caught.value.__cause__) is StopIteration


@pytest.mark.row("1.8 aclose_old_connections")
class TestAcloseOldConnections:
    """``aclose_old_connections``."""

    async def test_closes_in_the_sensitive_thread(self, closed: list[int]) -> None:
        """Connections of the thread that sync code runs in are closed."""
        await aclose_old_connections()
        assert closed == [await sync_to_async(threading.get_ident)()]


@pytest.mark.django_db(transaction=True)
class TestDatabase:
    """With a real database."""

    async def test_queries(self) -> None:
        """What was written in a thread is read in it."""
        await database_sync_to_async(User.objects.create_user)("ada")
        assert await database_sync_to_async(User.objects.count)() == 1

    async def test_closes_expired_connections(self) -> None:
        """A connection past its ``CONN_MAX_AGE`` is closed, others stay."""

        @sync_to_async
        def close_at(moment: float | None) -> None:
            connection.ensure_connection()
            connection.close_at = moment

        await close_at(None)
        with mock.patch.object(type(connections["default"]), "close", autospec=True) as close:
            await aclose_old_connections()
            assert close.call_count == 0
            await close_at(0)
            await aclose_old_connections()
            assert close.call_count == 1


@pytest.mark.usefixtures("closed")
async def test_connections_of_several_tasks_run_in_order() -> None:
    """Thread-sensitive calls of tasks without contexts of their own do not overlap."""
    running, overlaps = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal running, overlaps
        with lock:
            running += 1
            overlaps += running > 1
        with lock:
            running -= 1

    await asyncio.gather(*(database_sync_to_async(work)() for _ in range(20)))
    assert overlaps == 0


class Alternating(Executor):
    """Lends one of its two threads for each call, in turn, as the pool of a server may."""

    def __init__(self) -> None:
        self._threads = [ThreadPoolExecutor(1), ThreadPoolExecutor(1)]

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        self._threads.reverse()
        return self._threads[0].submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        for thread in self._threads:
            thread.shutdown(wait, cancel_futures=cancel_futures)


get_thread = sync_to_async(threading.get_ident)


class TestTurns:
    """Async methods of models in handlers meet no old connection."""

    async def test_first_call_of_a_turn(self, closed: list[int]) -> None:
        """Each turn's first call in a thread finds it without old connections."""
        with Alternating() as executor:
            async with ThreadSensitiveContext(executor=executor):
                turns = connection_turns()
                assert turns.begin_turn() is False
                threads = [await get_thread() for _ in range(6)]
                assert closed == threads[:2]
                assert turns.begin_turn() is False
                threads += [await get_thread() for _ in range(6)]
                assert closed == threads[:2] + threads[6:8]

    async def test_connections_take_turns_in_one_thread(self, closed: list[int]) -> None:
        """A thread that another connection had in between is looked at again."""
        other = asyncio.Event()
        done = asyncio.Event()

        async def connect(executor: Executor) -> None:
            async with ThreadSensitiveContext(executor=executor):
                connection_turns()
                await get_thread()
                other.set()
                await done.wait()
                await get_thread()

        with ThreadPoolExecutor(1) as executor:
            first = asyncio.create_task(connect(executor))
            await other.wait()
            other.clear()
            second = asyncio.create_task(connect(executor))
            await other.wait()
            assert len(closed) == 2
            done.set()
            await asyncio.gather(first, second)
            assert len(closed) == 4

    async def test_aclose_old_connections(self, closed: list[int]) -> None:
        """It holds for every thread that is lent afterwards."""
        with Alternating() as executor:
            async with ThreadSensitiveContext(executor=executor):
                connection_turns()
                for _ in range(2):
                    await get_thread()
                closed.clear()
                await aclose_old_connections()
                await get_thread()
                assert len(set(closed)) == 2

    async def test_nested_consumers(self) -> None:
        """Consumers of one connection share its turns."""
        with ThreadPoolExecutor(1) as executor:
            async with ThreadSensitiveContext(executor=executor) as context:
                connection_turns()
                wrapped = SyncToAsync.context_to_thread_executor[context]
                connection_turns()
                assert SyncToAsync.context_to_thread_executor[context] is wrapped

    async def test_failing_call(self, closed: list[int]) -> None:
        """What the call raises, it raises."""
        with ThreadPoolExecutor(1) as executor:
            async with ThreadSensitiveContext(executor=executor):
                connection_turns()
                with pytest.raises(ZeroDivisionError):
                    await sync_to_async(lambda: 1 // 0)()

    async def test_shutdown(self) -> None:
        """Whoever shuts the executor down reaches the one inside."""
        inner = ThreadPoolExecutor(1)
        db.FreshThread(inner).shutdown()
        with pytest.raises(RuntimeError, match="shutdown"):
            inner.submit(int)


class TestTimedCheck:
    """Where one thread serves all, it is checked now and then."""

    async def test_before_the_handlers_own_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The check runs ahead of what the handler sends to the thread, once in an interval."""
        now = 100.0
        log: list[str] = []
        monkeypatch.setattr(db, "close_old_connections", lambda: log.append("check"))
        check = TimedCheck(lambda: now)

        async def handle() -> None:
            if check.begin_turn():
                await asyncio.sleep(0)
            await sync_to_async(log.append)("call")

        await handle()
        await handle()
        assert log == ["check", "call", "call"]
        now += CHECK_INTERVAL
        await handle()
        assert log == ["check", "call", "call", "check", "call"]

    async def test_not_in_tests(self) -> None:
        """While a test runs an application, its connections and the thread are left alone."""
        application: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        keep_connections(application)
        assert TimedCheck().begin_turn() is False
        application.set_result(None)
        await asyncio.sleep(0)
        check = TimedCheck()
        assert check.begin_turn() is True
        assert check.begin_turn() is False
        await asyncio.sleep(0)
        await get_thread()

    async def test_failure_is_left_to_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A check that fails disturbs nobody."""

        def fail() -> None:
            raise OSError("no database")

        monkeypatch.setattr(db, "close_old_connections", fail)
        check = TimedCheck()
        assert check.begin_turn() is True
        await asyncio.sleep(0)
        await get_thread()

    async def test_where_it_applies(self) -> None:
        """Without a thread of its own, or before asgiref has made one, there is nothing to wrap."""
        assert connection_turns() == connection_turns()
        async with ThreadSensitiveContext():
            assert connection_turns() != connection_turns()
