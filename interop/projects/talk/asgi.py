"""The ASGI application."""

import os
from typing import Any

from talk.stack import ChannelNameRouter, ProtocolTypeRouter, URLRouter, get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "talk.settings")
pages: Any = get_asgi_application()

from django.urls import path  # noqa: E402

from talk.consumers import Room, SyncRoom, Worker  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": pages,
        "websocket": URLRouter(
            [path("ws/<slug:room>/", Room.as_asgi()), path("sync/<slug:room>/", SyncRoom.as_asgi())]
        ),
        "channel": ChannelNameRouter({"jobs": Worker.as_asgi()}),
    }
)
