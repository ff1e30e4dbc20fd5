"""What the server answers by itself: whether it lives, whether it is ready, and its figures."""

from collections.abc import Awaitable, Callable
from typing import Final

from fairway._types import ASGIApplication, Receive, Scope, Send
from fairway.server.observing.exposition import CONTENT_TYPE, render
from fairway.server.observing.figures import Family

#: Where health is told at the address of the metrics.
PREFIX: Final = "/-"
METRICS: Final = "/metrics"

_PLAIN: Final = b"text/plain; charset=utf-8"


class Health:
    """Answers ``…/health`` and ``…/ready``.

    The first says that the event loop runs; the second, with 503, that no new clients should be
    sent: before the application has started, and from the moment at which the server is to end.

    Args:
        prefix: What the two paths begin with, such as ``"/-"``.
        ready: Tells whether new clients are welcome.

    Attributes:
        paths: The two paths.
    """

    def __init__(self, prefix: str, ready: Callable[[], bool]) -> None:
        self._ready = ready
        self._health, self._readiness = f"{prefix}/health", f"{prefix}/ready"
        self.paths = frozenset({self._health, self._readiness})

    def answer(self, path: str) -> tuple[int, bytes]:
        """Status and text for one of :attr:`paths`."""
        if path == self._health:
            return 200, b"healthy\n"
        return (200, b"ready\n") if self._ready() else (503, b"not ready\n")

    def before(self, application: ASGIApplication) -> ASGIApplication:
        """An application that answers these paths, and leaves the others to ``application``."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["path"] in self.paths:
                status, text = self.answer(scope["path"])
                await _respond(scope, send, status, _PLAIN, text)
            else:
                await application(scope, receive, send)

        return guarded


class Pages:
    """The ASGI application at the address of the metrics.

    Args:
        figures: Brings all figures as they are now.
        ready: As for :class:`Health`.
    """

    def __init__(
        self, figures: Callable[[], Awaitable[list[Family]]], ready: Callable[[], bool]
    ) -> None:
        self._figures = figures
        self._health = Health(PREFIX, ready)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        path = scope["path"]
        if path in self._health.paths:
            status, text = self._health.answer(path)
            await _respond(scope, send, status, _PLAIN, text)
        elif path == METRICS:
            await _respond(scope, send, 200, CONTENT_TYPE, render(await self._figures()))
        else:
            await _respond(scope, send, 404, _PLAIN, b"Here are /metrics, /-/health, /-/ready.\n")


async def _respond(scope: Scope, send: Send, status: int, kind: bytes, body: bytes) -> None:
    headers = [
        (b"content-type", kind),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    if scope["method"] not in ("GET", "HEAD"):
        status, body = 405, b"Only GET and HEAD.\n"
        headers[1:2] = [(b"content-length", b"%d" % len(body)), (b"allow", b"GET, HEAD")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
