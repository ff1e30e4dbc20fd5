"""A chunked request body (RFC 9112 §7.1).

Written here and not left to llhttp: httptools does not tell where in its input a body ended, so
what follows would have to be parsed in the same run, and without the limits on the next head.
"""

import enum
import re
import sys
from typing import Final

from fairway.wire.http1_events import END_OF_MESSAGE, EndOfMessage, HTTP1Limits, Refusal
from fairway.wire.http1_faults import TCHAR, field_fault

__all__ = ["ChunkedDecoder"]

#: Most bytes in the line that begins a chunk. Extensions are not used but by signed uploads, whose
#: signature takes 82 bytes.
MAX_SIZE_LINE: Final = 1024

_TOKEN: Final = b"[%b]++" % TCHAR
# "A recipient MUST ignore unrecognized chunk extensions", RFC 9112 §7.1.1; but what is none of its
# grammar would be read otherwise by somebody else. Nothing here is tried a second way.
_QUOTED: Final = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_VALUE: Final = rb"(?:[ \t]*+=[ \t]*+(?:%b|%b))?+" % (_TOKEN, _QUOTED)
_EXTENSION: Final = rb"[ \t]*+;[ \t]*+%b%b" % (_TOKEN, _VALUE)
# 15 digits are 2**60: more would overflow in agents on the way, and none has that much to send.
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:%b)*+\r\n" % _EXTENSION)
_PLAIN_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})\r\n")
_HUGE_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{16}")
_EXTENDED_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,15}[ \t]*+;")

_BARE_LF = Refusal(400, "A line of a chunked body ends in LF alone instead of CRLF.")
_LONG_LINE = Refusal(400, "The line that begins a chunk is longer than this server accepts.")
_WRONG_END = Refusal(400, "A chunk does not end where its size says.")
_HUGE_CHUNK = Refusal(400, "The size of a chunk is beyond all reason.")
_BAD_SIZE = Refusal(400, "The size of a chunk is not a hexadecimal number.")
_BAD_EXTENSION = Refusal(400, "The extension of a chunk is malformed.")
_MANY_EXTENSIONS = Refusal(
    400, "The chunks have more extensions than this server accepts.", "chunk_extensions"
)
_BODY_TOO_LARGE = Refusal(413, "The request body is larger than this server accepts.", "body_size")
_TRAILERS_TOO_LARGE = Refusal(
    431, "The trailer fields together are larger than this server accepts.", "header_size"
)


class _Line(enum.Enum):
    """What the next line, after the data of the chunk that has begun, is."""

    SIZE = "begins a chunk"
    CHUNK_END = "nothing but the CRLF behind the data of a chunk"
    TRAILER = "a trailer field, or empty at the end of the body"


# Plain names for the hot path: to read a member from its class takes 70 ns in Python 3.11.
_SIZE: Final = _Line.SIZE
_CHUNK_END: Final = _Line.CHUNK_END
_TRAILER: Final = _Line.TRAILER


class ChunkedDecoder:
    """Takes one chunked body apart, in pieces of any size.

    Trailer fields are checked and dropped: "a recipient MAY discard" them (RFC 9112 §7.1.2), and
    merging them into the header fields would let a client add to what a proxy has checked.

    Args:
        limits: ``body_size`` bounds the data, ``header_size`` and ``header_count`` the trailers,
            ``chunk_extensions`` what else stands beside the sizes.
    """

    __slots__ = (
        "_expected",
        "_extensions",
        "_left",
        "_limits",
        "_line",
        "_size",
        "_trailer_count",
        "_trailer_left",
    )

    def __init__(self, limits: HTTP1Limits) -> None:
        self._limits = limits
        self._expected = _Line.SIZE
        self._line = bytearray()  # what has arrived of it
        self._left = 0  # bytes of data before it
        self._extensions = 0  # bytes of them, less those of the data that followed
        self._size = 0  # of the body so far, with the chunk that has begun
        self._trailer_left = limits.header_size or sys.maxsize
        self._trailer_count = 0

    def decode(
        self, data: bytes, position: int, budget: int = sys.maxsize
    ) -> tuple[bytes, int, EndOfMessage | Refusal | None]:
        """Take what follows ``position``, as far as it belongs to this body.

        Args:
            data: What arrived.
            position: Where in it this body goes on.
            budget: About how many bytes of it are taken at most that are no data of chunks. No
                chunk is begun after that; the decoder is to be called again.

        Returns:
            The data that was there, the position behind the last byte that was taken, and how the
            body ended, None while it has not; after that the decoder must not be used any more.
        """
        parts: list[bytes] = []
        last: EndOfMessage | Refusal | None = None
        end = len(data)
        while position < end and last is None:
            if self._left:
                part = data[position : position + self._left]
                parts.append(part)
                position += len(part)
                self._left -= len(part)
                continue
            if budget <= 0:
                break
            if self._expected is _SIZE and not self._line:
                behind, taken = self._take_whole(data, position, parts, budget)
                if behind > position:
                    budget -= behind - position - taken
                    position = behind
                    continue
            line_end = data.find(b"\n", position) + 1
            line = data[position : line_end or end]
            position += len(line)
            budget -= len(line)
            if not line_end:
                self._line += line
                last = self._length_fault(len(self._line) - 1)
            elif self._line:
                last = self._read_line(bytes(self._line + line))
                self._line.clear()
            else:
                last = self._read_line(line)
        return b"".join(parts), position, last

    def _take_whole(
        self, data: bytes, position: int, parts: list[bytes], budget: int
    ) -> tuple[int, int]:
        """Take the chunks that are there from their size to their end and have no extension.

        That is how nearly all come, and they take less than half the time this way.

        Returns:
            The position behind them, and how many bytes of data they brought; what is there is for
            the long way.
        """
        room = (self._limits.body_size or sys.maxsize) - self._size
        bound = position + budget
        taken = 0
        while position - taken < bound and (found := _PLAIN_SIZE.match(data, position)) is not None:
            size = int(found[1], 16)
            start = found.end()
            end = start + size
            if not size or taken + size > room or data[end : end + 2] != b"\r\n":
                break
            parts.append(data[start:end])
            taken += size
            position = end + 2
        self._size += taken
        self._extensions = max(self._extensions - taken, 0)
        return position, taken

    def _length_fault(self, length: int) -> Refusal | None:
        """Whether a line, or what there is of it, is too long, its CRLF (or CR) not counted."""
        if self._expected is _SIZE:
            return _LONG_LINE if length > MAX_SIZE_LINE else None
        if self._expected is _CHUNK_END:
            return _WRONG_END if length > 0 else None
        return _TRAILERS_TOO_LARGE if length > max(self._trailer_left - 2, 0) else None

    def _read_line(self, line: bytes) -> EndOfMessage | Refusal | None:
        if self._expected is _CHUNK_END:
            self._expected = _SIZE
            return None if line == b"\r\n" else _WRONG_END
        if (fault := self._length_fault(len(line) - 2)) is not None:
            return fault
        if not line.endswith(b"\r\n"):
            return _BARE_LF
        return self._read_size(line) if self._expected is _SIZE else self._read_trailer(line)

    def _read_size(self, line: bytes) -> Refusal | None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            if _HUGE_SIZE.match(line):
                return _HUGE_CHUNK
            return _BAD_EXTENSION if _EXTENDED_SIZE.match(line) else _BAD_SIZE
        self._left = int(match[1], 16)
        self._size += self._left
        extension = len(line) - len(match[1]) - 2
        if extension:
            # They mean nothing to us. That a line of them belongs to a chunk of one byte is how
            # little is made to cost much: "ought to limit the total length", RFC 9112 §7.1.1.
            self._extensions += extension
            if self._extensions > self._limits.chunk_extensions > 0:
                return _MANY_EXTENSIONS
        self._extensions = max(self._extensions - self._left, 0)
        if self._limits.body_size and self._size > self._limits.body_size:
            return _BODY_TOO_LARGE
        self._expected = _CHUNK_END if self._left else _TRAILER
        return None

    def _read_trailer(self, line: bytes) -> EndOfMessage | Refusal | None:
        if line == b"\r\n":
            return END_OF_MESSAGE
        self._trailer_left -= len(line)
        self._trailer_count += 1
        return field_fault(line[:-2], self._trailer_count, self._limits)
