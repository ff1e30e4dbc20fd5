"""What goes out to one WebSocket."""

from collections.abc import Callable
from typing import Final

from fairway._types import Event, Send
from fairway.wire.frames import PreparedMessage, encode_binary, encode_text

_SEND: Final = "websocket.send"


class Outbox:
    """The ASGI ``send`` of one WebSocket, with a short way for what may be written at once.

    Args:
        write: Hands bytes to the transport; must not block.
        handle: The server's ``send`` for every event that cannot take the short way. It knows the
            connection's states, waits for slow readers and raises the errors that ASGI asks for.
        leave: Ends the connection from the server's side, with a close code and a reason, whatever
            the application is doing.

    Attributes:
        ready: The connection is open, not closing, and its buffer is below the high-water mark. The
            server keeps it true to the facts; while it is set, a message needs no other check.
    """

    __slots__ = ("_handle", "leave", "ready", "write")

    def __init__(
        self, write: Callable[[bytes], None], handle: Send, leave: Callable[[int, str], None]
    ) -> None:
        self.ready = False
        self.write = write
        self.leave = leave
        self._handle = handle

    async def __call__(self, event: Event) -> None:
        """Send an ASGI event; see https://asgi.readthedocs.io/en/latest/specs/www.html#websocket."""
        if self.ready and event["type"] == _SEND:
            text, data = event.get("text"), event.get("bytes")
            if data is None and type(text) is str:
                self.write(encode_text(text))
                return
            if text is None and type(data) is bytes:
                self.write(encode_binary(data))
                return
        await self._handle(event)

    def write_prepared(self, message: PreparedMessage) -> bool:
        """Write a message that was framed for many, if that can be done at once."""
        if self.ready:
            self.write(message.plain)
            return True
        return False
