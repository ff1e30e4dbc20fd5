"""Blocks of fields: put together from the frames they arrive in, decoded, encoded (RFC 9113 §4.3).

Requests on one connection are alike, and so are responses: what the tables of both sides (RFC 7541
§2.3) do not change is decoded, and encoded, once.
"""

from collections.abc import Iterable
from typing import Any, Final

from hpack import Decoder, Encoder, HPACKError, NeverIndexedHeaderTuple, OversizedHeaderListError

from fairway._types import Headers
from fairway.wire import http2_frames as frames
from fairway.wire.http2_events import ConnectionBroken, ErrorCode, Limit
from fairway.wire.http2_frames import Frame, FrameType

#: Frames that the fields of a request may be cut into; at the usual size of 16 KiB four are enough.
MAX_CONTINUATIONS: Final = 32
#: Fields may be this many times larger than their limit and still be decoded, to be answered with
#: 431: the decoder must see all of them, or the connection has to end.
DECODED: Final = 4

#: Blocks that are remembered with what they mean, and the most bytes in one of them.
_REMEMBERED: Final = 16
_SMALL: Final = 128
#: How a field begins that is in a table; that is put into the table; and a new size of the table
#: (RFC 7541 §6.1, §6.2.1, §6.3).
_INDEXED: Final = 0x80
_INSERTED: Final = 0x40
_RESIZED: Final = 0x20
#: "content-length" without a place in the table, as the next one is another one (§6.2.2): the name
#: is number 28 of the static table.
_CONTENT_LENGTH: Final = b"\x0f\x0d%c%b"


class FieldReader:
    """Frames to fields.

    Args:
        limit: Most bytes in the fields of one block, 0 for any number.
    """

    __slots__ = ("_begun", "_block", "_continuations", "_decoder", "_known", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._decoder = Decoder(limit * DECODED or 2**31)
        self._known: dict[bytes, Headers] = {}  # what blocks mean while the table is as it is
        self._begun: Frame | None = None
        self._block = bytearray()
        self._continuations = 0

    @property
    def unfinished(self) -> bool:
        """Whether a block has begun and is not complete."""
        return self._begun is not None

    def check_order(self, found: Frame) -> None:
        """See that a frame may come now.

        Raises:
            ConnectionBroken: It stands within a block: "MUST be followed by a CONTINUATION frame
                for the same stream" (§6.2), or it continues none.
        """
        begun = self._begun
        if begun is not None and (
            found.type != FrameType.CONTINUATION or found.stream_id != begun.stream_id
        ):
            raise ConnectionBroken(
                ErrorCode.PROTOCOL_ERROR, "Something else stands between the fields of a request."
            )
        if begun is None and found.type == FrameType.CONTINUATION:
            raise ConnectionBroken(
                ErrorCode.PROTOCOL_ERROR, "A CONTINUATION frame continues nothing."
            )

    def read(self, found: Frame) -> tuple[Frame, Headers] | None:
        """Take a HEADERS or CONTINUATION frame.

        Returns:
            The HEADERS frame of a block that is complete with this, and its fields; or None.

        Raises:
            ConnectionBroken: The block is too large to be read to its end, without which nothing
                after it can be decoded; or it cannot be decoded.
        """
        if self._begun is None:
            block = frames.without_padding(found)
            if found.flags & frames.END_HEADERS:
                return found, self._decode(block)
            self._begun = found
            self._block = bytearray(block)
            self._continuations = 0
            return None
        self._block += found.payload
        self._continuations += 1
        if self._continuations > MAX_CONTINUATIONS or 0 < self._limit < len(self._block):
            # Compressed, it has more bytes than it may count for when decoded.
            raise ConnectionBroken(
                ErrorCode.ENHANCE_YOUR_CALM,
                "The fields of a request are too large, or come in too many pieces.",
                Limit.HEADER_SIZE,
            )
        if not found.flags & frames.END_HEADERS:
            return None
        begun, self._begun = self._begun, None
        whole, self._block = bytes(self._block), bytearray()
        return begun, self._decode(whole)

    def _decode(self, block: bytes) -> Headers:
        known = self._known.get(block)
        if known is not None:
            return known
        entries = self._decoder.header_table.dynamic_entries
        size, first = len(entries), entries[0] if entries else None
        fields = self._decode_new(block)
        # What is put into the table comes first in it; what is lost leaves it shorter.
        resized = block[:1] and _RESIZED <= block[0] < _INSERTED
        if resized or size != len(entries) or (entries and entries[0] is not first):
            self._known.clear()
        elif len(block) <= _SMALL:
            if len(self._known) == _REMEMBERED:
                self._known.clear()
            self._known[block] = fields
        return fields

    def _decode_new(self, block: bytes) -> Headers:
        try:
            # raw: as bytes, which the types of hpack do not tell from text
            return [(bytes(field[0]), bytes(field[1])) for field in self._decode_raw(block)]
        except OversizedHeaderListError:
            raise ConnectionBroken(
                ErrorCode.ENHANCE_YOUR_CALM,
                "The fields of a request are much larger than this server accepts.",
                Limit.HEADER_SIZE,
            ) from None
        except HPACKError:
            # "MUST be treated as a connection error … of type COMPRESSION_ERROR", §4.3
            raise ConnectionBroken(
                ErrorCode.COMPRESSION_ERROR, "The fields of a request cannot be decoded."
            ) from None

    def _decode_raw(self, block: bytes) -> Headers:
        fields: Headers = list(self._decoder.decode(block, raw=True))
        return fields


class FieldWriter(Encoder):
    """Fields to a block.

    A field that is in a table is one or two bytes, for as long as the table is not changed: those
    are remembered, so there are no more of them than the tables have entries.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[bytes, bytes], bytes] = {}

    def encode(self, headers: Iterable[Any], huffman: bool = True) -> bytes:
        """Encode fields, pairs of bytes with names in lower case."""
        known = self._known
        if self.header_table.resized:
            known.clear()
        parts: list[bytes] = []
        for field in headers:
            part = known.get(field)
            if part is None:
                part = self._encode_new(field, huffman)
            parts.append(part)
        return b"".join(parts)

    def _encode_new(self, field: tuple[bytes, bytes], huffman: bool) -> bytes:
        name, value = field
        if name == b"content-length" and len(value) < 0x7F and not self.header_table.resized:
            return _CONTENT_LENGTH % (len(value), value)
        if name == b"set-cookie":
            # A cookie is a secret, and in no other response: neither in the table nor guessable by
            # the size of what follows (RFC 7541 §7.1.3).
            return super().encode([NeverIndexedHeaderTuple(name, value)], huffman)
        part = super().encode([field], huffman)
        if part[0] & _INDEXED:
            self._known[field] = part
        elif part[0] & (_INSERTED | _RESIZED):
            self._known.clear()
        return part
