"""Blocks of fields: put together from the frames they arrive in, and decoded (RFC 9113 §4.3)."""

from typing import Final

from hpack import Decoder, HPACKError, OversizedHeaderListError

from fairway._types import Headers
from fairway.wire import http2_frames as frames
from fairway.wire.http2_events import ConnectionBroken, ErrorCode, Limit
from fairway.wire.http2_frames import Frame, FrameType

#: Frames that the fields of a request may be cut into; at the usual size of 16 KiB four are enough.
MAX_CONTINUATIONS: Final = 32
#: Fields may be this many times larger than their limit and still be decoded, to be answered with
#: 431: the decoder must see all of them, or the connection has to end.
DECODED: Final = 4


class FieldReader:
    """Frames to fields.

    Args:
        limit: Most bytes in the fields of one block, 0 for any number.
    """

    __slots__ = ("_begun", "_block", "_continuations", "_decoder", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._decoder = Decoder(limit * DECODED or 2**31)
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
