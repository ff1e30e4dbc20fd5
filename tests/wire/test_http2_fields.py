"""Blocks of fields: RFC 9113 §4.3, RFC 7541."""

import pytest
from hpack import Encoder

from fairway.wire.http2_events import ConnectionBroken, ErrorCode, Limit
from fairway.wire.http2_fields import DECODED, MAX_CONTINUATIONS, FieldReader
from fairway.wire.http2_frames import END_HEADERS, Frame, FrameType

FIELDS = [(b":method", b"GET"), (b"x", b"y")]


def headers(block: bytes, flags: int = END_HEADERS) -> Frame:
    """A HEADERS frame."""
    return Frame(FrameType.HEADERS, flags, 1, block)


def more(block: bytes, flags: int = 0, stream_id: int = 1) -> Frame:
    """A CONTINUATION frame."""
    return Frame(FrameType.CONTINUATION, flags, stream_id, block)


class TestReading:
    """Frames to fields."""

    def test_one(self) -> None:
        """A whole block, as bytes."""
        frame = headers(Encoder().encode(FIELDS))
        assert FieldReader(0).read(frame) == (frame, FIELDS)

    def test_several(self) -> None:
        """A block in pieces is that of its first frame."""
        block = Encoder().encode(FIELDS)
        reader = FieldReader(1000)
        first = headers(block[:1], 0x1)
        assert reader.read(first) is None
        assert reader.unfinished
        assert reader.read(more(block[1:2])) is None
        assert reader.read(more(block[2:], END_HEADERS)) == (first, FIELDS)
        assert not reader.unfinished

    def test_table(self) -> None:
        """What one block has brought into the table is known to the next."""
        encoder, reader = Encoder(), FieldReader(0)
        blocks = [encoder.encode(FIELDS) for _ in range(2)]
        assert len(blocks[1]) < len(blocks[0])
        for block in blocks:
            found = reader.read(headers(block))
            assert found is not None
            assert found[1] == FIELDS

    @pytest.mark.parametrize(
        "block", [b"\xff\xff\xff\xff\xff\xff", b"\x80", b"\x40\x05ab", b"\x3f\xff\xff\x7f"]
    )
    def test_undecodable(self, block: bytes) -> None:
        """What cannot be decoded ends the connection."""
        with pytest.raises(ConnectionBroken) as caught:
            FieldReader(0).read(headers(block))
        assert caught.value.code is ErrorCode.COMPRESSION_ERROR


class TestOrder:
    """RFC 9113 §6.10."""

    def test_alone(self) -> None:
        """A block is not interrupted."""
        reader = FieldReader(0)
        reader.check_order(Frame(FrameType.PING, 0, 0, b""))
        reader.read(headers(b"", 0))
        reader.check_order(more(b""))
        for other in (more(b"", stream_id=3), Frame(FrameType.PING, 0, 0, b""), headers(b"")):
            with pytest.raises(ConnectionBroken, match="Something else stands between"):
                reader.check_order(other)

    def test_nothing(self) -> None:
        """Without a block nothing is continued."""
        with pytest.raises(ConnectionBroken, match="continues nothing"):
            FieldReader(0).check_order(more(b""))


class TestLimits:
    """How much is read."""

    def test_pieces(self) -> None:
        """A number of frames."""
        reader = FieldReader(0)
        reader.read(headers(b"", 0))
        for _ in range(MAX_CONTINUATIONS):
            assert reader.read(more(b"")) is None
        with pytest.raises(ConnectionBroken) as caught:
            reader.read(more(b""))
        assert (caught.value.code, caught.value.limit) == (
            ErrorCode.ENHANCE_YOUR_CALM, Limit.HEADER_SIZE
        )  # fmt: skip

    def test_decoded(self) -> None:
        """Somewhat more than the limit is decoded, so that it can be refused politely."""
        limit = 100
        fine = [(b"x", b"y" * 67)] * DECODED  # 32 more for each: 400 in all
        found = FieldReader(limit).read(headers(Encoder().encode(fine)))
        assert found is not None
        assert found[1] == fine
        with pytest.raises(ConnectionBroken, match="much larger") as caught:
            FieldReader(limit).read(headers(Encoder().encode([*fine, (b"z", b"")])))
        assert caught.value.limit is Limit.HEADER_SIZE
