"""Where the names come from that the consumers are written against.

``BENCH_STACK`` is ``fairway`` or ``channels``; the rest of this project is the same for both.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING or os.environ["BENCH_STACK"] == "fairway":
    from fairway.generic.websocket import AsyncWebsocketConsumer
    from fairway.http import get_asgi_application
    from fairway.routing import ProtocolTypeRouter, URLRouter
else:
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.routing import ProtocolTypeRouter, URLRouter
    from django.core.asgi import get_asgi_application

__all__ = [
    "AsyncWebsocketConsumer",
    "ProtocolTypeRouter",
    "URLRouter",
    "get_asgi_application",
]
