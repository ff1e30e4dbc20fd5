"""What every worker does: say something to those who are in the harbour."""

import django
from asgiref.sync import async_to_sync

django.setup()

from fairway.layers import get_channel_layer  # noqa: E402
from fairway.layers.base import ChannelLayer  # noqa: E402


def say(text: str, way: str) -> None:
    """Say it, in one of the ways that there are for code without an event loop."""
    layer = get_channel_layer()
    assert isinstance(layer, ChannelLayer)
    message = {"type": "room.said", "text": text}
    match way:
        case "async_to_sync":
            async_to_sync(layer.group_send)("harbour", message)
        case "queue":
            layer.sync.send(text, message)
            layer.sync.group_send("harbour", layer.sync.receive(text, timeout=10))
        case _:
            layer.sync.group_send("harbour", message)
