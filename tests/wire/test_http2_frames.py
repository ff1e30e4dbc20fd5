"""HTTP/2 frames as bytes: RFC 9113 §4.1 and §6."""

import pytest

from fairway.wire import http2_frames as frames
from fairway.wire.http2_events import ConnectionBroken, ErrorCode
from fairway.wire.http2_frames import PREFACE, Frame, FrameReader, FrameType
from tests.wire import http2_client as client


class TestReader:
    """Bytes to frames."""

    def test_cut_anywhere(self) -> None:
        """Whatever the pieces, the frames are the same."""
        sent = PREFACE + client.settings((3, 1)) + client.data(1, b"abc", end=True) + client.ping()
        whole = FrameReader().receive(sent)
        assert whole == [
            Frame(4, 0, 0, b"\0\x03\0\0\0\x01"), Frame(0, 1, 1, b"abc"), Frame(6, 0, 0, b"12345678")
        ]  # fmt: skip
        for cut in range(len(sent)):
            reader = FrameReader()
            assert reader.receive(sent[:cut]) + reader.receive(sent[cut:]) == whole

    def test_preface(self) -> None:
        """It is there when its last byte is."""
        reader = FrameReader()
        assert reader.receive(PREFACE[:-1]) == []
        assert not reader.ready
        assert reader.receive(PREFACE[-1:]) == []
        assert reader.ready

    def test_wrong_preface(self) -> None:
        """The first byte that differs tells."""
        with pytest.raises(ConnectionBroken, match="does not begin as HTTP/2 does") as caught:
            FrameReader().receive(b"PRI * HTTP/1")
        assert caught.value.code is ErrorCode.PROTOCOL_ERROR

    def test_too_large(self) -> None:
        """Nobody waits for a frame that will be too large."""
        reader = FrameReader()
        reader.receive(PREFACE)
        with pytest.raises(ConnectionBroken, match="larger than 16384 bytes") as caught:
            reader.receive(b"\0\x40\x01\0\0\0\0\0\x01")
        assert caught.value.code is ErrorCode.FRAME_SIZE_ERROR


class TestWriting:
    """Frames to bytes, against a client that lays them out by hand."""

    def test_same(self) -> None:
        """They are what the client's are."""
        assert frames.settings({3: 5, 4: 6}) == client.settings((3, 5), (4, 6))
        assert frames.rst_stream(7, ErrorCode.CANCEL) == client.reset(7, 8)
        goaway = client.frame(client.GOAWAY, 0, 0, b"\0\0\0\x05\0\0\0\x0bslow")
        assert frames.goaway(5, ErrorCode.ENHANCE_YOUR_CALM, "slow") == goaway
        assert Frame(0, 1, 3, b"abc").serialize() == client.data(3, b"abc", end=True)

    def test_settings(self) -> None:
        """Of a setting that is there twice the last value counts (§6.5.3)."""
        assert frames.parse_settings(client.settings((3, 5), (4, 6), (3, 7))[9:]) == {3: 7, 4: 6}
        with pytest.raises(ConnectionBroken, match="not a multiple of six"):
            frames.parse_settings(b"12345")


class TestPadding:
    """RFC 9113 §6.1, §6.2: what is left without it."""

    @pytest.mark.parametrize(
        ("kind", "flags", "payload", "left"),
        [
            (FrameType.DATA, 0, b"abc", b"abc"),
            (FrameType.DATA, frames.PADDED, b"\0abc", b"abc"),
            (FrameType.DATA, frames.PADDED, b"\x02abc..", b"abc"),
            (FrameType.DATA, frames.PADDED, b"\x02..", b""),
            (FrameType.DATA, frames.PRIORITY, b"abcdef", b"abcdef"),
            (FrameType.HEADERS, frames.PRIORITY, b"....!abc", b"abc"),
            (FrameType.HEADERS, frames.PADDED | frames.PRIORITY, b"\x01....!abc.", b"abc"),
        ],
    )
    def test_left(self, kind: int, flags: int, payload: bytes, left: bytes) -> None:
        """Padding goes, and the priority of HEADERS."""
        assert frames.without_padding(Frame(kind, flags, 1, payload)) == left


class TestFields:
    """Frames of fields."""

    @pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, 32_768, 40_000])
    @pytest.mark.parametrize("end", [False, True])
    def test_size(self, size: int, end: bool) -> None:
        """A block that is too large for one frame is continued, and its last frame says so."""
        block = bytes(index % 251 for index in range(size))
        reader = FrameReader()
        sent = reader.receive(PREFACE + frames.fields(3, block, end=end))
        assert b"".join(each.payload for each in sent) == block
        types = [each.type for each in sent]
        assert types == [FrameType.HEADERS] + [FrameType.CONTINUATION] * (len(sent) - 1)
        first, *following = [each.flags for each in sent]
        assert bool(first & frames.END_STREAM) is end
        assert [bool(flags & frames.END_HEADERS) for flags in (first, *following)] == [
            *[False] * len(following), True
        ]  # fmt: skip
