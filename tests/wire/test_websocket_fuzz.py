"""Invariants of a WebSocket connection, whatever the client sends."""

from typing import NamedTuple

from hypothesis import example, given
from hypothesis import strategies as st

from fairway.wire.websocket import Closed, Event, Ping, State, WebSocketConnection
from tests.wire.client import (
    CLOSE,
    MASK,
    PONG,
    TEXT,
    close,
    continuation,
    goodbye,
    header,
    joined,
    mask,
    text,
    unmasked,
)
from tests.wire.streams import FUZZ, Stream, chunked, conversations, noises
from tests.wire.utf8 import good_bytes, is_text

limits = st.sampled_from([0, 1, 50, 125, 126, 300])
NOT_UTF_8 = "A text message is not valid UTF-8."


class Outcome(NamedTuple):
    """All that can be seen of a connection from outside."""

    events: list[Event]
    replies: bytes
    state: State


def run(
    chunks: list[bytes],
    *,
    max_message_size: int = 0,
    max_frame_size: int = 0,
    closing: bool = False,
) -> Outcome:
    """What a new connection makes of ``chunks``; ``closing`` after the server's Close."""
    connection = WebSocketConnection(max_message_size, max_frame_size)
    if closing:
        connection.send_close()
    events = joined(connection.receive_data(chunk) for chunk in chunks)
    return Outcome(events, connection.data_to_send(), connection.state)


def octets(data: bytes) -> list[bytes]:
    """``data`` in chunks of one byte."""
    return [data[index : index + 1] for index in range(len(data))]


def assert_sound(outcome: Outcome, *, closing: bool) -> None:
    """Closed is last and once, and the replies are what the events ask for, and nothing more."""
    events, replies, state = outcome
    closed = [event for event in events if isinstance(event, Closed)]
    if not closed:
        assert state is (State.CLOSE_SENT if closing else State.OPEN)
        last = b""
    else:
        assert closed == events[-1:]
        assert state in (State.CLOSED, State.FAILED)
        code, reason = closed[0].code, closed[0].reason
        if state is State.FAILED:
            assert code in (1002, 1007, 1009)
            last = goodbye(code, reason)
        else:
            last = goodbye(None if code == 1005 else code)
    if closing:
        assert events == closed
        assert replies == b""
    else:
        pongs = [unmasked(PONG, event.payload) for event in events if type(event) is Ping]
        assert replies == b"".join(pongs) + last


class TestAnything:
    """Bytes lead to events or to Closed, and never to an exception."""

    @FUZZ
    @given(st.binary(max_size=200) | noises(), limits, limits, st.booleans())
    @example(header(0x82, (1 << 63) - 1), 0, 0, False)
    @example(close(1000) + close(1000), 0, 0, False)
    @example(text(b"\xed\xa0", fin=False), 0, 0, False)
    def test_outcome(self, data: bytes, message: int, frame: int, closing: bool) -> None:
        """The outcome is sound, and the same in one chunk and byte by byte."""
        outcome = run([data], max_message_size=message, max_frame_size=frame, closing=closing)
        assert_sound(outcome, closing=closing)
        assert outcome == run(
            octets(data), max_message_size=message, max_frame_size=frame, closing=closing
        )

    @FUZZ
    @given(noises().flatmap(chunked), limits, limits, st.booleans())
    def test_chunks(self, chunks: list[bytes], message: int, frame: int, closing: bool) -> None:
        """Where the network cuts makes no difference."""
        assert run(chunks, max_message_size=message, max_frame_size=frame, closing=closing) == run(
            [b"".join(chunks)], max_message_size=message, max_frame_size=frame, closing=closing
        )

    @FUZZ
    @given(noises(), st.binary(max_size=50))
    def test_end(self, data: bytes, more: bytes) -> None:
        """The end of input closes what is open, and then nothing has any effect."""
        connection = WebSocketConnection()
        events = connection.receive_data(data)
        over = any(isinstance(event, Closed) for event in events)
        assert connection.receive_eof() == ([] if over else [Closed(1006, "")])
        assert connection.receive_data(more) == []
        assert connection.receive_eof() == []


class TestRoundTrip:
    """What a client that keeps to the standard says is what the application hears."""

    @FUZZ
    @given(conversations().flatmap(lambda stream: st.tuples(st.just(stream), chunked(stream.data))))
    def test_conversation(self, case: tuple[Stream, list[bytes]]) -> None:
        """Messages in any fragments, control frames between them, any masks, any chunks."""
        stream, chunks = case
        assert run(chunks) == Outcome(stream.events, stream.pongs, State.OPEN)

    @FUZZ
    @given(conversations(), st.sampled_from([1000, 1001, 3000, 4999]), noises())
    def test_closing(self, stream: Stream, code: int, rest: bytes) -> None:
        """After it the client closes, and whatever follows is discarded."""
        expected = Outcome(
            [*stream.events, Closed(code, "bye")], stream.pongs + goodbye(code), State.CLOSED
        )
        assert run([stream.data + close(code, "bye") + rest]) == expected

    @FUZZ
    @given(conversations())
    def test_within_limits(self, stream: Stream) -> None:
        """Limits that nothing exceeds change nothing."""
        sizes = [
            len(event.encode() if isinstance(event, str) else event)
            for event in stream.events
            if isinstance(event, str | bytes)
        ]
        limit = max([1, *sizes])
        assert run([stream.data], max_message_size=limit, max_frame_size=limit) == run(
            [stream.data]
        )


class TestText:
    """UTF-8, by Unicode's table of well-formed sequences as an independent judge."""

    near_utf_8 = st.lists(
        st.sampled_from(
            [b"a", *(bytes((octet,)) for octet in b"\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf")]
            + [bytes((octet,)) for octet in b"\xe0\xe1\xec\xed\xee\xef\xf0\xf1\xf3\xf4\xf5\xf8\xff"]
            + ["é".encode(), "€".encode(), "👋".encode()]
        ),
        max_size=12,
    ).map(b"".join)

    @FUZZ
    @given(near_utf_8)
    def test_whole(self, payload: bytes) -> None:
        """A text is accepted if and only if it is well-formed."""
        expected: Event = payload.decode() if is_text(payload) else Closed(1007, NOT_UTF_8)
        assert run([text(payload)]).events == [expected]
        assert run(octets(text(payload))).events == [expected]

    @FUZZ
    @given(near_utf_8)
    def test_first_bad_byte(self, payload: bytes) -> None:
        """It is refused at the first byte that no text goes on with, neither earlier nor later."""
        good = good_bytes(payload)
        start = header(0x80 | TEXT, 120) + MASK
        body = mask(payload)
        assert run([start, body[:good]]).events == []
        if good < len(payload):
            bad = [Closed(1007, NOT_UTF_8)]
            assert run([start, body[: good + 1]]).events == bad
            assert run(octets(start + body[: good + 1])).events == bad

    @FUZZ
    @given(near_utf_8)
    def test_fragments(self, payload: bytes) -> None:
        """The same where each byte is a fragment."""
        data = text(b"", fin=False)
        data += b"".join(continuation(octet, fin=False) for octet in octets(payload))
        expected: Event = payload.decode() if is_text(payload) else Closed(1007, NOT_UTF_8)
        assert run([data + continuation(b"")]).events == [expected]


class TestCloseBody:
    """Bodies of a Close frame."""

    @FUZZ
    @given(st.binary(max_size=125) | st.integers(0, 65535).map(lambda code: code.to_bytes(2)))
    def test_any(self, body: bytes) -> None:
        """Any body is a code with a reason, or a violation."""
        (closed,) = run([header(0x80 | CLOSE, len(body)) + MASK + mask(body)]).events
        assert isinstance(closed, Closed)
        code = int.from_bytes(body[:2])
        allowed = code in {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}
        if not body:
            assert closed == Closed(1005, "")
        elif len(body) == 1 or not allowed:
            assert closed.code == 1002
        elif is_text(body[2:]):
            assert closed == Closed(code, body[2:].decode())
        else:
            assert closed.code == 1007
