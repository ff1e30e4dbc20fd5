"""What a sync consumer sends: from its thread, which does not wait for what can be sent at once.

And what any consumer says last, quietly.
"""

import asyncio
import logging
from typing import Final

from asgiref.sync import SyncToAsync, async_to_sync

from fairway._types import Event, Send
from fairway.delivery import Outbox
from fairway.server.application.threads import LentThread

logger = logging.getLogger("fairway.consumer")

#: Messages that a connection's threads may leave before they wait for the event loop, and the
#: length of one: together they are as much as may wait in the buffer of a client that reads slowly.
MAX_LEFT: Final = 16
MAX_LENGTH: Final = 4096


class ThreadSend:
    """The ``send`` of a sync consumer, called in its thread.

    A message that can be written at once is left for the event loop, which writes it before it sees
    that the handler has returned: an echo takes 46 µs of processor time, where it takes 111 µs by
    way of ``async_to_sync``. For everything else the thread waits until the event loop has sent it,
    and raises what the server's ``send`` raises: other events, longer messages, and whatever comes
    while the client is slow, or while the event loop has not got round to the messages before.

    Args:
        outbox: The server's ``send``.
        thread: Where the consumer's sync code runs.
        loop: The event loop of the connection.
    """

    __slots__ = ("_landing", "_left", "_outbox")

    def __init__(self, outbox: Outbox, thread: LentThread, loop: asyncio.AbstractEventLoop) -> None:
        self._outbox = outbox
        self._landing = thread.landing(loop)
        self._left: list[str | bytes] = []  # its methods are atomic; a deque is 600 bytes

    def __call__(self, event: Event) -> None:
        """Send an ASGI event; see https://asgi.readthedocs.io/en/latest/specs/www.html#websocket."""
        if event.get("type") == "websocket.send" and self._outbox.ready:
            text, data = event.get("text"), event.get("bytes")
            # What stands under the other's name is the server's to refuse, as it does elsewhere.
            if data is None:
                left = isinstance(text, str) and self.leave(text)
            else:
                left = text is None and isinstance(data, bytes) and self.leave(data)
            if left:
                return
        async_to_sync(self._outbox)(event)

    def leave(self, message: str | bytes) -> bool:
        """Leave a message for the event loop, if it is one that can be written at once.

        Raises:
            UnicodeEncodeError: It holds a lone surrogate, which UTF-8 cannot carry.
        """
        if (
            not self._outbox.ready
            or len(message) > MAX_LENGTH
            or len(self._left) >= MAX_LEFT
            # asgiref decides what becomes of it in other threads, and refuses an event loop's.
            or getattr(SyncToAsync.threadlocal, "main_event_loop", None) is not self._landing.loop
            or asyncio._get_running_loop() is not None  # noqa: SLF001  0.5 µs less than to catch it
        ):
            return False
        if isinstance(message, str) and not message.isascii():
            message.encode()  # else the event loop would fail, where nobody could be told
        self._left.append(message)
        try:
            self._landing.leave(self._write)
        except RuntimeError:  # the event loop is closed
            self._left.clear()
            return False
        return True

    def _write(self) -> None:
        self._outbox.write_late(self._left.pop(0))


async def send_quietly(send: Send, event: Event) -> None:
    """Send what nobody needs to get any more."""
    try:
        await send(event)
    except (OSError, RuntimeError):
        logger.debug("The connection was closing already")
