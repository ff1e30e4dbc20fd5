"""Consumers with the signatures that Channels' documentation shows."""

from collections.abc import Awaitable, Callable
from typing import Any, assert_type

from fairway._types import Event, Scope
from fairway.consumer import AsyncConsumer, SyncConsumer
from fairway.db import database_sync_to_async
from fairway.generic.http import AsyncHttpConsumer
from fairway.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)


class Chat(AsyncWebsocketConsumer):
    """The tutorial's consumer."""

    groups = ["chat"]
    channel_layer_alias = "default"

    async def connect(self) -> None:
        """Read the scope, join a group, accept."""
        assert_type(self.scope, Scope)
        assert_type(self.channel_name, str)
        self.room: str = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()
        await self.accept("chat")
        await self.accept(subprotocol="chat", headers=[(b"x-room", b"1")])

    async def disconnect(self, code: int) -> None:
        """Leave."""
        await self.channel_layer.group_discard(self.room, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Answer in all the ways."""
        await self.send("text")
        await self.send(text_data="text", close=True)
        await self.send(bytes_data=b"bytes", close=4000)
        await self.close()
        await self.close(code=4000, reason="enough")

    async def chat_message(self, event: Event) -> None:
        """Handle a message of the layer's."""
        await self.send(text_data=event["message"])


class SyncChat(WebsocketConsumer):
    """The same with functions."""

    def connect(self) -> None:
        """Accept."""
        self.accept()

    def disconnect(self, close_code: int) -> None:
        """Call the code as the tutorial does."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Answer."""
        self.send(text_data=text_data, bytes_data=bytes_data)
        self.close(4000)


class AsyncJson(AsyncJsonWebsocketConsumer):
    """JSON with coroutines."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Answer."""
        await self.send_json({"echo": content}, close=True)

    @classmethod
    async def encode_json(cls, content: Any) -> str:
        """Encode in a way of its own."""
        return str(content)

    @classmethod
    async def decode_json(cls, text_data: str) -> Any:
        """Decode in a way of its own."""
        return text_data


class SyncJson(JsonWebsocketConsumer):
    """JSON with functions."""

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Answer."""
        self.send_json(content)

    @classmethod
    def encode_json(cls, content: Any) -> str:
        """Encode in a way of its own."""
        return str(content)


class LongPoll(AsyncHttpConsumer):
    """HTTP."""

    async def handle(self, body: bytes) -> None:
        """Answer in two pieces."""
        await self.send_headers(status=200, headers=[(b"content-type", b"text/plain")])
        await self.send_body(b"one", more_body=True)
        await self.send_response(200, b"body", headers={b"a": b"b"})

    async def disconnect(self) -> None:
        """Say nothing."""


class Job(AsyncConsumer):
    """A worker's consumer, which sees every event."""

    async def dispatch(self, message: Event) -> None:
        """Pass them on."""
        await super().dispatch(message)

    async def send_mail(self, message: Event) -> None:
        """Do the job."""
        count = database_sync_to_async(len)
        assert_type(await count("abc"), int)


class SyncJob(SyncConsumer):
    """The same with functions."""

    def send_mail(self, message: Event) -> None:
        """Do the job."""
        self.send({"type": "done"})


@database_sync_to_async
def load(key: int) -> str:
    """Load something."""
    return str(key)


@database_sync_to_async(thread_sensitive=False)
def load_anywhere(key: int) -> str:
    """Load something in any thread."""
    return str(key)


async def call() -> None:
    """Decorated functions keep their parameters and results."""
    assert_type(await load(1), str)
    assert_type(await load_anywhere(key=1), str)


def has_application(consumer: type[AsyncConsumer]) -> Callable[..., Awaitable[None]]:
    """``as_asgi`` gives an ASGI application, for every kind of consumer."""
    application: Callable[..., Awaitable[None]] = consumer.as_asgi(argument=1)
    return application


for consumer in (Chat, SyncChat, AsyncJson, SyncJson, LongPoll, Job, SyncJob):
    has_application(consumer)
