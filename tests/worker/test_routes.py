"""What routers tell of the channels that they lead to."""

import functools

import pytest

from fairway._types import ASGIApplication, Receive, Scope, Send
from fairway.consumer import AsyncConsumer
from fairway.middleware import BaseMiddleware
from fairway.routing import ChannelNameRouter, ProtocolTypeRouter
from fairway.worker.routes import application_for, applications, channel_names


class Consumer(AsyncConsumer):
    """Handle nothing."""


consumer = Consumer.as_asgi()
names = ChannelNameRouter({"jobs": consumer, "mails": consumer})


def wrapped(application: ASGIApplication) -> ASGIApplication:
    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        await application(scope, receive, send)

    return middleware


class Middleware:
    def __init__(self, application: ASGIApplication) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Only be there."""

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Be a method."""


ROUTED = {
    "names": names,
    "protocols": ProtocolTypeRouter({"http": consumer, "channel": names}),
    "closure": wrapped(ProtocolTypeRouter({"channel": wrapped(names)})),
    "object": Middleware(ProtocolTypeRouter({"channel": BaseMiddleware(names)})),
    "method": Middleware(names).serve,
    "partial": functools.partial(Middleware.serve, Middleware(names)),
}


@pytest.mark.row("1.5 ChannelNameRouter")
@pytest.mark.parametrize("kind", list(ROUTED))
def test_routers_are_found_behind_middleware(kind: str) -> None:
    """Whatever is around a router, its channels and applications are known."""
    assert channel_names(ROUTED[kind]) == {"jobs", "mails"}
    assert application_for(ROUTED[kind], "jobs") is consumer
    assert application_for(ROUTED[kind], "unknown") is None
    assert applications(ROUTED[kind]) == {"jobs": consumer, "mails": consumer}


def test_without_routers_nothing_is_known() -> None:
    """An application that routes in its own way may know any channel."""
    assert channel_names(consumer) is None
    assert application_for(consumer, "jobs") is consumer
    assert applications(consumer) == {}


def test_a_project_without_channels_has_none() -> None:
    """A router of protocols that does not know this one."""
    router = ProtocolTypeRouter({"http": consumer})
    assert channel_names(router) == set()
    assert application_for(router, "jobs") is None


def test_the_routers_of_channels_are_known_by_name() -> None:
    """Projects that keep the real package may use its routers."""
    foreign = type("ChannelNameRouter", (), {"application_mapping": {"jobs": consumer}})()
    assert channel_names(foreign) == {"jobs"}


def test_circles_end() -> None:
    """Objects may know each other."""
    one, other = Middleware(consumer), Middleware(consumer)
    one.application, other.application = other, one
    assert channel_names(one) is None
