"""Django's own handler under the server: its sync views run in parallel, in a bounded pool."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path

from fairway._types import ASGIApplication
from tests.server.conftest import Serve
from tests.server.running import DEADLINE, Logs, Running

#: Where views meet: nobody goes on before all are there.
meeting = threading.Barrier(4)


def meet(request: HttpRequest) -> HttpResponse:
    """Wait until four requests are inside, and tell the thread."""
    meeting.wait(DEADLINE)
    return HttpResponse(threading.current_thread().name)


def thread(request: HttpRequest) -> HttpResponse:
    """Tell the thread."""
    return HttpResponse(threading.current_thread().name)


def length(request: HttpRequest) -> HttpResponse:
    """Tell how long the body is."""
    return HttpResponse(len(request.body))


def fail(request: HttpRequest) -> HttpResponse:
    """Raise."""
    raise ZeroDivisionError


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Answer in parts, from an async generator as Django wants it under ASGI."""

    async def parts() -> AsyncIterator[bytes]:
        for number in range(5):
            yield f"{number}".encode()

    return StreamingHttpResponse(parts())


urlpatterns = [
    path("meet/", meet),
    path("thread/", thread),
    path("length/", length),
    path("fail/", fail),
    path("stream/", stream),
]


@pytest.fixture
def django() -> Iterator[ASGIApplication]:
    """Django, with the views of this module."""
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[], ALLOWED_HOSTS=["*"]):
        yield ASGIHandler()  # type: ignore[misc]  # its stubs want events to be mappings


async def fetch(running: Running, target: str) -> str:
    """A page, on a connection of its own."""
    client = await running.connect()
    return (await client.fetch(target)).body.decode()


async def test_parallel(serve: Serve, django: ASGIApplication) -> None:
    """Sync views of several connections run in parallel, each in a thread of the pool."""
    running = await serve(django, threads=4)
    names = await asyncio.gather(*(fetch(running, "/meet/") for _ in range(4)))
    assert set(names) == {f"fairway-{number}" for number in range(1, 5)}


async def test_bounded(serve: Serve, django: ASGIApplication) -> None:
    """However many requests there are, there are no more threads than that."""
    running = await serve(django, threads=2)
    before = threading.active_count()
    names = await asyncio.gather(*(fetch(running, "/thread/") for _ in range(20)))
    assert set(names) <= {"fairway-1", "fairway-2"}
    assert threading.active_count() <= before + 2


async def test_body(serve: Serve, django: ASGIApplication) -> None:
    """A view gets the whole body."""
    running = await serve(django)
    client = await running.connect()
    await client.send(b"POST /length/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
    await client.send(b"x" * 1_000_000)
    assert (await client.response("POST")).body == b"1000000"


async def test_stream(serve: Serve, django: ASGIApplication) -> None:
    """A streaming response is chunked, and the connection used again."""
    running = await serve(django)
    client = await running.connect()
    response = await client.fetch("/stream/")
    assert (response.body, response["transfer-encoding"]) == (b"01234", "chunked")
    assert (await client.fetch("/thread/")).status == 200


async def test_fail(serve: Serve, django: ASGIApplication, logs: Logs) -> None:
    """A view that raises is Django's to answer."""
    running = await serve(django)
    client = await running.connect()
    assert (await client.fetch("/fail/")).status == 500
    assert (await client.fetch("/nowhere/")).status == 404
    assert logs.take() == ["ERROR Internal Server Error: /fail/", "WARNING Not Found: /nowhere/"]
