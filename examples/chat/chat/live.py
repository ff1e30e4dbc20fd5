"""Telling browsers: the names of the groups, and one function that everything uses.

An event is a dict with a `type`. It is put into a `websocket.send` message, ASGI's own words for
"the client receives this", so no consumer needs a handler for it and the frame is built once,
however many people are in the group.
"""

import json
from typing import Any

from asgiref.sync import async_to_sync

from fairway.layers import get_channel_layer, group_name

EVERYONE = "everyone"


def room_group(room_id: int) -> str:
    """Name the group of all pages that show this room."""
    return group_name("room", str(room_id))


def personal_group(user_id: int) -> str:
    """Name the group of all pages that this person has open."""
    return group_name("person", str(user_id))


async def tell(group: str, event: dict[str, Any]) -> None:
    """Send `event` to every page in `group`."""
    text = json.dumps(event, ensure_ascii=False)
    await get_channel_layer().group_send(group, {"type": "websocket.send", "text": text})


tell_from_sync = async_to_sync(tell)  # for views and signal receivers
