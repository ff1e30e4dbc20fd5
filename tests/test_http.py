"""Plain Django over HTTP: answers like Django's own handler, with fewer hops."""

import asyncio
import contextvars
import gzip
import io
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

import pytest
from asgiref.sync import ThreadSensitiveContext, iscoroutinefunction, markcoroutinefunction
from django.conf.urls.i18n import i18n_patterns
from django.core import signals
from django.core.exceptions import MiddlewareNotUsed, PermissionDenied, SuspiciousOperation
from django.core.handlers.asgi import ASGIHandler as StockHandler
from django.dispatch import Signal
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.template import Template
from django.template.response import TemplateResponse
from django.urls import include, path, reverse
from django.utils.decorators import sync_and_async_middleware
from django.utils.translation import get_language, gettext
from django.views import View
from django.views.decorators.csrf import csrf_protect
from pytest_django.fixtures import Settings

from fairway._types import ASGIApplication, Event, Receive, Scope
from fairway.http import ONLY_PAGES, ASGIHandler, StaticFilesHandler, get_asgi_application
from fairway.server.application.loans import ThreadLoan
from fairway.server.application.threads import LentThread, ThreadPool

# ---------------------------------------------------------------------- views


def plain(request: HttpRequest) -> HttpResponse:
    response = HttpResponse(f"{request.method} {request.path} {request.GET.dict()}")
    response.set_cookie("a", "b")
    response["X-Seen"] = request.headers.get("X-Token", "-")
    return response


async def plain_async(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    return HttpResponse(f"async {request.path}")


def body(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"body": request.body.decode(), "post": request.POST.dict()})


def upload(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"|".join(part.read() for part in request.FILES.getlist("file")))


def streaming(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(str(number) for number in range(5))


async def streaming_async(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[str]:
        for number in range(5):
            yield str(number)

    return StreamingHttpResponse(parts())


def streaming_async_from_sync(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    return StreamingHttpResponse(parts())


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(io.BytesIO(b"x" * 200_000), filename="x.bin")


def failing(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a mistake in a view")


async def failing_async(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a mistake in an async view")


def refusing(request: HttpRequest) -> HttpResponse:
    errors: dict[str, Exception] = {
        "404": Http404("no"),
        "403": PermissionDenied("no"),
        "400": SuspiciousOperation("no"),
    }
    raise errors[request.GET["error"]]


def mount(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{request.path} {request.path_info} {request.scope['type']}")  # type: ignore[attr-defined]  # ASGIRequest


def template() -> Any:
    """A template; the stubs know those of backends only."""
    return Template("Hello {{ name }}")


def templated(request: HttpRequest) -> TemplateResponse:
    return TemplateResponse(request, template(), {"name": "view"})


async def templated_async(request: HttpRequest) -> TemplateResponse:
    return TemplateResponse(request, template(), {"name": "async view"})


def translated(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{get_language()} {gettext('Monday')} {reverse('day')}")


async def translated_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"async {get_language()} {gettext('Monday')} {reverse('day')}")


#: Set by a middleware, read by views.
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def context(request: HttpRequest) -> StreamingHttpResponse:
    before = variable.get()
    variable.set("set by the view")
    return StreamingHttpResponse(f"{before} {variable.get()} {word}" for word in "ab")


async def context_async(request: HttpRequest) -> StreamingHttpResponse:
    before = variable.get()
    variable.set("set by the view")

    async def parts() -> AsyncIterator[str]:
        for word in "ab":
            yield f"{before} {variable.get()} {word}"

    return StreamingHttpResponse(parts())


def nothing(request: HttpRequest) -> Any:
    return None


async def nothing_async(request: HttpRequest) -> Any:
    return None


def cookies(request: HttpRequest) -> HttpResponse:
    response = HttpResponse(str(sorted(request.COOKIES.items())))
    response.set_cookie("one", "1", httponly=True)
    response.set_cookie("two", "2", samesite="Lax")
    response.delete_cookie("old")
    return response


@csrf_protect
def protected(request: HttpRequest) -> HttpResponse:
    return HttpResponse("passed")


class ClassBased(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("class")


def other_scope(request: HttpRequest) -> JsonResponse:
    scope: Any = request.scope  # type: ignore[attr-defined]  # ASGIRequest
    return JsonResponse({key: scope[key] for key in ("type", "path", "root_path", "http_version")})


urlpatterns = [
    path("templated/", templated),
    path("templated-async/", templated_async),
    path("context/", context),
    path("context-async/", context_async),
    path("nothing/", nothing),
    path("nothing-async/", nothing_async),
    path("cookies/", cookies),
    path("protected/", protected),
    path("class/", ClassBased.as_view()),
    path("scope/", other_scope),
    *i18n_patterns(path("day/", translated, name="day"), path("day-async/", translated_async)),
    path("", plain),
    path("async/", plain_async),
    path("body/", body),
    path("upload/", upload),
    path("streaming/", streaming),
    path("streaming-async/", streaming_async),
    path("streaming-mixed/", streaming_async_from_sync),
    path("file/", file),
    path("failing/", failing),
    path("failing-async/", failing_async),
    path("refusing/", refusing),
    path("mount/", mount),
    path("nested/", include([path("async/", plain_async), path("", plain)])),
    path("redirect/", lambda request: HttpResponseRedirect("/")),
]

# ---------------------------------------------------------------------- middleware

GetResponse = Callable[[HttpRequest], Any]


def sync_middleware(get_response: GetResponse) -> GetResponse:
    def middleware(request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = get_response(request)
        response["X-Sync"] = response.get("X-Sync", "") + "s"
        return response

    return middleware


class AsyncMiddleware:
    """A middleware that works only async."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = await self.get_response(request)
        response["X-Async"] = response.get("X-Async", "") + "a"
        return response


@sync_and_async_middleware
def both_middleware(get_response: GetResponse) -> GetResponse:
    if iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> Any:
            response = await get_response(request)
            response["X-Both"] = "b"
            return response

        return middleware

    def sync(request: HttpRequest) -> Any:
        response = get_response(request)
        response["X-Both"] = "b"
        return response

    return sync


def short_circuit(get_response: GetResponse) -> GetResponse:
    def middleware(request: HttpRequest) -> Any:
        if "X-Stop" in request.headers:
            return HttpResponse("stopped", status=418)
        return get_response(request)

    return middleware


def other_urlconf(get_response: GetResponse) -> GetResponse:
    def middleware(request: HttpRequest) -> Any:
        if "X-Other" in request.headers:
            urlconf: Any = (path("async/", plain), path("", plain_async))
            request.urlconf = urlconf
        return get_response(request)

    return middleware


class ViewMiddleware:
    """Sees views, templates and exceptions."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> Any:
        return HttpResponse("viewed") if "X-View" in request.headers else None

    def process_exception(self, request: HttpRequest, exception: Exception) -> Any:
        return HttpResponse(f"caught {exception}") if "X-Catch" in request.headers else None

    def process_template_response(self, request: HttpRequest, response: Any) -> Any:
        response.context_data["name"] += " and middleware"
        return response


def failing_middleware(get_response: GetResponse) -> GetResponse:
    def middleware(request: HttpRequest) -> Any:
        if "X-Fail" in request.headers:
            raise {"404": Http404, "500": ValueError}[request.headers["X-Fail"]]("in a middleware")
        return get_response(request)

    return middleware


def unused(get_response: GetResponse) -> GetResponse:
    raise MiddlewareNotUsed


@sync_and_async_middleware
def context_middleware(get_response: GetResponse) -> GetResponse:
    if iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> Any:
            variable.set("set by a middleware")
            response = await get_response(request)
            response["X-Variable"] = variable.get()
            return response

        return middleware

    def sync(request: HttpRequest) -> Any:
        variable.set("set by a middleware")
        response = get_response(request)
        response["X-Variable"] = variable.get()
        return response

    return sync


#: What `startproject` writes, and what people add to it.
DJANGOS_OWN = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

MIDDLEWARES = {
    "none": [],
    "sync": ["sync_middleware"],
    "async": ["AsyncMiddleware"],
    "both": ["both_middleware"],
    "sync over async": ["sync_middleware", "AsyncMiddleware", "both_middleware"],
    "async over sync": ["AsyncMiddleware", "sync_middleware", "short_circuit", "ViewMiddleware"],
    "all": [
        "short_circuit",
        "AsyncMiddleware",
        "other_urlconf",
        "both_middleware",
        "ViewMiddleware",
        "sync_middleware",
    ],
    "failing": ["sync_middleware", "failing_middleware", "unused", "AsyncMiddleware"],
    "context": ["context_middleware"],
    "context over sync": ["context_middleware", "sync_middleware", "AsyncMiddleware"],
    "Django's": DJANGOS_OWN,
}

MULTIPART = (
    b"--b\r\n"
    b'Content-Disposition: form-data; name="file"; filename="a.txt"\r\n'
    b"\r\n"
    b"hello\r\n"
    b"--b--\r\n"
)

REQUESTS: dict[str, dict[str, Any]] = {
    "plain": {"path": "/", "query": b"a=1&b=%20"},
    "async": {"path": "/async/"},
    "nested sync": {"path": "/nested/"},
    "nested async": {"path": "/nested/async/"},
    "head": {"path": "/", "method": "HEAD"},
    "header": {"path": "/", "headers": [(b"x-token", b"t")]},
    "body": {"path": "/body/", "method": "POST", "body": [b"a=1", b"&b=2"],
             "headers": [(b"content-type", b"application/x-www-form-urlencoded")]},
    "upload": {"path": "/upload/", "method": "POST", "body": [MULTIPART],
               "headers": [(b"content-type", b"multipart/form-data; boundary=b"),
                           (b"content-length", str(len(MULTIPART)).encode())]},
    "streaming": {"path": "/streaming/"},
    "streaming async": {"path": "/streaming-async/"},
    "streaming mixed": {"path": "/streaming-mixed/"},
    "file": {"path": "/file/"},
    "failing": {"path": "/failing/"},
    "failing async": {"path": "/failing-async/"},
    "caught": {"path": "/failing/", "headers": [(b"x-catch", b"1")]},
    "404 raised": {"path": "/refusing/", "query": b"error=404"},
    "403 raised": {"path": "/refusing/", "query": b"error=403"},
    "400 raised": {"path": "/refusing/", "query": b"error=400"},
    "unknown": {"path": "/nowhere/"},
    "redirect": {"path": "/redirect/"},
    "stopped": {"path": "/async/", "headers": [(b"x-stop", b"1")]},
    "viewed": {"path": "/async/", "headers": [(b"x-view", b"1")]},
    "other urlconf": {"path": "/", "headers": [(b"x-other", b"1")]},
    "other urlconf, async path": {"path": "/async/", "headers": [(b"x-other", b"1")]},
    "templated": {"path": "/templated/"},
    "templated async": {"path": "/templated-async/"},
    "translated": {"path": "/de/day/"},
    "translated async": {"path": "/de/day-async/"},
    "to be translated": {"path": "/day/", "headers": [(b"accept-language", b"de")]},
    "context": {"path": "/context/"},
    "context async": {"path": "/context-async/"},
    "nothing": {"path": "/nothing/"},
    "nothing async": {"path": "/nothing-async/"},
    "cookies": {"path": "/cookies/", "headers": [(b"cookie", b"a=1; b=2")]},
    "refused for its token": {"path": "/protected/", "method": "POST",
                              "headers": [(b"cookie", b"csrftoken=" + b"a" * 32)]},
    "class": {"path": "/class/"},
    "wrong method": {"path": "/class/", "method": "POST"},
    "options": {"path": "/class/", "method": "OPTIONS"},
    "scope": {"path": "/app/scope/", "root_path": "/app"},
    "without a slash": {"path": "/async"},
    "compressed": {"path": "/file/", "headers": [(b"accept-encoding", b"gzip")]},
    "conditional": {"path": "/", "headers": [(b"if-none-match", b"*")]},
    "head of a file": {"path": "/file/", "method": "HEAD"},
    "fails in a middleware": {"path": "/async/", "headers": [(b"x-fail", b"500")]},
    "404 in a middleware": {"path": "/", "headers": [(b"x-fail", b"404")]},
    "too large": {"path": "/body/", "method": "POST", "body": [b"a=" + b"1" * 3_000_000],
                  "headers": [(b"content-type", b"application/x-www-form-urlencoded")]},
    "too many fields": {"path": "/body/", "method": "POST", "body": [b"a=1&" * 2000],
                        "headers": [(b"content-type", b"application/x-www-form-urlencoded")]},
    "upload in pieces": {"path": "/upload/", "method": "POST",
                         "body": [MULTIPART[i : i + 9] for i in range(0, len(MULTIPART), 9)],
                         "headers": [(b"content-type", b"multipart/form-data; boundary=b"),
                                     (b"content-length", str(len(MULTIPART)).encode())]},
    "broken upload": {"path": "/upload/", "method": "POST", "body": [MULTIPART],
                      "headers": [(b"content-type", b"multipart/form-data"),
                                  (b"content-length", str(len(MULTIPART)).encode())]},
    "mounted": {"path": "/app/mount/", "root_path": "/app"},
    "bad host": {"path": "/", "headers": [(b"host", b"evil.example")]},
    "bad query": {"path": "/", "query": b"\xff=\xfe"},
}  # fmt: skip


#: Each set of middlewares, and some with debug pages.
SITES = [(name, False) for name in MIDDLEWARES] + [("none", True), ("all", True)]


@pytest.fixture(params=SITES, ids=[name + " debug" * debug for name, debug in SITES])
def site(request: pytest.FixtureRequest, settings: Settings) -> None:
    """A site with this module's views."""
    name, settings.DEBUG = request.param
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [
        name if name.startswith("django.") else f"{__name__}.{name}" for name in MIDDLEWARES[name]
    ]
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    settings.LANGUAGES = [("en", "English"), ("de", "German")]
    settings.TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]


def make_scope(path: str, query: bytes = b"", **given: Any) -> Scope:
    headers = given.get("headers", [])
    if not any(name == b"host" for name, _ in headers):
        headers = [(b"host", b"testserver"), *headers]
    return {
        "type": "http",
        "method": given.get("method", "GET"),
        "path": path,
        "raw_path": path.encode(),
        "root_path": given.get("root_path", ""),
        "query_string": query,
        "headers": headers,
        "scheme": "http",
        "http_version": "1.1",
        "client": ("127.0.0.1", 1234),
        "server": ("127.0.0.1", 80),
    }


def one_request() -> Receive:
    """What a client without a body sends, which then waits for its answer."""
    events: list[Event] = [{"type": "http.request", "body": b""}]

    async def receive() -> Event:
        if not events:
            await asyncio.Event().wait()
        return events.pop()

    return receive


async def ask(application: Any, request: dict[str, Any]) -> list[Event]:
    """What the application sends for a request whose client stays to the end."""
    sent: list[Event] = []
    parts = list(request.get("body", [b""]))
    events: list[Event] = [
        {"type": "http.request", "body": part, "more_body": index + 1 < len(parts)}
        for index, part in enumerate(parts)
    ]

    async def receive() -> Event:
        if not events:
            await asyncio.Event().wait()
        return events.pop(0)

    async def send(event: Event) -> None:
        sent.append(event)

    scope = make_scope(**{key: value for key, value in request.items() if key != "body"})
    await application(scope, receive, send)
    return sent


async def ask_in_a_new_context(application: Any, request: dict[str, Any]) -> list[Event]:
    """The same as from a server's task: nothing was set before."""
    context = contextvars.Context()
    return await asyncio.create_task(ask(application, request), context=context)


OF_LENGTH = {b"content-length", b"etag"}


def summary(events: list[Event]) -> tuple[Any, ...]:
    """An answer, whatever pieces it came in."""
    start, *parts = events
    assert start["type"] == "http.response.start"
    assert [part.get("more_body", False) for part in parts] == [True] * (len(parts) - 1) + [False]
    content = b"".join(part.get("body", b"") for part in parts)
    if (b"content-encoding", b"gzip") in [
        (name.lower(), value) for name, value in start["headers"]
    ]:
        content = gzip.decompress(content)  # which Django makes of a random length
        start["headers"] = [pair for pair in start["headers"] if pair[0].lower() not in OF_LENGTH]
    if b"Traceback" in content or b"DEBUG = True" in content:
        content = content[:100]  # a debug page shows the stack, which is the point of the handler
    headers = sorted(
        (name.lower(), value)
        for name, value in start["headers"]
        if start["status"] < 400 or name.lower() not in OF_LENGTH
    )
    return start["status"], headers, content


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")
@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("name", REQUESTS)
async def test_answers_like_django(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Over every view and middleware, the answer and the log are those of Django's handler."""
    answers = []
    for application in (StockHandler(), ASGIHandler()):
        caplog.clear()
        answer = summary(await ask_in_a_new_context(application, REQUESTS[name]))
        records = [
            (record.name, record.levelname, record.getMessage())
            for record in caplog.records
            if record.name.startswith("django.request")
        ]
        answers.append((answer, records))
    assert answers[1] == answers[0]


# ---------------------------------------------------------------------- when what happens


async def history(handler: Any, request: dict[str, Any], *, listener: bool) -> list[str]:
    """What happens in which order; with a listener of the project's own or without."""
    happened: list[str] = []

    def started(**kwargs: Any) -> None:
        happened.append(f"started {kwargs['scope']['path']}")

    def finished(**kwargs: Any) -> None:
        happened.append("finished")

    sent: list[Event] = []

    async def send(event: Event) -> None:
        sent.append(event)
        happened.append(event["type"])

    signals.request_started.connect(started)
    if listener:
        signals.request_finished.connect(finished)
    try:
        await handler(make_scope(**request), one_request(), send)
    finally:
        signals.request_started.disconnect(started)
        signals.request_finished.disconnect(finished)
    return happened


@pytest.mark.parametrize("url", ["/", "/async/", "/streaming/", "/failing/", "/nowhere/"])
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")
async def test_signals(settings: Settings, url: str) -> None:
    """request_started comes first; request_finished after the response, if anybody listens."""
    settings.ROOT_URLCONF, settings.MIDDLEWARE = __name__, []
    stock = await history(StockHandler(), {"path": url}, listener=True)
    ours = await history(ASGIHandler(), {"path": url}, listener=True)
    assert [ours[0], ours[-1]] == [f"started {url}", "finished"]
    assert set(ours) == set(stock)


async def test_one_hop(settings: Settings) -> None:
    """A sync view, its middleware, the signals and the end of the response share one thread hop."""
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [f"{__name__}.sync_middleware", f"{__name__}.ViewMiddleware"]
    pool = ThreadPool(4)
    hops = 0

    class Counting(LentThread):
        def submit(self, *args: Any, **kwargs: Any) -> Any:
            nonlocal hops
            hops += 1
            return super().submit(*args, **kwargs)

    async with ThreadSensitiveContext(executor=Counting(pool)):
        assert summary(await ask(ASGIHandler(), {"path": "/"}))[0] == 200
    pool.close()
    assert hops == 1


@pytest.fixture
async def lent() -> AsyncIterator[LentThread]:
    """A thread that Fairway's server lends to a request, for tests that make it one."""
    pool = ThreadPool(4)
    lent = LentThread(pool)
    with ThreadLoan(lent):
        yield lent
    pool.close()


async def test_no_hop(settings: Settings, lent: LentThread) -> None:
    """An async view that calls no sync code takes no thread, from its beginning to its end."""
    settings.ROOT_URLCONF, settings.MIDDLEWARE = __name__, []
    requests: list[Any] = []

    async def asynchronous(request: HttpRequest) -> HttpResponse:
        requests.append(request)
        return HttpResponse("without a thread")

    settings.ROOT_URLCONF = (path("", asynchronous),)
    assert summary(await ask(ASGIHandler(), {"path": "/"}))[2] == b"without a thread"
    assert requests[0]._stream.closed
    assert not lent.used


@pytest.mark.parametrize("signal", [signals.request_started, signals.request_finished])
async def test_listeners_of_an_async_view(
    settings: Settings, lent: LentThread, signal: Signal
) -> None:
    """Who listens to Django's signals is called in a thread: it may be sync code of any kind."""
    settings.ROOT_URLCONF, settings.MIDDLEWARE = __name__, []
    called: list[int] = []

    def listen(**kwargs: Any) -> None:
        called.append(threading.get_ident())

    signal.connect(listen)
    try:
        assert summary(await ask(ASGIHandler(), {"path": "/async/"}))[0] == 200
    finally:
        signal.disconnect(listen)
    assert len(called) == 1
    assert called != [threading.get_ident()]


async def test_closers_of_an_async_view(settings: Settings, lent: LentThread) -> None:
    """What is to be closed with the response is closed in a thread, as it may wait for a disk."""
    settings.MIDDLEWARE = []
    closed: list[int] = []

    async def asynchronous(request: HttpRequest) -> HttpResponse:
        response: Any = HttpResponse()
        response._resource_closers.append(lambda: closed.append(threading.get_ident()))
        return response  # type: ignore[no-any-return]  # Any, since the stubs know no closers

    settings.ROOT_URLCONF = (path("", asynchronous),)
    assert summary(await ask(ASGIHandler(), {"path": "/"}))[0] == 200
    assert len(closed) == 1
    assert closed != [threading.get_ident()]


async def test_queries_of_an_async_view(settings: Settings, lent: LentThread) -> None:
    """While debugging, Django forgets in a thread what queries the request before has made."""
    settings.ROOT_URLCONF, settings.MIDDLEWARE, settings.DEBUG = __name__, [], True
    assert summary(await ask(ASGIHandler(), {"path": "/async/"}))[0] == 200
    assert lent.used


@pytest.mark.parametrize("url", ["/", "/async/"])
async def test_tools_around_djangos_handler(
    settings: Settings, lent: LentThread, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """A tool that wraps what Django's handler is called with sees each request, as Sentry has to.

    It begins and ends what belongs to a request there.
    """
    settings.ROOT_URLCONF, settings.MIDDLEWARE = __name__, []
    happened: list[str] = []
    stock = StockHandler.__call__

    async def watched(handler: Any, scope: Any, receive: Any, send: Any) -> None:
        happened.append(f"began {scope['path']}")
        await stock(handler, scope, receive, send)
        happened.append("ended")

    monkeypatch.setattr(StockHandler, "__call__", watched)
    assert summary(await ask(ASGIHandler(), {"path": url}))[0] == 200
    assert happened == [f"began {url}", "ended"]
    assert lent.used is (url == "/")


async def test_nothing_is_left_behind(settings: Settings) -> None:
    """What a server starts from within a request, such as the next one, is served after its end.

    uvicorn begins the next request of a connection in the context of the one before.
    """
    settings.ROOT_URLCONF, settings.MIDDLEWARE = __name__, []
    handler = ASGIHandler()
    contexts: list[contextvars.Context] = []
    events: list[Event] = [{"type": "http.request", "body": b""}]

    async def receive() -> Event:
        return events.pop()

    async def send(event: Event) -> None:
        contexts.append(contextvars.copy_context())

    await handler(make_scope("/"), receive, send)
    for application in (StockHandler(), handler):
        following = asyncio.create_task(ask(application, {"path": "/"}), context=contexts[-1])
        assert summary(await following)[0] == 200


async def test_client_goes_while_streaming(settings: Settings) -> None:
    """An endless stream ends when its client has gone, and its response is closed."""
    settings.ROOT_URLCONF, settings.MIDDLEWARE = __name__, []
    gone = asyncio.Event()
    events: list[Event] = [{"type": "http.request", "body": b""}]
    closed: list[str] = []

    async def parts() -> AsyncIterator[str]:
        try:
            while True:
                yield "tick"
                await asyncio.sleep(0)
        finally:
            closed.append("stream")

    def endless(request: HttpRequest) -> StreamingHttpResponse:
        response = StreamingHttpResponse(parts())
        closers: Any = response
        closers._resource_closers.append(lambda: closed.append("response"))
        return response

    async def receive() -> Event:
        if events:
            return events.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(event: Event) -> None:
        if event["type"] == "http.response.body":
            gone.set()

    settings.ROOT_URLCONF = (path("endless/", endless),)
    await ASGIHandler()(make_scope("/endless/"), receive, send)
    assert closed == ["stream", "response"]


async def test_sync_iterators_are_not_consumed_at_once(settings: Settings) -> None:
    """Parts of a sync iterator are made as they are sent, each in a thread."""
    made: list[tuple[int, bool]] = []
    loop_thread = threading.get_ident()

    def parts() -> Iterator[str]:
        for number in range(3):
            made.append((number, threading.get_ident() != loop_thread))
            yield str(number)

    settings.MIDDLEWARE = []
    settings.ROOT_URLCONF = (path("", lambda request: StreamingHttpResponse(parts())),)
    seen: list[int] = []

    async def send(event: Event) -> None:
        if event.get("body"):
            seen.append(len(made))

    await ASGIHandler()(make_scope("/"), one_request(), send)
    assert made == [(0, True), (1, True), (2, True)]
    assert seen == [1, 2, 3]


async def test_client_goes_before_its_body_is_complete(settings: Settings) -> None:
    """A request that never was one is not answered."""
    settings.ROOT_URLCONF, settings.MIDDLEWARE = __name__, []
    events: list[Event] = [
        {"type": "http.disconnect"},
        {"type": "http.request", "body": b"half", "more_body": True},
    ]

    async def receive() -> Event:
        return events.pop()

    async def send(event: Event) -> None:
        raise AssertionError(event)

    await ASGIHandler()(make_scope("/body/", method="POST"), receive, send)


async def test_other_scopes() -> None:
    """Only HTTP is Django's."""
    with pytest.raises(ValueError, match="Django can only handle ASGI/HTTP connections, not webs"):
        await ask_type(ASGIHandler(), "websocket")


@pytest.mark.parametrize(
    "make_application",
    [get_asgi_application, lambda: StaticFilesHandler(cast("ASGIApplication", StockHandler()))],
    ids=["ours", "Django's, as runserver serves it"],
)
async def test_only_pages(make_application: Callable[[], Any]) -> None:
    """A WebSocket that comes to Django alone says what serves WebSockets."""
    with pytest.raises(ValueError, match="not websocket") as caught:
        await ask_type(make_application(), "websocket")
    assert caught.value.__notes__ == [ONLY_PAGES]


async def ask_type(application: Any, kind: str) -> None:
    async def never(*args: Any) -> Event:
        raise AssertionError

    await application({"type": kind}, never, never)


class TestGetAsgiApplication:
    """``get_asgi_application``."""

    async def test_serves_views(self, settings: Settings) -> None:
        """The application answers requests."""
        settings.ROOT_URLCONF, settings.MIDDLEWARE = __name__, []
        application: ASGIApplication = get_asgi_application()
        assert isinstance(application, StockHandler)
        assert summary(await ask(application, {"path": "/"}))[0] == 200

    def test_sets_django_up(self) -> None:
        """Models can be imported after it was called."""
        code = """
from fairway.http import get_asgi_application
application = get_asgi_application()
from django.contrib.auth.models import User
"""
        env = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        subprocess.run([sys.executable, "-c", code], check=True, env=env)
