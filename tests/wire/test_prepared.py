"""A message for many: framed once, and compressed once for all who want that."""

from typing import Any

import pytest

from fairway.wire.deflate import CompressionOptions, Deflater
from fairway.wire.prepared import PreparedMessage

OPTIONS = CompressionOptions(threshold=100)


class Counting(Deflater):
    """Counts how often it compresses."""

    __slots__ = ("count",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.count = 0

    def deflate(self, payload: bytes) -> bytes:
        """Count."""
        self.count += 1
        return super().deflate(payload)


@pytest.mark.parametrize(
    ("data", "frame"), [("hi", b"\x81\x02hi"), (b"\x00", b"\x82\x01\x00"), ("", b"\x81\x00")]
)
def test_plain(data: str | bytes, frame: bytes) -> None:
    """Its frame for connections without an extension is made at once."""
    message = PreparedMessage(data)
    assert (message.data, message.plain) == (data, frame)


def test_surrogate() -> None:
    """Text that UTF-8 cannot carry is refused at once."""
    with pytest.raises(UnicodeEncodeError):
        PreparedMessage("\ud800")


@pytest.mark.parametrize(("data", "first"), [("x" * 500, 0xC1), (b"x" * 500, 0xC2)])
def test_compressed_once(data: str | bytes, first: int) -> None:
    """All connections with the same window get the same bytes, whoever compresses for them."""
    one, two = Counting(15, OPTIONS), Counting(15, OPTIONS)
    message = PreparedMessage(data)
    frames = [message.compressed(deflater) for deflater in (one, one, two, two)]
    assert frames[0][0] == first
    assert len(frames[0]) < 50
    assert all(frame is frames[0] for frame in frames)
    assert (one.count, two.count) == (1, 0)


def test_windows() -> None:
    """For each size of the window it is compressed once."""
    deflaters = [Counting(bits, OPTIONS) for bits in (9, 12, 15)]
    message = PreparedMessage("x" * 500)
    for _ in range(3):
        for deflater in deflaters:
            assert message.compressed(deflater)[0] == 0xC1
    assert [deflater.count for deflater in deflaters] == [1, 1, 1]


def test_takeover() -> None:
    """With takeover it is compressed for each connection anew, which is not kept for others."""
    own = Counting(15, OPTIONS, takeover=True)
    shared = Counting(15, OPTIONS)
    message = PreparedMessage("takeover" * 50)
    first, second = message.compressed(own), message.compressed(own)
    assert len(second) < len(first)
    assert own.count == 2
    assert message.compressed(shared) == first
    assert message.compressed(shared) == first
    assert shared.count == 1


def test_short() -> None:
    """A short one goes as it is, and is not compressed to find that out."""
    deflater = Counting(15, OPTIONS)
    for size in (0, 1, 97, 98, 99):
        message = PreparedMessage("x" * size)
        assert message.compressed(deflater) == message.plain
    assert PreparedMessage("x" * 100).compressed(deflater)[0] == 0xC1
    assert deflater.count == 1


def test_nobody_wants_it() -> None:
    """If nobody wants it, it is never compressed."""
    message = PreparedMessage("x" * 500)
    assert message._compressed is None
