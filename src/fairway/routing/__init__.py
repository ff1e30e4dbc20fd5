"""Routers: from a scope to the application that handles it, and from a name to its URL."""

from fairway.routing.reversing import reverse, websocket_url
from fairway.routing.routers import (
    ChannelNameRouter,
    ProtocolTypeRouter,
    get_default_application,
)
from fairway.routing.search import find_routers
from fairway.routing.targets import Route
from fairway.routing.unknown import CLOSE_NOT_FOUND
from fairway.routing.urls import URLRouter

__all__ = [
    "CLOSE_NOT_FOUND",
    "ChannelNameRouter",
    "ProtocolTypeRouter",
    "Route",
    "URLRouter",
    "find_routers",
    "get_default_application",
    "reverse",
    "websocket_url",
]
