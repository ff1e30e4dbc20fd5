"""``chanx``: typed messages, validated by Pydantic."""

from typing import Any, Literal

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path
from pydantic import BaseModel

pages: Any = get_asgi_application()

from chanx.channels.websocket import AsyncJsonWebsocketConsumer  # noqa: E402
from chanx.core.decorators import channel, ws_handler  # noqa: E402
from chanx.messages.base import BaseMessage  # noqa: E402
from chanx.messages.incoming import PingMessage  # noqa: E402
from chanx.messages.outgoing import PongMessage  # noqa: E402


class Words(BaseModel):
    """What is said."""

    text: str


class Say(BaseMessage):
    """From a client."""

    action: Literal["say"] = "say"
    payload: Words


class Said(BaseMessage):
    """To all clients."""

    action: Literal["said"] = "said"
    payload: Words


@channel(name="harbour", description="A room")
class RoomConsumer(AsyncJsonWebsocketConsumer):
    """A room that everyone is in."""

    channel_layer_alias = "default"
    groups = ["harbour"]

    @ws_handler
    async def handle_ping(self, message: PingMessage) -> PongMessage:
        """Answer: the socket is in its group by now."""
        return PongMessage()

    @ws_handler(output_type=Said)
    async def handle_say(self, message: Say) -> None:
        """Tell everyone."""
        await self.broadcast_message(Said(payload=message.payload))


application = ProtocolTypeRouter(
    {"http": pages, "websocket": URLRouter([path("ws/", RoomConsumer.as_asgi())])}
)
