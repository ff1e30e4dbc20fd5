"""The other end of the connections: plain sockets on the server's own thread, in lock step with it.

They send bytes that were made before, and compare what comes back. So next to nothing of what is
counted is theirs, and nothing depends on who is faster.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import Final

__all__ = [
    "CLOSE",
    "CLOSED",
    "Client",
    "Crowd",
    "frame",
    "http_request",
    "masked",
    "upgrade_request",
]

HOST: Final = "127.0.0.1"
MASK: Final = b"\x25\x50\x6f\x91"
KEY: Final = b"dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 §1.3


class Client:
    """A connection from this thread to a server on its event loop.

    Args:
        port: Where the server listens. The kernel takes the connection before the server does, so
            connecting does not wait for it.
    """

    __slots__ = ("_loop", "_socket", "send")

    def __init__(self, port: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = socket.create_connection((HOST, port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        #: Sends a few bytes, which the kernel takes at once; no method of ours, to cost little.
        self.send = self._socket.send

    async def expect(self, answer: bytes) -> None:
        """Wait until these bytes have come; nothing else may."""
        received = await self.receive(len(answer))
        assert received == answer, f"{received!r} came instead of {answer!r}"

    async def receive(self, size: int) -> bytes:
        """Wait for so many bytes."""
        data = b""
        while True:
            try:
                piece = self._socket.recv(size - len(data))
            except BlockingIOError:
                await self._readable()
                continue
            assert piece, f"the server closed the connection after {data!r}"
            data += piece
            if len(data) == size:
                return data

    async def receive_head(self) -> bytes:
        """Wait for all that stands before the body of a response."""
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += await self.receive(1)
        return data

    async def receive_some(self, size: int) -> bytes:
        """Wait for something, at most so many bytes; nothing is the end of the connection."""
        while True:
            try:
                return self._socket.recv(size)
            except BlockingIOError:
                await self._readable()

    async def receive_frame(self) -> bytes:
        """Wait for a frame of fewer than 64 KiB; all of it."""
        head = await self.receive(2)
        if head[1] == 126:
            head += await self.receive(2)
        return head + await self.receive(int.from_bytes(head[2:]) or head[1])

    async def end(self) -> None:
        """Wait until the server has closed the connection, then close it here."""
        rest = await self.receive_some(1)
        assert not rest, f"{rest!r} came before the end"
        self.close()

    def close(self) -> None:
        """Close it without a word."""
        self._socket.close()

    async def _readable(self) -> None:
        """Let the server's event loop run until something has come."""
        waiting = self._loop.create_future()
        self._loop.add_reader(self._socket, waiting.set_result, None)
        try:
            await waiting
        finally:
            self._loop.remove_reader(self._socket)


class Crowd:
    """The clients that stay for as long as the work is done.

    Args:
        port: Where the server listens.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._clients: list[Client] = []

    def connect(self) -> Client:
        """Another one."""
        self._clients.append(client := Client(self.port))
        return client

    def close(self) -> None:
        """Close all connections without a word."""
        for client in self._clients:
            client.close()


def http_request(path: str, headers: Sequence[str] = ()) -> bytes:
    """A GET, with what a load generator sends."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {HOST}", *headers, "", ""]
    return "\r\n".join(lines).encode()


def upgrade_request(path: str, headers: Sequence[str] = ()) -> bytes:
    """The opening handshake of a WebSocket."""
    opening = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    return http_request(path, [*opening, f"Sec-WebSocket-Key: {KEY.decode()}", *headers])


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """A frame as the server sends it."""
    return _head(payload, opcode, masked=False) + payload


def masked(payload: bytes, opcode: int = 1) -> bytes:
    """A frame as a client sends it."""
    hidden = bytes(byte ^ MASK[index % 4] for index, byte in enumerate(payload))
    return _head(payload, opcode, masked=True) + MASK + hidden


def _head(payload: bytes, opcode: int, *, masked: bool) -> bytes:
    bit = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        return bytes([0x80 | opcode, bit | size])
    return bytes([0x80 | opcode, bit | 126, *size.to_bytes(2)])


CLOSE: Final = masked((1000).to_bytes(2), opcode=8)
CLOSED: Final = frame((1000).to_bytes(2), opcode=8)
