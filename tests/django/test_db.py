"""Database connections of a whole process: as many as it has threads, checked and given back."""

import asyncio
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
import uvicorn
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections
from django.db.backends.signals import connection_created
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.http import HttpRequest, HttpResponse
from django.urls import path
from pytest_django import DjangoDbBlocker, Settings

from fairway import db
from fairway._types import ASGIApplication
from fairway.db import connection_thread, database_sync_to_async
from fairway.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from fairway.http import ASGIHandler, StaticFilesHandler
from fairway.routing import ProtocolTypeRouter, URLRouter
from fairway.server.application.loans import ThreadLoan
from fairway.server.application.threads import LentThread, ThreadPool
from fairway.testing import HttpCommunicator
from tests.server.conftest import Serve
from tests.server.running import DEADLINE, Running, until
from tests.wire.client import text

THREADS = 4

#: Where the first ones meet, so that all threads are at work at once.
meeting = threading.Barrier(THREADS)


def query() -> str:
    """Use the database; tell the thread."""
    with connections["file"].cursor() as cursor:
        cursor.execute("SELECT 1")
    return threading.current_thread().name


def meet() -> str:
    """Use the database while all the others do."""
    name = query()
    meeting.wait(DEADLINE)
    return name


def meeting_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(meet())


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(query())


async def async_view(request: HttpRequest) -> HttpResponse:
    names = await asyncio.gather(
        sync_to_async(query)(),
        database_sync_to_async(query)(),
        database_sync_to_async(query, thread_sensitive=False)(),
        database_sync_to_async(thread_sensitive=False)(query)(),
    )
    return HttpResponse(" ".join(names))


urlpatterns = [
    path("meeting/", meeting_view),
    path("sync/", view),
    path("async/", async_view),
]


class SyncRoom(WebsocketConsumer):
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(query())


class AsyncRoom(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        names = await asyncio.gather(
            database_sync_to_async(query)(),
            self.elsewhere(),
            *(database_sync_to_async(query, thread_sensitive=False)() for _ in range(8)),
        )
        await self.send(" ".join(names))

    @database_sync_to_async(thread_sensitive=False)
    def elsewhere(self) -> str:
        return query()


Opened = Callable[[], list[DatabaseWrapper]]


@pytest.fixture
def opened(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Opened]:
    """A database in a file, and whoever has opened a connection to it."""
    wrappers: weakref.WeakSet[DatabaseWrapper] = weakref.WeakSet()

    def remember(connection: DatabaseWrapper, **kwargs: object) -> None:
        if connection.alias == "file":
            wrappers.add(connection)

    databases: dict[str, Any] = connections.settings
    databases["file"] = {**databases["default"], "NAME": str(tmp_path / "db.sqlite3")}
    connection_created.connect(remember)
    with django_db_blocker.unblock():
        yield lambda: list(wrappers)
    connection_created.disconnect(remember)
    for wrapper in wrappers:
        wrapper.inc_thread_sharing()
        wrapper.close()
    del databases["file"]


@pytest.fixture
def application(settings: Settings) -> ASGIApplication:
    """Views, and consumers of both kinds."""
    settings.ROOT_URLCONF, settings.MIDDLEWARE, settings.ALLOWED_HOSTS = __name__, [], ["*"]
    meeting.reset()
    rooms: Any = [path("sync/", SyncRoom.as_asgi()), path("async/", AsyncRoom.as_asgi())]
    return ProtocolTypeRouter({"http": ASGIHandler(), "websocket": URLRouter(rooms)})


async def fetch(running: Running, target: str) -> list[str]:
    client = await running.connect()
    response = await client.fetch(target)
    assert response.status == 200
    return response.body.decode().split()


async def ask(running: Running, target: str) -> list[str]:
    client = await running.websocket()
    await client.open(target)
    await client.send(text("go"))
    return (await client.text()).split()


@pytest.mark.pain(5)
@pytest.mark.row("1.8 database_sync_to_async", "7 19")
async def test_as_many_connections_as_threads(
    serve: Serve, application: ASGIApplication, opened: Opened
) -> None:
    """Views, sync consumers and ``database_sync_to_async`` of any form share the pool."""
    running = await serve(application, threads=THREADS)
    jobs = [fetch(running, "/meeting/") for _ in range(THREADS)]
    for _ in range(5):
        jobs += [fetch(running, "/sync/"), fetch(running, "/async/")]
        jobs += [ask(running, "/sync/"), ask(running, "/async/")]
    names = {name for found in await asyncio.gather(*jobs) for name in found}
    assert names == {f"fairway-{number}" for number in range(1, THREADS + 1)}
    assert len(opened()) == THREADS


@pytest.mark.pain(5)
async def test_connections_are_given_back(
    serve: Serve, application: ASGIApplication, opened: Opened
) -> None:
    """After a request and after a handler no connection stays open, unless settings let it."""
    running = await serve(application, threads=THREADS)
    for target in ("/sync/", "/async/"):
        await fetch(running, target)
        await ask(running, target)
    # The last handlers' threads may still be closing when the answers are here.
    await until(lambda: all(wrapper.connection is None for wrapper in opened()))
    assert opened() != []


@pytest.mark.pain(5)
async def test_persistent_connections_are_checked(
    serve: Serve, application: ASGIApplication, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ``CONN_MAX_AGE`` a connection serves many; one that has died is replaced first."""
    monkeypatch.setitem(connections.settings["file"], "CONN_MAX_AGE", None)
    monkeypatch.setitem(connections.settings["file"], "CONN_HEALTH_CHECKS", True)
    running = await serve(application, threads=1)
    for _ in range(3):
        await fetch(running, "/sync/")
        await ask(running, "/sync/")
    (wrapper,) = opened()
    first = wrapper.connection
    assert first is not None
    monkeypatch.setattr(
        DatabaseWrapper, "is_usable", lambda wrapper: wrapper.connection is not first
    )
    for job in (ask(running, "/sync/"), fetch(running, "/sync/"), ask(running, "/async/")):
        assert set(await job) == {"fairway-1"}
    assert wrapper.connection is not None
    assert wrapper.connection is not first


# ---------------------------------------------------------------------- under another server


class Uvicorn:
    """A server of another make, in the test's own event loop."""

    def __init__(self, application: Any) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        host, port = self._listener.getsockname()
        self.url = f"http://{host}:{port}"
        self._server = uvicorn.Server(uvicorn.Config(application, lifespan="off", log_config=None))

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._server.serve([self._listener]))
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.should_exit = True
        await self._task


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[None]:
    """The process's pool for other servers, as small as the setting says."""
    settings.FAIRWAY = {"threads": THREADS}
    pools: dict[int, ThreadPool] = {}
    monkeypatch.setattr(db, "_pools", pools)
    yield
    for pool in pools.values():
        pool.close()
        for thread in pool._threads:
            thread.join(DEADLINE)


@pytest.mark.pain(5)
@pytest.mark.row("7 19")
@pytest.mark.usefixtures("pool")
async def test_forty_views_under_another_server(
    application: ASGIApplication, opened: Opened
) -> None:
    """Under uvicorn, too, forty views that are slow share the threads and connections of a pool."""
    limits = httpx.Limits(max_connections=40)
    async with (
        Uvicorn(ASGIHandler()) as server,
        httpx.AsyncClient(base_url=server.url, limits=limits, timeout=DEADLINE) as client,
    ):
        targets = ["/meeting/"] * 40 + ["/async/"] * 10
        responses = await asyncio.gather(*(client.get(target) for target in targets))
    assert {response.status_code for response in responses} == {200}
    names = {name for response in responses for name in response.text.split()}
    assert names == {f"fairway-{number}" for number in range(1, THREADS + 1)}
    assert len(opened()) == THREADS


@pytest.mark.usefixtures("pool", "opened", "application")
async def test_one_connection_of_another_server(settings: Settings, tmp_path: Path) -> None:
    """Requests of one connection follow each other, whoever answers them, static files included.

    uvicorn begins the next request in the context of the one before.
    """
    (tmp_path / "style.css").write_text("p {}")
    settings.STATICFILES_DIRS, settings.DEBUG = [tmp_path], True
    settings.STATIC_URL = "/static/"
    async with (
        Uvicorn(StaticFilesHandler(ASGIHandler())) as server,
        httpx.AsyncClient(
            base_url=server.url, limits=httpx.Limits(max_connections=1), timeout=DEADLINE
        ) as client,
    ):
        for target in ("/sync/", "/static/style.css", "/async/", "/static/style.css", "/sync/"):
            assert (await client.get(target)).status_code == 200, target


# ---------------------------------------------------------------------- without a server


class TestConnectionThread:
    """``connection_thread``."""

    @pytest.mark.usefixtures("pool")
    async def test_alone(self) -> None:
        """Without a server of ours, a thread of the process's pool is lent."""
        async with connection_thread():
            first = await sync_to_async(lambda: threading.current_thread().name)()
            assert first.startswith("fairway-")
            async with connection_thread():
                name = await sync_to_async(lambda: threading.current_thread().name)()
                assert name.startswith("fairway-")

    async def test_somebody_has_chosen(self) -> None:
        """A thread that somebody has chosen stays."""
        with ThreadPoolExecutor(1, "mine") as executor:
            async with ThreadLoan(executor), connection_thread():
                name = await sync_to_async(lambda: threading.current_thread().name)()
        assert name.startswith("mine")

    def test_sync_caller(self) -> None:
        """Under ``async_to_sync`` the code runs in the thread of the caller."""

        async def in_between() -> int:
            async with connection_thread():
                return await sync_to_async(threading.get_ident)()

        assert async_to_sync(in_between)() == threading.get_ident()

    async def test_without_a_pool(self) -> None:
        """Where nobody lends threads, what need not be in order runs in the loop's own."""
        name = await database_sync_to_async(
            lambda: threading.current_thread().name, thread_sensitive=False
        )()
        assert not name.startswith("fairway")

    async def test_own_executor(self) -> None:
        """An executor that is named is used."""
        lent = ThreadPool(1)
        with ThreadPoolExecutor(1, "mine") as executor:
            async with ThreadLoan(LentThread(lent)):
                name = await database_sync_to_async(
                    lambda: threading.current_thread().name,
                    thread_sensitive=False,
                    executor=executor,
                )()
        lent.close()
        assert name.startswith("mine")


@pytest.mark.django_db
async def test_views_in_tests_use_the_tests_connection(settings: Settings) -> None:
    """A view behind a communicator runs where the test's database connection is."""
    settings.MIDDLEWARE = []
    sensitive = await sync_to_async(threading.get_ident)()
    settings.ROOT_URLCONF = (path("", lambda request: HttpResponse(threading.get_ident())),)
    answer = await HttpCommunicator(ASGIHandler(), "GET", "/").get_response()
    assert int(answer["body"]) == sensitive


async def test_a_thread_that_waits_does_the_work_itself() -> None:
    """Sync code that asks for another thread of a pool that has no more gets its answer."""
    pool = ThreadPool(1)
    inside = database_sync_to_async(threading.get_ident, thread_sensitive=False)

    def view() -> tuple[int, int]:
        return threading.get_ident(), async_to_sync(inside)()

    async with ThreadLoan(LentThread(pool)):
        outer, inner = await asyncio.wait_for(sync_to_async(view)(), DEADLINE)
    assert inner == outer


async def test_any_thread_in_tests_is_the_tests_own() -> None:
    """What a test has not committed is seen in one thread only."""
    running: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    db.keep_connections(running)
    try:
        sensitive = await database_sync_to_async(threading.get_ident)()
        anywhere = await database_sync_to_async(threading.get_ident, thread_sensitive=False)()
    finally:
        running.set_result(None)
    assert anywhere == sensitive
