"""A third opinion: the `wsproto` library, as a server, on what clients send.

Both must give the same messages and end with the same close code, but for the differences in
`TestKnownDifferences`, each of which has its reason there.
"""

from collections.abc import Iterable

import pytest
import wsproto.connection
import wsproto.events
from hypothesis import given
from hypothesis import strategies as st

from fairway.wire.websocket import Event, Ping, Pong, WebSocketConnection
from tests.wire.client import (
    BINARY,
    CLOSE,
    MASK,
    PING,
    PONG,
    TEXT,
    close,
    continuation,
    frame,
    header,
    mask,
    text,
)
from tests.wire.streams import FUZZ, LooseFrame, Stream, conversations, loose_frames
from tests.wire.utf8 import INVALID, UNFINISHED, VALID
from tests.wire.verdict import Verdict, ours


def theirs(data: Iterable[bytes]) -> Verdict:
    """The reference's verdict; it gives a message in pieces, which are joined here."""
    connection = wsproto.connection.Connection(wsproto.connection.ConnectionType.SERVER)
    events: list[Event] = []
    parts: list[str | bytes] = []
    for piece in data:
        connection.receive_data(piece)
        for event in connection.events():
            if isinstance(event, wsproto.events.CloseConnection):
                return Verdict(events, int(event.code))
            if isinstance(event, wsproto.events.Message):
                parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
                if event.message_finished:
                    joined: str | bytes = b"" if isinstance(parts[0], bytes) else ""
                    for part in parts:
                        joined += part  # type: ignore[operator]  # all parts are of one type
                    events.append(joined)
                    parts.clear()
            elif isinstance(event, wsproto.events.Ping):
                events.append(Ping(bytes(event.payload)))
            else:
                assert isinstance(event, wsproto.events.Pong)
                events.append(Pong(bytes(event.payload)))
    return Verdict(events, None)


class TestAgreement:
    """The same verdict as the reference."""

    @FUZZ
    @given(st.lists(loose_frames(), max_size=12))
    def test_frames(self, frames: list[LooseFrame]) -> None:
        """On whole frames with a fault here and there."""
        # 1014 is among the known differences.
        data = [loose.data for loose in frames if loose.payload[:2] != b"\x03\xf6"]
        assert ours(data) == theirs(data)

    @FUZZ
    @given(conversations(), st.integers(0, 2000))
    def test_conversations(self, stream: Stream, place: int) -> None:
        """On what a client says that keeps to the standard, cut anywhere."""
        pieces = [stream.data[:place], stream.data[place:]]
        assert ours(pieces) == theirs(pieces) == Verdict(stream.events, None)

    @pytest.mark.parametrize("first", range(256), ids=hex)
    def test_first_byte(self, first: int) -> None:
        """On each value of a frame's first byte, between messages."""
        frames = [text("1"), header(first, 0) + MASK]
        assert ours(frames) == theirs(frames)

    @pytest.mark.parametrize("first", range(256), ids=hex)
    def test_first_byte_within_message(self, first: int) -> None:
        """On each value of a frame's first byte, between the parts of a message."""
        frames = [text("1", fin=False), header(first, 0) + MASK]
        assert ours(frames) == theirs(frames)

    @pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
    @pytest.mark.parametrize("length", [0, 2, 125, 126, 127, 65535, 65536])
    def test_length(self, opcode: int, length: int) -> None:
        """On the lengths at each border."""
        payload = b"\x03\xe8" + b"x" * (length - 2) if length else b""
        frames = [frame(opcode, payload)]
        assert ours(frames) == theirs(frames)

    @pytest.mark.parametrize(("octets", "length"), [(2, 5), (8, 5), (8, 300)])
    def test_longer_form(self, octets: int, length: int) -> None:
        """On a length in a longer form than needed: §5.2, "the minimal number … MUST"."""
        frames = [header(0x82, length, octets=octets) + MASK + mask(bytes(length))]
        assert ours(frames) == theirs(frames) == Verdict([], 1002)

    @pytest.mark.parametrize(
        "code", [None, *range(990, 1014), 1015, 1016, 2999, 3000, 4999, 5000, 65535]
    )
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

    @pytest.mark.parametrize("body", [b"\x03\xed\xff", b"\x03\xe8\xff", b"\x03"])
    def test_close_body(self, body: bytes) -> None:
        """On a Close with a bad code, a bad reason, both, or half a code."""
        frames = [frame(CLOSE, body)]
        assert ours(frames) == theirs(frames)


class TestKnownDifferences:
    """Where the two differ, and the reason for what Fairway does."""

    def test_bad_gateway(self) -> None:
        """1014 was registered later (IANA, §11.7), so a Close may carry it."""
        assert ours([close(1014)]) == Verdict([], 1014)
        assert theirs([close(1014)]) == Verdict([], 1002)

    @pytest.mark.parametrize(
        "data",
        [frame(TEXT, b"hi", reserved=4), frame(PING, b"hi", fin=False), continuation(b"hi")],
        ids=["reserved bit", "fragmented", "continuation"],
    )
    def test_early(self, data: bytes) -> None:
        """A bad first byte is answered at once (§7.1.7), where `wsproto` waits for the header."""
        assert ours([data[:1]]) == Verdict([], 1002)
        assert theirs([data[:1]]) == Verdict([], None)
        assert theirs([data]) == Verdict([], 1002)

    def test_after_close(self) -> None:
        """What comes after the server's Close has no reader any more (§1.4)."""
        connection = WebSocketConnection()
        connection.send_close()
        assert connection.receive_data(frame(PING, b"p") + text("x")) == []
        reference = wsproto.connection.Connection(wsproto.connection.ConnectionType.SERVER)
        reference.send(wsproto.events.CloseConnection(code=1000))
        reference.receive_data(frame(PING, b"p") + text("x"))
        assert len(list(reference.events())) == 2
