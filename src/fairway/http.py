"""Plain Django over HTTP: its handler, without the hops that cost most.

Django's own ASGI handler sends every part of a request that is not async to a thread and back:
signals, each middleware that only works one way, the view, the end of the response. Here the whole
sync chain runs in one hop to a warm thread. What a request means, and what is answered, is
Django's.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import django
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.core import signals
from django.core.cache import close_caches
from django.core.exceptions import RequestAborted
from django.core.handlers import asgi
from django.core.handlers.base import BaseHandler, reset_urlconf
from django.db import close_old_connections
from django.http import FileResponse
from django.urls import URLPattern, URLResolver, get_resolver, set_script_prefix

from fairway._types import ASGIApplication, Receive, Scope, Send
from fairway.db import connection_turns

#: Paths whose guess is remembered, so that most requests are resolved once only, by Django.
_MAX_GUESSES: Final = 4096

#: What Django itself does when a request has finished. If nobody else listens, it is done in the
#: thread of the view, before the response is sent; anybody else may want to run after that.
_DJANGO_FINISHES: Final = frozenset(
    id(receiver) for receiver in (close_old_connections, close_caches, reset_urlconf)
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
            raise ValueError(f"Django can only handle ASGI/HTTP connections, not {scope['type']}.")
        # Under Fairway's server this reuses the context whose executor lends threads. Elsewhere it
        # is a thread for this request, as in Django: an executor of our own must not be left behind
        # for what the server starts from here, such as the next request of a connection.
        async with ThreadSensitiveContext():
            connection_turns()  # the thread of each hop looks after its database connections
            if self._guess_async(scope):
                if not self._async_loaded:
                    self.load_middleware(is_async=True)
                    self._async_loaded = True
                await self.handle(scope, receive, send)  # type: ignore[arg-type]  # ASGI's own types
            else:
                await self._handle_sync(scope, receive, send)

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

    # ------------------------------------------------------------------ the sync chain

    async def _handle_sync(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body_file = await self.read_body(receive)
        except RequestAborted:
            return
        response = None
        try:
            response = await sync_to_async(self._respond)(scope, body_file)
            if response.streaming:
                await self._stream(response, receive, send)
            else:
                await self.send_response(response, send)
        finally:
            if response is None:
                await signals.request_finished.asend(sender=self.__class__)
            elif not response.closed:
                await sync_to_async(response.close)()
            body_file.close()

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
        if not response.streaming and all(
            receiver[0][0] in _DJANGO_FINISHES for receiver in signals.request_finished.receivers
        ):
            response.close()
        return response

    async def _stream(self, response: Any, receive: Receive, send: Send) -> None:
        """Send a streaming response, and stop as soon as the client is gone."""
        sending = asyncio.ensure_future(self.send_response(response, send))
        listening = asyncio.ensure_future(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait({sending, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (listening, sending):
                if not task.done():
                    task.cancel()
            outcomes = await asyncio.gather(sending, listening, return_exceptions=True)
        if isinstance(outcomes[0], Exception):
            raise outcomes[0]

    async def send_response(self, response: Any, send: Send) -> None:
        """Send a response; the parts of a sync iterator are made in a thread, one at a time.

        Between two parts no thread is held, so a slow client costs none.
        """
        if response.streaming and not response.is_async:
            response = _InThread(response)
        await super().send_response(response, send)  # type: ignore[arg-type]  # ASGI's own types


class _InThread:
    """A streaming response whose sync iterator is stepped through in a thread."""

    streaming = True

    def __init__(self, response: Any) -> None:
        self._response = response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts = iter(self._response)
        step = sync_to_async(lambda: next(parts, None))
        while (part := await step()) is not None:
            yield part


def _views(resolver: Any) -> Iterator[Any]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            yield from _views(pattern)
        elif isinstance(pattern, URLPattern):
            yield pattern.callback


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
