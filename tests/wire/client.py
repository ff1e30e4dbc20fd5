"""A WebSocket client by hand: frames laid out from RFC 6455 §5.2.

It shares no code with the package, so that no mistake is made twice.
"""

import copy
from collections.abc import Callable, Iterable
from typing import TypeAlias

from fairway.wire.websocket import Event, State, WebSocketConnection

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

#: The masking key of the examples in §5.7.
MASK = b"\x37\xfa\x21\x3d"

#: Ways to cut what a client sends into the chunks in which it arrives.
Split: TypeAlias = Callable[[bytes], Iterable[list[bytes]]]


def mask(payload: bytes, key: bytes = MASK) -> bytes:
    """§5.3: "j = i MOD 4, transformed-octet-i = original-octet-i XOR masking-key-octet-j"."""
    return bytes(octet ^ key[index % 4] for index, octet in enumerate(payload))


def header(first: int, length: int, *, masked: bool = True, octets: int | None = None) -> bytes:
    """A header up to the masking key; ``octets`` (0, 2, 8) forces a form of the length."""
    if octets is None:
        octets = 0 if length < 126 else 2 if length < 65536 else 8
    short = {0: length, 2: 126, 8: 127}[octets]
    extended = length.to_bytes(octets) if octets else b""
    return bytes((first, (0x80 if masked else 0) | short)) + extended


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, key: bytes = MASK
) -> bytes:
    """A masked frame; ``reserved`` is RSV1 to RSV3 as a number from 0 to 7."""
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    return header(first, len(payload)) + key + mask(payload, key)


def unmasked(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """A frame without a mask: what a server sends, and a client must not."""
    return header((0x80 if fin else 0) | opcode, len(payload), masked=False) + payload


def text(payload: str | bytes, *, fin: bool = True) -> bytes:
    """A text frame, of bytes where they need not be UTF-8."""
    return frame(TEXT, payload.encode() if isinstance(payload, str) else payload, fin=fin)


def binary(payload: bytes, *, fin: bool = True) -> bytes:
    """A binary frame."""
    return frame(BINARY, payload, fin=fin)


def continuation(payload: bytes, *, fin: bool = True) -> bytes:
    """A continuation frame."""
    return frame(CONTINUATION, payload, fin=fin)


def close_body(code: int | None = None, reason: str = "") -> bytes:
    """The body of a Close frame, §5.5.1."""
    return b"" if code is None else code.to_bytes(2) + reason.encode()


def close(code: int | None = None, reason: str = "") -> bytes:
    """A Close frame from the client."""
    return frame(CLOSE, close_body(code, reason))


def goodbye(code: int | None = None, reason: str = "") -> bytes:
    """The Close frame that the client then gets."""
    return unmasked(CLOSE, close_body(code, reason))


def at_once(data: bytes) -> Iterable[list[bytes]]:
    """All in one chunk."""
    return [[data]]


def byte_by_byte(data: bytes) -> Iterable[list[bytes]]:
    """One byte in each chunk."""
    return [[data[index : index + 1] for index in range(len(data))]]


def in_two(data: bytes) -> Iterable[list[bytes]]:
    """Every way to make two chunks of it; of long inputs, those near their ends."""
    points = list(range(1, len(data)))
    if len(points) > 64:
        points = points[:32] + points[-32:]
    return [[data[:point], data[point:]] for point in points] or [[data]]


def joined(chunks: Iterable[list[Event]]) -> list[Event]:
    """The events of several chunks as one list."""
    return [event for events in chunks for event in events]


class Client:
    """Speaks to a connection, cutting what it says in one way or in all of several ways."""

    def __init__(
        self, split: Split = at_once, *, max_message_size: int = 0, max_frame_size: int = 0
    ) -> None:
        self.connection = WebSocketConnection(max_message_size, max_frame_size)
        self._split = split

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self.connection.state

    def says(self, data: bytes) -> list[Event]:
        """Send ``data``; returns what the application hears of it.

        Each way to cut it is tried on a copy of the connection, and all must come to the same.
        """
        outcomes = []
        for chunks in self._split(data):
            connection = copy.deepcopy(self.connection)
            events = joined(connection.receive_data(chunk) for chunk in chunks)
            replies = copy.deepcopy(connection).data_to_send()
            outcomes.append((events, replies, connection.state, connection))
        first = outcomes[0]
        for outcome in outcomes:
            assert outcome[:3] == first[:3]
        self.connection = first[3]
        return first[0]

    def hears(self) -> bytes:
        """The replies since the last call."""
        return self.connection.data_to_send()

    def leaves(self) -> list[Event]:
        """Send the end of the stream; returns what the application hears of it."""
        return self.connection.receive_eof()
