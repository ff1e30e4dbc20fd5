"""Plain Django over HTTP: its handler, without the hops that cost most.

Django's own ASGI handler sends every part of a request that is not async to a thread and back:
signals, each middleware that only works one way, the view, the end of the response. Here the whole
sync chain runs in one hop to a warm thread. What a request means, and what is answered, is
Django's.
"""

import contextlib
import inspect
import io
import tempfile
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlparse

import django
from asgiref.sync import SyncToAsync
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler, StaticFilesHandlerMixin
from django.core import signals
from django.core.cache import close_caches
from django.core.exceptions import RequestAborted, SuspiciousOperation
from django.core.handlers import asgi
from django.core.handlers.base import BaseHandler, reset_urlconf
from django.core.handlers.exception import response_for_exception
from django.db import close_old_connections, reset_queries
from django.dispatch import Signal
from django.http import FileResponse
from django.urls import URLPattern, URLResolver, get_resolver, set_script_prefix

from fairway._types import ASGIApplication, Receive, Scope, Send
from fairway.db import connection_thread, connection_turns, in_thread, lent_turns
from fairway.http.hints import ONLY_PAGES, HandshakeHint, handshake_hint
from fairway.http.responses import SEND_FILE, FileForBody, InThread, WithoutBody, file_of
from fairway.server.application.threads import LentThread
from fairway.server.application.watching import while_connected

__all__ = [
    "ONLY_PAGES",
    "ASGIHandler",
    "HandshakeHint",
    "StaticFilesHandler",
    "get_asgi_application",
    "handshake_hint",
]

#: Paths whose guess is remembered, so that most requests are resolved once only, by Django.
_MAX_GUESSES: Final = 4096

#: What Django itself does when a request begins and when it has finished. If nobody else listens,
#: it is done in the thread of the view, before the response is sent; anybody else may want to run
#: after that. An async view that calls nothing in a thread needs none of it.
_DJANGO_LISTENS: Final = frozenset(
    id(receiver) for receiver in (close_old_connections, close_caches, reset_queries, reset_urlconf)
)


class _SyncChain(BaseHandler):
    """Django's middleware and views as a chain of sync functions; async ones are adapted by it."""

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware(is_async=False)


class ASGIHandler(asgi.ASGIHandler):
    """Django's handler with two middleware chains, of which a guess picks one.

    The view that the path resolves to says whether the chain for sync or for async code is taken.
    That is a guess, as a middleware may answer by itself or change the URLconf; each chain serves
    every view, so a wrong guess costs a hop to a thread and changes no result.
    """

    def __init__(self) -> None:
        # Not Django's __init__, which builds the async chain: many projects never need it.
        BaseHandler.__init__(self)
        self._sync_chain = _SyncChain()
        self._async_loaded = False
        self._guesses: dict[str, bool] = {}
        self._any_async: bool | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]  # ASGI's own types
        """Serve one HTTP request.

        Raises:
            ValueError: The scope is of another type.
        """
        if scope["type"] != "http":
            error = ValueError(
                f"Django can only handle ASGI/HTTP connections, not {scope['type']}."
            )
            error.add_note(ONLY_PAGES)
            raise error
        async with connection_thread():
            if SyncToAsync.thread_sensitive_context.get(None) is None:
                # The thread is a test's, or of sync code that waits. Django would take another one.
                await self.handle(scope, receive, send)
            else:
                # Django's own __call__ is what tools that watch requests put theirs around.
                await super().__call__(scope, receive, send)  # type: ignore[arg-type]  # as above

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]  # as above
        """Serve one HTTP request; Django's ``__call__`` calls it."""
        try:
            body_file = await self.read_body(receive)
        except RequestAborted:
            return
        try:
            if self._guess_async(scope):
                await self._serve_async(scope, body_file, receive, send)
            else:
                await self._serve_sync(scope, body_file, receive, send)
        finally:
            body_file.close()

    async def read_body(self, receive: Receive) -> Any:  # type: ignore[override]  # ASGI's own types
        """Return the body as a file; most requests have none, which takes no temporary one.

        Raises:
            RequestAborted: The client has gone before its body was complete.
        """
        event = await receive()
        if event["type"] == "http.request" and not event.get("more_body") and not event.get("body"):
            return io.BytesIO()
        size = settings.FILE_UPLOAD_MAX_MEMORY_SIZE
        body_file = tempfile.SpooledTemporaryFile(max_size=size)  # noqa: SIM115  it is returned
        try:
            while event["type"] != "http.disconnect":
                body_file.write(event.get("body", b""))
                if not event.get("more_body", False):
                    body_file.seek(0)
                    return body_file
                event = await receive()
            raise RequestAborted
        except BaseException:
            with contextlib.suppress(OSError):  # what a full disk did not take it will not take now
                body_file.close()
            raise

    # ------------------------------------------------------------------ the guess

    def _guess_async(self, scope: Scope) -> bool:
        if self._any_async is None:
            try:
                self._any_async = any(_is_async(view) for view in _views(get_resolver()))
            except Exception:  # noqa: BLE001  a broken URLconf is Django's to report
                return False
        if not self._any_async:
            return False
        path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
        guess = self._guesses.get(path)
        if guess is None:
            try:
                guess = _is_async(get_resolver().resolve(path).func)
            except Exception:  # noqa: BLE001  a 404, or Django's to report
                guess = False
            if len(self._guesses) < _MAX_GUESSES:
                self._guesses[path] = guess
        return guess

    # ------------------------------------------------------------------ the async chain

    async def _serve_async(
        self, scope: Scope, body_file: Any, receive: Receive, send: Send
    ) -> None:
        if not self._async_loaded:
            self.load_middleware(is_async=True)
            self._async_loaded = True
        connection_turns()  # the thread of each hop looks after its database connections
        set_script_prefix(asgi.get_script_prefix(scope))
        thread = lent_turns()
        if thread is None or settings.DEBUG or not _only_django(signals.request_started):
            await signals.request_started.asend(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, body_file)
        if request is None:
            assert refusal is not None
            await self.send_response(refusal, send)
            await in_thread(refusal.close)
            return
        responses = []

        async def answer() -> None:
            responses.append(await self.run_get_response(request))
            await self._answer(scope, responses[0], send)

        try:
            await while_connected(answer(), receive, self._until_gone)
        finally:
            if responses and self._ends_in_thread(thread, request, responses[0]):
                await in_thread(responses[0].close)
            elif responses:
                responses[0].close()
            else:
                await signals.request_finished.asend(sender=self.__class__)

    async def _until_gone(self, receive: Receive) -> None:
        with contextlib.suppress(RequestAborted):
            await self.listen_for_disconnect(receive)

    @staticmethod
    def _ends_in_thread(thread: LentThread | None, request: Any, response: Any) -> bool:
        """Whether the end of a request is for a thread: it was in one, or others have a say in it.

        Else there is nothing to close but the request, which takes no time.
        """
        return (
            thread is None
            or thread.used
            or response.closed
            or response._resource_closers != [request.close]  # noqa: SLF001  such as a file's
            or bool(getattr(request, "_files", None))
            or not _only_django(signals.request_finished)
        )

    # ------------------------------------------------------------------ the sync chain

    async def _serve_sync(self, scope: Scope, body_file: Any, receive: Receive, send: Send) -> None:
        response = None
        try:
            # Django itself looks after the database connections where a request starts and ends.
            response = await in_thread(self._respond, scope, body_file)
            if response.streaming:
                connection_turns()
                answering = self._answer(scope, response, send)
                await while_connected(answering, receive, self._until_gone)
            else:
                await self.send_response(response, send)
        finally:
            if response is None:
                await signals.request_finished.asend(sender=self.__class__)
            elif not response.closed:
                await in_thread(response.close)

    def _respond(self, scope: Scope, body_file: Any) -> Any:
        """Everything from request_started to the response, in one thread."""
        set_script_prefix(asgi.get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, body_file)
        response: Any = refusal
        if request is not None:
            response = self._sync_chain.get_response(request)
            response._handler_class = self.__class__  # noqa: SLF001  Django's signals name it
            if isinstance(response, FileResponse):
                response.block_size = self.chunk_size
        if not response.streaming and _only_django(signals.request_finished):
            response.close()
        return response

    async def _answer(self, scope: Scope, response: Any, send: Send) -> None:
        """Send a response; the server sends a file itself, if it can."""
        file = file_of(response)
        if file is not None and SEND_FILE in (scope.get("extensions") or ()):
            await self.send_response(WithoutBody(response), FileForBody(file, send))
        else:
            await self.send_response(response, send)

    async def send_response(self, response: Any, send: Send) -> None:
        """Send a response; the parts of a sync iterator are made in a thread, one at a time.

        Between two parts no thread is held, so a slow client costs none; and iterators that wait
        for something hold some threads at most (``stream_threads``).
        """
        if response.streaming and not response.is_async:
            response = InThread(response)
        await super().send_response(response, send)  # type: ignore[arg-type]  # ASGI's own types


class StaticFilesHandler(ASGIHandler, ASGIStaticFilesHandler):  # type: ignore[misc]  # Django's own bases differ in load_middleware()
    """Serves static files while developing, and leaves everything else to an application.

    As Django's, which it extends, with these differences: a file is read piece by piece as it is
    sent, not whole; and a path that leads out of the directories of static files is a bad request,
    not an error of the server's.

    Args:
        application: Gets what is below another path than ``STATIC_URL``, and other scopes.
    """

    def __init__(self, application: ASGIApplication) -> None:
        self.application: Any = application
        self.base_url = urlparse(self.get_base_url())
        self._async_loaded = True  # there is no middleware

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]  # ASGI's own types
        """Serve a file, or hand on."""
        if scope["type"] == "http" and self._should_handle(scope["path"]):
            await super().__call__(scope, receive, send)
        else:
            try:
                await self.application(scope, receive, send)
            except ValueError as error:
                if type(self.application) is asgi.ASGIHandler:  # as startproject has written it
                    error.add_note(ONLY_PAGES)
                raise

    def _guess_async(self, scope: Scope) -> bool:
        return True

    async def get_response_async(self, request: Any) -> Any:
        """Return the file, or 404, or 400."""
        response: Any
        try:
            response = await StaticFilesHandlerMixin.get_response_async(self, request)
        except SuspiciousOperation as error:
            response = await in_thread(response_for_exception, request, error)
        response._resource_closers.append(request.close)  # noqa: SLF001  as Django's does
        return response


def _views(resolver: Any) -> Iterator[Any]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            yield from _views(pattern)
        elif isinstance(pattern, URLPattern):
            yield pattern.callback


def _only_django(signal: Signal) -> bool:
    """Whether nobody but Django listens to one of its signals."""
    return all(receiver[0][0] in _DJANGO_LISTENS for receiver in signal.receivers)


def _is_async(view: Any) -> bool:
    return inspect.iscoroutinefunction(view)


def get_asgi_application() -> ASGIApplication:
    """Set Django up and return the ASGI application that serves its views.

    Call it in ``asgi.py`` before importing consumers: importing models needs a Django that is set
    up.
    """
    django.setup(set_prefix=False)
    application: ASGIApplication = ASGIHandler()
    return application
