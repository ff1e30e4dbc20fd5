"""The end of a connection whose client may still be sending, or reading (RFC 9112 §9.6).

To close it at once would reset it as soon as more arrives, perhaps before the client has read our
last words. So only our side ends, and what still comes is discarded, until the client has closed,
too, or has had its time for that. It begins when our last words have reached the client:
:class:`LastWords` says when it is over, and whoever ends the connection asks it.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Final, cast

from fairway.server.context import LINGER, Context
from fairway.server.http.progress import delivered, unsent

__all__ = ["LastWords", "end_writing"]

#: Seconds without a byte after which a client is taken to have stopped sending, where it is only
#: then that the connection can be closed.
SILENCE: Final = 0.5
#: Seconds without progress after which a client that does not read our last words is given up.
STALLED: Final = 60.0
#: How often a connection is looked at in the time that it has.
LOOKS: Final = 5


def end_writing(
    transport: asyncio.Transport,
    context: Context,
    is_goodbye: Callable[[bytes], bool] = lambda data: False,
) -> None:
    """Tell the client that nothing more will come, behind what is still to be sent.

    With TLS a connection cannot be half-closed, but uvloop's transports go on reading when they are
    closed, until the client has closed, too. Those of asyncio take what still comes for an error
    and reset the connection: they are closed once nothing comes any more.

    Args:
        transport: Its protocol discards what it gets from now on.
        context: Of the server.
        is_goodbye: Whether bytes that came are the last that the client sends.
    """
    if transport.is_closing():
        return
    if transport.can_write_eof():
        try:
            transport.write_eof()
        except OSError:  # it has gone meanwhile, which has not been noticed yet
            transport.abort()
    elif isinstance(context.loop, asyncio.BaseEventLoop):
        _Silence(transport, context, is_goodbye)
    else:
        transport.close()


class _Silence(asyncio.Protocol):
    """Takes a connection over and closes it when nothing more comes, or for too long.

    Who does not read what was said before is left to who ends the connection.

    Args:
        transport: Of the connection.
        context: Of the server.
        is_goodbye: Whether bytes that came are the last that the client sends.
    """

    __slots__ = ("_before", "_context", "_heard_at", "_is_goodbye", "_transport", "_until", "slot")

    def __init__(
        self, transport: asyncio.Transport, context: Context, is_goodbye: Callable[[bytes], bool]
    ) -> None:
        self.slot = 0
        self._before = cast("asyncio.Protocol", transport.get_protocol())
        self._context = context
        self._is_goodbye = is_goodbye
        self._transport = transport
        self._heard_at = now = context.time()
        self._until = now + LINGER - SILENCE
        transport.set_protocol(self)
        context.deadlines.arm(self, now + SILENCE)

    def data_received(self, data: bytes) -> None:
        """It still sends, or has just said that it does not."""
        self._heard_at = self._context.time()
        if self._is_goodbye(data):
            self._context.deadlines.disarm(self)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """That is for whom it belonged to before."""
        self._context.deadlines.disarm(self)
        self._before.connection_lost(exc)

    def pause_writing(self) -> None:
        """So is this."""
        self._before.pause_writing()

    def resume_writing(self) -> None:
        """And this."""
        self._before.resume_writing()

    def on_deadline(self, now: float) -> float | None:
        """See whether something has come lately, or is still to be read."""
        if unsent(self._transport):  # who reads may have reason to send, and has its time then
            self._heard_at, self._until = now, now + LINGER - SILENCE
        when = min(self._heard_at + SILENCE, self._until)
        if now < when:
            return when
        self._transport.close()
        return None


class LastWords:
    """What was said last on a connection: whether its client still reads it, or has had it.

    What has left the transport is still to be read: the kernel keeps megabytes, and so does the
    transport below one with TLS. Whoever closes such a connection loses them.

    Args:
        transport: To which nothing more is written.
        context: Of the server.
        linger: Seconds that the client has for its end when it has got everything; more than 0.
        stalled: Seconds without progress after which it is given up before; more than 0.
    """

    __slots__ = (
        "_context",
        "_linger",
        "_moved_at",
        "_read",
        "_stalled",
        "_transport",
        "_waited_at",
    )

    def __init__(
        self, transport: asyncio.Transport, context: Context, linger: float, stalled: float
    ) -> None:
        self._context = context
        self._linger = linger
        self._stalled = stalled
        self._transport = transport
        self._read = -sys.maxsize  # asked for when there is reason to
        self._moved_at = self._waited_at = context.time()

    def look(self) -> float:
        """See how far the client is.

        Returns:
            The seconds after which to look again; 0 if the connection is to be ended now.
        """
        now = self._context.time()
        if unsent(self._transport):
            self._waited_at = now
            read = delivered(self._transport)
            if read > self._read:
                self._read, self._moved_at = read, now
            left = self._moved_at + self._stalled - now
        else:
            left = self._waited_at + self._linger - now
        return max(0.0, min(left, self._linger / LOOKS))
