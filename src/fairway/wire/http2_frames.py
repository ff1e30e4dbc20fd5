"""HTTP/2 frames as bytes: cutting what arrives into them, and writing the few that are ours.

The layout is that of RFC 9113 §4.1: three bytes of length, type, flags, and the stream's number.
"""

import enum
import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from fairway.wire.http2_events import ConnectionBroken, ErrorCode

#: What a client says first (§3.4).
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#: Bytes in a frame's header.
HEADER_SIZE: Final = 9
#: The largest payload that is taken, and sent: what everybody has to accept (§4.2). Larger ones
#: would make the other streams wait longer for their turn.
MAX_FRAME_SIZE: Final = 16_384

#: Bytes of compressed fields that cost as much as another frame.
_FIELDS_COST: Final = 32

_HEADER: Final = struct.Struct(">BHBBL")
_SETTING: Final = struct.Struct(">HL")
_STREAM_ID: Final = 2**31 - 1


class FrameType(enum.IntEnum):
    """The types of §6."""

    DATA = 0x0
    HEADERS = 0x1
    PRIORITY = 0x2
    RST_STREAM = 0x3
    SETTINGS = 0x4
    PUSH_PROMISE = 0x5
    PING = 0x6
    GOAWAY = 0x7
    WINDOW_UPDATE = 0x8
    CONTINUATION = 0x9


class Setting(enum.IntEnum):
    """The settings of §6.5.2 and of RFC 8441 §3."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6
    ENABLE_CONNECT_PROTOCOL = 0x8


_WITH_FIELDS: Final = frozenset({FrameType.HEADERS, FrameType.CONTINUATION})

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY: Final = 0x20


class Frame(NamedTuple):
    """One frame.

    Attributes:
        type: A number of :class:`FrameType`, or another one, which is to be ignored (§5.5).
        flags: As they came.
        stream_id: 0 for the connection.
        payload: What is behind the header.
    """

    type: int
    flags: int
    stream_id: int
    payload: bytes

    def serialize(self) -> bytes:
        """The frame as it is sent."""
        return frame(self.type, self.flags, self.stream_id, self.payload)


class FrameReader:
    """Cuts what arrives into frames, behind the preface.

    Attributes:
        pending: The last call has left frames that may be complete.
        ready: The preface has arrived.
    """

    __slots__ = ("_buffer", "pending", "ready")

    def __init__(self) -> None:
        self.pending = False
        self.ready = False
        self._buffer = bytearray()

    def receive(self, data: bytes, most: int = 0) -> list[Frame]:
        """Frames that are complete with this; there may be more until there are none.

        Args:
            data: What arrived.
            most: About how many to give at most; 0 for any number. Fields count for more, as each
                byte of them may be a field.

        Raises:
            ConnectionBroken: The preface is none, or a frame is larger than the server said it may
                be; that is known before the frame has arrived.
        """
        self.pending = False
        buffer = self._buffer
        buffer += data
        position = 0
        if not self.ready:
            position = self._skip_preface()
            if not self.ready:
                return []
        frames: list[Frame] = []
        cost = 0
        end = len(buffer)
        with memoryview(buffer) as view:
            while end - position >= HEADER_SIZE:
                if cost >= most > 0:
                    self.pending = True
                    break
                high, low, kind, flags, stream_id = _HEADER.unpack_from(view, position)
                size = (high << 16) | low
                if size > MAX_FRAME_SIZE:
                    if frames:
                        break  # they count, however the network cut; the next call raises
                    raise ConnectionBroken(
                        ErrorCode.FRAME_SIZE_ERROR,
                        f"A frame is larger than {MAX_FRAME_SIZE} bytes.",
                    )
                following = position + HEADER_SIZE + size
                if following > end:
                    break
                payload = bytes(view[position + HEADER_SIZE : following])
                frames.append(Frame(kind, flags, stream_id & _STREAM_ID, payload))
                cost += 1
                if kind in _WITH_FIELDS:
                    cost += size // _FIELDS_COST
                position = following
        del buffer[:position]
        return frames

    def _skip_preface(self) -> int:
        start = bytes(self._buffer[: len(PREFACE)])
        if not PREFACE.startswith(start):
            raise ConnectionBroken(
                ErrorCode.PROTOCOL_ERROR, "The connection does not begin as HTTP/2 does."
            )
        self.ready = len(start) == len(PREFACE)
        return len(PREFACE)


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """A frame as bytes."""
    size = len(payload)
    return _HEADER.pack(size >> 16, size & 0xFFFF, kind, flags, stream_id) + payload


def fields(stream_id: int, block: bytes, *, end: bool) -> bytes:
    """A HEADERS frame, with CONTINUATION frames where one is too small (§6.2, §6.10).

    Args:
        stream_id: More than 0.
        block: The fields, encoded.
        end: Whether the stream ends with them.
    """
    flags = END_STREAM if end else 0
    if len(block) <= MAX_FRAME_SIZE:
        return frame(FrameType.HEADERS, flags | END_HEADERS, stream_id, block)
    parts = [frame(FrameType.HEADERS, flags, stream_id, block[:MAX_FRAME_SIZE])]
    for start in range(MAX_FRAME_SIZE, len(block), MAX_FRAME_SIZE):
        part = block[start : start + MAX_FRAME_SIZE]
        last = END_HEADERS if start + MAX_FRAME_SIZE >= len(block) else 0
        parts.append(frame(FrameType.CONTINUATION, last, stream_id, part))
    return b"".join(parts)


def settings(values: Mapping[int, int]) -> bytes:
    """A SETTINGS frame (§6.5)."""
    payload = b"".join(_SETTING.pack(*item) for item in values.items())
    return frame(FrameType.SETTINGS, 0, 0, payload)


def parse_settings(payload: bytes) -> dict[int, int]:
    """What a SETTINGS frame says; of a setting that is in it twice, the last value (§6.5.3).

    Raises:
        ConnectionBroken: Its length is that of no list of settings.
    """
    if len(payload) % _SETTING.size:
        raise ConnectionBroken(
            ErrorCode.FRAME_SIZE_ERROR, "A SETTINGS frame's length is not a multiple of six."
        )
    return dict(_SETTING.iter_unpack(payload))


def rst_stream(stream_id: int, code: int) -> bytes:
    """A RST_STREAM frame (§6.4)."""
    return frame(FrameType.RST_STREAM, 0, stream_id, code.to_bytes(4))


def goaway(last_stream_id: int, code: int, detail: str = "") -> bytes:
    """A GOAWAY frame (§6.8).

    Args:
        last_stream_id: The last stream that is, or was, served.
        code: Why.
        detail: For people who debug the client.
    """
    payload = last_stream_id.to_bytes(4) + code.to_bytes(4) + detail.encode()
    return frame(FrameType.GOAWAY, 0, 0, payload)


def without_padding(found: Frame) -> bytes:
    """The payload of a HEADERS or DATA frame without its padding and priority (§6.1, §6.2).

    Raises:
        ConnectionBroken: There is more padding than payload, or less payload than the flags say,
            or the priority is none.
    """
    payload, padding, start = found.payload, 0, 0
    if found.flags & PADDED:
        start = 1
        padding = payload[0] if payload else 1
    if found.type == FrameType.HEADERS and found.flags & PRIORITY:
        if len(payload) < start + 5:
            raise ConnectionBroken(
                ErrorCode.FRAME_SIZE_ERROR, "A HEADERS frame is shorter than its flags say."
            )
        check_priority(found.stream_id, payload[start : start + 5])
        start += 5
    if start + padding > len(payload):
        raise ConnectionBroken(
            ErrorCode.PROTOCOL_ERROR, "A frame's padding is longer than the frame."
        )
    return payload[start : len(payload) - padding]


def check_priority(stream_id: int, priority: bytes) -> None:
    """Read past a priority, which RFC 9113 §5.3.2 has deprecated, for what no client may say.

    "A stream cannot depend on itself" (RFC 7540 §5.3.1). For that it asked for an error of the
    stream; but the stream may be idle, and then cannot be reset.

    Args:
        stream_id: The stream that it is said of.
        priority: The five bytes of it (RFC 9113 §6.3).

    Raises:
        ConnectionBroken: The stream depends on itself.
    """
    if int.from_bytes(priority[:4]) & _STREAM_ID == stream_id:
        raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, "A stream depends on itself.")
