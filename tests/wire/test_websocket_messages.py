"""Messages from the client: fragmentation (RFC 6455 §5.4), data (§5.6) and UTF-8 (§8.1)."""

from typing import Final

import pytest
from websockets.utils import apply_mask

from fairway.wire import websocket_reader
from fairway.wire.websocket import Closed, Event, Ping, Pong, State, WebSocketConnection
from tests.wire import utf8
from tests.wire.client import (
    BINARY,
    MASK,
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
    joined,
    mask,
    text,
)

NOTHING_TO_CONTINUE: Final = "A continuation frame came without a message to continue."
NOT_COMPLETE: Final = "A new message began before the last one was complete."
NOT_UTF_8: Final = "A text message is not valid UTF-8."


def assert_fails(client: Client, code: int, reason: str) -> None:
    """The client has heard why the connection failed, and nothing else."""
    assert client.hears() == goodbye(code, reason)
    assert client.state is State.FAILED


class TestMessages:
    """§5.6: text and binary messages in one frame."""

    @pytest.mark.parametrize("message", ["", "hi", "Καλημέρα", "🛶", "a\x00b", "\n"])
    def test_text(self, client: Client, message: str) -> None:
        """A text message is a `str`."""
        assert client.says(text(message)) == [message]
        assert client.hears() == b""

    @pytest.mark.parametrize("message", [b"", b"hi", b"\x00\xff", bytes(range(256))])
    def test_binary(self, client: Client, message: bytes) -> None:
        """A binary message is `bytes`, of any value."""
        (event,) = client.says(binary(message))
        assert (type(event), event) == (bytes, message)
        assert client.hears() == b""

    def test_in_order(self, client: Client) -> None:
        """Messages are given in the order in which they came, empty ones too."""
        data = text("1") + binary(b"2") + text("") + binary(b"") + text("3" * 300) + text("4")
        assert client.says(data) == ["1", b"2", "", b"", "3" * 300, "4"]

    def test_nothing(self, client: Client) -> None:
        """An empty chunk changes nothing, wherever it comes."""
        data = text("hi")
        assert client.connection.receive_data(b"") == []
        for octet in data[:-1]:
            assert client.says(bytes((octet,))) == []
            assert client.connection.receive_data(b"") == []
        assert client.says(data[-1:]) == ["hi"]


class TestFragmentation:
    """§5.4: a message in several frames."""

    def test_text(self, client: Client) -> None:
        """Fragments of text make one text."""
        data = text("Hel", fin=False) + continuation(b"l", fin=False) + continuation(b"o")
        assert client.says(data) == ["Hello"]

    def test_binary(self, client: Client) -> None:
        """Fragments of binary data make one `bytes`."""
        data = binary(b"\xf0\x9f", fin=False) + continuation(b"\x9b", fin=False)
        (event,) = client.says(data + continuation(b"\xff"))
        assert (type(event), event) == (bytes, b"\xf0\x9f\x9b\xff")

    @pytest.mark.parametrize("position", range(6))
    def test_empty_fragment(self, client: Client, position: int) -> None:
        """An empty fragment adds nothing, be it first, last or between."""
        parts = ["H", "e", "l", "l", "o"]
        parts.insert(position, "")
        data = text(parts[0], fin=False)
        data += b"".join(continuation(part.encode(), fin=False) for part in parts[1:-1])
        assert client.says(data + continuation(parts[-1].encode())) == ["Hello"]

    @pytest.mark.parametrize("count", [2, 3, 10])
    def test_only_empty_fragments(self, client: Client, count: int) -> None:
        """Empty fragments alone make an empty message."""
        middle = continuation(b"", fin=False) * (count - 2)
        assert client.says(text("", fin=False) + middle + continuation(b"")) == [""]
        assert client.says(binary(b"", fin=False) + middle + continuation(b"")) == [b""]

    def test_bytes_as_fragments(self, client: Client) -> None:
        """Fragments may be cut anywhere, also within a character."""
        octets = [bytes((octet,)) for octet in utf8.KOSME]
        data = text(octets[0], fin=False)
        data += b"".join(continuation(octet, fin=False) for octet in octets[1:-1])
        assert client.says(data + continuation(octets[-1])) == ["κόσμε"]

    def test_kinds_follow_each_other(self, client: Client) -> None:
        """A fragmented message leaves no trace in the next one, of whichever kind."""
        data = text("1", fin=False) + continuation(b"2") + binary(b"\xff", fin=False)
        data += continuation(b"\xfe") + text("3") + binary(b"\xff") + text("4", fin=False)
        assert client.says(data + continuation(b"5")) == ["12", b"\xff\xfe", "3", b"\xff", "45"]

    def test_control_frames_between(self, client: Client) -> None:
        """Control frames "MAY be injected in the middle of a fragmented message", in order."""
        data = text("Hel", fin=False) + frame(PING, b"1") + continuation(b"l", fin=False)
        data += frame(PONG, b"2") + frame(PING, b"3") + continuation(b"o") + frame(PING, b"")
        assert client.says(data) == [Ping(b"1"), Pong(b"2"), Ping(b"3"), "Hello", Ping(b"")]
        assert client.hears() == b"\x8a\x011\x8a\x013\x8a\x00"

    def test_control_frame_within_character(self, client: Client) -> None:
        """A control frame between the bytes of a character is no part of it."""
        data = text(b"\xf0\x9f", fin=False) + frame(PING, b"\xff") + continuation(b"\x9b\xb6")
        assert client.says(data) == [Ping(b"\xff"), "🛶"]

    def test_close_between(self, client: Client) -> None:
        """A Close between fragments ends the connection, and the message is lost."""
        data = text("Hel", fin=False) + close(1001, "leaving") + continuation(b"lo")
        assert client.says(data) == [Closed(1001, "leaving")]
        assert client.hears() == goodbye(1001)
        assert client.state is State.CLOSED

    @pytest.mark.parametrize("fin", [True, False], ids=["final", "not final"])
    @pytest.mark.parametrize(
        "before",
        [b"", text("whole"), text("a", fin=False) + continuation(b"b"), frame(PONG, b"p")],
        ids=["first", "after a message", "after fragments", "after a Pong"],
    )
    def test_nothing_to_continue(self, client: Client, before: bytes, fin: bool) -> None:
        """A continuation frame without a message fails the connection at its first byte."""
        client.says(before)
        data = continuation(b"x", fin=fin)
        assert client.says(data[:1]) == [Closed(1002, NOTHING_TO_CONTINUE)]
        assert_fails(client, 1002, NOTHING_TO_CONTINUE)

    @pytest.mark.parametrize("fin", [True, False], ids=["final", "not final"])
    @pytest.mark.parametrize("second", [TEXT, BINARY])
    @pytest.mark.parametrize("first", [TEXT, BINARY])
    def test_not_complete(self, client: Client, first: int, second: int, fin: bool) -> None:
        """A new message within another fails the connection at its first byte."""
        assert client.says(frame(first, b"1", fin=False) + continuation(b"2", fin=False)) == []
        data = frame(second, b"3", fin=fin)
        assert client.says(data[:1]) == [Closed(1002, NOT_COMPLETE)]
        assert_fails(client, 1002, NOT_COMPLETE)


class TestUTF8:
    """§8.1: bytes that are no UTF-8 fail the connection with 1007, as soon as that is certain."""

    @pytest.mark.parametrize("payload", utf8.VALID.values(), ids=utf8.VALID)
    def test_valid(self, client: Client, payload: bytes) -> None:
        """Whatever Unicode calls well-formed is a text."""
        assert client.says(text(payload)) == [payload.decode()]
        assert client.says(text(b"ab" + payload + b"c")) == ["ab" + payload.decode() + "c"]

    @pytest.mark.parametrize(("payload", "good"), utf8.INVALID.values(), ids=utf8.INVALID)
    def test_invalid(self, client: Client, payload: bytes, good: int) -> None:
        """Whatever is not well-formed fails the connection."""
        assert client.says(text("before") + text("κ".encode() + payload + b"x")) == [
            "before",
            Closed(1007, NOT_UTF_8),
        ]
        assert_fails(client, 1007, NOT_UTF_8)

    @pytest.mark.parametrize(("payload", "good"), utf8.INVALID.values(), ids=utf8.INVALID)
    def test_at_first_bad_byte(self, client: Client, payload: bytes, good: int) -> None:
        """The first bad byte is answered when it comes, though its frame goes on."""
        body = mask(utf8.KOSME + payload)
        good += len(utf8.KOSME)
        assert client.says(header(0x80 | TEXT, 1000) + MASK + body[:good]) == []
        assert client.says(body[good : good + 1]) == [Closed(1007, NOT_UTF_8)]
        assert_fails(client, 1007, NOT_UTF_8)

    @pytest.mark.parametrize(("payload", "good"), utf8.INVALID.values(), ids=utf8.INVALID)
    def test_at_first_bad_fragment(self, client: Client, payload: bytes, good: int) -> None:
        """The same where each byte is a fragment and the message goes on."""
        assert client.says(text(utf8.KOSME, fin=False)) == []
        for octet in payload[:good]:
            assert client.says(continuation(bytes((octet,)), fin=False)) == []
        bad = payload[good : good + 1]
        assert client.says(continuation(bad, fin=False)) == [Closed(1007, NOT_UTF_8)]
        assert_fails(client, 1007, NOT_UTF_8)

    @pytest.mark.parametrize(("payload", "good"), utf8.INVALID.values(), ids=utf8.INVALID)
    def test_table(self, payload: bytes, good: int) -> None:
        """The table of these tests agrees with Unicode's own table of what is well-formed."""
        assert utf8.good_bytes(payload) == good

    @pytest.mark.parametrize("payload", utf8.UNFINISHED.values(), ids=utf8.UNFINISHED)
    def test_unfinished(self, client: Client, payload: bytes) -> None:
        """A text that ends within a character fails the connection at its last byte."""
        data = text(payload)
        assert client.says(data[:-1]) == []
        assert client.says(data[-1:]) == [Closed(1007, NOT_UTF_8)]
        assert_fails(client, 1007, NOT_UTF_8)

    @pytest.mark.parametrize("payload", utf8.UNFINISHED.values(), ids=utf8.UNFINISHED)
    def test_unfinished_by_empty_fragment(self, client: Client, payload: bytes) -> None:
        """The same where the last fragment is empty: till then the character might go on."""
        assert client.says(text(payload, fin=False) + continuation(b"", fin=False)) == []
        assert client.says(continuation(b"")) == [Closed(1007, NOT_UTF_8)]
        assert_fails(client, 1007, NOT_UTF_8)

    @pytest.mark.parametrize("payload", utf8.UNFINISHED.values(), ids=utf8.UNFINISHED)
    def test_unfinished_is_forgotten(self, client: Client, payload: bytes) -> None:
        """Each text stands for itself: the next one cannot finish what the last one began."""
        data = text(payload) + text(b"\x80\xbf")
        assert client.says(data) == [Closed(1007, NOT_UTF_8)]

    def test_binary(self, client: Client) -> None:
        """Binary messages are not checked, whole or in fragments, not even after a text."""
        bad = b"\xff\xc0\x80"
        data = text("1", fin=False) + continuation(b"2") + binary(bad, fin=False)
        assert client.says(data + continuation(bad) + binary(bad)) == ["12", bad * 2, bad]

    def test_prefixes(self, client: Client) -> None:
        """Of the beginnings of a word, those that end with a character are texts."""
        word = utf8.KOSME
        before = client.connection
        for length in range(len(word) + 1):
            client.connection = before
            expected: list[Event] = [Closed(1007, NOT_UTF_8)]
            if utf8.is_text(word[:length]):
                expected = [word[:length].decode()]
            assert client.says(text(word[:length])) == expected

    def test_after_close(self, client: Client) -> None:
        """Text is also checked after the server's Close, when it is read for nobody."""
        client.connection.send_close()
        assert client.says(text("good")) == []
        assert client.says(text(b"\xff")) == [Closed(1007, NOT_UTF_8)]
        assert client.hears() == b""
        assert client.state is State.FAILED


class TestLongMessages:
    """Messages that come in many chunks cost as much as their bytes, not more."""

    SIZE: Final = 1 << 20

    @pytest.mark.parametrize("chunk", [1000, 4096, 65536, 1 << 20])
    @pytest.mark.parametrize("kind", ["text", "binary", "fragments"])
    def test_megabyte(self, kind: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """A mebibyte in chunks is given whole, and each of its bytes is unmasked once."""
        sizes: list[int] = []

        def unmask(data: bytes, key: bytes) -> bytes:
            sizes.append(len(data))
            return apply_mask(data, key)

        monkeypatch.setattr(websocket_reader, "apply_mask", unmask)
        payload = ("κόσμε, world! " * (self.SIZE // 19 + 1)).encode()[: self.SIZE - 2] + b"!!"
        assert utf8.is_text(payload)
        if kind == "fragments":
            data = text(payload[:1], fin=False) + b"".join(
                continuation(payload[start : start + 999], fin=start + 999 >= self.SIZE)
                for start in range(1, self.SIZE, 999)
            )
        else:
            data = (binary if kind == "binary" else text)(payload)
        connection = WebSocketConnection(self.SIZE, self.SIZE)
        events = joined(
            connection.receive_data(data[start : start + chunk])
            for start in range(0, len(data), chunk)
        )
        assert events == [payload if kind == "binary" else payload.decode()]
        assert sum(sizes) == self.SIZE

    def test_many_short(self) -> None:
        """Thousands of short messages in chunks that cut them anywhere are all given."""
        connection = WebSocketConnection(125, 125)
        messages = [str(number) for number in range(10_000)]
        data = b"".join(text(message) for message in messages)
        events = joined(
            connection.receive_data(data[start : start + 997]) for start in range(0, len(data), 997)
        )
        assert events == messages
