"""Whatever bytes a client of HTTP/2 sends."""

from hypothesis import given
from hypothesis import strategies as st

from fairway.wire.http2 import HTTP2Connection
from fairway.wire.http2_events import ConnectionFailed, Event, HTTP2Limits, StreamReset
from fairway.wire.http2_sending import Sending
from tests.wire import http2_client as client
from tests.wire.http2_client import CONNECT, GET, POST, Frame, Speaker, frame
from tests.wire.streams import FUZZ

HELLO = client.PREFACE + client.settings()
#: Small limits, which are met.
LIMITS = HTTP2Limits(
    streams=4, resets=8, control_frames=30, header_size=400, header_count=6, body_size=50,
    stream_window=1000,
)  # fmt: skip

STREAMS = st.sampled_from([0, 1, 2, 3, 5, 7, 9, 11])
FIELDS = st.sampled_from(
    [GET, POST, CONNECT, [*GET, (b"X", b"")], [(b"x-sum", b"1")],
     [*POST, (b"content-length", b"3")], [*GET, (b"x", b"y" * 500)], [*GET, (b"x", b"y" * 3000)]]
)  # fmt: skip
ANY_FRAME = st.builds(
    frame, st.integers(0, 11), st.integers(0, 255), STREAMS, st.binary(max_size=40)
)
SENSIBLE = st.one_of(
    st.tuples(st.just("headers"), STREAMS, FIELDS, st.booleans()),
    st.builds(client.data, STREAMS, st.binary(max_size=60), end=st.booleans()),
    st.builds(client.reset, STREAMS),
    st.builds(client.window_update, STREAMS, st.integers(0, 2**31 - 1)),
    st.just(client.ping()),
    st.builds(lambda value: client.settings((4, value)), st.integers(0, 2**31)),
    ANY_FRAME,
)


def check(server: HTTP2Connection, events: list[Event]) -> None:
    """What holds after all that happened."""
    failed = [event for event in events if isinstance(event, ConnectionFailed)]
    assert len(failed) == server.failed
    assert not failed or events[-1] is failed[0]
    ended = {event.stream_id for event in events if isinstance(event, StreamReset)}
    assert not any(server.takes(stream_id) for stream_id in ended)
    assert server.open_streams <= 4


def check_resets(sent: list[Frame]) -> None:
    """A stream is reset once at most: it "SHOULD NOT" be more often, §5.4.2, and is not."""
    reset = [each.stream_id for each in sent if each.kind == client.RST_STREAM]
    assert len(reset) == len(set(reset))


class TestFuzz:
    """Nothing is raised, and what is said is whole frames."""

    @FUZZ
    @given(st.binary(max_size=200))
    def test_noise(self, data: bytes) -> None:
        """Behind a hello, anything."""
        server = HTTP2Connection(LIMITS)
        server.start()
        check(server, server.receive_data(HELLO + data, 0.0))
        check_resets(Speaker().receive(server.data_to_send()))

    @FUZZ
    @given(st.lists(SENSIBLE, max_size=25), st.integers(1, 60))
    def test_frames(self, sent: list[object], size: int) -> None:
        """Frames in any order, answered as far as they can be; cut or whole, it is the same."""
        speaker = Speaker()
        data = HELLO
        for each in sent:
            if isinstance(each, tuple):
                _, stream_id, fields, end = each
                data += speaker.headers(stream_id, fields, end=end)
            else:
                assert isinstance(each, bytes)
                data += each
        whole, parts = HTTP2Connection(LIMITS), HTTP2Connection(LIMITS)
        whole.start()
        parts.start()
        events = whole.receive_data(data, 0.0)
        pieces: list[Event] = []
        for start in range(0, len(data), size):
            pieces += parts.receive_data(data[start : start + size], 0.0)
        check(whole, events)
        check(parts, pieces)
        # An oversized frame is known before the frames in front of it were told.
        if not whole.failed:
            assert repr(pieces) == repr(events)
            told = whole.data_to_send()
            assert parts.data_to_send() == told
            check_resets(Speaker().receive(told))

    @FUZZ
    @given(st.lists(SENSIBLE, max_size=20))
    def test_answers(self, sent: list[object]) -> None:
        """A server that answers whatever it may answer never breaks a rule of h2's."""
        speaker = Speaker()
        server = HTTP2Connection(LIMITS)
        server.start()
        sending = Sending(server)
        server.receive_data(HELLO, 0.0)
        begun: set[int] = set()
        told: list[Frame] = []
        for each in sent:
            if isinstance(each, tuple):
                _, stream_id, fields, end = each
                data = speaker.headers(stream_id, fields, end=end)
            else:
                assert isinstance(each, bytes)
                data = each
            for event in server.receive_data(data, 0.0):
                if isinstance(event, StreamReset):
                    sending.forget(event.stream_id)
            if server.failed:
                return
            sending.window_opened(0)
            for stream_id in (1, 3, 5, 7, 9, 11):
                if server.takes(stream_id) and stream_id not in begun:
                    begun.add(stream_id)
                    server.send_fields(stream_id, [(b":status", b"200")])
                    sending.add(stream_id, b"x" * 40_000, end=stream_id % 4 == 1)
            sending.fill(100_000)
            told += speaker.receive(server.data_to_send())
            check_resets(told)
