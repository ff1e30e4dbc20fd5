"""Mistakes in consumers that a type checker finds."""

from typing import Any

from fairway.db import database_sync_to_async
from fairway.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer


class Chat(AsyncWebsocketConsumer):
    """A hook that is no coroutine, and coroutines with wrong arguments."""

    def connect(self) -> None:  # E: override
        """Forget the async."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Send what cannot be sent."""
        self.send("text")  # E: unused-coroutine
        await self.send({"type": "chat"})  # E: arg-type
        await self.send(text_data=b"bytes")  # E: arg-type
        await self.close("4000")  # E: arg-type
        await self.accept(headers=[("x-room", "1")])  # E: list-item

    async def disconnect(self, code: str) -> None:  # E: override
        """Take the code for a text."""


class SyncChat(WebsocketConsumer):
    """A function that is a coroutine."""

    async def connect(self) -> None:  # E: override
        """Add an async."""

    def receive_json(self, content: Any) -> None:
        """Send JSON from a class that has none."""
        self.send_json(content)  # E: attr-defined


@database_sync_to_async
def load(key: int) -> str:
    """Load something."""
    return str(key)


async def call() -> None:
    """Call it with a wrong argument, and forget to await it."""
    await load("1")  # E: arg-type
    load(1).upper()  # E: attr-defined
