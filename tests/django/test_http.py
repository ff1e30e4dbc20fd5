"""Django over HTTP: clients that go, streams that wait, files."""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from asgiref.sync import sync_to_async
from django.core import signals
from django.core.handlers.asgi import ASGIHandler as StockHandler
from django.db import connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from pytest_django import DjangoDbBlocker, Settings

from fairway._types import Event, Receive, Scope, Send
from fairway.http import ASGIHandler, StaticFilesHandler
from tests.server.conftest import Serve
from tests.server.running import DEADLINE, Logs, Running

#: Makes a site of one view.
Site: TypeAlias = Callable[[Any], None]


def make_scope(path: str, method: str = "GET") -> Scope:
    """A request as any server tells it."""
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
    }


class Visitor:
    """A client without a server: it asks, and may go at any time.

    Attributes:
        sent: What the application sent.
    """

    def __init__(self) -> None:
        self.sent: list[Event] = []
        self._asked = False
        self._gone = asyncio.Event()

    async def receive(self) -> Event:
        """The request, and then nothing until the client goes."""
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b""}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, event: Event) -> None:
        """Remember it."""
        self.sent.append(event)

    def go(self) -> None:
        """Leave."""
        self._gone.set()

    @property
    def body(self) -> bytes:
        """The content of the response so far."""
        return b"".join(event.get("body", b"") for event in self.sent)


@pytest.fixture
def site(settings: Settings) -> Site:
    """Makes a site of one view."""
    settings.MIDDLEWARE, settings.ALLOWED_HOSTS = [], ["*"]

    def make(view: Any) -> None:
        settings.ROOT_URLCONF = (path("", view),)

    return make


@pytest.fixture
def finished() -> Iterator[list[str]]:
    """What Django says has finished."""
    found: list[str] = []

    def listener(**kwargs: object) -> None:
        found.append("request")

    signals.request_finished.connect(listener)
    yield found
    signals.request_finished.disconnect(listener)


@pytest.mark.usefixtures("logs")
class TestClientGoes:
    """A client that goes before it has its answer."""

    @pytest.mark.parametrize("handler", [StockHandler, ASGIHandler], ids=["Django", "ours"])
    async def test_async_view_is_cancelled(
        self, handler: Any, site: Site, finished: list[str]
    ) -> None:
        """An async view is cancelled, and the request finished, as under Django's own handler."""
        running, cancelled = asyncio.Event(), asyncio.Event()

        async def view(request: HttpRequest) -> HttpResponse:
            running.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            raise AssertionError

        site(view)
        visitor = Visitor()
        task = asyncio.create_task(handler()(make_scope("/"), visitor.receive, visitor.send))
        await running.wait()
        visitor.go()
        await task
        assert cancelled.is_set()
        assert finished == ["request"]
        assert visitor.sent == []

    @pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
    async def test_nothing_is_left_behind_at_shutdown(self, site: Site, is_async: bool) -> None:
        """When a server cancels a request, no task of it goes on or fails with nobody to hear."""
        waiting, ended = asyncio.Event(), asyncio.Event()

        async def parts() -> AsyncIterator[str]:
            waiting.set()
            try:
                await asyncio.Event().wait()
                yield ""
            finally:
                ended.set()

        def view(request: HttpRequest) -> StreamingHttpResponse:
            return StreamingHttpResponse(parts())

        async def async_view(request: HttpRequest) -> StreamingHttpResponse:
            return view(request)

        site(async_view if is_async else view)
        visitor = Visitor()
        before = asyncio.all_tasks()
        task = asyncio.create_task(ASGIHandler()(make_scope("/"), visitor.receive, visitor.send))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()
        assert asyncio.all_tasks() == before

    async def test_sends_to_nobody(self, site: Site) -> None:
        """What a server raises for a client that is gone goes to the server."""

        async def send(event: Event) -> None:
            raise OSError("gone")

        site(lambda request: StreamingHttpResponse(iter(["a"])))
        with pytest.raises(OSError, match="gone"):
            await ASGIHandler()(make_scope("/"), Visitor().receive, send)

    async def test_server_that_says_nonsense(self, site: Site) -> None:
        """An event that no client can have caused is told, as by Django's own handler."""

        async def view(request: HttpRequest) -> HttpResponse:
            await asyncio.Event().wait()
            raise AssertionError

        async def receive() -> Event:
            return {"type": "http.request", "body": b""}

        site(view)
        with pytest.raises(AssertionError, match="Invalid ASGI message after request body"):
            await ASGIHandler()(make_scope("/"), receive, Visitor().send)


class TestStreams:
    """Streaming responses under Fairway's server."""

    async def test_iterators_that_wait_leave_threads(self, serve: Serve, site: Site) -> None:
        """However many sync iterators wait for news, other views are answered."""
        news: queue.SimpleQueue[str] = queue.SimpleQueue()

        def parts() -> Iterator[str]:
            yield "begun "
            yield news.get(timeout=DEADLINE)

        def view(request: HttpRequest) -> Any:
            return StreamingHttpResponse(parts()) if "s" in request.GET else HttpResponse("page")

        site(view)
        running = await serve(ASGIHandler(), threads=2)
        streams = [await running.connect() for _ in range(5)]
        for client in streams:
            await client.get("/?s=1")
        for _ in range(3):
            client = await running.connect()
            assert (await client.fetch("/")).body == b"page"
        for _ in streams:
            news.put("news")
        bodies = [(await client.response()).body for client in streams]
        assert bodies == [b"begun news"] * 5

    async def test_endless_async_stream_of_a_sync_view(self, serve: Serve, site: Site) -> None:
        """It holds no thread, and its first part is there at once."""
        goes_on = asyncio.Event()

        async def parts() -> AsyncIterator[str]:
            yield "first"
            await goes_on.wait()

        site(lambda request: StreamingHttpResponse(parts()))
        running = await serve(ASGIHandler(), threads=1)
        clients = [await running.connect() for _ in range(3)]
        for client in clients:
            await client.get("/")
            head = await client.head()
            assert head.startswith(b"HTTP/1.1 200 OK")
            assert await client.read(len("5\r\nfirst\r\n")) == b"5\r\nfirst\r\n"
        goes_on.set()

    async def test_parts_of_a_sync_iterator_run_in_order(self, serve: Serve, site: Site) -> None:
        """They come from threads of the pool, one after the other."""
        site(
            lambda request: StreamingHttpResponse(
                f"{number} {threading.current_thread().name}\n" for number in range(20)
            )
        )
        running = await serve(ASGIHandler(), threads=3)
        client = await running.connect()
        lines = (await client.fetch("/")).body.decode().splitlines()
        assert [line.split()[0] for line in lines] == [str(number) for number in range(20)]
        assert {line.split()[1] for line in lines} <= {f"fairway-{number}" for number in (1, 2, 3)}


async def test_tasks_that_a_view_leaves_behind(serve: Serve, site: Site) -> None:
    """A task that outlives its request may use the ORM, as under Django's own handler."""
    goes_on = asyncio.Event()
    tasks: list[asyncio.Task[int]] = []

    async def later() -> int:
        await goes_on.wait()
        return await sync_to_async(threading.get_ident)()

    async def view(request: HttpRequest) -> HttpResponse:
        tasks.append(asyncio.create_task(later()))
        return HttpResponse()

    site(view)
    running = await serve(ASGIHandler(), threads=1)
    client = await running.connect()
    assert (await client.fetch("/")).status == 200
    goes_on.set()
    assert await tasks[0] != threading.get_ident()


# ---------------------------------------------------------------------- transactions


@pytest.fixture
def database(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Callable[[], int]]:
    """A database with ``ATOMIC_REQUESTS`` and one table; counts its rows."""
    databases: dict[str, Any] = connections.settings
    databases["file"] = {
        **databases["default"],
        "NAME": str(tmp_path / "db.sqlite3"),
        "ATOMIC_REQUESTS": True,
    }

    def count() -> int:
        with connections["file"].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM rows")
            found: int = cursor.fetchone()[0]
        return found

    with django_db_blocker.unblock():
        with connections["file"].cursor() as cursor:
            cursor.execute("CREATE TABLE rows (name text)")
        yield count
    connections["file"].close()
    del connections["file"]
    del databases["file"]


@pytest.mark.parametrize("handler", [StockHandler, ASGIHandler], ids=["Django", "ours"])
async def test_atomic_requests(
    serve: Serve, site: Site, database: Callable[[], int], handler: Any, logs: Logs
) -> None:
    """``ATOMIC_REQUESTS`` takes back what a view wrote before it failed; async views it refuses."""

    def view(request: HttpRequest) -> HttpResponse:
        with connections["file"].cursor() as cursor:
            cursor.execute("INSERT INTO rows VALUES ('a')")
        assert connections["file"].in_atomic_block
        if "fail" in request.GET:
            raise ValueError
        return HttpResponse(database())

    async def async_view(request: HttpRequest) -> HttpResponse:
        raise AssertionError

    def elsewhere() -> int:
        try:
            return database()
        finally:
            connections["file"].close()

    site(view)
    running = await serve(handler(), threads=1)
    assert await status(running, "/") == 200
    assert await status(running, "/?fail") == 500
    assert await asyncio.to_thread(elsewhere) == 1
    site(async_view)
    running = await serve(handler(), threads=1)
    assert await status(running, "/") == 500
    assert logs.take() == ["ERROR Internal Server Error: /"] * 2


async def status(running: Running, target: str) -> int:
    """The status of a page."""
    client = await running.connect()
    return (await client.fetch(target)).status


# ---------------------------------------------------------------------- static files


@pytest.fixture
def static(settings: Settings, tmp_path: Path) -> StaticFilesHandler:
    """Static files beside an application that answers 204."""
    directory = tmp_path / "assets"
    directory.mkdir()
    (directory / "large.bin").write_bytes(b"x" * 500_000)
    (tmp_path / "secret.txt").write_text("secret")
    settings.STATICFILES_DIRS, settings.STATIC_URL = [directory], "/static/"

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    return StaticFilesHandler(application)


async def visit(application: Any, target: str, method: str = "GET") -> Visitor:
    """What a client gets that stays."""
    visitor = Visitor()
    await application(make_scope(target, method), visitor.receive, visitor.send)
    return visitor


@pytest.mark.row("2.6 static files")
class TestStaticFilesHandler:
    """``StaticFilesHandler``."""

    async def test_file(self, static: StaticFilesHandler) -> None:
        """A file is sent piece by piece, whole."""
        visitor = await visit(static, "/static/large.bin")
        assert visitor.sent[0]["status"] == 200
        assert visitor.body == b"x" * 500_000
        assert len(visitor.sent) > 3

    async def test_head(self, static: StaticFilesHandler) -> None:
        """HEAD is answered with its length."""
        visitor = await visit(static, "/static/large.bin", "HEAD")
        assert (b"Content-Length", b"500000") in visitor.sent[0]["headers"]

    async def test_others(self, static: StaticFilesHandler) -> None:
        """Everything else is for the application."""
        assert (await visit(static, "/page/")).sent[0]["status"] == 204

    @pytest.mark.parametrize(
        ("target", "found"),
        [
            ("/static/nope.css", 404),
            ("/static/", 404),
            ("/static/../secret.txt", 400),
            ("/static/a/../../secret.txt", 400),
            ("/static/%2e%2e/secret.txt", 400),
        ],
    )
    async def test_what_is_not_there(
        self, static: StaticFilesHandler, target: str, found: int, logs: Logs
    ) -> None:
        """A path that leads nowhere is 404; one that leads out is a bad request, and no error."""
        visitor = await visit(static, target)
        logs.take()
        assert visitor.sent[0]["status"] == found
        assert b"secret" not in visitor.body.replace(b"secret.txt", b"")
