"""Applications for routers to choose from, and ways to call a router."""

from collections.abc import Callable
from typing import Any, cast

from django.urls import URLPattern
from django.urls import path as django_path
from django.urls import re_path as django_re_path

from fairway._types import ASGIApplication, Event, Receive, Scope, Send
from fairway.routing import URLRouter


def path(
    route: str, application: ASGIApplication, extra: dict[str, object] | None = None
) -> URLPattern:
    """``django.urls.path``, for an application where its types ask for a view."""
    return django_path(route, cast("Callable[..., Any]", application), extra)


def re_path(route: str, application: ASGIApplication) -> URLPattern:
    """``django.urls.re_path`` for an application."""
    return django_re_path(route, cast("Callable[..., Any]", application))


async def nothing_to_receive() -> Event:
    """Receive for applications that must not."""
    raise AssertionError("received")


async def nothing_to_send(event: Event) -> None:
    """Send for applications that must not."""
    raise AssertionError(f"sent {event}")


class Endpoint:
    """An application that keeps the scopes it was called with."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)

    @property
    def scope(self) -> Scope:
        """The scope of its only call."""
        (scope,) = self.scopes
        return scope


async def call(application: ASGIApplication, url_path: str, **scope: object) -> None:
    """Call an application as a communicator does, without a server."""
    await application(
        {"type": "websocket", "path": url_path, **scope}, nothing_to_receive, nothing_to_send
    )


async def serve(
    application: ASGIApplication, *events: Event, **scope: object
) -> tuple[list[Event], list[Event]]:
    """Call an application as a server does; return what it sent and what it left unreceived."""
    waiting, sent = list(events), list[Event]()

    async def receive() -> Event:
        return waiting.pop(0)

    async def send(event: Event) -> None:
        sent.append(event)

    await application({"asgi": {"version": "3.0"}, **scope}, receive, send)
    return sent, waiting


async def matches(router: URLRouter, url_path: str, **scope: object) -> bool:
    """Whether a router has a route for a path."""
    try:
        await call(router, url_path, **scope)
    except ValueError as error:
        assert str(error).startswith("No route found for path")  # noqa: PT017
        return False
    return True
