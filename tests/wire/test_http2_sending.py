"""What waits on the streams of a connection, and in which order it goes: RFC 9113 §5.2."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.wire.http2 import HTTP2Connection
from fairway.wire.http2_events import ErrorCode
from fairway.wire.http2_sending import AT_ONCE, Sending
from tests.wire import http2_client as client
from tests.wire.http2_client import DATA, HEADERS, Frame, Speaker
from tests.wire.streams import FUZZ

#: The windows that a client has which says nothing of them (§6.9.2).
WINDOW = 65_535
FRAME = 16_384


class Peer:
    """A client with some requests, and what the server sends for them."""

    def __init__(self, *stream_ids: int, window: int = WINDOW, room: int = WINDOW) -> None:
        self.server = HTTP2Connection()
        self.server.start()
        self.speaker = Speaker()
        hello = client.PREFACE + client.settings((4, window))
        if room > WINDOW:
            hello += client.window_update(0, room - WINDOW)
        for stream_id in stream_ids:
            hello += self.speaker.headers(stream_id)
        self.server.receive_data(hello, 0.0)
        self.sending = Sending(self.server)
        for stream_id in stream_ids:
            self.server.send_fields(stream_id, [(b":status", b"200")])
        self.sent()

    def sent(self) -> list[Frame]:
        """What has been sent since the last call."""
        return self.speaker.receive(self.server.data_to_send())

    def told(self) -> list[tuple[int, int]]:
        """The same as streams and sizes."""
        return [(each.stream_id, len(each.payload)) for each in self.sent()]

    def open(self, stream_id: int, size: int) -> None:
        """The client makes room."""
        self.server.receive_data(client.window_update(stream_id, size), 0.0)
        self.sending.window_opened(stream_id)


class TestOrder:
    """Who has its turn."""

    def test_in_turns(self) -> None:
        """Each stream says one frame, so a small answer does not wait for a large one."""
        peer = Peer(1, 3, 5, room=10**6)
        peer.sending.add(1, b"x" * 40_000)
        peer.sending.add(3, b"y" * 10, end=True)
        peer.sending.add(5, b"z" * 20_000)
        assert peer.sending.fill(10**6) == [1, 3, 5]
        assert peer.told() == [
            (1, FRAME), (3, 10), (5, FRAME),
            (1, FRAME), (5, 20_000 - FRAME),
            (1, 40_000 - 2 * FRAME),
        ]  # fmt: skip
        assert not peer.sending.waiting

    def test_stops(self) -> None:
        """After so many bytes others may look around; the next turn is the next one's."""
        peer = Peer(1, 3)
        peer.sending.add(1, b"x" * 30_000)
        peer.sending.add(3, b"y" * 30_000)
        assert peer.sending.fill(1) == [1]
        assert peer.sending.ready
        assert peer.sending.fill(1) == [3]
        assert peer.told() == [(1, FRAME), (3, FRAME)]
        assert peer.sending.size(1) == 30_000 - FRAME

    def test_pieces(self) -> None:
        """What the application says in crumbs becomes one frame."""
        peer = Peer(1)
        for _ in range(100):
            peer.sending.add(1, b"ab")
        peer.sending.add(1, b"", end=True)
        peer.sending.fill(10**6)
        (frame,) = peer.sent()
        assert frame == Frame(DATA, client.END_STREAM, 1, b"ab" * 100)

    def test_nothing(self) -> None:
        """Nothing is no frame."""
        peer = Peer(1)
        peer.sending.add(1, b"")
        assert not peer.sending.waiting
        assert not peer.sending.ready
        assert peer.sending.fill(100) == []


class TestWindows:
    """Whose window is shut."""

    def test_stream(self) -> None:
        """A stream without room is left out, and the others go on."""
        peer = Peer(1, 3, window=100)
        peer.sending.add(1, b"x" * 150)
        peer.sending.add(3, b"y" * 50)
        assert peer.sending.fill(10**6) == [1, 3]
        assert peer.told() == [(1, 100), (3, 50)]
        assert not peer.sending.ready
        assert peer.sending.waiting
        assert peer.sending.holds(1)
        peer.open(1, 20)
        assert peer.sending.fill(10**6) == [1]
        peer.open(0, 10**6)
        peer.open(1, 30)
        assert peer.sending.fill(10**6) == [1]
        assert peer.told() == [(1, 20), (1, 30)]
        assert not peer.sending.holds(1)

    def test_connection(self) -> None:
        """Without room for all of them, nobody speaks, and the turns stay as they are."""
        peer = Peer(1, 3, window=10**6)
        peer.sending.add(1, b"x" * 60_000)
        peer.sending.add(3, b"y" * 60_000)
        peer.sending.fill(10**6)
        sizes = peer.told()
        assert sum(size for _, size in sizes) == WINDOW
        assert peer.sending.fill(100) == []
        peer.open(0, 100)
        peer.sending.fill(10**6)
        assert sum(size for _, size in peer.told()) == 100

    def test_end_needs_no_room(self) -> None:
        """The end of a body, and trailers, are sent whatever the windows."""
        peer = Peer(1, 3, 5, window=WINDOW)
        peer.sending.add(1, b"x" * WINDOW)
        peer.sending.fill(10**6)
        peer.sent()
        peer.sending.add(3, b"", end=True)
        peer.sending.add(5, b"", end=True, trailers=[(b"a", b"b")])
        assert peer.sending.ready
        peer.sending.fill(10**6)
        end, trailers = peer.sent()
        assert end == Frame(DATA, client.END_STREAM, 3)
        assert (trailers.kind, trailers.stream_id, trailers.fields) == (HEADERS, 5, [(b"a", b"b")])
        assert trailers.ends

    def test_shrunk(self) -> None:
        """A client may take room back; then it takes more to go on (§6.9.2)."""
        peer = Peer(1, window=1000)
        peer.sending.add(1, b"x" * 1500)
        peer.sending.fill(10**6)
        peer.server.receive_data(client.settings((4, 400)), 0.0)
        peer.sending.window_opened(0)
        assert peer.sending.fill(10**6) == []
        peer.open(1, 600)
        assert peer.sending.fill(10**6) == []
        peer.open(1, 1)
        assert peer.sending.fill(10**6) == [1]
        assert peer.sending.size(1) == 499


class TestEnds:
    """When a stream ends."""

    def test_forget(self) -> None:
        """What waits on a stream that was reset is lost, wherever it waits."""
        peer = Peer(1, 3, window=10)
        for stream_id in (1, 3):
            peer.sending.add(stream_id, b"x" * 20)
        peer.sending.fill(1)
        peer.sending.forget(3)
        peer.sending.fill(10**6)
        peer.sending.forget(1)
        peer.sending.forget(1)
        for stream_id in (1, 3):
            peer.server.reset(stream_id, ErrorCode.CANCEL)
        peer.sending.window_opened(0)
        assert not peer.sending.waiting
        assert not peer.sending.ready
        assert peer.sending.fill(10**6) == []

    @pytest.mark.parametrize("trailers", [None, [(b"a", b"b")]])
    def test_done(self, trailers: list[tuple[bytes, bytes]] | None) -> None:
        """Behind its end a stream is complete."""
        peer = Peer(1)
        peer.sending.add(1, b"abc", end=True, trailers=trailers)
        peer.sending.fill(10**6)
        assert not peer.server.takes(1)
        assert sum(each.ends for each in peer.sent()) == 1


class TestFuzz:
    """Whatever the windows, and whatever is said."""

    @FUZZ
    @given(st.data())
    def test_everything_arrives(self, choice: st.DataObject) -> None:
        """Each byte of each stream arrives once and in order, within the windows."""
        stream_ids = [1, 3, 5]
        peer = Peer(*stream_ids, window=200)
        said = dict.fromkeys(stream_ids, b"")
        heard = dict.fromkeys(stream_ids, b"")
        room = dict.fromkeys(stream_ids, 200)
        number = 0
        for _ in range(choice.draw(st.integers(1, 30))):
            stream_id = choice.draw(st.sampled_from(stream_ids))
            match choice.draw(st.sampled_from(["add", "open", "fill"])):
                case "add":
                    number += 1
                    data = bytes([number % 256]) * choice.draw(st.integers(0, 300))
                    peer.sending.add(stream_id, data)
                    said[stream_id] += data
                case "open":
                    size = choice.draw(st.integers(1, 400))
                    room[stream_id] += size
                    peer.open(stream_id, size)
                case _:
                    peer.sending.fill(choice.draw(st.integers(1, 500)))
            for each in peer.sent():
                heard[each.stream_id] += each.payload
                assert len(heard[each.stream_id]) <= room[each.stream_id]
        for stream_id in stream_ids:
            peer.open(stream_id, 10_000)
        peer.sending.fill(10**6)
        for each in peer.sent():
            heard[each.stream_id] += each.payload
        assert heard == said


class TestAtOnce:
    """Small answers that wait for nobody."""

    def test_small(self) -> None:
        """It is sent with its end, and nothing waits behind it."""
        peer = Peer(1, 3)
        assert peer.sending.finish_at_once(1, b"x" * AT_ONCE)
        assert peer.sending.finish_at_once(3, b"")
        assert not peer.sending.waiting
        assert not peer.server.takes(1)
        assert [(each.stream_id, each.flags, each.payload) for each in peer.sent()] == [
            (1, 1, b"x" * AT_ONCE), (3, 1, b"")
        ]  # fmt: skip

    def test_large(self) -> None:
        """A larger one takes its turn."""
        peer = Peer(1)
        assert not peer.sending.finish_at_once(1, b"x" * (AT_ONCE + 1))
        assert peer.sent() == []

    def test_behind_others(self) -> None:
        """Nobody is overtaken."""
        peer = Peer(1, 3)
        peer.sending.add(1, b"x")
        assert not peer.sending.finish_at_once(3, b"y")
        assert not peer.sending.finish_at_once(1, b"y")
        assert peer.sent() == []

    @pytest.mark.parametrize(("window", "size"), [(4, 5), (WINDOW, 101)])
    def test_no_room(self, window: int, size: int) -> None:
        """It waits for the window of its stream, and for that of the connection."""
        peer = Peer(1, 3, window=window)
        if window == WINDOW:
            peer.sending.add(1, b"x" * (WINDOW - 100))
            peer.sending.fill(WINDOW)
        peer.sent()
        assert not peer.sending.finish_at_once(3, b"y" * size)
        assert peer.sent() == []
        assert peer.sending.finish_at_once(3, b"y" * (size - 1))
