"""The end of a connection whose client may still be sending (RFC 9112 §9.6).

To close it at once would reset it as soon as more arrives, perhaps before the client has read our
last words. So only our side ends, and what still comes is discarded, until the client has closed,
too, or :data:`~fairway.server.context.LINGER` is over; whoever calls this sees to the latter.
"""

import asyncio
from typing import Final, cast

from fairway.server.context import LINGER, Context

__all__ = ["end_writing"]

#: Seconds without a byte after which a client is taken to have stopped sending, where it is only
#: then that the connection can be closed.
SILENCE: Final = 0.5


def end_writing(transport: asyncio.Transport, context: Context) -> None:
    """Tell the client that nothing more will come, behind what is still to be sent.

    With TLS a connection cannot be half-closed, but uvloop's transports go on reading when they are
    closed, until the client has closed, too. Those of asyncio take what still comes for an error
    and reset the connection: they are closed once nothing comes any more.

    Args:
        transport: Its protocol discards what it gets from now on.
        context: Of the server.
    """
    if transport.is_closing():
        return
    if transport.can_write_eof():
        try:
            transport.write_eof()
        except OSError:  # it has gone meanwhile, which has not been noticed yet
            transport.abort()
    elif isinstance(context.loop, asyncio.BaseEventLoop):
        _Silence(transport, context)
    else:
        transport.close()


class _Silence(asyncio.Protocol):
    """Takes a connection over and closes it when nothing more comes, or too much.

    Args:
        transport: Of the connection.
        context: Of the server.
    """

    __slots__ = ("_before", "_context", "_heard", "_transport", "_until", "slot")

    def __init__(self, transport: asyncio.Transport, context: Context) -> None:
        self.slot = 0
        self._before = cast("asyncio.Protocol", transport.get_protocol())
        self._context = context
        self._heard = False
        self._transport = transport
        now = context.time()
        self._until = now + LINGER - SILENCE
        transport.set_protocol(self)
        context.deadlines.arm(self, now + SILENCE)

    def data_received(self, data: bytes) -> None:
        """It still sends."""
        self._heard = True

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
        """See whether something has come since the last time."""
        if self._heard and now < self._until:
            self._heard = False
            return now + SILENCE
        self._transport.close()
        return None
