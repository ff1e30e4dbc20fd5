"""The message that needs no handler: it is what the clients receive."""

from typing import Final

from fairway._types import Event
from fairway.wire.prepared import PreparedMessage

WEBSOCKET_SEND: Final = "websocket.send"


def prepare(message: Event) -> PreparedMessage | None:
    """A ``websocket.send`` message framed for many; None for every other.

    None too if it is not what ASGI asks for: the members' consumers then send it one by one, and
    meet the error there.
    """
    if message.get("type") != WEBSOCKET_SEND:
        return None
    text, data = message.get("text"), message.get("bytes")
    if isinstance(text, str) and data is None:
        return PreparedMessage(text)
    if isinstance(data, bytes) and text is None:
        return PreparedMessage(data)
    return None
