"""Events, replies and what a WebSocket connection sends; RFC 6455 §5 to §7.

The table of states is in `test_websocket_states`; what clients send in `test_websocket_frames`,
`test_websocket_messages` and `test_websocket_close`; inputs that nobody thought of in
`test_websocket_fuzz`; a second opinion on them in `test_websocket_reference`.
"""

from collections.abc import Callable

import pytest

from fairway.wire.prepared import PreparedMessage
from fairway.wire.websocket import Closed, Event, Ping, Pong, WebSocketConnection
from tests.wire.client import (
    BINARY,
    PING,
    TEXT,
    Client,
    close,
    frame,
    goodbye,
    text,
    unmasked,
)


class TestClosed:
    """The last event, and what is left of the connection after it."""

    def test_once(self, client: Client) -> None:
        """Closed is given once, whatever still arrives."""
        assert client.says(close(1000)) == [Closed(1000, "")]
        assert client.says(close(1001)) == []
        assert client.leaves() == []

    def test_plain_number(self, client: Client) -> None:
        """The code is a number and no enum's member, since applications log and serialise it."""
        (closed,) = client.says(unmasked(TEXT))
        assert isinstance(closed, Closed)
        assert type(closed.code) is int

    def test_lets_go(self, client: Client) -> None:
        """The received part of a message is not kept beyond the end of the connection."""
        client.says(text("x" * 100, fin=False))
        client.leaves()
        assert client.connection._message is None


class TestReplies:
    """`data_to_send`: what the connection says by itself."""

    def test_handed_out_once(self, client: Client) -> None:
        """Replies are handed out once."""
        client.says(frame(PING, b"1"))
        assert client.hears() == b"\x8a\x011"
        assert client.hears() == b""

    def test_in_order(self, client: Client) -> None:
        """Replies stand in the order of what they answer, also over several chunks."""
        client.says(frame(PING, b"1") + frame(PING, b"2"))
        client.says(frame(PING, b"3") + close(1000))
        assert client.hears() == b"\x8a\x011\x8a\x012\x8a\x013" + goodbye(1000)

    def test_outlive_the_end(self, client: Client) -> None:
        """What was to be said is still handed out after the client has gone."""
        client.says(frame(PING, b"1"))
        client.leaves()
        assert client.hears() == b"\x8a\x011"


class TestSending:
    """Frames from the server, §5.1 and §6.1: one frame for each message, never masked."""

    @pytest.mark.parametrize("message", ["", "hi", "Καλημέρα", "🛶", "x" * 125, "x" * 126])
    def test_text(self, message: str) -> None:
        """A text message is one final text frame of UTF-8."""
        sent = WebSocketConnection().send_text(message)
        assert sent == unmasked(TEXT, message.encode())

    @pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536])
    def test_binary(self, length: int) -> None:
        """A binary message is one final binary frame with the shortest form of its length."""
        assert WebSocketConnection().send_binary(b"\x00" * length) == unmasked(
            BINARY, b"\x00" * length
        )

    def test_surrogate(self) -> None:
        """Text that UTF-8 cannot carry is refused, and the connection stays usable (§5.6)."""
        connection = WebSocketConnection()
        with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
            connection.send_text("half \ud83d")
        assert connection.send_text("whole") == b"\x81\x05whole"

    @pytest.mark.parametrize("payload", [b"", b"beat", b"x" * 125])
    def test_ping(self, payload: bytes) -> None:
        """A Ping carries up to 125 bytes (§5.5.2)."""
        assert WebSocketConnection().send_ping(payload) == unmasked(PING, payload)

    def test_empty_ping(self) -> None:
        """A Ping needs no payload."""
        assert WebSocketConnection().send_ping() == b"\x89\x00"

    def test_long_ping(self) -> None:
        """A Ping of more than 125 bytes is the caller's mistake (§5.5)."""
        with pytest.raises(ValueError, match=r"^A Ping carries at most 125 bytes, not 126\.$"):
            WebSocketConnection().send_ping(b"x" * 126)

    def test_prepared(self) -> None:
        """A message prepared for many is the frame that the connection would send."""
        connection = WebSocketConnection()
        assert PreparedMessage("hi").plain == connection.send_text("hi")
        assert PreparedMessage(b"hi").plain == connection.send_binary(b"hi")


class TestEvents:
    """Events are values."""

    @pytest.mark.parametrize("make", [lambda: Ping(b"1"), lambda: Pong(b"1"), lambda: Closed(1000)])
    def test_equal(self, make: Callable[[], Event]) -> None:
        """Events of the same kind and content are equal, and equal keys of a dictionary."""
        assert make() == make()
        assert {make(): 1}[make()] == 1

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (Ping(b"1"), Ping(b"2")),
            (Pong(b"1"), Pong(b"2")),
            (Ping(b"1"), Pong(b"1")),
            (Pong(b"1"), b"1"),
            (Closed(1000), Closed(1001)),
            (Closed(1000, "a"), Closed(1000, "b")),
            (Closed(1000), 1000),
        ],
    )
    def test_different(self, one: object, other: object) -> None:
        """Events of another kind or content are different."""
        assert one != other

    def test_ping_and_pong(self) -> None:
        """A Pong is a kind of Ping, but a Ping is no Pong."""
        assert isinstance(Pong(b""), Ping)
        assert not isinstance(Ping(b""), Pong)

    @pytest.mark.parametrize(
        ("event", "shown"),
        [
            (Ping(b"1"), "Ping(b'1')"),
            (Pong(b""), "Pong(b'')"),
            (Closed(1000), "Closed(1000, '')"),
            (Closed(4000, "why"), "Closed(4000, 'why')"),
        ],
    )
    def test_shown(self, event: Event, shown: str) -> None:
        """An event is shown as the expression that makes it."""
        assert repr(event) == shown
