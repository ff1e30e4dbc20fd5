"""One path for each way to write an application: plain ASGI, an async consumer, a sync one."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "echoes.settings")

import django

django.setup()

from django.urls import path  # noqa: E402

from fairway.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer  # noqa: E402
from fairway.routing import ProtocolTypeRouter, URLRouter  # noqa: E402


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """Speak ASGI with nothing in between."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


class Async(AsyncWebsocketConsumer):
    """Write a consumer with coroutines."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Send it back."""
        await self.send(text_data=text_data, bytes_data=bytes_data)


class Sync(WebsocketConsumer):
    """Write a consumer with functions, which run in threads."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Send it back."""
        self.send(text_data=text_data, bytes_data=bytes_data)


application = ProtocolTypeRouter(
    {
        "websocket": URLRouter(
            [
                path("plain", plain),  # type: ignore[arg-type]  # django-stubs knows of views only
                path("async", Async.as_asgi()),
                path("sync", Sync.as_asgi()),
            ]
        )
    }
)
