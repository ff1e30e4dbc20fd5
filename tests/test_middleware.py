"""The base class for ASGI middleware."""

import pytest

from fairway._types import Event, Receive, Scope, Send
from fairway.middleware import BaseMiddleware


async def receive() -> Event:
    """Receive nothing in particular."""
    return {"type": "http.request"}


async def send(event: Event) -> None:
    """Send nowhere."""


@pytest.mark.row("1.6 BaseMiddleware")
class TestBaseMiddleware:
    """``BaseMiddleware``."""

    async def test_runs_the_inner_application(self) -> None:
        """The inner application gets an equal scope, and ``receive`` and ``send`` themselves."""
        calls: list[tuple[Scope, Receive, Send]] = []

        async def inner(scope: Scope, receive: Receive, send: Send) -> None:
            calls.append((scope, receive, send))

        middleware = BaseMiddleware(inner)
        assert middleware.inner is inner
        await middleware({"type": "http"}, receive, send)
        assert calls == [({"type": "http"}, receive, send)]

    async def test_copies_the_scope(self) -> None:
        """What the inner application adds to the scope is not seen outside."""

        async def inner(scope: Scope, receive: Receive, send: Send) -> None:
            scope["added"] = True

        scope = {"type": "http"}
        await BaseMiddleware(inner)(scope, receive, send)
        assert scope == {"type": "http"}

    async def test_subclass(self) -> None:
        """A subclass adds to the scope and passes on."""
        seen: list[Scope] = []

        async def inner(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope)

        class Adds(BaseMiddleware):
            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                await super().__call__({**scope, "added": True}, receive, send)

        await Adds(inner)({"type": "http"}, receive, send)
        assert seen == [{"type": "http", "added": True}]
