"""Where the names come from that the consumers are written against.

``INTEROP_STACK`` is ``fairway`` or ``channels``; the rest of this project is the same for both.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING or os.environ["INTEROP_STACK"] == "fairway":
    from fairway.consumer import AsyncConsumer
    from fairway.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
    from fairway.http import get_asgi_application
    from fairway.layers import get_channel_layer
    from fairway.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
else:
    from channels.consumer import AsyncConsumer
    from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
    from channels.layers import get_channel_layer
    from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
    from django.core.asgi import get_asgi_application

__all__ = [
    "AsyncConsumer",
    "AsyncJsonWebsocketConsumer",
    "ChannelNameRouter",
    "JsonWebsocketConsumer",
    "ProtocolTypeRouter",
    "URLRouter",
    "get_asgi_application",
    "get_channel_layer",
]
