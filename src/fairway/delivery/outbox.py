"""What goes out to one WebSocket."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from fairway._types import Event, Send
from fairway.wire.deflate import Deflater
from fairway.wire.messages import encode_message

#: What a sender may say before others have a turn of the event loop: 1 for each message, and for
#: each KiB of it. That is a millisecond. To a client that reads fast, or that has gone, which is
#: heard of in a turn of the loop only, it would say it all without ever waiting.
IN_A_ROW: Final = 100

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

    __slots__ = ("_handle", "_left", "deflater", "full", "leave", "ready", "sent", "tally", "write")

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
        self._left = IN_A_ROW

    async def __call__(self, event: Event) -> None:
        """Send an ASGI event; see https://asgi.readthedocs.io/en/latest/specs/www.html#websocket."""
        if event.get("type") == _SEND:
            if self._left <= 0:
                self._left = IN_A_ROW
                await asyncio.sleep(0)
            if self.write_now(event.get("text"), event.get("bytes")):
                return
            self._left -= 1  # nor does who sends to a connection that has ended ever wait
        await self._handle(event)

    def write_now(self, text: object, data: object) -> bool:
        """Write a message, if it is one and that can be done at once.

        After :data:`IN_A_ROW` it cannot: a call of this object gives others a turn and goes on.

        Args:
            text: What a ``websocket.send`` has under ``text``.
            data: What it has under ``bytes``; one of the two is None.

        Raises:
            UnicodeEncodeError: It holds a lone surrogate, which UTF-8 cannot carry.
        """
        if self.ready and self._left > 0:
            if data is None and type(text) is str:
                frame = encode_message(text, self.deflater)
            elif text is None and type(data) is bytes:
                frame = encode_message(data, self.deflater)
            else:
                return False
            # As write_message() goes on; to call it would take 350 instructions more.
            self.write(frame)
            size = len(frame)
            self.sent += size
            self._left -= 1 + (size >> 10)
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
            self.write_message(message)

    def write_message(self, message: str | bytes) -> None:
        """Write a message whatever becomes of it, and count it: for who knows that it may go out.

        Raises:
            UnicodeEncodeError: It holds a lone surrogate, which UTF-8 cannot carry.
        """
        frame = encode_message(message, self.deflater)
        self.write(frame)
        size = len(frame)
        self.sent += size
        self._left -= 1 + (size >> 10)
        self.tally.messages_sent += 1
