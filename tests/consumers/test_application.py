"""What ``as_asgi()`` returns: an application to everybody who looks, and no coroutine too many."""

import asyncio
import functools
import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from asgiref.compatibility import guarantee_single_callable, is_double_callable
from asgiref.sync import iscoroutinefunction
from django.urls import path

from fairway._types import ASGIApplication, Event, Receive, Scope, Send
from fairway.auth import AuthMiddlewareStack
from fairway.consumer import AsyncConsumer
from fairway.http import get_asgi_application
from fairway.middleware import BaseMiddleware
from fairway.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from fairway.security.websocket import AllowedHostsOriginValidator, WebsocketDenier
from fairway.sessions import SessionMiddlewareStack
from fairway.testing import WebsocketCommunicator


class Chat(AsyncConsumer):
    """Keeps what it was made with."""

    served: list["Chat"] = []

    def __init__(self, room: str = "lobby") -> None:
        self.room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Keep the scope, too, and who awaits this."""
        self.scope = scope
        self.coroutines = coroutines()
        self.served.append(self)


class Other(Chat):
    """Stands in for it."""


class Plain(BaseMiddleware):
    """Adds nothing."""


@pytest.fixture(autouse=True)
def served() -> list[Chat]:
    """The consumers that have served."""
    Chat.served.clear()
    return Chat.served


def coroutines() -> list[str]:
    """The coroutine functions that await one another down to the caller, outermost first."""
    names: list[str] = []
    frame = sys._getframe(1)
    while frame.f_code.co_flags & inspect.CO_COROUTINE:
        names.insert(0, frame.f_code.co_qualname)
        assert frame.f_back is not None
        frame = frame.f_back
    return names


async def receive() -> Any:
    """Nothing comes."""


async def send(event: Any) -> None:
    """Send nowhere."""


def call(application: Any, **scope: Any) -> Awaitable[None]:
    """Call an application for a connection, in a task of its own."""
    running: Coroutine[Any, Any, None] = application({"type": "websocket", **scope}, receive, send)
    return asyncio.create_task(running)


APPLICATIONS: list[ASGIApplication] = [
    Chat.as_asgi(),
    WebsocketDenier.as_asgi(),
    BaseMiddleware(Chat.as_asgi()),
    Plain(Chat.as_asgi()),
    AuthMiddlewareStack(Chat.as_asgi()),
    SessionMiddlewareStack(Chat.as_asgi()),
    AllowedHostsOriginValidator(Chat.as_asgi()),
    ProtocolTypeRouter({"websocket": Chat.as_asgi()}),
    ChannelNameRouter({"jobs": Chat.as_asgi()}),
    URLRouter([path("chat/", Chat.as_asgi())]),
]


class TestWhatServersSee:
    """An application of the third version of ASGI, in each of the ways in which servers look."""

    @pytest.fixture(params=[*range(len(APPLICATIONS)), "django"])
    def application(self, request: pytest.FixtureRequest) -> Any:
        """Each kind of application that may be the outermost."""
        if request.param == "django":
            return get_asgi_application()
        return APPLICATIONS[request.param]

    def test_inspect(self, application: Any) -> None:
        """Hypercorn and uvicorn ask ``inspect``, of the application or of its ``__call__``."""
        assert not inspect.isclass(application)
        assert not inspect.isfunction(application)
        assert inspect.iscoroutinefunction(application.__call__)

    def test_asgiref(self, application: Any) -> None:
        """Daphne asks asgiref, which finds nothing to adapt."""
        assert not is_double_callable(application)  # type: ignore[no-untyped-call]
        assert guarantee_single_callable(application) is application  # type: ignore[no-untyped-call]
        assert iscoroutinefunction(application.__call__)

    def test_three_arguments(self, application: Any) -> None:
        """It takes scope, receive and send, as Granian and our own server check."""
        call = inspect.signature(application, follow_wrapped=False)
        call.bind("scope", "receive", "send")


class TestConsumerApplication:
    async def test_attributes(self, served: list[Chat]) -> None:
        """It has the attributes that Channels documents, and looks at them for each connection."""
        application = Chat.as_asgi(room="quay")
        assert application.consumer_class is Chat
        assert application.consumer_initkwargs == {"room": "quay"}
        await call(application)
        application.consumer_class = Other
        application.consumer_initkwargs = {"room": "pier"}
        await call(application)
        await call(URLRouter([path("", application)]), path="/")
        assert [(type(chat), chat.room) for chat in served] == [
            (Chat, "quay"),
            (Other, "pier"),
            (Other, "pier"),
        ]

    async def test_names(self) -> None:
        """It is named and documented as the consumer."""
        application = Chat.as_asgi()
        assert application.__name__ == "Chat"
        assert application.__qualname__ == "Chat"
        assert application.__module__ == __name__
        assert application.__doc__ == Chat.__doc__
        assert application.__wrapped__ is Chat
        assert repr(application) == f"<{__name__}.Chat.as_asgi()>"

    @pytest.mark.parametrize(
        ("around", "between"),
        [
            (lambda chat: URLRouter([path("", chat)]), ["URLRouter.__call__"]),
            (lambda chat: ProtocolTypeRouter({"websocket": chat}), ["ProtocolTypeRouter.__call__"]),
            (SessionMiddlewareStack, ["CookieMiddleware.__call__", "SessionMiddleware.__call__"]),
            (
                AuthMiddlewareStack,
                [
                    "CookieMiddleware.__call__",
                    "SessionMiddleware.__call__",
                    "AuthMiddleware.__call__",
                ],
            ),
            (BaseMiddleware, ["BaseMiddleware.__call__"]),
        ],
    )
    @pytest.mark.django_db
    async def test_no_coroutine_of_its_own(
        self, around: Callable[[Any], Any], between: list[str], served: list[Chat]
    ) -> None:
        """Within routers and middleware an open socket keeps none but the consumer's."""
        await call(around(Chat.as_asgi()), path="/", headers=[])
        assert served[0].coroutines == [*between, "Chat.__call__"]

    async def test_what_wraps_it_is_called(self, served: list[Chat]) -> None:
        """A decorator that copies its attributes is not passed over."""
        application = Chat.as_asgi()
        asked: list[Scope] = []

        @functools.wraps(application)
        async def careful(scope: Scope, receive: Receive, send: Send) -> None:
            asked.append(scope)
            await application(scope, receive, send)

        await call(URLRouter([path("", careful)]), path="/")  # type: ignore[arg-type]  # no view
        await call(BaseMiddleware(careful))
        assert len(asked) == len(served) == 2


class Answering(AsyncConsumer):
    """A consumer as its users write one: it inherits all that serves a connection."""

    async def websocket_connect(self, message: Event) -> None:
        await self.send({"type": "websocket.close"})


@pytest.mark.parametrize("around", [lambda consumer: URLRouter([path("", consumer)]), Plain])
async def test_a_consumer_serves_one_connection(around: Callable[[Any], Any]) -> None:
    """An instance is an application, too, for a single connection, also inside of others."""
    communicator = WebsocketCommunicator(around(Answering()), "/")
    assert await communicator.connect() == (False, 1000)


async def test_a_subclass_passes_on(served: list[Chat]) -> None:
    """Middleware that awaits ``super().__call__()`` has one coroutine between."""

    class Adding(BaseMiddleware):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await super().__call__({**scope, "added": True}, receive, send)

    await call(Adding(Chat.as_asgi()))
    assert served[0].scope == {"type": "websocket", "added": True}
    assert [name.rpartition(".<locals>.")[2] for name in served[0].coroutines] == [
        "Adding.__call__",
        "BaseMiddleware.__call__",
        "Chat.__call__",
    ]
