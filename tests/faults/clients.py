"""Clients that break off: raw sockets, hundreds at once, that end in one way or the other."""

import array
import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from collections.abc import Callable, Iterable
from typing import Final, Self

from tests.server.running import DEADLINE, Running, until

__all__ = ["CUTS", "Crowd", "Cut", "fin", "rst"]

Cut = Callable[[socket.socket], None]


def fin(sock: socket.socket) -> None:
    """The client closes: a FIN, as long as it has read everything."""
    sock.close()


def rst(sock: socket.socket) -> None:
    """The client is gone at once, as when its machine is: a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


#: The ways in which a connection ends that nobody has closed properly.
CUTS: Final = [fin, rst]


class Crowd:
    """Many clients of one server, each with its own part of what there is to say.

    As a context manager it closes those that a test that fails has left.
    """

    def __init__(self, running: Running) -> None:
        self._running = running
        self._loop = asyncio.get_running_loop()
        self.sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end(fin)

    async def connect(self, count: int) -> None:
        """So many more clients, all of them let in."""
        address = ("127.0.0.1", self._running.port)
        counters = self._running.context.counters
        accepted = counters.connections + count
        for _ in range(count):
            sock = socket.socket()
            self.sockets.append(sock)
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(DEADLINE):
                await self._loop.sock_connect(sock, address)
        await until(lambda: counters.connections == accepted)

    def open(self, count: int) -> None:
        """So many more sockets, which :meth:`meet` connects without a descriptor more."""
        for _ in range(count):
            sock = socket.socket()
            sock.setblocking(False)
            self.sockets.append(sock)

    async def meet(self) -> list[bytes]:
        """Connect those that are not, and hear what they are told before the connection ends."""
        address = ("127.0.0.1", self._running.port)
        answers = []
        async with asyncio.timeout(DEADLINE):
            for sock in self.sockets:
                try:
                    sock.getpeername()
                    continue
                except OSError:
                    await self._loop.sock_connect(sock, address)
                answer = b""
                while part := await self._loop.sock_recv(sock, 65536):
                    answer += part
                answers.append(answer)
        return answers

    async def say(self, parts: Iterable[bytes]) -> None:
        """Each says its part, and all of it has reached the server's parsers."""
        async with asyncio.timeout(DEADLINE):
            for sock, part in zip(self.sockets, parts, strict=True):
                await self._loop.sock_sendall(sock, part)
        await until(self._all_is_read)

    async def hear(self, sizes: Iterable[int]) -> list[bytes]:
        """Each reads so many bytes."""
        heard = []
        async with asyncio.timeout(DEADLINE):
            for sock, size in zip(self.sockets, sizes, strict=True):
                data = b""
                while len(data) < size:
                    part = await self._loop.sock_recv(sock, size - len(data))
                    assert part, "the server has closed"
                    data += part
                heard.append(data)
        return heard

    async def hear_head(self) -> None:
        """Each reads up to an empty line, and no further: the server waits for the client then."""
        async with asyncio.timeout(DEADLINE):
            for sock in self.sockets:
                data = b""
                while not data.endswith(b"\r\n\r\n"):
                    data += await self._loop.sock_recv(sock, 1)

    def end(self, cut: Cut) -> None:
        """All end in this way."""
        for sock in self.sockets:
            cut(sock)
        self.sockets.clear()

    def _all_is_read(self) -> bool:
        """Whether the kernel has nothing more that the server could read."""
        return all(_unsent(sock) == 0 for sock in self.sockets) and not any(
            _unread(found) for found in self._running.context.connections
        )


def _unsent(sock: socket.socket) -> int:
    return _ask(sock.fileno(), termios.TIOCOUTQ)


def _unread(connection: object) -> int:
    transport = getattr(connection, "transport", None) or getattr(connection, "_transport", None)
    assert transport is not None
    sock = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):  # closed meanwhile
        if sock is not None and sock.fileno() >= 0:
            return _ask(sock.fileno(), termios.FIONREAD)
    return 0


def _ask(descriptor: int, request: int) -> int:
    answer = array.array("i", [0])
    fcntl.ioctl(descriptor, request, answer)
    return answer[0]
