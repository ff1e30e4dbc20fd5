"""What clients do to a server in the long run: they come and go, misbehave, and read slowly."""

import asyncio
import contextlib
import os
import random
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

__all__ = ["CROWD", "Clients"]

_KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
_GET: Final = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
#: Seconds after which a client stops waiting for what the server does.
PATIENCE: Final = 30.0


def handshake(path: str) -> bytes:
    """A request for a WebSocket."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {_KEY}\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    ).encode()


def frame(opcode: int, payload: bytes) -> bytes:
    """A masked frame; its mask is zeros, which is as good as any for the server."""
    length = len(payload)
    size = bytes((0x80 | length,)) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
    return bytes((0x80 | opcode,)) + size + bytes(4) + payload


class Clients:
    """All clients of one run, and what they have counted.

    Args:
        port: Of the server on the loopback.

    Attributes:
        counts: Sockets ``opened`` and ``closed``; ``messages`` and ``pages`` got; by the name of a
            behaviour, how often it was done.
        stopping: Set when everybody is to end what was begun.
    """

    def __init__(self, port: int) -> None:
        self.counts: Counter[str] = Counter()
        self.stopping = asyncio.Event()
        self._port = port
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, behaviour: "Behaviour", number: int) -> None:
        """Let so many do the same, over and over."""
        for _ in range(number):
            self._tasks.append(asyncio.create_task(self._repeat(name, behaviour)))

    async def stop(self) -> None:
        """Everybody ends; nobody who hangs is waited for."""
        self.stopping.set()
        _, late = await asyncio.wait(self._tasks, timeout=PATIENCE + 5)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _repeat(self, name: str, behaviour: "Behaviour") -> None:
        await asyncio.sleep(random.random())
        while not self.stopping.is_set():
            try:
                async with asyncio.timeout(PATIENCE):
                    await behaviour(self)
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                self.counts["interrupted"] += 1
            self.counts[name] += 1

    @contextlib.asynccontextmanager
    async def connection(
        self, *, reset: bool = False, buffer: int = 0
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A socket that is counted when it is there, and when it is gone.

        Args:
            reset: Whether it ends with a RST.
            buffer: Bytes that the kernel keeps of what this client does not read; 0 for many.
        """
        sock = socket.socket()
        sock.setblocking(False)
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self._port))
        except BaseException:
            sock.close()
            raise
        self.counts["opened"] += 1
        reader, writer = await asyncio.open_connection(sock=sock, limit=buffer or 1 << 16)
        try:
            yield reader, writer
        finally:
            if reset:
                linger = struct.pack("ii", 1, 0)
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
            else:
                writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self.counts["closed"] += 1

    @contextlib.asynccontextmanager
    async def websocket(
        self, path: str, *, reset: bool = False, buffer: int = 0
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """The same behind an opening handshake."""
        async with self.connection(reset=reset, buffer=buffer) as (reader, writer):
            writer.write(handshake(path))
            await reader.readuntil(b"\r\n\r\n")
            yield reader, writer


Behaviour = Callable[[Clients], Awaitable[None]]


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The next frame: its opcode and payload."""
    first, length = await reader.readexactly(2)
    if length >= 126:
        length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
    return first & 0x0F, await reader.readexactly(length)


async def read_to_the_end(reader: asyncio.StreamReader) -> None:
    """Until the server closes."""
    while await reader.read(65536):
        pass


async def pages(clients: Clients) -> None:
    """A few pages on one connection."""
    async with clients.connection(reset=random.random() < 0.2) as (reader, writer):
        for _ in range(random.randrange(1, 10)):
            writer.write(_GET)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            clients.counts["pages"] += 1


async def churn(clients: Clients) -> None:
    """Opens a WebSocket, says something, and goes in one way or another."""
    way = random.random()
    async with clients.websocket("/echo/", reset=way < 0.3) as (reader, writer):
        for _ in range(random.randrange(10)):
            writer.write(frame(1, b"x" * random.randrange(300)))
            await read_frame(reader)
            clients.counts["messages"] += 1
        if way > 0.6:
            writer.write(frame(8, b"\x03\xe8"))
            await read_to_the_end(reader)


async def member(clients: Clients) -> None:
    """Listens to a group for a while, and tells it something every two seconds or so."""
    now = asyncio.get_running_loop().time
    async with clients.websocket("/broadcast/") as (reader, writer):
        end, speaks = now() + random.uniform(5, 20), now() + random.uniform(0, 2)
        while now() < end and not clients.stopping.is_set():
            if now() > speaks:
                speaks += random.uniform(1, 3)
                writer.write(frame(1, os.urandom(200).hex().encode()))
            opcode, payload = await read_frame(reader)
            if opcode == 9:
                writer.write(frame(10, payload))
            clients.counts["messages"] += opcode in (1, 2)


async def slow_reader(clients: Clients) -> None:
    """Is in the group, too, and reads next to nothing of it, until it is put out."""
    async with clients.websocket("/broadcast/", reset=True, buffer=4096) as (reader, _):
        while await reader.read(100) and not clients.stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(clients.stopping.wait(), 0.5)


async def garbage(clients: Clients) -> None:
    """Sends what is no HTTP, or no WebSocket."""
    if random.random() < 0.5:
        async with clients.connection() as (reader, writer):
            writer.write(os.urandom(random.randrange(1, 2000)))
            writer.write(b"\r\n\r\n")
            await read_to_the_end(reader)
    else:
        async with clients.websocket("/echo/") as (reader, writer):
            writer.write(os.urandom(random.randrange(2, 2000)))
            writer.write_eof()
            await read_to_the_end(reader)


async def slow_loris(clients: Clients) -> None:
    """Sends a request byte by byte, as long as the server lets it."""
    async with clients.connection() as (reader, writer):
        end = asyncio.ensure_future(read_to_the_end(reader))
        try:
            while not end.done() and not clients.stopping.is_set():
                writer.write(b"GET / HTTP/1.1\r\nX-Slow: a" if random.random() < 0.1 else b"a")
                await asyncio.wait([end], timeout=0.2)
        finally:
            end.cancel()
            await asyncio.gather(end, return_exceptions=True)


async def half_handshake(clients: Clients) -> None:
    """Stops within the opening handshake, and goes or stays."""
    whole = handshake("/echo/")
    async with clients.connection(reset=random.random() < 0.5) as (reader, writer):
        writer.write(whole[: random.randrange(len(whole))])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(random.uniform(0, 8)):
                await read_to_the_end(reader)


async def flood(clients: Clients) -> None:
    """Sends messages, Pings or requests as fast as it can, and reads nothing meanwhile."""
    what = random.randrange(3)
    open_ = clients.connection(reset=True) if what == 0 else clients.websocket("/echo/", reset=True)
    async with open_ as (_, writer):
        part = (_GET, frame(1, b"y" * 100), frame(9, b"ping"))[what] * 200
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                while True:
                    writer.write(part)
                    await writer.drain()


#: Everybody: what they do, and how many do it at once.
CROWD: Final[dict[str, tuple[Behaviour, int]]] = {
    "pages": (pages, 8),
    "churn": (churn, 24),
    "members": (member, 80),
    "slow readers": (slow_reader, 10),
    "garbage": (garbage, 4),
    "slow loris": (slow_loris, 20),
    "half handshakes": (half_handshake, 20),
    "floods": (flood, 2),
}
