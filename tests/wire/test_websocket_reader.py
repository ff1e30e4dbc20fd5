"""What takes the short way is taken as the long way takes it."""

import importlib.util
import sys

import pytest
from hypothesis import given

from fairway.wire import websocket_reader
from fairway.wire.deflate import Inflater
from fairway.wire.websocket import WebSocketConnection
from tests.wire.client import BINARY, PING, TEXT, binary, close, continuation, frame, text, unmasked
from tests.wire.streams import FUZZ, noises

LIMIT = 1000

WHOLE = {
    "empty text": (text(""), ""),
    "text": (text("hello"), "hello"),
    "text of many bytes": (text("ü" * 60), "ü" * 60),
    "the longest without an extended length": (text("x" * 125), "x" * 125),
    "the shortest with one": (text("x" * 126), "x" * 126),
    "as long as the limit": (text("x" * LIMIT), "x" * LIMIT),
    "empty binary": (binary(b""), b""),
    "binary": (binary(b"\x00\xff"), b"\x00\xff"),
    "long binary": (binary(b"\x00" * 500), b"\x00" * 500),
}

OTHERS = {
    "nothing": b"",
    "half a header": text("hello")[:5],
    "half an extended length": text("x" * 126)[:7],
    "half a payload": text("hello")[:-1],
    "a fragment": text("hello", fin=False),
    "a continuation": continuation(b"hello"),
    "a Ping": frame(PING, b"hello"),
    "a Close": close(1000),
    "an unmasked frame": unmasked(TEXT, b"hello"),
    "a reserved bit": frame(TEXT, b"hello", reserved=4),
    "a reserved opcode": frame(3, b"hello"),
    "text that is no UTF-8": frame(TEXT, b"\xff"),
    "a message beyond the limit": text("x" * (LIMIT + 1)),
    "a length of 64 bits": text("x" * 65536),
    "five bytes whose length takes sixteen bits": b"\x81\xfe\x00\x05abcd" + b"hello",
}


class TestUnmasking:
    """The routine that takes the mask off, §5.3."""

    def test_without_compiler(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where `websockets` has no part in C, its Python routine does the same work."""
        monkeypatch.setitem(sys.modules, "websockets.speedups", None)
        spec = importlib.util.spec_from_file_location("slow_reader", websocket_reader.__file__)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert module.FrameReader(0, 0, 0).receive_message(text("Hello")) == "Hello"
        assert module.apply_mask.__module__ == "websockets.utils"


class TestShortWay:
    """Short messages are received without the general reader of headers, which takes longer."""

    @pytest.mark.parametrize("limit", [0, 125, 126])
    def test_taken(self, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """They are, to the last one of a chunk, where no limit could be exceeded."""
        monkeypatch.delattr(websocket_reader.FrameReader, "_receive_header")
        connection = WebSocketConnection(limit, limit)
        messages = ["", "a", "x" * 125, "🛶", ""]
        data = b"".join(text(message) for message in messages)
        assert connection.receive_data(data) == messages
        assert connection.receive_data(frame(BINARY, b"x" * 125)) == [b"x" * 125]


class TestWhole:
    """A message in one frame."""

    @pytest.mark.parametrize(("data", "message"), WHOLE.values(), ids=WHOLE)
    def test_message(self, data: bytes, message: str | bytes) -> None:
        """It is returned, and where its frame ends."""
        connection = WebSocketConnection(LIMIT)
        assert connection.receive_message(data) == message
        assert connection.taken == len(data)

    def test_position(self) -> None:
        """It may begin anywhere, and others may follow it."""
        connection = WebSocketConnection(LIMIT)
        data = text("one") + binary(b"two") + text("three")
        assert connection.receive_message(data, len(text("one"))) == b"two"
        assert connection.taken == len(text("one") + binary(b"two"))

    def test_nothing_is_changed(self) -> None:
        """The same data may be given to receive_data() after that."""
        connection = WebSocketConnection(LIMIT)
        assert connection.receive_message(text("one") + text("two")) == "one"
        assert connection.receive_data(text("one") + text("two")) == ["one", "two"]


class TestOthers:
    """Everything else."""

    @pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS)
    def test_long_way(self, data: bytes) -> None:
        """It is left to receive_data(), which says what it has always said."""
        connection, reference = WebSocketConnection(LIMIT), WebSocketConnection(LIMIT)
        assert connection.receive_message(data) is None
        assert connection.receive_data(data) == reference.receive_data(data)
        assert connection.data_to_send() == reference.data_to_send()
        assert connection.state is reference.state

    @pytest.mark.parametrize(
        "before",
        [text("hello")[:3], text("x" * 200)[:100], text("hello", fin=False)],
        ids=["a header", "a frame", "a message"],
    )
    def test_unfinished(self, before: bytes) -> None:
        """While something else is half received no message can begin."""
        connection = WebSocketConnection(LIMIT)
        assert connection.receive_data(before) == []
        assert connection.receive_message(text("hello")) is None

    @pytest.mark.parametrize("code", [1000, None])
    def test_closing(self, code: int | None) -> None:
        """Nothing is taken once the connection is closing, whoever began it."""
        connection = WebSocketConnection(LIMIT)
        connection.send_close(code)
        assert connection.receive_message(text("hello")) is None
        connection.receive_data(close(1000))
        assert connection.receive_message(text("hello")) is None

    def test_pending(self) -> None:
        """What is pending comes first."""
        connection = WebSocketConnection(budget=1)
        assert connection.receive_data(text("one") + text("two")) == ["one"]
        assert connection.receive_message(text("three")) is None
        assert connection.receive_data(b"") == ["two"]

    def test_compressed(self) -> None:
        """A compressed message is inflated by receive_data(); one that is not takes either way."""
        connection = WebSocketConnection(LIMIT)
        connection.inflater = Inflater(15)
        compressed = frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", reserved=4)  # RFC 7692 §7.2.3.1
        assert connection.receive_message(compressed) is None
        assert connection.receive_data(compressed) == ["Hello"]
        assert connection.receive_message(text("hello")) == "hello"


@FUZZ
@given(noises())
def test_noise(data: bytes) -> None:
    """Whatever comes, a message of the short way is the first of the long one."""
    message = WebSocketConnection(LIMIT).receive_message(data)
    if message is not None:
        assert WebSocketConnection(LIMIT).receive_data(data)[0] == message
