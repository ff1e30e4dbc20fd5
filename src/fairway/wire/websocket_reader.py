"""From the bytes of a WebSocket's frames to its messages (RFC 6455 §5, RFC 7692 §6.2)."""

import codecs
import enum
import sys
from collections.abc import Callable
from typing import Final

from fairway.wire.deflate import RSV1, DeflateError, Inflater, Inflation
from fairway.wire.frames import (
    FIN,
    LENGTH_16,
    LENGTH_BITS,
    MASK_BIT,
    MAX_16,
    OPCODE_BITS,
    CloseCode,
    Opcode,
)
from fairway.wire.violations import (
    CONTROL_BIT,
    Violation,
    check_first_byte,
    check_second_byte,
    parse_length,
)
from fairway.wire.websocket_events import Event

#: What a frame takes from the budget beside its payload.
FRAME_COST: Final = 256

NOT_UTF_8: Final = "A text message is not valid UTF-8."

#: The longest masked frame whose length takes no bytes of its own.
_SHORT_FRAME: Final = LENGTH_16 - 1 + 6

_FINAL_TEXT: Final = FIN | Opcode.TEXT
_FINAL_DATA: Final = frozenset({_FINAL_TEXT, FIN | Opcode.BINARY})
# What the first two bytes of a surrogate would be: from here, up to but not including there.
_SURROGATES_FROM: Final = b"\xed\xa0"
_SURROGATES_TO: Final = b"\xee"
_new_utf8_decoder = codecs.getincrementaldecoder("utf-8")


def _apply_first_mask(data: bytes, mask: bytes) -> bytes:
    """Put the routine of ``websockets`` in this one's place, with the first frame of a process.

    Not imported at the top: with the package around it, a server takes 8 ms more to start.
    """
    global apply_mask  # noqa: PLW0603
    try:
        # In C: 0.1 µs for 30 bytes, 1.3 µs for 64 KiB, where the one below takes 0.6 µs and 200 µs.
        from websockets.speedups import apply_mask as found  # noqa: PLC0415
    except ImportError:  # websockets was built without a compiler
        from websockets.utils import apply_mask as found  # noqa: PLC0415
    apply_mask = found
    return apply_mask(data, mask)


#: Takes the mask off (§5.3).
apply_mask: Callable[[bytes, bytes], bytes] = _apply_first_mask


class State(enum.Enum):
    """Where a connection stands; see :mod:`fairway.wire.websocket` for what each does."""

    OPEN = "open"
    CLOSE_SENT = "close sent"
    CLOSED = "closed"
    FAILED = "failed"


# A plain name for the hot path: to read a member from its class takes 70 ns in Python 3.11.
_OPEN: Final = State.OPEN


class FrameReader:
    """The half of a :class:`~fairway.wire.websocket.WebSocketConnection` that reads.

    To be subclassed by that alone: as an object of its own it would take memory for each socket.

    Args:
        max_message_size, max_frame_size, budget: As there.

    Attributes:
        state, pending, inflater, others_received, taken: As there.
    """

    __slots__ = (
        "_budget",
        "_buffer",
        "_fin",
        "_fits",
        "_inflation",
        "_left",
        "_mask",
        "_max_frame_size",
        "_max_message_size",
        "_message",
        "_opcode",
        "_payload",
        "_text",
        "_utf8",
        "inflater",
        "others_received",
        "pending",
        "state",
        "taken",
    )

    def __init__(self, max_message_size: int, max_frame_size: int, budget: int) -> None:
        self.state = State.OPEN
        self.pending = False
        self.taken = 0
        self.others_received = 0
        self.inflater: Inflater | None = None
        self._budget = budget or sys.maxsize
        self._max_message_size = max_message_size
        self._max_frame_size = max_frame_size
        # The largest message in one frame with a short header that is within both limits.
        self._fits = min(max_message_size or MAX_16, max_frame_size or MAX_16, MAX_16)
        self._buffer = b""  # an incomplete frame header of up to 13 bytes, or what is pending
        # The frame being received; _left is None between frames.
        self._left: int | None = None
        self._fin = False
        self._opcode = 0
        self._mask = b""
        self._payload: bytearray | None = None  # of a control frame in pieces
        # The message being received; None between messages.
        self._message: bytearray | None = None
        self._inflation: Inflation | None = None  # of a compressed message
        self._text = False
        self._utf8: codecs.IncrementalDecoder | None = None  # of a text message in pieces

    def _receive_control(self, payload: bytes, events: list[Event]) -> None:
        """Take a control frame, of the opcode at hand."""
        raise NotImplementedError

    def receive_message(self, data: bytes, position: int = 0) -> str | bytes | None:
        """The message whose one frame begins at ``position``; its end is then in :attr:`taken`.

        That is nearly all that chats and games send: a message of 128 bytes takes 0.6 µs this way
        against 2 µs through the general one. Nothing else is changed, so that :meth:`receive_data`
        may be given the same data again. It is to be given what this returns None for: anything
        else, such as half a message or a mistake.
        """
        start = position + 6  # after two bytes of header and four of mask
        if (
            len(data) < start
            or self._left is not None
            or self._message is not None
            or self._buffer
            or self.state is not _OPEN
        ):
            return None
        length = data[position + 1] - MASK_BIT
        if length >= LENGTH_16:
            if length > LENGTH_16 or len(data) < start + 2:
                return None
            length = data[position + 2] << 8 | data[position + 3]
            start += 2
            if length < LENGTH_16:
                return None
        end = start + length
        if not 0 <= length <= self._fits or len(data) < end:
            return None
        first = data[position]
        if first not in _FINAL_DATA:
            return None
        payload = apply_mask(data[start:end], data[start - 4 : start])
        if first == _FINAL_TEXT:
            try:
                text = payload.decode()
            except UnicodeDecodeError:
                return None
            self.taken = end
            return text
        self.taken = end
        return payload

    def _receive_frames(self, data: bytes, events: list[Event]) -> None:
        position, end = 0, len(data)
        budget = self._budget
        while position < end:
            if budget <= 0:
                self._buffer = data[position:]
                self.pending = True
                return
            if self._left is None:
                message = self.receive_message(data, position)
                if message is not None:
                    size = self.taken - position
                    budget -= size - (8 if size > _SHORT_FRAME else 6) + FRAME_COST
                    position = self.taken
                    events.append(message)
                    continue
                header_size = self._receive_header(data, position, end)
                if not header_size:
                    self._buffer = data[position:]
                    return
                position += header_size
                budget -= FRAME_COST
            assert self._left is not None
            part = data[position : position + self._left]
            position += len(part)
            budget -= len(part) + self._receive_payload(part, events)
            if self.state is State.CLOSED:
                return  # "any data received after the Close is discarded", §1.4

    def _receive_header(self, data: bytes, position: int, end: int) -> int:
        """Read a frame header (§5.2); returns its size, or 0 while it is incomplete.

        Each byte is judged as soon as it is there, so that a bad one is answered at once.
        """
        available = end - position
        first = data[position]
        reserved = RSV1 if self.inflater is not None else 0
        check_first_byte(first, reserved, continues=self._message is not None)
        if available < 2:
            return 0
        second = data[position + 1]
        length = second & LENGTH_BITS
        check_second_byte(second, control=bool(first & CONTROL_BIT))
        size = 6
        if length >= LENGTH_16:
            size += 2 if length == LENGTH_16 else 8
            if available < size - 4:
                return 0
            length = parse_length(data[position + 2 : position + size - 4])
        if not first & CONTROL_BIT:
            self._check_size(length, first)
        if available < size:
            return 0
        self._begin_frame(first, length, data[position + size - 4 : position + size])
        return size

    def _check_size(self, length: int, first: int) -> None:
        """Judge the length that a data frame announces."""
        frame_limit, message_limit = self._max_frame_size, self._max_message_size
        so_far = len(self._message) if self._message is not None else 0
        if first & RSV1 or self._inflation is not None:
            # How long the message becomes is seen when it is inflated. Its compressed form is
            # bounded, too: it might go on for ever and mean nothing.
            frame_limit += frame_limit >> 2
            message_limit += (message_limit >> 2) + FRAME_COST
            so_far = self._inflation.size if self._inflation is not None else 0
        if self._max_frame_size and length > frame_limit:
            reason = f"A frame exceeds {frame_limit} bytes."
            raise Violation(CloseCode.MESSAGE_TOO_BIG, reason, "max_frame_size")
        if self._max_message_size and so_far + length > message_limit:
            raise self._too_big()

    def _too_big(self) -> Violation:
        reason = f"A message exceeds {self._max_message_size} bytes."
        return Violation(CloseCode.MESSAGE_TOO_BIG, reason, "max_message_size")

    def _begin_frame(self, first: int, length: int, mask: bytes) -> None:
        self._fin = bool(first & FIN)
        self._opcode = first & OPCODE_BITS
        self._mask = mask
        self._left = length
        if self._opcode & CONTROL_BIT:
            self.others_received += 1
            self._payload = bytearray()
            return
        if not self._fin:
            self.others_received += 1
        if self._opcode != Opcode.CONTINUATION:
            self._message = bytearray()
            self._text = self._opcode == Opcode.TEXT
            if first & RSV1:
                assert self.inflater is not None
                self._inflation = self.inflater.begin()
        if self._inflation is not None:
            self._inflation.size += length

    def _receive_payload(self, chunk: bytes, events: list[Event]) -> int:
        """Take some or all of the current frame's payload; returns the bytes it was inflated to."""
        assert self._left is not None
        inflated = 0
        size = len(chunk)
        self._left -= size
        complete = self._left == 0
        if size:
            chunk = apply_mask(chunk, self._mask)
            if size % 4:
                self._mask = self._mask[size % 4 :] + self._mask[: size % 4]
        if complete:
            self._left = None
        if self._payload is None:
            final = complete and self._fin
            if self._inflation is not None:
                chunk = self._inflate(self._inflation, chunk, final)
                inflated = len(chunk)
            self._take_piece(chunk, final, events)
        else:
            self._payload += chunk
            if complete:
                payload = bytes(self._payload)
                self._payload = None
                self._receive_control(payload, events)
        return inflated

    def _inflate(self, inflation: Inflation, chunk: bytes, final: bool) -> bytes:
        """Take the next piece of a compressed message (RFC 7692 §6.2), never beyond the limit."""
        assert self._message is not None
        room = self._max_message_size - len(self._message)
        limit = room + 1 if self._max_message_size else 0
        try:
            data = inflation.feed(chunk, self._message, limit, final=final)
        except DeflateError:
            reason = "A compressed message is not valid DEFLATE data."
            raise Violation(CloseCode.INVALID_PAYLOAD_DATA, reason) from None
        if limit and len(data) > room:
            raise self._too_big()
        if final:
            self._inflation = None
        return data

    def _take_piece(self, chunk: bytes, final: bool, events: list[Event]) -> None:
        """Take the next piece of a message, of any size; ``final`` for its last one."""
        assert self._message is not None
        message: bytes | bytearray = chunk
        # What comes whole is neither copied nor decoded twice.
        if self._message or not final:
            message = self._message
            message += chunk
            if self._text:
                # Checked as it arrives: bad text is answered at its first bad byte (§8.1).
                self._utf8 = self._utf8 or _new_utf8_decoder()
                self._utf8.decode(chunk, final)
                # Only of a surrogate CPython awaits the third byte, to offer it to error handlers.
                if _SURROGATES_FROM <= self._utf8.getstate()[0][:2] < _SURROGATES_TO:
                    raise Violation(CloseCode.INVALID_PAYLOAD_DATA, NOT_UTF_8)
        if final:
            event = message.decode() if self._text else bytes(message)
            self._message = self._utf8 = None
            if self.state is State.OPEN:
                events.append(event)
