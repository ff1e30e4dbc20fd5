"""What waits to be sent on the streams of a connection, and in which order it goes (RFC 9113 §5.2).

Each stream has its turn with one frame, so a large download does not hold up a small answer; what
clients say about priorities is not asked (§5.3.2). A stream whose window is shut is left out until
it opens.
"""

from collections import deque
from typing import Final

from fairway._types import Headers
from fairway.wire.http2 import HTTP2Connection
from fairway.wire.http2_frames import MAX_FRAME_SIZE

#: Bytes of an answer that does not have to wait for its turn: with as many as a client may have at
#: once by default, they stay below what is written at once.
AT_ONCE: Final = 1024


class _Queue:
    """What waits on one stream.

    Attributes:
        chunks: Not empty ones.
        offset: Bytes of the first chunk that have been sent.
        size: Bytes that wait.
        end: Whether the stream ends behind them.
        trailers: What ends it, instead of the last frame of the body.
    """

    __slots__ = ("chunks", "end", "offset", "size", "trailers")

    def __init__(self) -> None:
        self.chunks: deque[bytes] = deque()
        self.offset = 0
        self.size = 0
        self.end = False
        self.trailers: Headers = []

    def take(self, size: int) -> bytes:
        """At most that many of the bytes, in one piece."""
        first = self.chunks[0]
        if not self.offset and len(first) == self.size <= size:
            self.chunks.clear()
            self.size = 0
            return first
        parts: list[bytes | memoryview] = []
        left = size
        while left and self.chunks:
            first = self.chunks[0]
            end = self.offset + left
            if end < len(first):
                parts.append(memoryview(first)[self.offset : end])
                self.offset = end
                left = 0
            else:
                parts.append(memoryview(first)[self.offset :])
                left -= len(first) - self.offset
                self.offset = 0
                self.chunks.popleft()
        data = b"".join(parts)
        self.size -= len(data)
        return data


class Sending:
    """Everything that waits on the streams of a connection.

    Args:
        connection: Whose streams they are.
    """

    def __init__(self, connection: HTTP2Connection) -> None:
        self._connection = connection
        self._queues: dict[int, _Queue] = {}
        self._turns: deque[int] = deque()  # who has something to send and room for it
        self._shut: set[int] = set()  # who has something to send and none

    @property
    def ready(self) -> bool:
        """Whether something could be sent now."""
        return bool(self._turns) and (
            self._connection.connection_window > 0
            or any(not self._queues[stream_id].size for stream_id in self._turns)
        )

    @property
    def waiting(self) -> bool:
        """Whether anything waits on any stream."""
        return bool(self._queues)

    def size(self, stream_id: int) -> int:
        """How many bytes wait on a stream."""
        queue = self._queues.get(stream_id)
        return 0 if queue is None else queue.size

    def holds(self, stream_id: int) -> bool:
        """Whether anything, be it only its end, waits on a stream."""
        return stream_id in self._queues

    def add(
        self, stream_id: int, data: bytes, *, end: bool = False, trailers: Headers | None = None
    ) -> None:
        """Put something behind what waits on a stream, which :meth:`fill` sends.

        Args:
            stream_id: One that takes something, and whose end was not added.
            data: May be empty.
            end: Whether the stream ends behind it.
            trailers: What ends it, with ``end``.
        """
        queue = self._queues.get(stream_id)
        if queue is None:
            if not data and not end:
                return
            queue = self._queues[stream_id] = _Queue()
            self._turns.append(stream_id)
        elif end and not queue.size + len(data) and stream_id in self._shut:
            self._open(stream_id)  # an end needs no window
        if data:
            queue.chunks.append(data)
            queue.size += len(data)
        queue.end = end
        queue.trailers = trailers or []

    def finish_at_once(self, stream_id: int, data: bytes) -> bool:
        """Send a small and last part of a body now, if there is room and nobody waits.

        Args:
            stream_id: One that takes something, and whose end was not added.
            data: May be empty.

        Returns:
            Whether it was sent; else :meth:`add` it.
        """
        connection, size = self._connection, len(data)
        if size > AT_ONCE or self._queues:
            return False
        if size > min(connection.window(stream_id), connection.connection_window):
            return False
        connection.send_data(stream_id, data, end=True)
        return True

    def forget(self, stream_id: int) -> None:
        """What waits on a stream is lost: it has ended."""
        if self._queues.pop(stream_id, None) is not None:
            self._shut.discard(stream_id)
            if stream_id in self._turns:
                self._turns.remove(stream_id)

    def window_opened(self, stream_id: int) -> None:
        """A client has made room on a stream; 0 for all of them."""
        if stream_id:
            if stream_id in self._shut:
                self._open(stream_id)
        else:
            for each in tuple(self._shut):
                self._open(each)

    def fill(self, size: int) -> list[int]:
        """Let the streams say about that many bytes, one frame after the other.

        Args:
            size: After how many bytes to stop, more than 0.

        Returns:
            The streams that have said something.
        """
        connection, turns = self._connection, self._turns
        told: dict[int, None] = {}
        out_of_room = (
            0  # how many in a row could not say anything for want of the connection's room
        )
        while turns and size > 0 and out_of_room < len(turns):
            stream_id = turns.popleft()
            queue = self._queues[stream_id]
            if queue.size and connection.connection_window <= 0:
                turns.append(stream_id)
                out_of_room += 1
                continue
            room = min(connection.window(stream_id), connection.connection_window, MAX_FRAME_SIZE)
            if queue.size and room <= 0:
                self._shut.add(stream_id)
                continue
            out_of_room = 0
            size -= self._say(stream_id, queue, room)
            told[stream_id] = None
        return list(told)

    def _say(self, stream_id: int, queue: _Queue, room: int) -> int:
        """Let a stream send one frame; returns its bytes."""
        connection = self._connection
        data = queue.take(room) if queue.size else b""
        last = queue.end and not queue.size
        if data or (last and not queue.trailers):
            connection.send_data(stream_id, data, end=last and not queue.trailers)
        if last and queue.trailers:
            connection.send_fields(stream_id, queue.trailers, end=True)
        if queue.size:
            self._turns.append(stream_id)
        else:
            del self._queues[stream_id]
        return len(data)

    def _open(self, stream_id: int) -> None:
        self._shut.discard(stream_id)
        self._turns.append(stream_id)
