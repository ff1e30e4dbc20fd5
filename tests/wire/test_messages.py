"""Messages as frames: RFC 6455 §5.6, and RFC 7692 where a client reads compressed ones."""

from collections.abc import Generator
from typing import Final

import pytest
import websockets.frames

from fairway.wire.deflate import CompressionOptions, Deflater
from fairway.wire.messages import encode_message

#: Lengths on either side of each border between two forms.
LENGTHS: Final = (0, 1, 124, 125, 126, 127, 255, 256, 65535, 65536, 65537)


def read(data: bytes) -> websockets.frames.Frame:
    """What another implementation, as a client, reads in ``data``: one frame and nothing behind."""
    position = 0

    def read_exact(count: int) -> Generator[None, None, bytes]:
        nonlocal position
        yield from ()
        position += count
        assert position <= len(data)
        return data[position - count : position]

    parser = websockets.frames.Frame.parse(read_exact, mask=False)
    with pytest.raises(StopIteration) as stop:
        next(parser)
    assert position == len(data)
    frame = stop.value.value
    assert isinstance(frame, websockets.frames.Frame)
    return frame


class Text(str):
    """Text of a type of its own."""

    __slots__ = ()


class TestPlain:
    """§5.6: whole messages in one frame, as another implementation reads them."""

    @pytest.mark.parametrize("length", LENGTHS)
    def test_text(self, length: int) -> None:
        """Text goes out as UTF-8."""
        payload = ("x" * (length % 2) + "é" * (length // 2)).encode()
        assert read(encode_message(payload.decode())) == websockets.frames.Frame(
            websockets.frames.Opcode.TEXT, payload
        )

    @pytest.mark.parametrize("length", LENGTHS)
    def test_binary(self, length: int) -> None:
        """Bytes go out as they are."""
        payload = bytes(index % 256 for index in range(length))
        assert read(encode_message(payload)) == websockets.frames.Frame(
            websockets.frames.Opcode.BINARY, payload
        )

    def test_text_of_another_type(self) -> None:
        """Text is text, of whatever type, such as Django's ``SafeString``."""
        assert encode_message(Text("safe")) == b"\x81\x04safe"

    @pytest.mark.parametrize("text", ["\ud83d", "a\udc00b", "x" * 200 + "\udfff"], ids=ascii)
    def test_surrogate(self, text: str) -> None:
        """A lone surrogate is no character, so UTF-8 has no bytes for it."""
        with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
            encode_message(text)


class TestCompressed:
    """For a client that reads compressed messages."""

    @pytest.mark.parametrize(("message", "first"), [("x" * 100, 0xC1), (b"x" * 100, 0xC2)])
    def test_first_byte(self, message: str | bytes, first: int) -> None:
        """Its deflater makes the frame: with RSV1, and the opcode of the message's kind."""
        deflater = Deflater(15, CompressionOptions(threshold=100))
        frame = encode_message(message, deflater)
        assert (frame[0], frame) == (first, deflater.encode(first & 0x0F, b"x" * 100))

    def test_short(self) -> None:
        """What is not worth it is the frame that everybody gets."""
        deflater = Deflater(15, CompressionOptions(threshold=101))
        for message in ("é" * 50, b"x" * 100):
            assert encode_message(message, deflater) == encode_message(message)

    def test_surrogate(self) -> None:
        """A lone surrogate is refused as ever."""
        with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
            encode_message("\ud800", Deflater(15, CompressionOptions()))
