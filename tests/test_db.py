"""Database access from async code."""

import asyncio
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest
from asgiref.sync import SyncToAsync, iscoroutinefunction, sync_to_async
from django.contrib.auth.models import User
from django.db import connection, connections

from fairway import db
from fairway.db import DatabaseSyncToAsync, aclose_old_connections, database_sync_to_async
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
