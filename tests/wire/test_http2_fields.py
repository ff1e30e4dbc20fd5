"""Blocks of fields: RFC 9113 §4.3, RFC 7541."""

import random

import pytest
from hpack import Decoder, Encoder, NeverIndexedHeaderTuple

from fairway.wire.http2_events import ConnectionBroken, ErrorCode, Limit
from fairway.wire.http2_fields import DECODED, MAX_CONTINUATIONS, FieldReader, FieldWriter
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


class TestRemembered:
    """Blocks and fields that are met again."""

    @pytest.mark.parametrize("seed", range(20))
    def test_reader(self, seed: int) -> None:
        """Whatever a client does to the table between blocks, each means what it says."""
        chance = random.Random(seed)
        encoder, plain, reader = Encoder(), Decoder(), FieldReader(0)
        for _ in range(300):
            if chance.random() < 0.1:
                encoder.header_table_size = chance.choice([0, 40, 80, 200, 4096])
            fields = [
                (b"name-%d" % chance.randrange(4), b"v" * chance.choice([1, 2, 50]))
                for _ in range(chance.randrange(1, 4))
            ]
            if chance.random() < 0.3:
                block = encoder.encode([NeverIndexedHeaderTuple(*field) for field in fields])
            else:
                block = encoder.encode(fields)
            assert list(plain.decode(block, raw=True)) == fields
            found = reader.read(headers(block))
            assert found is not None
            assert found[1] == fields

    def test_insertion_that_did_not_fit(self) -> None:
        """A block that changed nothing while the table was small changes it when it is not."""
        reader = FieldReader(0)
        insertion, indexed = b"\x40\x01a\x01b", b"\xbe"
        for block, fields in [
            (b"\x20" + insertion, [(b"a", b"b")]),  # into a table of 0 bytes
            (insertion, [(b"a", b"b")]),
            (insertion, [(b"a", b"b")]),
            (b"\x3f\xe1\x1f\x82", [(b":method", b"GET")]),  # 4096 bytes
            (insertion, [(b"a", b"b")]),
            (indexed, [(b"a", b"b")]),
        ]:
            found = reader.read(headers(block))
            assert found is not None
            assert found[1] == fields

    def test_new_size(self) -> None:
        """A block that says how large the table is says so each time."""
        reader = FieldReader(0)
        small, large = b"\x20\x82", b"\x3f\xe1\x1f\x82"
        for block in (small, large, small, b"\x40\x01a\x01b"):
            reader.read(headers(block))
        with pytest.raises(ConnectionBroken) as caught:
            reader.read(headers(b"\xbe"))  # the table has no room for what was put into it
        assert caught.value.code is ErrorCode.COMPRESSION_ERROR

    def test_bounded(self) -> None:
        """No more than some small blocks are remembered."""
        reader = FieldReader(0)
        for index in range(100):
            reader.read(headers(b"\x10\x01a\x03%03d" % index))
            reader.read(headers(b"\x10\x01a\x7f\x81\x01" + b"%0256d" % index))
        assert 0 < len(reader._known) <= 16
        assert max(len(block) for block in reader._known) <= 128

    @pytest.mark.parametrize("seed", range(20))
    def test_writer(self, seed: int) -> None:
        """Whatever the responses are, and the table's size, a client decodes what was encoded."""
        chance = random.Random(seed)
        writer, decoder = FieldWriter(), Decoder()
        for _ in range(300):
            if chance.random() < 0.1:
                writer.header_table_size = chance.choice([0, 40, 80, 200, 4096])
            names = [b"name-%d" % index for index in range(4)]
            names += [b"content-length", b"set-cookie", b"date"]
            fields = [(name, b"1" * chance.choice([1, 2, 50, 200])) for name in names]
            fields.append((b":status", chance.choice([b"200", b"404", b"418"])))
            chance.shuffle(fields)
            assert list(decoder.decode(writer.encode(fields), raw=True)) == fields

    def test_writer_repeats(self) -> None:
        """The same response is a few bytes, and all that is remembered stands in a table."""
        writer = FieldWriter()
        fields = [(b":status", b"200"), (b"server", b"fairway"), (b"content-length", b"13")]
        blocks = [writer.encode(fields) for _ in range(3)]
        assert blocks[1:] == [b"\x88\xbe\x0f\x0d\x0213"] * 2
        assert writer._known == {fields[0]: b"\x88", fields[1]: b"\xbe"}

    def test_secret(self) -> None:
        """A cookie is never put into a table, and says so to all who pass it on."""
        writer = FieldWriter()
        fields = [(b"set-cookie", b"session=1")]
        first, second = writer.encode(fields), writer.encode(fields)
        assert first == second
        assert first[0] & 0xF0 == 0x10
        assert not writer._known
        assert not writer.header_table.dynamic_entries
