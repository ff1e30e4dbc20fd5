"""Takes connections from a listening socket, and turns away those that may not come in.

The event loops could do this, and uvloop would do it a little faster. But they make a transport
(and shake hands, with TLS) before anybody is asked, so that each refusal costs what it is to save.
And without file descriptors asyncio logs a traceback for each attempt, while uvloop closes the
connections without a word, and at times its listening socket, too.
"""

import asyncio
import contextlib
import errno
import functools
import os
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from fairway.server.context import Context
from fairway.server.listening.admission import RETRY_AFTER, Admission, Rejection
from fairway.server.listening.listener import Listener
from fairway.server.listening.sockets import listen
from fairway.wire.http1 import error_response

if sys.platform != "win32":
    import resource

#: What :class:`~fairway.server.observing.refusals.Refusals` is told when the process, or the
#: machine, has no file descriptor for another connection.
DESCRIPTORS: Final = "file_descriptors"
#: New connections that are taken before others have their turn.
ACCEPTS_IN_A_ROW: Final = 16
#: Seconds without accepting, when a connection can be neither taken nor refused.
PAUSE: Final = 0.5
#: Seconds that a client has for reading why it was refused. It may have sent a request meanwhile,
#: and to close a socket with unread data resets the connection.
FAREWELL: Final = 1.0
#: Sockets that are kept for that at most; then the oldest is closed sooner.
MAX_FAREWELLS: Final = 64

#: What ``accept()`` says when there is no room for a connection, which stays in the queue.
_STARVED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
#: What it says of a connection that has gone before it was taken (accept(2)).
_GONE: Final = frozenset({errno.ECONNABORTED, errno.EINTR, errno.EPERM, errno.EPROTO})

_INTERNET: Final = frozenset({socket.AF_INET, socket.AF_INET6})


class Kind(NamedTuple):
    """What a listening socket is, and all that come from it."""

    family: socket.AddressFamily
    type: socket.SocketKind
    proto: int


class Visitor(socket.socket):
    """The socket of a client that was let in: says when it is closed, whoever does that.

    Attributes:
        taken: A transport has it now, which will close it.
    """

    __slots__ = ("_admission", "_host", "_kind", "taken")

    def __init__(self, kind: Kind, descriptor: int, admission: Admission, host: str) -> None:
        super().__init__(*kind, fileno=descriptor)
        self.taken = False
        self._kind = kind
        self._admission: Admission | None = admission
        self._host = host

    # Event loops ask three times, and each time a socket makes an enumeration of a number: 0.6 µs.

    @property
    def family(self) -> socket.AddressFamily:
        """The family of its addresses."""
        return self._kind.family

    @property
    def type(self) -> socket.SocketKind:
        """Its type, which is a stream."""
        return self._kind.type

    def close(self) -> None:
        """Close the socket, as asyncio's transports do when they are done."""
        self._leave()
        super().close()

    def detach(self) -> int:
        """Give up the descriptor, as uvloop's transports do when they have closed it."""
        self._leave()
        return super().detach()

    def _leave(self) -> None:
        admission, self._admission = self._admission, None
        if admission is not None:
            admission.disconnect(self._host)


class Acceptor:
    """Lets clients in that connect to one listening socket.

    Args:
        context: Of the server: its loop, limits, counters.
        listener: The socket, and what its clients are greeted with.
        factory: Makes the protocol of each connection.

    Attributes:
        factory: The same.
    """

    def __init__(
        self, context: Context, listener: Listener, factory: Callable[[], asyncio.Protocol]
    ) -> None:
        self._context = context
        self._listener = listener
        self.factory = factory
        self._encrypted = listener.tls is not None
        sock = listener.sock
        # asyncio turns Nagle's delay of up to 40 ms off for what says that it is TCP.
        proto = socket.IPPROTO_TCP if sock.family in _INTERNET else sock.proto
        self._kind = Kind(sock.family, sock.type, proto)
        self._backlog = listener.backlog or context.config.backlog
        self._batch = 1
        self._greeting: set[asyncio.Task[Any]] = set()
        self._farewells: deque[socket.socket] = deque()
        self._timers: set[asyncio.TimerHandle] = set()
        self._spare: int | None = None
        self._closed = False

    def start(self) -> None:
        """Listen.

        Raises:
            NotImplementedError: The event loop cannot wait for sockets (Windows' proactor).
            OSError: Somebody else listens there; the message says where and who, in one line.
        """
        listen(self._listener.sock, self._backlog)
        self._listener.sock.setblocking(False)
        self._open_spare()
        self._context.loop.add_reader(self._listener.sock, self._accept)

    def let_in(self) -> None:
        """Let in who has connected so far, before the end.

        The system has told them that they are connected, and resets who is still in its queue when
        nobody listens any more.
        """
        self._batch = self._backlog
        self._accept()

    def close(self) -> None:
        """Listen no more. Clients that are shaking hands go on."""
        if self._closed:
            return
        self._closed = True
        self._context.loop.remove_reader(self._listener.sock)
        self._listener.sock.close()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        while self._farewells:
            self._farewells.popleft().close()
        self._close_spare()

    @property
    def greeting(self) -> frozenset["asyncio.Task[Any]"]:
        """Of each client that was let in and has no connection yet: it may be shaking hands."""
        return frozenset(self._greeting)

    def abort(self) -> None:
        """Send those away, too, who are still shaking hands."""
        self.close()
        for task in self._greeting:
            task.cancel()

    # ------------------------------------------------------------------ letting in

    def _accept(self) -> None:
        sock = self._listener.sock
        for _ in range(self._batch):
            try:
                # Not accept(): it makes a socket of another class, and looks up three enumerations.
                descriptor, address = sock._accept()  # type: ignore[attr-defined]  # noqa: SLF001  typeshed lacks it
            except BlockingIOError:
                self._batch = 1  # an attempt in vain costs as much as a connection
                return
            except OSError as error:
                if error.errno in _GONE:
                    continue
                self._starve(error)
                return
            self._meet(descriptor, address)
        self._batch = min(2 * self._batch, ACCEPTS_IN_A_ROW)

    def _meet(self, descriptor: int, address: object) -> None:
        """Let a client in, or not."""
        context = self._context
        host = address[0] if isinstance(address, tuple) else ""
        rejection = context.admission.connect(host)
        if rejection is not None:
            refused = socket.socket(fileno=descriptor)
            self._refuse(refused, address, rejection)
            return
        visitor = Visitor(self._kind, descriptor, context.admission, host)
        context.counters.connections += 1
        visitor.setblocking(False)
        loop, factory = context.loop, functools.partial(self._make, visitor)
        task = loop.create_task(loop.connect_accepted_socket(factory, visitor))
        self._greeting.add(task)
        task.add_done_callback(functools.partial(self._met, visitor))

    def _make(self, visitor: Visitor) -> asyncio.Protocol:
        protocol = self.factory()
        visitor.taken = True
        return protocol

    def _met(self, visitor: Visitor, task: "asyncio.Task[Any]") -> None:
        self._greeting.discard(task)
        if not visitor.taken:
            visitor.close()
        error = None if task.cancelled() else task.exception()
        # That a client has gone, or cannot shake hands, is no news.
        if error is not None and not isinstance(error, OSError):
            self._context.loop.call_exception_handler(
                {"message": "Cannot serve a connection", "exception": error}
            )

    # ------------------------------------------------------------------ refusing

    def _refuse(self, sock: socket.socket, address: object, rejection: Rejection) -> None:
        """Say no on the socket itself, without reading what the client wants."""
        told = f"{rejection.status}" if not self._encrypted else "the connection is closed"
        self._context.refusals.note(rejection.limit, rejection.value, address, told)
        if self._encrypted or not self._tell(sock, rejection):
            sock.close()
            return
        with contextlib.suppress(OSError):  # it has gone
            sock.shutdown(socket.SHUT_WR)
        self._farewells.append(sock)
        if len(self._farewells) > MAX_FAREWELLS:
            self._farewells.popleft().close()
        elif len(self._farewells) == 1:
            self._later(FAREWELL, self._part)

    def _tell(self, sock: socket.socket, rejection: Rejection) -> bool:
        """Send the answer; says whether it is on its way."""
        context = self._context
        answer = error_response(
            rejection.status,
            rejection.detail,
            server=context.server_header,
            date=context.date(),
            headers=rejection.headers,
        )
        try:
            sock.setblocking(False)
            return sock.send(answer) == len(answer)
        except OSError:
            return False

    def _part(self) -> None:
        """Close the sockets of those who were refused; of the newest, a little too soon."""
        while self._farewells:
            self._farewells.popleft().close()

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        def ring() -> None:
            self._timers.discard(timer)
            call()

        timer = self._context.loop.call_later(seconds, ring)
        self._timers.add(timer)

    # ------------------------------------------------------------------ without descriptors

    def _starve(self, error: OSError) -> None:
        """Refuse who waits with the descriptor that was kept for this, or wait, too."""
        if error.errno not in _STARVED:
            self._context.loop.call_exception_handler(
                {"message": "Cannot accept a connection", "exception": error}
            )
            self._pause()
            return
        rejection = Rejection(
            DESCRIPTORS, _descriptor_limit(), 503, "The server is full.", RETRY_AFTER
        )
        for _ in range(ACCEPTS_IN_A_ROW):
            if not self._refuse_with_spare(rejection):
                return
        # There are more of them, who are met in the next turn of the loop.

    def _refuse_with_spare(self, rejection: Rejection) -> bool:
        """Refuse one connection; says whether there may be another."""
        self._close_spare()
        sock = self._listener.sock
        try:
            descriptor, address = sock._accept()  # type: ignore[attr-defined]  # noqa: SLF001  as above
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _GONE:
                return True
            # The machine's descriptors are used up, or another thread has taken the spare one.
            self._context.refusals.note(
                DESCRIPTORS, rejection.value, sock.getsockname(), "connections have to wait"
            )
            self._pause()
            return False
        else:
            with socket.socket(sock.family, sock.type, sock.proto, fileno=descriptor) as refused:
                answered = not self._encrypted and self._tell(refused, rejection)
            told = f"{rejection.status}" if answered else "the connection is closed"
            self._context.refusals.note(DESCRIPTORS, rejection.value, address, told)
            return True
        finally:
            self._open_spare()

    def _pause(self) -> None:
        """Leave connections where they wait, instead of trying all the time."""
        loop, sock = self._context.loop, self._listener.sock
        loop.remove_reader(sock)
        self._later(PAUSE, lambda: loop.add_reader(sock, self._accept))

    def _open_spare(self) -> None:
        if self._spare is None:
            with contextlib.suppress(OSError):
                self._spare = os.open(os.devnull, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))

    def _close_spare(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None


def _descriptor_limit() -> int:
    """How many descriptors the process may have; 0 if that cannot be told."""
    if sys.platform == "win32":
        return 0
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
