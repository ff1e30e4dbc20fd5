"""Applications with nothing of ours around them, by which servers have to tell ASGI from WSGI."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "talk.settings")

import django

django.setup()

from django.urls import path  # noqa: E402

from fairway.generic.websocket import AsyncJsonWebsocketConsumer  # noqa: E402
from fairway.http import get_asgi_application  # noqa: E402
from fairway.middleware import BaseMiddleware  # noqa: E402
from fairway.routing import URLRouter  # noqa: E402


class Echo(AsyncJsonWebsocketConsumer):
    """Says what it hears."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Say it again."""
        await self.send_json({"heard": content})


class Inherited(BaseMiddleware):
    """Middleware that has its call from its base class."""


consumer = Echo.as_asgi()
middleware = Inherited(Echo.as_asgi())
routes = URLRouter([path("", Echo.as_asgi())])
pages: Any = get_asgi_application()
