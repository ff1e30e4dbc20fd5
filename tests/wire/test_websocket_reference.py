"""A second opinion: the `websockets` library, as a server, on what clients send.

Both must give the same messages, answer the same Pings and end with the same close code, but for
the differences in `TestKnownDifferences`, each of which has its reason there.
"""

import codecs
from collections.abc import Callable, Iterable

import pytest
import websockets.frames
import websockets.protocol
from hypothesis import given
from hypothesis import strategies as st
from websockets.server import ServerProtocol

from fairway.wire.websocket import Event, Ping, Pong, WebSocketConnection
from tests.wire.client import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    TEXT,
    binary,
    close,
    continuation,
    frame,
    header,
    mask,
    text,
)
from tests.wire.streams import FUZZ, LooseFrame, loose_frames
from tests.wire.utf8 import INVALID, UNFINISHED, VALID, is_text
from tests.wire.verdict import Verdict, ours


class Reference:
    """`websockets` without its I/O, and what its I/O adds: fragments joined, text decoded."""

    def __init__(self, *, message: int = 0, fragment: int = 0) -> None:
        limits = (message or None, fragment or None)
        self.protocol = ServerProtocol(state=websockets.protocol.OPEN, max_size=limits)
        self._is_text = False
        self._message = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def verdict(self, frames: Iterable[bytes]) -> Verdict:
        """Its verdict on whole frames."""
        events: list[Event] = []
        for data in frames:
            self.protocol.receive_data(data)
            for received in self.protocol.events_received():
                assert isinstance(received, websockets.frames.Frame)
                events += self._event(received)
            if self.protocol.close_sent is not None:
                return Verdict(events, int(self.protocol.close_sent.code))
        return Verdict(events, None)

    def _event(self, received: websockets.frames.Frame) -> list[Event]:
        data = bytes(received.data)
        if received.opcode == CLOSE:
            return []
        if received.opcode in (PING, PONG):
            return [Ping(data) if received.opcode == PING else Pong(data)]
        if received.opcode != CONTINUATION:
            self._is_text = received.opcode == TEXT
            self._message = b""
            self._decoder.reset()
        self._message += data
        if self._is_text:
            try:
                self._decoder.decode(data, received.fin)
            except UnicodeDecodeError:
                self.protocol.fail(1007)
                return []
        if not received.fin:
            return []
        return [self._message.decode() if self._is_text else self._message]


def theirs(frames: Iterable[bytes], *, message: int = 0, fragment: int = 0) -> Verdict:
    """The reference's verdict on whole frames."""
    return Reference(message=message, fragment=fragment).verdict(frames)


def before_known_difference(frames: list[LooseFrame]) -> list[bytes]:
    """The frames before the first one on which the two are known to differ."""
    within_message = False
    comparable: list[bytes] = []
    for loose in frames:
        if loose.opcode == CLOSE:
            bad_reason = not is_text(loose.payload[2:])
            if within_message or bad_reason:
                break
        elif loose.opcode < CLOSE:
            within_message = not loose.fin
        comparable.append(loose.data)
    return comparable


class TestAgreement:
    """The same verdict as the reference."""

    @FUZZ
    @given(st.lists(loose_frames(), max_size=12))
    def test_frames(self, frames: list[LooseFrame]) -> None:
        """On whole frames with a fault here and there."""
        data = before_known_difference(frames)
        assert ours(data) == theirs(data)

    @FUZZ
    @given(st.lists(st.binary(max_size=60), max_size=10), st.data())
    def test_limits(self, payloads: list[bytes], data: st.DataObject) -> None:
        """On messages in fragments, some beyond the limits."""
        message, fragment = (
            data.draw(st.sampled_from([0, 20, 40, 60, 100]), label="limit") for _ in range(2)
        )
        fins = data.draw(st.lists(st.booleans(), min_size=len(payloads), max_size=len(payloads)))
        starts = [True, *fins]
        frames = [
            (binary if start else continuation)(payload, fin=fin)
            for payload, fin, start in zip(payloads, fins, starts, strict=False)
        ]
        assert ours(frames, message=message, fragment=fragment) == theirs(
            frames, message=message, fragment=fragment
        )

    @pytest.mark.parametrize("first", range(256), ids=hex)
    def test_first_byte(self, first: int) -> None:
        """On each value of a frame's first byte, between messages."""
        frames = [text("1"), header(first, 0) + MASK]
        assert ours(frames) == theirs(frames)

    @pytest.mark.parametrize("first", sorted({*range(256)} - {0x80 | CLOSE}), ids=hex)
    def test_first_byte_within_message(self, first: int) -> None:
        """On each value of a frame's first byte, but for Close, between the parts of a message."""
        frames = [text("1", fin=False), header(first, 0) + MASK]
        assert ours(frames) == theirs(frames)

    @pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
    @pytest.mark.parametrize("length", [0, 2, 125, 126, 127, 65535, 65536])
    def test_length(self, opcode: int, length: int) -> None:
        """On the lengths at each border."""
        payload = b"\x03\xe8" + b"x" * (length - 2) if length else b""
        frames = [frame(opcode, payload)]
        assert ours(frames) == theirs(frames)

    @pytest.mark.parametrize("code", [None, *range(990, 1020), 2999, 3000, 4999, 5000, 65535])
    def test_close_code(self, code: int | None) -> None:
        """On the codes at each border."""
        frames = [text("1"), close(code)]
        assert ours(frames) == theirs(frames)

    def test_utf_8(self) -> None:
        """On text that is UTF-8, is not, and is only its beginning."""
        payloads = [*VALID.values(), *UNFINISHED.values()]
        payloads += [payload for payload, _ in INVALID.values()]
        for payload in payloads:
            frames = [text("before"), text(payload)]
            assert ours(frames) == theirs(frames)


class TestKnownDifferences:
    """Where the two differ, and the reason for what Fairway does."""

    @pytest.mark.parametrize(("octets", "length"), [(2, 5), (8, 5), (8, 300)])
    def test_longer_form(self, octets: int, length: int) -> None:
        """A length in a longer form than needed is refused: §5.2, "the minimal number … MUST"."""
        frames = [header(0x82, length, octets=octets) + MASK + mask(bytes(length))]
        assert ours(frames) == Verdict([], 1002)
        assert theirs(frames) == Verdict([bytes(length)], None)

    def test_top_bit(self) -> None:
        """A length above 2**63 - 1 is wrong (§5.2), where `websockets` finds it big at most."""
        frames = [header(0x82, 1 << 63)]
        assert ours(frames) == ours(frames, message=100) == Verdict([], 1002)
        assert theirs(frames) == Verdict([], None)
        assert theirs(frames, message=100) == Verdict([], 1009)

    @pytest.mark.parametrize("start", [text, binary])
    def test_close_within_message(self, start: Callable[..., bytes]) -> None:
        """A client may close within a message: §5.4, control frames may stand between."""
        frames = [start(b"half", fin=False), close(1001)]
        assert ours(frames) == Verdict([], 1001)
        assert theirs(frames) == Verdict([], 1002)

    def test_bad_code_and_reason(self) -> None:
        """A Close is judged from its start, so a bad code counts before a bad reason."""
        frames = [frame(CLOSE, b"\x03\xed\xff")]
        assert ours(frames) == Verdict([], 1002)
        assert theirs(frames) == Verdict([], 1007)

    def test_limits_of_control_frames(self) -> None:
        """Limits are for messages: control frames have theirs by §5.5 and cannot be too big."""
        frames = [binary(bytes(10), fin=False), frame(PING, b"12345"), continuation(b"")]
        assert ours(frames, message=12) == Verdict([Ping(b"12345"), bytes(10)], None)
        assert theirs(frames, message=12) == Verdict([], 1009)

    def test_two_faults(self) -> None:
        """Each byte is judged when it comes, so of two faults the first one names the code."""
        frames = [continuation(bytes(20))]
        assert ours(frames, message=12) == Verdict([], 1002)
        assert theirs(frames, message=12) == Verdict([], 1009)

    @pytest.mark.parametrize(
        ("data", "answered_at", "code"),
        [
            (frame(TEXT, b"hi", reserved=4), 1, 1002),
            (frame(PING, b"hi", fin=False), 1, 1002),
            (continuation(b"hi"), 1, 1002),
            (frame(PING, bytes(126)), 2, 1002),
            (text(b"hi\xff, and so on"), 9, 1007),
        ],
        ids=["reserved bit", "fragmented", "continuation", "long Ping", "UTF-8"],
    )
    def test_early(self, data: bytes, answered_at: int, code: int) -> None:
        """A fault is answered at once, where `websockets` first reads the frame to its end."""
        assert ours([data[: answered_at - 1]]) == Verdict([], None)
        assert ours([data[:answered_at]]) == Verdict([], code)
        assert theirs([data[:-1]]) == Verdict([], None)
        assert theirs([data]) == Verdict([], code)

    def test_ping_after_close(self) -> None:
        """A Ping after the server's Close gets no Pong, which no client would read (§1.4)."""
        connection = WebSocketConnection()
        connection.send_close()
        assert connection.receive_data(frame(PING, b"p")) == []
        assert connection.data_to_send() == b""
        reference = ServerProtocol(state=websockets.protocol.OPEN)
        reference.send_close(1000)
        reference.receive_data(frame(PING, b"p"))
        assert reference.data_to_send() == [b"\x88\x02\x03\xe8", b"\x8a\x01p"]
