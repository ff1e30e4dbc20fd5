"""``channelsmultiplexer``: several consumers on one socket, each on a stream of its own."""

from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channelsmultiplexer import AsyncJsonWebsocketDemultiplexer
from django.core.asgi import get_asgi_application
from django.urls import path

pages: Any = get_asgi_application()


class Echo(AsyncJsonWebsocketConsumer):
    """Answers with what it is told."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Answer."""
        await self.send_json({"echo": content})


class Room(AsyncJsonWebsocketConsumer):
    """Tells everyone what one says."""

    groups = ["harbour"]

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Tell everyone."""
        await self.channel_layer.group_send("harbour", {"type": "room.said", "text": content})

    async def room_said(self, event: dict[str, Any]) -> None:
        """Pass it on."""
        await self.send_json({"said": event["text"]})


streams = AsyncJsonWebsocketDemultiplexer.as_asgi(echo=Echo.as_asgi(), room=Room.as_asgi())
application = ProtocolTypeRouter({"http": pages, "websocket": URLRouter([path("ws/", streams)])})
