"""As much of a client for HTTP/2 as asks for the same page again and again (RFC 9113)."""

from typing import Final

from counts.clients import HOST, Client

__all__ = ["HTTP2Client"]

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # §3.4
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY = 0, 1, 3, 4, 7  # §6
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4

#: GET, http and / are in the static table; the authority is written out (RFC 7541 §6.1, §6.2.2).
_BLOCK: Final = b"\x82\x86\x84\x01" + bytes([len(HOST)]) + HOST.encode()


class HTTP2Client:
    """A connection whose every request is a new stream.

    It has no need to open its window: all that it receives fits into the first one.

    Args:
        client: A fresh connection.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._stream = -1
        self._buffer = b""

    async def begin(self) -> None:
        """Exchange settings."""
        self._client.send(PREFACE + _frame(SETTINGS))
        while await self._frame() != (SETTINGS, 0):
            pass
        self._client.send(_frame(SETTINGS, ACK))

    def ask(self, count: int) -> None:
        """Send so many requests at once."""
        frames = []
        for _ in range(count):
            self._stream += 2
            frames.append(_frame(HEADERS, END_STREAM | END_HEADERS, self._stream, _BLOCK))
        self._client.send(b"".join(frames))

    async def answers(self, count: int) -> None:
        """Wait until so many streams have ended."""
        while count:
            kind, flags = await self._frame()
            assert kind not in {RST_STREAM, GOAWAY}, f"a frame of type {kind} came"
            if kind in {DATA, HEADERS} and flags & END_STREAM:
                count -= 1

    async def _frame(self) -> tuple[int, int]:
        """Type and flags of the next frame (§4.1)."""
        while len(self._buffer) < 9 or len(self._buffer) < (size := self._size()):
            self._buffer += await self._client.receive_some(65536)
        kind, flags = self._buffer[3], self._buffer[4]
        self._buffer = self._buffer[size:]
        return kind, flags

    def _size(self) -> int:
        return 9 + int.from_bytes(self._buffer[:3])


def _frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    head = bytes([*len(payload).to_bytes(3), kind, flags, *stream.to_bytes(4)])
    return head + payload
