"""What goes out to one WebSocket."""

from collections.abc import Callable
from typing import Final, Protocol

from fairway._types import Event, Send
from fairway.wire.deflate import Deflater
from fairway.wire.frames import encode_binary, encode_text

_SEND: Final = "websocket.send"


class Tally(Protocol):
    """Where the messages of many connections are counted.

    Attributes:
        messages_sent: How many were written.
    """

    messages_sent: int


class _Uncounted:
    """What nobody will ask for."""

    def __init__(self) -> None:
        self.messages_sent = 0


_UNCOUNTED: Final = _Uncounted()


class Outbox:
    """The ASGI ``send`` of one WebSocket, with a short way for what may be written at once.

    Args:
        write: Hands bytes to the transport; must not block.
        handle: The server's ``send`` for every event that cannot take the short way. It knows the
            connection's states, waits for slow readers and raises the errors that ASGI asks for.
        leave: Ends the connection from the server's side, with a close code and a reason, whatever
            the application is doing.
        tally: Counts what an application sends the short way. Prepared messages are counted by who
            writes them, many at once, and the rest by the server.

    Attributes:
        deflater: What compresses messages for this client; None for a client that reads none.
        full: The connection is open, not closing, and its buffer is above the high-water mark.
        tally: What it was given.
        ready: The connection is open, not closing, and its buffer is below the high-water mark. The
            server keeps it true to the facts; while it is set, a message needs no other check.
        sent: Bytes that messages to this client were, frames and all.
    """

    __slots__ = ("_handle", "deflater", "full", "leave", "ready", "sent", "tally", "write")

    def __init__(
        self,
        write: Callable[[bytes], None],
        handle: Send,
        leave: Callable[[int, str], None],
        tally: Tally = _UNCOUNTED,
    ) -> None:
        self.ready = False
        self.full = False
        self.sent = 0
        self.deflater: Deflater | None = None
        self.tally = tally
        self.write = write
        self.leave = leave
        self._handle = handle

    async def __call__(self, event: Event) -> None:
        """Send an ASGI event; see https://asgi.readthedocs.io/en/latest/specs/www.html#websocket."""
        if event.get("type") == _SEND:
            text, data = event.get("text"), event.get("bytes")
            if self.write_text(text) if data is None else text is None and self.write_bytes(data):
                return
        await self._handle(event)

    def write_text(self, text: object) -> bool:
        """Write a text message, if it is one and that can be done at once.

        Raises:
            UnicodeEncodeError: It holds a lone surrogate, which UTF-8 cannot carry.
        """
        if self.ready and type(text) is str:
            deflater = self.deflater
            frame = encode_text(text) if deflater is None else deflater.encode_text(text)
            self.write(frame)
            self.sent += len(frame)
            self.tally.messages_sent += 1
            return True
        return False

    def write_bytes(self, data: object) -> bool:
        """Write a binary message, if it is one and that can be done at once."""
        if self.ready and type(data) is bytes:
            deflater = self.deflater
            frame = encode_binary(data) if deflater is None else deflater.encode_binary(data)
            self.write(frame)
            self.sent += len(frame)
            self.tally.messages_sent += 1
            return True
        return False

    def write_late(self, message: str | bytes) -> None:
        """Write a message that was taken while :attr:`ready`, though it may be no longer.

        A buffer that is full by now takes it nonetheless; of a connection that ends it is lost, as
        if it had been written just before. Whoever calls this bounds how many there are.

        Args:
            message: Text that UTF-8 can carry, or bytes.
        """
        if self.ready or self.full:
            deflater = self.deflater
            if isinstance(message, str):
                frame = encode_text(message) if deflater is None else deflater.encode_text(message)
            elif deflater is None:
                frame = encode_binary(message)
            else:
                frame = deflater.encode_binary(message)
            self.write(frame)
            self.sent += len(frame)
            self.tally.messages_sent += 1
