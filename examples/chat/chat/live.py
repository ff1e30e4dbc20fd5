"""Telling browsers: the names of the groups, and how everything else speaks to them.

An event is a dict with a `type`. It is put into a `websocket.send` message, ASGI's own words for
"the client receives this", so no consumer needs a handler for it and the frame is built once,
however many people are in the group.
"""

import contextlib
import json
from typing import Any

from asgiref.sync import async_to_sync

from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers import get_channel_layer, group_name

EVERYONE = "everyone"


def room_group(room_id: int) -> str:
    """Name the group of all pages that show this room."""
    return group_name("room", str(room_id))


def personal_group(user_id: int) -> str:
    """Name the group of all pages that this person has open."""
    return group_name("person", str(user_id))


async def send(group: str, message: dict[str, Any]) -> None:
    """Send a message to the consumer of every page in `group`."""
    layer = get_channel_layer()
    assert layer is not None, "CHANNEL_LAYERS has no default"
    await layer.group_send(group, message)


async def tell(group: str, event: dict[str, Any]) -> None:
    """Send an event straight to the browser of every page in `group`."""
    text = json.dumps(event, ensure_ascii=False)
    await send(group, {"type": "websocket.send", "text": text})


def send_from_sync(group: str, message: dict[str, Any]) -> None:
    """Do the same from a view or a signal, which goes on if other machines are out of reach.

    Their pages ask when they are back; see `SiteConsumer.layer_gap`.
    """
    with contextlib.suppress(ChannelLayerUnavailable):
        async_to_sync(send)(group, message)


def tell_from_sync(group: str, event: dict[str, Any]) -> None:
    """Send an event from a view likewise."""
    with contextlib.suppress(ChannelLayerUnavailable):
        async_to_sync(tell)(group, event)
