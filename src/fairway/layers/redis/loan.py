"""What comes is read where it is waited for: a connection is lent to the loop that uses it most.

A reply that one thread reads and another one waits for, or a call that there is a job, is handed
from thread to thread: a system call, a change of threads, and a wait for the interpreter's lock,
which is as much as all the rest of a job. An event loop that has just been given some in a row
reads the next ones itself.

It cannot be relied on: it may be blocked, or have ended, while others wait for their replies. So
it is relieved as soon as it has read nothing for a moment, and by whoever finds that it is lost.
"""

import asyncio
import socket
from _socket import dup
from _socket import socket as native_socket  # which greenlets do not replace
from collections.abc import Callable
from typing import Final

from fairway import native
from fairway.layers.io import io, let_go

#: Seconds in which nothing comes after which the thread of :data:`io` reads again.
PATIENCE: Final = 0.05
#: Replies or calls for one event loop within that time, after which it reads them itself.
ENOUGH: Final = 16

#: Bytes that are read at once.
_READ_SIZE: Final = 65536


class _Descriptor(native_socket):
    """Closed with its last reference: a loop that ends drops what it was about to be told."""

    def __del__(self) -> None:
        self.close()


def reads_sockets(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether an event loop can be lent one: those for Windows' completion ports cannot."""
    return type(loop).add_reader is not asyncio.AbstractEventLoop.add_reader


class Loan:
    """A socket that another event loop reads, from :meth:`begin` until :meth:`end` is called.

    All of it belongs to the thread of :data:`io`, where nothing else may read the socket meanwhile.

    Args:
        sock: The socket; a descriptor of its own is made.
        loop: The event loop; one that reads sockets.
        take: Takes what has come, there.
        back: Called on the thread of :data:`io` when the loop reads no more by itself: it has been
            idle or blocked, it has ended, or there will be nothing more.

    Attributes:
        trouble: Why nothing can be made of what comes next; empty if all is well.

    Raises:
        OSError: The process may have no further descriptor.
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        take: Callable[[bytes], None],
        *,
        back: Callable[[], None],
    ) -> None:
        self._sock = _Descriptor(sock.family, sock.type, sock.proto, dup(sock.fileno()))
        self._sock.setblocking(False)
        self._loop = loop
        self._take = take
        self._back = back
        # Held while it reads, and to end that: who has ended it can rely on it.
        self._reading = native.Lock()
        self._over = False
        self._reads = 0
        self.trouble = ""

    def begin(self) -> None:
        """Let it read."""
        self._watch = asyncio.get_running_loop().call_later(PATIENCE, self._look, 0)
        self._tell(self._add)

    def end(self) -> None:
        """Let it read no more; when this returns, ``take`` is not called again."""
        with self._reading:
            self._over = True
        self._watch.cancel()
        if not self._tell(self._part):
            self._sock.close()

    def abandon(self) -> None:
        """In a forked child: the loan is the parent's."""
        self._over = True
        let_go(self._sock)

    def _tell(self, function: Callable[[], None]) -> bool:
        """Call something on the event loop; False if that is closed."""
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            return False
        return True

    def _look(self, reads: int) -> None:
        """Relieve a loop that has read nothing since the last look."""
        if self._reads == reads:
            self._back()
        else:
            loop = asyncio.get_running_loop()
            self._watch = loop.call_later(PATIENCE, self._look, self._reads)

    # ------------------------------------------------------------------ on that event loop

    def _add(self) -> None:
        if not self._over:
            self._loop.add_reader(self._sock.fileno(), self._read)

    def _read(self) -> None:
        with self._reading:
            if self._over:
                return  # and _part() is to come
            if not self.trouble and self._take_some():
                return
        self._loop.remove_reader(self._sock.fileno())
        io.call(self._give_back)

    def _take_some(self) -> bool:
        """False when there will be nothing more."""
        # A signal handler may raise anywhere, and what was read is gone then.
        self.trouble = "a reply was interrupted here"
        try:
            data = self._sock.recv(_READ_SIZE)
        except (BlockingIOError, InterruptedError):
            self.trouble = ""
            return True
        except OSError as error:
            self.trouble = str(error)
            return False
        if data:
            self._reads += 1
            self._take(data)
        self.trouble = ""
        return bool(data)  # whoever reads next finds the end

    def _give_back(self) -> None:
        if not self._over:
            self._back()

    def _part(self) -> None:
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
