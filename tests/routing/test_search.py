"""Routers inside an application, behind middleware of any make."""

from typing import Any, cast

from django.core.handlers.asgi import ASGIHandler

from fairway._types import ASGIApplication
from fairway.auth import AuthMiddlewareStack
from fairway.middleware import BaseMiddleware
from fairway.routing import ProtocolTypeRouter, URLRouter, find_routers
from fairway.security.websocket import AllowedHostsOriginValidator
from tests.routing.applications import Endpoint, path

inner = URLRouter([])
sockets = URLRouter([path("a/", inner)])
pages = URLRouter([])
application = ProtocolTypeRouter(
    {
        "http": BaseMiddleware(pages),
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(sockets)),
    }
)


def test_all() -> None:
    """Every outermost router is found, and what is inside it is its own affair."""
    assert list(find_routers(application)) == [pages, sockets]


def test_by_protocol() -> None:
    """A protocol leads into its branch alone."""
    assert list(find_routers(BaseMiddleware(application), "websocket")) == [sockets]
    assert list(find_routers(application, "http")) == [pages]
    assert list(find_routers(application, "lifespan")) == []


def test_without_a_division() -> None:
    """An application that is one router serves every protocol with it."""
    assert list(find_routers(sockets, "websocket")) == [sockets]


def test_endpoints_are_not_looked_into() -> None:
    """Django's handler and consumers are endpoints, whatever they hold."""
    handler: Any = ASGIHandler()
    consumer: Any = Endpoint()
    handler.router = consumer.router = URLRouter([])
    consumer.consumer_class = Endpoint
    assert list(find_routers([handler, consumer])) == []


def test_circles() -> None:
    """Applications that know each other are looked at once."""
    one, other = BaseMiddleware(Endpoint()), BaseMiddleware(Endpoint())
    one.inner, other.inner = cast("ASGIApplication", other), cast("ASGIApplication", one)
    assert list(find_routers(one)) == []
