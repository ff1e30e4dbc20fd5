"""One connection between two processes, seen from its publisher and from its subscriber."""

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Final

from fairway import native
from fairway.layers.io import io, let_go
from fairway.layers.local.frames import (
    FrameError,
    FrameReader,
    Say,
    frame,
    numbered,
    payload_frame,
    read_numbered,
    read_payload,
)

if TYPE_CHECKING:
    from fairway.layers.local.mesh import Mesh

logger = logging.getLogger("fairway.layers.local")

#: The version of the frames; processes of another one do not understand each other.
VERSION: Final = 1
#: Bytes that may wait for a process which does not read. It misses what is published beyond that,
#: and is told so.
MAX_WAITING: Final = 16 * 1024 * 1024


class Link(asyncio.Protocol):
    """What both ends have in common.

    Attributes:
        peer: The name of the process at the other end; empty until it is known.
        ended: Resolved when the connection has ended.
        silent: The other process does not answer, and is not waited for until it does.
    """

    def __init__(self, mesh: "Mesh", connection: socket.socket, peer: str = "") -> None:
        self.peer = peer
        self.silent = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._mesh = mesh
        self._connection = connection
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        # Held by whoever writes: any thread may, and frames must not be mixed.
        self._writing = native.RLock()
        # Bytes on their way to the thread of the transport; nobody may overtake them.
        self._crossing = 0

    async def open(self) -> None:
        """Hand the socket to the event loop; whatever happens, it is closed in the end.

        Raises:
            OSError: The loop does not take it.
        """
        loop = asyncio.get_running_loop()
        try:
            # At both ends: uvloop's create_unix_connection() loses a socket whose other end closes
            # it while it is being taken, and its number is closed again when it is another's.
            await loop.connect_accepted_socket(lambda: self, self._connection)
        except BaseException:
            self._connection.close()
            raise

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = transport  # type: ignore[assignment]  # sockets have transports both ways

    def data_received(self, data: bytes) -> None:
        """Read frames."""
        try:
            for say, body in self._reader.feed(data):
                self.heard(say, body)
        except (FrameError, ValueError, IndexError) as error:
            logger.error(
                "A process in %s does not speak this version's language (%s); it is ignored. Run "
                "the same version of fairway everywhere.",
                self._mesh.directory.path,
                error,
            )
            self.abort()

    def heard(self, say: int, body: bytes) -> None:
        """Do what the other end says; a subclass knows."""
        raise NotImplementedError

    def connection_lost(self, error: Exception | None) -> None:
        """The other process has closed it, or is gone."""
        with self._writing:  # no thread is writing to a socket whose number is about to be free
            self._transport = None
        if not self.ended.done():
            self.ended.set_result(None)

    def say(self, data: bytes) -> None:
        """Write, if the connection is still there; on any thread, at once if nothing waits."""
        with self._writing:
            if self._transport is None:
                return
            if not self.waiting:
                data = data[self._send(data) :]
            if not data:
                return
            if io.here and not self._crossing:
                self._transport.write(data)
            else:
                self._crossing += len(data)
                io.call(self._crossed, data)

    @property
    def waiting(self) -> int:
        """Bytes that the other end has not taken yet."""
        assert self._transport is not None
        return self._crossing + self._transport.get_write_buffer_size()

    def _send(self, data: bytes) -> int:
        """Give the socket what it takes now; how much that was."""
        try:
            return self._connection.send(data)
        except OSError:  # it takes nothing, or the transport is about to find out why not
            return 0

    def _crossed(self, data: bytes) -> None:
        with self._writing:
            self._crossing -= len(data)
            if self._transport is None:
                return
            self._transport.write(data)
            if not self.waiting:
                self.resume_writing()  # the transport says so only if it had to wait itself

    def close(self) -> None:
        """End the connection once everything is written."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def drop(self) -> None:
        """Let go of the socket in a forked child, without a word to the other end."""
        let_go(self._connection)


class Publisher(Link):
    """This process publishes, the other one subscribes.

    Attributes:
        wanted: The topics that the other one wants.
        ready: Resolved when all of its topics are known, or the connection has ended before.
        missed: How many payloads the other one missed, as it did not read.
    """

    def __init__(self, mesh: "Mesh", connection: socket.socket, peer: str) -> None:
        super().__init__(mesh, connection, peer)
        self.wanted: set[str] = set()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.missed = 0
        self._missing = False
        self._note: int | None = None

    def data_received(self, data: bytes) -> None:
        """Read frames, and confirm the last of them."""
        super().data_received(data)
        if self._note is not None:
            self.say(numbered(Say.NOTED, self._note))
            self._note = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say who is there."""
        super().connection_made(transport)
        assert self._transport is not None
        self._transport.set_write_buffer_limits(high=0)  # it says when everything is written
        self.say(numbered(Say.HELLO, VERSION, self._mesh.name))

    def heard(self, say: int, body: bytes) -> None:
        """The other one says which topics it wants."""
        if say == Say.WANT:
            number, topic = read_numbered(body)
            self.wanted.add(topic)
            self._mesh.wanted(topic, self)
            self._note = number
        elif say == Say.WANT_NOT:
            _, topic = read_numbered(body)
            self.wanted.discard(topic)
            self._mesh.wanted_no_more(topic, self)
        elif say == Say.KNOW:
            number, _ = read_numbered(body)
            self._mesh.changed()
            self._note = number
            if not self.ready.done():
                self.ready.set_result(None)

    def publish(self, topic: str, payload: bytes) -> bool:
        """Send a payload, on any thread; False if the other one is too far behind to take it."""
        with self._writing:
            if self._transport is None:
                return False
            waiting = self.waiting
            if (
                waiting and waiting + len(payload) > MAX_WAITING
            ):  # one alone is taken, however large
                self._miss(waiting)
                return False
            self.resume_writing()
            self.say(payload_frame(topic, payload))
        return True

    def _miss(self, waiting: int) -> None:
        self.missed += 1
        if not self._missing:
            self._missing = True  # one line per burst: it ends when the other one reads again
            logger.warning(
                "Process %s does not read: %d bytes wait for it. It misses what is sent now.",
                self.peer,
                waiting,
            )

    def resume_writing(self) -> None:
        """The other one reads again: tell it if it has missed something."""
        with self._writing:
            if self._missing:
                self._missing = False
                self.say(frame(Say.MISSED))

    def connection_lost(self, error: Exception | None) -> None:
        """The other process wants nothing any more."""
        super().connection_lost(error)
        if not self.ready.done():
            self.ready.set_result(None)
        for topic in self.wanted:
            self._mesh.wanted_no_more(topic, self)
        self._mesh.lost_publisher(self)


class Subscriber(Link):
    """The other process publishes, this one subscribes.

    Attributes:
        noted: The number up to which the other one has confirmed this one's topics.
    """

    def __init__(self, mesh: "Mesh", connection: socket.socket) -> None:
        super().__init__(mesh, connection)
        self.noted = -1

    def heard(self, say: int, body: bytes) -> None:
        """The other one says who it is, and what was published."""
        if say == Say.PAYLOAD:
            self._mesh.deliver(*read_payload(body))
        elif say == Say.NOTED:
            self.noted, _ = read_numbered(body)
            self.silent = False
            self._mesh.confirm()
        elif say == Say.HELLO:
            version, self.peer = read_numbered(body)
            if version != VERSION:
                raise FrameError(f"version {version} instead of {VERSION}")
            self._mesh.greeted(self)
        elif say == Say.MISSED:
            self._mesh.missed()

    def connection_lost(self, error: Exception | None) -> None:
        """The other process publishes nothing any more."""
        super().connection_lost(error)
        self._mesh.lost_subscriber(self)
