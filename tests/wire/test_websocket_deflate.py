"""Compressed messages from a client (RFC 7692 §6 and §7.2.2), cut in every way."""

import random
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.wire.deflate import CompressionOptions, Deflater, Inflater
from fairway.wire.websocket import Closed, Ping, Pong, State, WebSocketConnection
from tests.wire.client import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Client,
    binary,
    close,
    continuation,
    frame,
    goodbye,
    header,
    text,
    unmasked,
)
from tests.wire.conftest import Connect
from tests.wire.streams import FUZZ, chunked, noises

#: RSV1, as the argument of ``frame()``.
RSV1 = 4


def deflated(message: str | bytes) -> bytes:
    """A message as it stands in compressed frames, made by zlib itself."""
    compressor = zlib.compressobj(wbits=-15)
    data = message.encode() if isinstance(message, str) else message
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def compressed(message: str | bytes, *, pieces: int = 1, between: bytes = b"") -> bytes:
    """A compressed message in one frame or several, with other frames between them."""
    data = deflated(message)
    opcode = TEXT if isinstance(message, str) else BINARY
    if pieces == 1:
        return frame(opcode, data, reserved=RSV1)
    size = len(data) // (pieces - 1)
    parts = [data[index : index + size] for index in range(0, len(data), size)]
    frames = [frame(opcode, parts[0], fin=False, reserved=RSV1)]
    frames += [continuation(part, fin=False) for part in parts[1:]]
    return between.join([*frames, continuation(b"")])


@pytest.fixture
def client(connect: Connect) -> Client:
    """The client of a WebSocket that has agreed on compression."""
    client = connect()
    client.connection.inflater = Inflater(15)
    return client


class TestMessages:
    """What the application hears is what was said, compressed or not."""

    @pytest.mark.parametrize("message", ["Hello", "", "é€👋" * 30, b"\x00\xff" * 50, b""])
    def test_whole(self, message: str | bytes, client: Client) -> None:
        """A message in one frame."""
        assert client.says(compressed(message)) == [message]
        assert client.hears() == b""

    @pytest.mark.parametrize("message", ["Hello" * 20, "é€👋" * 30, b"\x00\xff" * 50])
    @pytest.mark.parametrize("pieces", [2, 3, 8])
    def test_fragments(self, message: str | bytes, pieces: int, client: Client) -> None:
        """One in several: only the first has RSV1 (§6.1)."""
        assert client.says(compressed(message, pieces=pieces)) == [message]

    def test_control_frames_between(self, client: Client) -> None:
        """Pings between the fragments are answered in order, and are never compressed."""
        between = frame(PING, b"a") + frame(PONG, b"b")
        events = client.says(compressed("Hello" * 20, pieces=2, between=between))
        assert events[-1] == "Hello" * 20
        assert set(events[:-1]) == {Ping(b"a"), Pong(b"b")}
        assert client.hears() == unmasked(PONG, b"a") * (len(events) // 2)

    def test_plain_beside(self, client: Client) -> None:
        """Each message says for itself whether it is compressed (§6)."""
        data = text("plain") + compressed("packed") + binary(b"\x01") + compressed(b"\x02")
        assert client.says(data + text("")) == ["plain", "packed", b"\x01", b"\x02", ""]

    def test_empty_fragments(self, client: Client) -> None:
        """Empty frames around and inside of a message change nothing."""
        data = deflated("Hello")
        said = frame(TEXT, b"", fin=False, reserved=RSV1) + continuation(data[:3], fin=False)
        said += continuation(b"", fin=False) + continuation(data[3:], fin=False)
        assert client.says(said + continuation(b"")) == ["Hello"]

    def test_nothing_at_all(self, client: Client) -> None:
        """A message without a byte of compressed data is an empty one."""
        said = frame(TEXT, b"", reserved=RSV1) + frame(BINARY, b"", fin=False, reserved=RSV1)
        assert client.says(said + continuation(b"")) == ["", b""]

    def test_takeover(self, client: Client) -> None:
        """With takeover a message may refer to those before, plain ones between them or not."""
        client.connection.inflater = Inflater(15, takeover=True)
        deflater = Deflater(15, CompressionOptions(threshold=0), takeover=True)
        message = random.Random(1).randbytes(300)
        data = b""
        for _ in range(3):
            data = deflater.deflate(message)
            assert client.says(frame(BINARY, data, reserved=RSV1) + text("x")) == [message, "x"]
        assert len(data) < 30

    def test_from_another_thread_of_talk(self) -> None:
        """Clients that share an inflater do not see each other, even half-way."""
        inflater = Inflater(15)
        one, two = WebSocketConnection(), WebSocketConnection()
        one.inflater = two.inflater = inflater
        first, second = compressed("first" * 9), compressed("second" * 9)
        assert one.receive_data(first[:10]) == []
        assert two.receive_data(second[:10]) == []
        assert one.receive_data(first[10:]) == ["first" * 9]
        assert two.receive_data(second[10:]) == ["second" * 9]


class TestReservedBits:
    """§6.1, and RFC 6455 §5.2: RSV1 has one meaning, in one place."""

    @pytest.mark.parametrize(
        ("said", "pongs"),
        [
            (frame(TEXT, b"\x00", reserved=2), b""),
            (frame(TEXT, b"\x00", reserved=1), b""),
            (frame(BINARY, b"\x00", reserved=6), b""),
            (frame(BINARY, b"\x00", reserved=7), b""),
            (frame(PING, b"", reserved=RSV1), b""),
            (frame(PONG, b"", reserved=RSV1), b""),
            (frame(CLOSE, b"", reserved=RSV1), b""),
            (frame(CONTINUATION, b"\x00", reserved=RSV1), b""),
            (frame(0x3, b"\x00", reserved=RSV1), b""),
            (
                frame(TEXT, b"\x00", fin=False, reserved=RSV1)
                + frame(CONTINUATION, b"", reserved=RSV1),
                b"",
            ),
            (text("a", fin=False) + frame(CONTINUATION, b"", reserved=RSV1), b""),
            (frame(PING, b"x") + frame(PING, b"", reserved=RSV1), unmasked(PONG, b"x")),
        ],
    )
    def test_misused(self, said: bytes, pongs: bytes, client: Client) -> None:
        """Anywhere but on the first frame of a message it fails the connection with 1002."""
        reason = "A reserved bit is set that no extension has given a meaning there."
        assert client.says(said)[-1] == Closed(1002, reason)
        assert client.hears() == pongs + goodbye(1002, reason)
        assert client.state is State.FAILED

    @pytest.mark.parametrize("first", [0xF1, 0xA2, 0xC9, 0xC0, 0xE8])
    def test_at_once(self, first: int) -> None:
        """The first byte is enough."""
        connection = WebSocketConnection()
        connection.inflater = Inflater(15)
        (event,) = connection.receive_data(bytes([first]))
        assert isinstance(event, Closed)
        assert event.code == 1002

    def test_not_agreed(self, connect: Connect) -> None:
        """Without an agreement no message is compressed."""
        client = connect()
        reason = "A reserved bit is set, but no extension was agreed on."
        assert client.says(compressed("Hello")) == [Closed(1002, reason)]


class TestBadData:
    """What cannot be inflated, or is no text when it is."""

    @pytest.mark.parametrize(
        "said",
        [
            frame(TEXT, b"\xff\xff\xff\xff", reserved=RSV1),
            frame(BINARY, b"\xf2\x48", reserved=RSV1),
            frame(TEXT, b"Hello", reserved=RSV1),
            frame(TEXT, deflated("Hello"), fin=False, reserved=RSV1) + continuation(b"\xff"),
            frame(BINARY, deflated("Hello")[:-1], reserved=RSV1),
        ],
    )
    def test_no_deflate_data(self, said: bytes, client: Client) -> None:
        """Data of no use is 1007."""
        reason = "A compressed message is not valid DEFLATE data."
        assert client.says(text("good") + said + text("never")) == ["good", Closed(1007, reason)]
        assert client.hears() == goodbye(1007, reason)
        assert client.state is State.FAILED

    @pytest.mark.parametrize("bad", [b"\xff", b"abc\xe2\x28", b"\xed\xa0\x80", b"x\xf4\x90\x80"])
    def test_no_text(self, bad: bytes, client: Client) -> None:
        """Text is checked as it was before it was compressed."""
        said = frame(TEXT, deflated(bad + b"x" * 50), reserved=RSV1)
        assert client.says(said) == [Closed(1007, "A text message is not valid UTF-8.")]

    def test_no_text_at_once(self) -> None:
        """The first bad byte is enough, though its message is not complete."""
        connection = WebSocketConnection()
        connection.inflater = Inflater(15)
        compressor = zlib.compressobj(wbits=-15)
        data = compressor.compress(b"good \xff") + compressor.flush(zlib.Z_SYNC_FLUSH)
        said = header(0x41, 1000) + bytes(4) + data
        (event,) = connection.receive_data(said)
        assert event == Closed(1007, "A text message is not valid UTF-8.")

    def test_unfinished_text(self, client: Client) -> None:
        """A text that ends within a character is none."""
        said = frame(TEXT, deflated("é".encode()[:1]), reserved=RSV1)
        assert client.says(said) == [Closed(1007, "A text message is not valid UTF-8.")]

    def test_after_our_close(self, client: Client) -> None:
        """What comes behind our Close is not heard, and the client's Close still is."""
        client.connection.send_close(1000)
        assert client.says(compressed("late") + close(1000)) == [Closed(1000)]


class TestLimits:
    """How long a message becomes counts, not how short it came."""

    @pytest.mark.parametrize("pieces", [1, 3])
    def test_message(self, pieces: int, connect: Connect) -> None:
        """As large as allowed is taken; one byte more is 1009."""
        for size, taken in ((1000, True), (1001, False)):
            client = connect(max_message_size=1000)
            client.connection.inflater = Inflater(15)
            (event,) = client.says(compressed(b"x" * size, pieces=pieces))
            if taken:
                assert event == b"x" * size
            else:
                assert isinstance(event, Closed)
                assert event == Closed(1009, "A message exceeds 1000 bytes.")
                assert event.limit == "max_message_size"

    def test_noise(self, connect: Connect) -> None:
        """A message that compression makes longer may be as large as any other."""
        noise = random.Random(2).randbytes(1000)
        assert len(deflated(noise)) > 1000
        client = connect(max_message_size=1000, max_frame_size=1000)
        client.connection.inflater = Inflater(15)
        assert client.says(compressed(noise)) == [noise]

    def test_frame(self, connect: Connect) -> None:
        """A compressed frame may be a quarter longer than a plain one, and no more."""
        client = connect(max_frame_size=1000)
        client.connection.inflater = Inflater(15)
        (event,) = client.says(header(0xC2, 1251) + bytes(4))
        assert isinstance(event, Closed)
        assert event == Closed(1009, "A frame exceeds 1250 bytes.")
        assert event.limit == "max_frame_size"

    def test_endless(self, connect: Connect) -> None:
        """A message that goes on for ever and says nothing is ended, too."""
        client = connect(max_message_size=1000)
        client.connection.inflater = Inflater(15)
        nothing = b"\x00\x00\x00\xff\xff" * 20
        said = frame(BINARY, nothing, fin=False, reserved=RSV1)
        said += continuation(nothing, fin=False) * 15
        assert client.says(said) == [Closed(1009, "A message exceeds 1000 bytes.")]

    def test_bomb(self) -> None:
        """What would become fifty megabytes is refused before it has become one."""
        connection = WebSocketConnection(100_000, 100_000)
        connection.inflater = Inflater(15)
        said = compressed(bytes(50_000_000))
        tracemalloc.start()
        try:
            events = connection.receive_data(said)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert events == [Closed(1009, "A message exceeds 100000 bytes.")]
        assert peak < 1_000_000


class TestSending:
    """What the connection itself frames for the shell."""

    def test_compressed(self) -> None:
        """Messages are compressed where that was agreed on; control frames never are."""
        connection = WebSocketConnection()
        connection.deflater = Deflater(15, CompressionOptions(threshold=10))
        other = WebSocketConnection()
        assert other.send_text("x" * 100)[0] == 0x81
        assert connection.send_text("x" * 100)[0] == 0xC1
        assert connection.send_binary(b"x" * 100)[0] == 0xC2
        assert connection.send_text("x")[0] == 0x81
        assert connection.send_ping(b"x" * 100)[0] == 0x89
        assert connection.send_close(1000, "x" * 100)[0] == 0x88


@st.composite
def compressed_noises(draw: st.DrawFn) -> bytes:
    """Compressed messages among others, whole or in fragments, with a few bytes gone wrong."""
    data = bytearray()
    for _ in range(draw(st.integers(0, 4))):
        message = draw(st.binary(max_size=30) | st.text("aé👋", max_size=30))
        pieces = draw(st.integers(1, 4)) if message else 1
        data += compressed(message * draw(st.integers(1, 20)), pieces=pieces)
        data += draw(noises())[:100]
    for place, octet in draw(
        st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=2)
    ):
        if place < len(data):
            data[place] = octet
    return bytes(data)


@FUZZ
@given(st.data(), st.booleans(), st.sampled_from([0, 10, 100]), st.sampled_from([0, 1, 700]))
def test_any_bytes(data: st.DataObject, takeover: bool, limit: int, budget: int) -> None:
    """Whatever comes, and however it is cut, it comes to the same, and to no exception."""
    said = data.draw(compressed_noises())
    at_once = WebSocketConnection(limit, limit)
    in_pieces = WebSocketConnection(limit, limit, budget)
    for connection in (at_once, in_pieces):
        connection.inflater = Inflater(15, takeover=takeover)
    expected = at_once.receive_data(said)
    events = []
    for chunk in data.draw(chunked(said)):
        events += in_pieces.receive_data(chunk)
        while in_pieces.pending:
            events += in_pieces.receive_data(b"")
    if expected and isinstance(expected[-1], Closed) and expected[-1].code == 1007:
        # Of bad text in bad data, the first to be noticed depends on what arrived together.
        assert isinstance(events[-1], Closed)
        assert (events[:-1], events[-1].code) == (expected[:-1], 1007)
    else:
        assert events == expected
        assert in_pieces.data_to_send() == at_once.data_to_send()
    assert in_pieces.state is at_once.state
    for event in events:
        if limit and isinstance(event, bytes):
            assert len(event) <= limit
