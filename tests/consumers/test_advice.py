"""What a newcomer is told beside an exception, or beside a message that found no handler."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from fairway._types import Event, Scope
from fairway.consumer import AsyncConsumer, handles
from fairway.consuming.advice import advise_on_message
from fairway.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from fairway.layers import InMemoryChannelLayer
from tests.consumers.connections import Connect

MEMORY = "fairway.layers.InMemoryChannelLayer"
WEBSOCKET: Scope = {"type": "websocket", "asgi": {"version": "3.0"}, "path": "/ws/", "headers": []}


class Greeter(AsyncWebsocketConsumer):
    """Greets the user, if there is one in the scope."""

    async def connect(self) -> None:
        await self.accept()
        await self.send(f"Ahoy, {self.scope['user']}")


async def notes_of(
    connect: Connect,
    consumer: AsyncConsumer,
    *events: Event,
    scope: Scope = WEBSOCKET,
    accepted: bool = True,
) -> list[str]:
    """What is added to the exception that ends a consumer, behind its name and path."""
    async with connect(consumer, scope, accepted=accepted) as client:
        if not accepted and scope["type"] == "websocket":
            client.put({"type": "websocket.connect"})
        for event in events:
            client.put(event)
        with pytest.raises(Exception, match=r".") as caught:
            await client.task
    place, *notes = caught.value.__notes__
    assert place.endswith("serving '/ws/'")
    return notes


class TestScope:
    """A key of the scope that nobody has put there."""

    async def test_missing(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """What puts the user into the scope is named."""
        assert await notes_of(connect, Greeter()) == [
            (
                "What puts 'user' into the scope is AuthMiddlewareStack(…), from fairway.auth: "
                "wrap it around this consumer."
            )
        ]

    async def test_other_dictionary(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """A key of that name that is missing elsewhere has nothing to do with it."""

        class Reader(Greeter):
            async def connect(self) -> None:
                await self.accept()
                message: dict[str, Any] = {}
                message["user"]

        assert await notes_of(connect, Reader()) == []

    async def test_other_key(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """Nobody knows what would put any other key there."""

        class Reader(Greeter):
            async def connect(self) -> None:
                await self.accept()
                self.scope["tenant"]

        assert await notes_of(connect, Reader()) == []

    async def test_captured_names(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """What the route has captured is told beside the name that it has not."""

        class Reader(Greeter):
            async def connect(self) -> None:
                await self.accept()
                self.scope["url_route"]["kwargs"]["room_name"]

        routed = {"url_route": {"args": (), "kwargs": {"room": "harbour"}}}
        assert await notes_of(connect, Reader(), scope=WEBSOCKET | routed) == [
            "The route captures 'room' from the path, and no 'room_name'."
        ]
        routed = {"url_route": {"args": (), "kwargs": {}}}
        assert await notes_of(connect, Reader(), scope=WEBSOCKET | routed) == [
            "The route captures nothing from the path, and no 'room_name'."
        ]

    @pytest.mark.parametrize("routed", [None, {}, {"kwargs": None}, object()])
    async def test_no_captured_names(
        self, connect: Connect, layer: InMemoryChannelLayer, routed: Any
    ) -> None:
        """What a test has put in the place of a route's names is left alone."""

        class Reader(Greeter):
            async def connect(self) -> None:
                await self.accept()
                kwargs: dict[str, Any] = {}
                kwargs["room_name"]

        assert await notes_of(connect, Reader(), scope=WEBSOCKET | {"url_route": routed}) == []


class TestEvents:
    """A server's first event, which nothing handles."""

    async def test_wrong_protocol(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """A consumer for WebSockets that gets requests stands in the wrong place."""
        request: Event = {"type": "http.request", "body": b""}
        scope = WEBSOCKET | {"type": "http"}
        notes = await notes_of(connect, Greeter(), request, scope=scope, accepted=False)
        assert notes == [
            'It serves no http: route to it under "websocket" of the ProtocolTypeRouter.'
        ]

    async def test_no_handler(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """One that has no handler for it is told its name."""

        class Deaf(AsyncConsumer):
            async def websocket_receive(self, event: Event) -> None: ...

        assert await notes_of(connect, Deaf(), accepted=False) == [
            "Write websocket_connect(self, event), or derive the consumer from a generic one."
        ]

    async def test_later_one(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """Of other events nobody knows what they are for."""

        class Open(Greeter):
            async def connect(self) -> None:
                await self.accept()

        assert await notes_of(connect, Open(), {"type": "websocket.strange"}) == []


class TestLayer:
    """A consumer whose channel layer is not there."""

    @pytest.mark.parametrize(
        ("configured", "there_are"),
        [({"defualt": {"BACKEND": MEMORY}}, "'defualt'"), ({}, "none")],
    )
    async def test_missing(
        self, connect: Connect, settings: Any, configured: dict[str, Any], there_are: str
    ) -> None:
        """The alias is told, and those that there are."""
        settings.CHANNEL_LAYERS = configured

        class Member(Greeter):
            async def connect(self) -> None:
                await self.accept()
                await self.channel_layer.group_add("harbour", self.channel_name)

        assert await notes_of(connect, Member()) == [
            (
                f"There is no channel layer 'default', as CHANNEL_LAYERS has {there_are}: add it "
                "there, or name another as channel_layer_alias of the consumer."
            )
        ]

    async def test_other_attribute(self, connect: Connect, settings: Any) -> None:
        """Something else that is None has nothing to do with it."""
        settings.CHANNEL_LAYERS = {}

        class Member(Greeter):
            async def connect(self) -> None:
                await self.accept()
                nothing: Any = None
                nothing.keys()

        assert await notes_of(connect, Member()) == []


class TestDatabase:
    """The ORM's sync methods in an async consumer."""

    async def test_sync_call(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """What to write in its place is told, as Django's own words are for those who know it."""

        class Counter(Greeter):
            async def connect(self) -> None:
                await self.accept()
                User.objects.count()

        [note] = await notes_of(connect, Counter())
        assert note == (
            "In async code the ORM's methods begin with an a, such as aget() and acount(), and "
            '"async for" goes through a queryset. Everything else stands in a function of its own, '
            "with @database_sync_to_async from fairway.db."
        )


class TestAwaiting:
    """A plain function where the result is awaited: no line of it is in the traceback."""

    async def test_plain_function(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """The method is named, with what to write."""

        class Plain(AsyncWebsocketConsumer):
            def receive(  # type: ignore[override]  # the mistake
                self, text_data: str | None = None, bytes_data: bytes | None = None
            ) -> None: ...

        text: Event = {"type": "websocket.receive", "text": "Ahoy"}
        assert await notes_of(connect, Plain(), text) == [
            "Write async def receive(): what it returns is awaited."
        ]

    async def test_plain_handler(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """A handler of the project's own is named, too, and no helper beside it."""

        class Plain(AsyncWebsocketConsumer):
            async def connect(self) -> None:
                await self.accept()
                await self.channel_layer.send(self.channel_name, {"type": "chat.message"})

            def chat_message(self, event: Event) -> None: ...

            def helper(self) -> None: ...

        assert await notes_of(connect, Plain()) == [
            "Write async def chat_message(): what it returns is awaited."
        ]

    async def test_own_await(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """What the consumer itself awaits stands in its traceback."""

        class Own(Greeter):
            async def connect(self) -> None:
                await self.accept()
                nothing: Any = None
                await nothing

        assert await notes_of(connect, Own()) == []


class TestArguments:
    """A method with other parameters than it is called with: no line of it is in the traceback."""

    async def test_overridden(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """It is written out as it is called."""

        class Eager(AsyncWebsocketConsumer):
            async def connect(self, event: Event) -> None:  # type: ignore[override]  # the mistake
                ...

        assert await notes_of(connect, Eager(), accepted=False) == [
            "Write async def connect(self): so it is called."
        ]

        class Reader(WebsocketConsumer):
            def receive(self, text: str) -> None:  # type: ignore[override]  # the mistake
                ...

        text: Event = {"type": "websocket.receive", "text": "Ahoy"}
        assert await notes_of(connect, Reader(), text) == [
            "Write def receive(self, text_data=None, bytes_data=None): so it is called."
        ]

    async def test_handler(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """So is a handler of the project's own."""

        class Deaf(AsyncWebsocketConsumer):
            async def connect(self) -> None:
                await self.accept()
                await self.channel_layer.send(self.channel_name, {"type": "chat.message"})

            async def chat_message(self) -> None: ...

        assert await notes_of(connect, Deaf()) == [
            "Write async def chat_message(self, event): so it is called."
        ]

    async def test_own_call(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """What the consumer itself calls wrongly stands in its traceback."""

        class Own(Greeter):
            async def connect(self) -> None:
                await self.accept()
                call: Any = self.disconnect
                await call()

        assert await notes_of(connect, Own()) == []


class TestAttributes:
    """What is looked for in the wrong place."""

    @pytest.mark.parametrize(
        ("name", "note"),
        [
            (
                "request",
                (
                    "A consumer has no request. What a view finds there is in self.scope, such as "
                    'self.scope["user"], self.scope["headers"] and self.scope["query_string"].'
                ),
            ),
            (
                "send_json",
                (
                    "JsonWebsocketConsumer and AsyncJsonWebsocketConsumer have send_json(); other "
                    "consumers send text."
                ),
            ),
        ],
    )
    async def test_elsewhere(
        self, connect: Connect, layer: InMemoryChannelLayer, name: str, note: str
    ) -> None:
        """It is told where it is."""

        class Seeker(Greeter):
            async def connect(self) -> None:
                await self.accept()
                getattr(self, name)

        assert await notes_of(connect, Seeker()) == [note]

    async def test_of_something_else(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """An attribute that another object lacks has nothing to do with it."""

        class Seeker(Greeter):
            async def connect(self) -> None:
                await self.accept()
                other: Any = object()
                other.request()

        assert await notes_of(connect, Seeker()) == []


class TestSending:
    """What is sent is no text."""

    async def test_dictionary(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """What makes text of it is told; the words are those of our server."""

        class Telling(Greeter):
            async def connect(self) -> None:
                await self.accept()
                raise TypeError("'text' in websocket.send must be str, not dict.")

        assert await notes_of(connect, Telling()) == [
            (
                "send() takes text: json.dumps() makes it of a dictionary, as send_json() of "
                "JsonWebsocketConsumer and AsyncJsonWebsocketConsumer does by itself."
            )
        ]


class TestEventLoop:
    """asyncio in a sync consumer."""

    @pytest.mark.parametrize("ask", [asyncio.get_event_loop, asyncio.get_running_loop])
    async def test_in_a_thread(
        self, connect: Connect, layer: InMemoryChannelLayer, ask: Callable[[], object]
    ) -> None:
        """A thread has no event loop; which consumer has one is told."""

        class Asking(WebsocketConsumer):
            def receive(
                self, text_data: str | None = None, bytes_data: bytes | None = None
            ) -> None:
                ask()

        text: Event = {"type": "websocket.receive", "text": "Ahoy"}
        assert await notes_of(connect, Asking(), text) == [
            (
                "Sync handlers run in threads, which have no event loop. What needs one is for an "
                "async consumer: AsyncWebsocketConsumer instead of WebsocketConsumer, say."
            )
        ]


class TestMaking:
    """A constructor that wants what only a connection has."""

    NOTE = (
        "A consumer is made before it has a connection: __init__() gets no scope, and self.scope, "
        "self.channel_layer and self.channel_name are there from connect() on."
    )

    async def test_scope(self) -> None:
        """Where the scope will be is told."""

        class Early(AsyncWebsocketConsumer):
            def __init__(self) -> None:
                super().__init__()
                self.user = self.scope["user"]

        class Asking(AsyncWebsocketConsumer):
            def __init__(self, scope: Scope) -> None:
                super().__init__()

        for consumer_class in (Early, Asking):
            with pytest.raises((AttributeError, TypeError)) as caught:
                await consumer_class.as_asgi()(WEBSOCKET, None, None)
            assert caught.value.__notes__ == [self.NOTE]

    async def test_anything_else(self) -> None:
        """Other exceptions of a constructor have their own words."""

        class Broken(AsyncWebsocketConsumer):
            def __init__(self, room: str) -> None:
                super().__init__()

        with pytest.raises(TypeError, match="'room'") as caught:
            await Broken.as_asgi()(WEBSOCKET, None, None)
        assert not hasattr(caught.value, "__notes__")


class Marked(AsyncWebsocketConsumer):
    """Has a table of its own."""

    @handles("chat.message")
    async def on_chat(self, event: Event) -> None: ...


@pytest.mark.parametrize(
    ("consumer_class", "kind", "advice"),
    [
        (Greeter, "chat.message", "its handler would be chat_message()"),
        (Greeter, "chat-message", "a type has letters, digits, underscores and dots"),
        (Greeter, "accept", "accept() is not for messages of channel layers"),
        (Greeter, "websocket.connect", "websocket_connect() is not for messages of channel layers"),
        (Greeter, "_chat", "\"chat.message\", say, as type calls chat_message(); it is '_chat'"),
        (Greeter, 7, '"chat.message", say, as type calls chat_message(); it is 7'),
        (Marked, "chat.other", "mark its handler with @handles('chat.other')"),
    ],
)
def test_advise_on_message(consumer_class: type[AsyncConsumer], kind: object, advice: str) -> None:
    """How a message would have found a handler."""
    marked = consumer_class is Marked
    assert advise_on_message(consumer_class, {"type": kind}, marked=marked) == advice
