"""Where the names come from that the consumers are written against.

``BENCH_STACK`` is ``fairway`` or ``channels``; the rest of this project is the same for both.
"""

import asyncio
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or os.environ["BENCH_STACK"] == "fairway":
    from fairway.consumer import AsyncConsumer
    from fairway.delivery import Mailbox
    from fairway.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
    from fairway.http import get_asgi_application
    from fairway.layers import get_channel_layer
    from fairway.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
else:
    from channels.consumer import AsyncConsumer
    from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
    from channels.layers import get_channel_layer
    from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
    from django.core.asgi import get_asgi_application

__all__ = [
    "AsyncConsumer",
    "AsyncWebsocketConsumer",
    "ChannelNameRouter",
    "ProtocolTypeRouter",
    "URLRouter",
    "WebsocketConsumer",
    "get_asgi_application",
    "get_channel_layer",
    "new_consumers_channel",
]


async def new_consumers_channel(layer: Any) -> str:
    """A channel such as a consumer gets when its client connects."""
    if os.environ["BENCH_STACK"] == "fairway":
        bound: str = layer.bind(Mailbox(asyncio.get_running_loop()))
        return bound
    made: str = await layer.new_channel()
    return made
