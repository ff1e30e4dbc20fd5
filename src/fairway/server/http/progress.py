"""Sees to it that clients go on: that they send what they announce, and read what they asked for.

A client that sends its upload byte by byte, or reads its download so, costs nothing and holds a
connection, memory and perhaps a thread. Each :data:`WINDOW` has to bring its part.
"""

import fcntl
import socket
import struct
import sys
from asyncio import Transport
from collections.abc import Callable
from typing import Final

from fairway.server.context import Context

#: Seconds over which a rate is measured: a train passes most tunnels in less.
WINDOW: Final = 30.0

#: The request that tells how much of what was written to a socket its peer has not acknowledged:
#: SIOCOUTQ, on Linux. Elsewhere only what waits in the process is seen.
_UNACKNOWLEDGED: Final = 0x5411 if sys.platform == "linux" else 0
#: Where in the answer to TCP_INFO the bytes are that the peer has acknowledged, on Linux.
_ACKNOWLEDGED: Final = slice(120, 128)


class Progress:
    """Watches over one direction of a connection, while it is the client's turn.

    Args:
        context: Of the server.
        rate: Bytes per second that have to be done in each window; 0 for any.
        done: How many bytes were done so far.
        fail: Called when there were too few in a window, or when ``time`` is over; is told which:
            True if it was the time. May call :meth:`start` to go on.
        time: Seconds for everything, without those between :meth:`stop` and :meth:`start`; 0 for
            any.
    """

    __slots__ = ("_context", "_done", "_fail", "_mark", "_rate", "_until", "_when", "slot")

    def __init__(
        self,
        context: Context,
        rate: float,
        done: Callable[[], int],
        fail: Callable[[bool], None],
        time: float = 0,
    ) -> None:
        self.slot = 0
        self._context = context
        self._rate = rate
        self._done = done
        self._fail = fail
        self._mark = 0
        self._until = time if time > 0 else float("inf")  # as long as it is stopped, what is left
        self._when: float | None = None

    @property
    def running(self) -> bool:
        """Whether it is the client's turn."""
        return self._when is not None

    def start(self) -> None:
        """It is the client's turn: a window begins. Idempotent."""
        if self._when is not None:
            return
        now = self._context.time()
        self._until += now
        self._mark = self._done()
        self._when = min(now + WINDOW, self._until)
        self._context.deadlines.arm(self, self._when)

    def stop(self) -> None:
        """It is not any more. Idempotent."""
        if self._when is not None:
            self._when = None
            self._until -= self._context.time()
            self._context.deadlines.disarm(self)

    def on_deadline(self, now: float) -> float | None:
        """Look at the window that ends now."""
        if self._when is None or now < self._when:
            return self._when
        late = now >= self._until
        done = self._done()
        if late or done - self._mark < self._rate * WINDOW:
            self.stop()
            self._fail(late)
            return self._when
        self._mark = done
        self._when = min(now + WINDOW, self._until)
        return self._when


def unsent(transport: Transport) -> int:
    """Bytes that were written to a transport and have not reached the client, as far as is known.

    What the kernel has taken counts: it can be megabytes, and a slow client takes minutes for it
    in which nothing else is to be seen.
    """
    try:
        waiting = transport.get_write_buffer_size()
    except AttributeError:  # asyncio's transport with TLS, once it was closed twice
        return 0
    sock = transport.get_extra_info("socket")
    if _UNACKNOWLEDGED and sock is not None:
        try:
            answer = fcntl.ioctl(sock.fileno(), _UNACKNOWLEDGED, bytes(4))
        except (OSError, ValueError):  # it is closed
            return waiting
        waiting += int(struct.unpack("i", answer)[0])
    return waiting


def delivered(transport: Transport, copied: int = 0) -> int:
    """A number that grows by each byte that reaches the client.

    Linux counts them. Elsewhere, and on Unix sockets, it is what does not wait any more: that sees
    nothing of what a transport with TLS has handed to the one below it.

    Args:
        transport: To which nothing is written between two calls.
        copied: Bytes that have gone to the socket without it.
    """
    sock = transport.get_extra_info("socket")
    if _UNACKNOWLEDGED and sock is not None:
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKNOWLEDGED.stop)
        except OSError:  # it is none of TCP, or closed
            info = b""
        if len(info) == _ACKNOWLEDGED.stop:
            return int.from_bytes(info[_ACKNOWLEDGED], sys.byteorder)
    return copied - unsent(transport)
