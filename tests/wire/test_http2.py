"""The server side of an HTTP/2 connection: RFC 9113, in the order of its sections."""

import struct
from collections.abc import Callable

import pytest

from fairway.wire.http1_events import Refusal
from fairway.wire.http2 import HTTP2Connection
from fairway.wire.http2_events import (
    BodyEnded,
    BodyReceived,
    ConnectionFailed,
    ErrorCode,
    Event,
    GoingAway,
    HTTP2Limits,
    Limit,
    PingAnswered,
    RequestReceived,
    RequestRefused,
    StreamReset,
    WindowOpened,
)
from tests.wire import http2_client as client
from tests.wire.http2_client import (
    CONNECT,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GET,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    POST,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    Frame,
    Speaker,
    frame,
)

HELLO = PREFACE + client.settings()


class Peer:
    """A client and a server that have said hello, and no network between them."""

    def __init__(
        self, hello: bytes = HELLO, *, websockets: bool = True, budget: int = 0, **limits: int
    ) -> None:
        self.server = HTTP2Connection(HTTP2Limits(**limits), websockets=websockets, budget=budget)
        self.speaker = Speaker()
        self.now = 100.0
        self.server.start()
        self.hello = self.sent()
        assert self.say(hello) in ([], [WindowOpened(0)])
        self.sent()

    def say(self, data: bytes) -> list[Event]:
        """Send bytes to the server; returns what it makes of them."""
        return self.server.receive_data(data, self.now)

    def request(self, stream_id: int = 1, fields: list[tuple[bytes, bytes]] = GET) -> None:
        """Begin a request that is complete."""
        assert isinstance(self.say(self.speaker.headers(stream_id, fields))[0], RequestReceived)

    def upload(self, stream_id: int = 1, *fields: tuple[bytes, bytes]) -> None:
        """Begin a request whose body follows."""
        events = self.say(self.speaker.headers(stream_id, [*POST, *fields], end=False))
        assert isinstance(events[0], RequestReceived)

    def sent(self) -> list[Frame]:
        """What the server has sent since the last call."""
        return self.speaker.receive(self.server.data_to_send())

    def resets(self) -> list[tuple[int, int]]:
        """The streams that it has reset since then, with the codes; it has said nothing else."""
        found = self.sent()
        assert all(each.kind == RST_STREAM for each in found)
        return [(each.stream_id, each.number) for each in found]


@pytest.fixture
def peer() -> Peer:
    """A connection that has begun."""
    return Peer()


def failed(
    peer: Peer, data: bytes, code: ErrorCode, detail: str, limit: Limit | None = None
) -> None:
    """These bytes end the connection, and its client is told why."""
    events = peer.say(data)
    assert events[-1] == ConnectionFailed(code, detail, limit)
    goaway = peer.sent()[-1]
    assert goaway.kind == GOAWAY
    assert goaway.goaway == (peer.server.last_stream_id, code, detail)
    assert peer.server.failed
    assert peer.server.open_streams == 0
    assert peer.say(client.ping()) == []
    assert peer.sent() == []


class TestPreface:
    """RFC 9113 §3.4."""

    def test_server(self, peer: Peer) -> None:
        """The server begins with its SETTINGS, and opens the window of the connection."""
        first, second = peer.hello
        values = dict(struct.iter_unpack(">HL", first.payload))
        assert (first.kind, first.stream_id) == (SETTINGS, 0)
        assert values == {1: 4096, 4: 262_144, 5: 16_384, 3: 100, 6: 65_536, 8: 1}
        assert (second.kind, second.stream_id, second.number) == (WINDOW_UPDATE, 0, 983_041)

    def test_without_limits(self) -> None:
        """What is not limited is not announced, nor is what is not there."""
        peer = Peer(streams=0, header_size=0, connection_window=65_535, websockets=False)
        (first,) = peer.hello
        assert dict(struct.iter_unpack(">HL", first.payload)) == {1: 4096, 4: 262_144, 5: 16_384}

    def test_client(self) -> None:
        """The preface may come in any pieces; with its SETTINGS the client has settled."""
        server = HTTP2Connection()
        server.start()
        for byte in HELLO[:-1]:
            assert server.receive_data(bytes([byte]), 0.0) == []
            assert not server.settled
        assert server.receive_data(HELLO[-1:], 0.0) == []
        assert server.settled

    @pytest.mark.parametrize(
        "data", [b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\n", b"\x16"]
    )
    def test_wrong(self, data: bytes) -> None:
        """Anything else is no HTTP/2."""
        server = HTTP2Connection()
        detail = "The connection does not begin as HTTP/2 does."
        assert server.receive_data(data, 0.0) == [
            ConnectionFailed(ErrorCode.PROTOCOL_ERROR, detail)
        ]

    @pytest.mark.parametrize("first", [client.ping(), frame(SETTINGS, client.ACK), frame(0x99)])
    def test_no_settings(self, first: bytes) -> None:
        """The first frame has to be one of SETTINGS, and no acknowledgement."""
        server = HTTP2Connection()
        server.start()
        detail = "The first frame is not one of SETTINGS."
        assert server.receive_data(PREFACE + first, 0.0) == [
            ConnectionFailed(ErrorCode.PROTOCOL_ERROR, detail)
        ]


class TestFrames:
    """RFC 9113 §4."""

    def test_byte_by_byte(self, peer: Peer) -> None:
        """How the network cuts frames makes no difference."""
        sent = peer.speaker.headers(1, POST, end=False) + client.data(1, b"abc", end=True)
        events: list[Event] = []
        for byte in sent:
            events += peer.say(bytes([byte]))
        assert isinstance(events[0], RequestReceived)
        assert events[1:] == [BodyReceived(1, b"abc", 3), BodyEnded(1)]

    def test_too_large(self, peer: Peer) -> None:
        """A frame larger than announced ends the connection, before it has arrived (§4.2)."""
        header = struct.pack(">BHBBL", 0, 16_385, DATA, 0, 1)
        failed(peer, header, ErrorCode.FRAME_SIZE_ERROR, "A frame is larger than 16384 bytes.")

    def test_largest(self, peer: Peer) -> None:
        """A frame as large as announced is taken."""
        peer.upload()
        body = b"x" * 16_384
        assert peer.say(client.data(1, body)) == [BodyReceived(1, body, 16_384)]

    def test_unknown(self, peer: Peer) -> None:
        """Frames of unknown types are ignored (§5.5), whatever they say."""
        assert peer.say(frame(0x99, 0xFF, 7, b"?") + frame(0xA, 0, 0, b"ALTSVC")) == []
        peer.request()

    def test_reserved_bit(self, peer: Peer) -> None:
        """The reserved bit of a stream's number is ignored."""
        sent = bytearray(peer.speaker.headers(1))
        sent[5] |= 0x80
        (event,) = peer.say(bytes(sent))
        assert isinstance(event, RequestReceived)
        assert event.stream_id == 1

    def test_undecodable(self, peer: Peer) -> None:
        """Fields that cannot be decoded leave the connection of no use (§4.3)."""
        bad = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff\xff\xff\xff")
        failed(peer, bad, ErrorCode.COMPRESSION_ERROR, "The fields of a request cannot be decoded.")


class TestStreams:
    """RFC 9113 §5.1."""

    @pytest.mark.parametrize(
        "sent",
        [client.data(1, b"x"), client.reset(1), client.window_update(1, 1), client.data(0, b"x"),
         client.reset(0)],
        ids=["DATA", "RST_STREAM", "WINDOW_UPDATE", "DATA on 0", "RST_STREAM on 0"],
    )  # fmt: skip
    def test_idle(self, sent: bytes, peer: Peer) -> None:
        """Whatever is not HEADERS or PRIORITY on an idle stream ends the connection."""
        detail = "A frame is for a stream that has not begun."
        failed(peer, sent, ErrorCode.PROTOCOL_ERROR, detail)

    @pytest.mark.parametrize(
        "sent",
        [client.data(2, b"x"), client.reset(2), client.window_update(2, 1)],
        ids=["DATA", "RST_STREAM", "WINDOW_UPDATE"],
    )
    def test_of_the_server(self, sent: bytes, peer: Peer) -> None:
        """So does what comes on a stream that only the server could have begun."""
        peer.request(3)
        detail = "A frame is for a stream that has not begun."
        failed(peer, sent, ErrorCode.PROTOCOL_ERROR, detail)

    @pytest.mark.parametrize("stream_id", [0, 2])
    def test_even(self, stream_id: int, peer: Peer) -> None:
        """Clients begin streams with odd numbers."""
        failed(
            peer,
            peer.speaker.headers(stream_id),
            ErrorCode.PROTOCOL_ERROR,
            "A client's streams have odd numbers.",
        )

    def test_number_goes_back(self, peer: Peer) -> None:
        """A stream that was left out is closed when a later one begins (§5.1.1)."""
        peer.request(5)
        events = peer.say(peer.speaker.headers(3))
        assert isinstance(events[-1], ConnectionFailed)
        assert events[-1].code is ErrorCode.PROTOCOL_ERROR

    def test_half_closed(self, peer: Peer) -> None:
        """What follows the end of a request resets its stream, and leaves the others."""
        peer.request(1)
        peer.request(3)
        assert peer.say(client.data(1, b"x")) == [StreamReset(1, ErrorCode.STREAM_CLOSED, False)]
        assert peer.resets() == [(1, ErrorCode.STREAM_CLOSED)]
        assert peer.say(client.data(1, b"x")) == []
        assert peer.sent() == []
        assert peer.say(peer.speaker.headers(3)) == [StreamReset(3, ErrorCode.STREAM_CLOSED, False)]
        assert peer.resets() == [(3, ErrorCode.STREAM_CLOSED)]
        peer.request(5)

    @pytest.mark.parametrize("kind", ["fields", "data"])
    def test_closed(self, kind: str, peer: Peer) -> None:
        """Fields or data on a stream that both sides have ended break the connection."""
        peer.request()
        peer.server.send_fields(1, [(b":status", b"204")], end=True)
        peer.sent()
        failed(
            peer,
            peer.speaker.headers(1) if kind == "fields" else client.data(1, b"x"),
            ErrorCode.STREAM_CLOSED,
            "A frame is for a stream that has ended.",
        )

    def test_on_its_way(self, peer: Peer) -> None:
        """What was on its way when the server reset a stream is discarded without an answer."""
        peer.upload()
        peer.server.reset(1, ErrorCode.NO_ERROR)
        assert peer.resets() == [(1, ErrorCode.NO_ERROR)]
        late = [client.data(1, b"x" * 10_000), client.window_update(1, 5),
                client.data(1, b"x", end=True), client.reset(1)]  # fmt: skip
        for sent in late:
            assert peer.say(sent) == []
            assert peer.sent() == []
        peer.request(3)

    def test_trailers_on_their_way(self, peer: Peer) -> None:
        """Fields are read, as they change what later ones mean, and discarded."""
        peer.upload()
        peer.server.reset(1, ErrorCode.CANCEL)
        peer.resets()
        assert peer.say(peer.speaker.headers(1, [(b"x-new", b"remembered")])) == []
        assert peer.sent() == []
        (event,) = peer.say(peer.speaker.headers(3, [*GET, (b"x-new", b"remembered")]))
        assert isinstance(event, RequestReceived)
        assert event.request.headers[-1] == (b"x-new", b"remembered")

    def test_on_its_way_after_an_early_answer(self, peer: Peer) -> None:
        """So it is where the answer came before its request was complete (§8.1)."""
        peer.upload()
        peer.server.send_fields(1, [(b":status", b"413")], end=True)
        assert peer.say(client.data(1, b"still taken")) == [BodyReceived(1, b"still taken", 11)]
        peer.server.reset(1, ErrorCode.NO_ERROR)
        assert [each.kind for each in peer.sent()] == [HEADERS, RST_STREAM]
        assert peer.say(client.data(1, b"x", end=True)) == []
        assert peer.sent() == []

    def test_room_on_its_way(self) -> None:
        """What is discarded counts in the window of the connection, which gets it back."""
        peer = Peer(connection_window=65_535)
        for stream_id in range(1, 21, 2):
            peer.upload(stream_id)
            peer.server.reset(stream_id, ErrorCode.CANCEL)
            for _ in range(2):
                assert peer.say(frame(DATA, PADDED, stream_id, b"\x09" + b"x" * 15_009)) == []
        given = [each.number for each in peer.sent() if each.kind == WINDOW_UPDATE]
        assert sum(given) > 20 * 15_010 - 65_535
        assert peer.server.inbound_window == 65_535 - 20 * 15_010 + sum(given)

    def test_too_much_on_its_way(self) -> None:
        """More than that window breaks the connection, whatever the stream (§6.9.1)."""
        peer = Peer(connection_window=65_535)
        peer.upload(1)
        for _ in range(3):
            peer.say(client.data(1, b"x" * 16_384))
        peer.server.reset(1, ErrorCode.CANCEL)
        failed(
            peer,
            client.data(1, b"x" * 16_384),
            ErrorCode.FLOW_CONTROL_ERROR,
            "Flow control window shrunk below 0.",
        )

    def test_small_parts_on_their_way(self) -> None:
        """A client that speaks often does not pay for what it could not know."""
        peer = Peer(control_frames=20, stream_window=1000)
        peer.upload()
        peer.server.reset(1, ErrorCode.CANCEL)
        peer.resets()
        for _ in range(1000):
            assert peer.say(client.data(1, b"x")) == []
        assert peer.sent() == []

    def test_badly_padded_on_its_way(self, peer: Peer) -> None:
        """More padding than payload is an error of the connection, whatever the stream (§6.1)."""
        peer.upload()
        peer.server.reset(1, ErrorCode.CANCEL)
        detail = "A frame's padding is longer than the frame."
        failed(peer, frame(DATA, PADDED, 1, b"\x03ab"), ErrorCode.PROTOCOL_ERROR, detail)

    @pytest.mark.parametrize("how", ["client", "never"])
    def test_data_on_a_closed_stream(self, how: str, peer: Peer) -> None:
        """Data on a stream that its client knows to have ended is answered by a reset, once (§6.1).

        It was reset by its client, or left out, which is the same (§5.1.1).
        """
        if how == "client":
            peer.request()
            peer.say(client.reset(1))
        peer.request(3)
        peer.sent()
        for _ in range(3):
            assert peer.say(client.data(1, b"x")) == []
        assert peer.resets() == [(1, ErrorCode.STREAM_CLOSED)]
        peer.request(5)

    def test_fields_after_a_reset(self, peer: Peer) -> None:
        """So are fields on a stream that its client has reset."""
        peer.upload()
        peer.say(client.reset(1))
        for _ in range(3):
            assert peer.say(peer.speaker.headers(1, [(b"x", b"y")])) == []
        assert peer.resets() == [(1, ErrorCode.STREAM_CLOSED)]

    @pytest.mark.parametrize("make", [client.reset, lambda each: client.window_update(each, 1)])
    @pytest.mark.parametrize("how", ["both", "client", "server"])
    def test_crossing(self, how: str, make: Callable[[int], bytes], peer: Peer) -> None:
        """RST_STREAM and WINDOW_UPDATE may come after any end, and are never answered."""
        peer.request()
        if how == "both":
            peer.server.send_fields(1, [(b":status", b"204")], end=True)
        elif how == "client":
            peer.say(client.reset(1))
        else:
            peer.server.reset(1, ErrorCode.CANCEL)
        peer.sent()
        for _ in range(3):
            assert peer.say(make(1)) == []
        assert peer.sent() == []

    def test_too_many(self) -> None:
        """A stream beyond the limit is refused, so that it can be tried again (§5.1.2)."""
        peer = Peer(streams=2)
        peer.request(1)
        peer.request(3)
        assert peer.say(peer.speaker.headers(5)) == [
            StreamReset(5, ErrorCode.REFUSED_STREAM, False, Limit.STREAMS)
        ]
        assert peer.resets() == [(5, ErrorCode.REFUSED_STREAM)]
        assert peer.server.last_stream_id == 3
        peer.server.send_fields(1, [(b":status", b"204")], end=True)
        peer.request(7)

    def test_body_of_a_refused_stream(self) -> None:
        """The body of a refused request does not take the room of others."""
        peer = Peer(streams=1, stream_window=65_535, connection_window=65_535)
        peer.request(1)
        for stream_id in range(3, 13, 2):
            peer.say(peer.speaker.headers(stream_id, POST, end=False))
            for _ in range(2):
                peer.say(client.data(stream_id, b"x" * 16_000))
        assert not peer.server.failed
        assert sum(each.number for each in peer.sent() if each.kind == WINDOW_UPDATE) > 65_535

    def test_reset(self, peer: Peer) -> None:
        """A client may reset a stream, with any code."""
        peer.upload()
        assert peer.say(client.reset(1, 0xBEEF)) == [StreamReset(1, 0xBEEF, True)]
        assert peer.sent() == []
        assert not peer.server.takes(1)


class TestHeaders:
    """RFC 9113 §6.2, §6.10, §8.1."""

    @pytest.mark.parametrize(
        ("flags", "before", "behind"),
        [
            (PADDED, b"\x03", b"\0\0\0"),
            (WITH_PRIORITY, b"\0\0\0\3\xff", b""),
            (PADDED | WITH_PRIORITY, b"\x01\x80\0\0\0\0", b"\0"),
        ],
        ids=["padding", "depending on an idle stream", "both"],
    )
    def test_padded(self, flags: int, before: bytes, behind: bytes, peer: Peer) -> None:
        """Padding and priority are left out, whatever they say."""
        block = peer.speaker.encoder.encode(GET)
        sent = frame(HEADERS, END_HEADERS | END_STREAM | flags, 1, before + block + behind)
        (event,) = peer.say(sent)
        assert isinstance(event, RequestReceived)
        assert event.request.path == b"/"

    @pytest.mark.parametrize(
        ("flags", "payload", "code", "detail"),
        [
            (PADDED, b"\x05abc", ErrorCode.PROTOCOL_ERROR,
             "A frame's padding is longer than the frame."),
            (PADDED, b"", ErrorCode.PROTOCOL_ERROR, "A frame's padding is longer than the frame."),
            (WITH_PRIORITY, b"\0\0\0", ErrorCode.FRAME_SIZE_ERROR,
             "A HEADERS frame is shorter than its flags say."),
            (WITH_PRIORITY, b"\0\0\0\1\xff", ErrorCode.PROTOCOL_ERROR,
             "A stream depends on itself."),
            (PADDED | WITH_PRIORITY, b"\0\x80\0\0\1\xff", ErrorCode.PROTOCOL_ERROR,
             "A stream depends on itself."),
        ],
        ids=["too much", "no length", "no room for the priority", "depending on itself",
             "depending on itself, exclusively"],
    )  # fmt: skip
    def test_badly_padded(
        self, flags: int, payload: bytes, code: ErrorCode, detail: str, peer: Peer
    ) -> None:
        """More padding than payload is an error of the connection; so is an impossible priority."""
        failed(peer, frame(HEADERS, END_HEADERS | flags, 1, payload), code, detail)

    def test_continuation(self, peer: Peer) -> None:
        """Fields may come in several frames."""
        fields = [*GET, *((b"x-%d" % number, b"y" * 50) for number in range(10))]
        sent = peer.speaker.parts(1, fields, 100)
        begun = sent[:200]
        assert peer.say(begun) == []
        assert peer.server.head_unfinished
        (event,) = peer.say(sent[200:])
        assert isinstance(event, RequestReceived)
        assert len(event.request.headers) == 11
        assert not peer.server.head_unfinished

    @pytest.mark.parametrize(
        "between",
        [client.ping(), frame(0x99), frame(CONTINUATION, END_HEADERS, 3), client.data(1)],
        ids=["PING", "unknown", "another stream", "DATA"],
    )
    def test_between(self, between: bytes, peer: Peer) -> None:
        """Nothing may stand between the frames of a block."""
        begun = peer.speaker.headers(1, flags=0)
        detail = "Something else stands between the fields of a request."
        failed(peer, begun + between, ErrorCode.PROTOCOL_ERROR, detail)

    def test_continues_nothing(self, peer: Peer) -> None:
        """A CONTINUATION frame needs something to continue."""
        peer.request()
        detail = "A CONTINUATION frame continues nothing."
        failed(peer, frame(CONTINUATION, END_HEADERS, 1), ErrorCode.PROTOCOL_ERROR, detail)

    def test_malformed(self, peer: Peer) -> None:
        """A malformed request resets its stream, and leaves the connection in step (§8.1.1)."""
        bad = [*GET, (b"X-Upper", b"1"), (b"x-new", b"remembered")]
        assert peer.say(peer.speaker.headers(1, bad)) == [
            StreamReset(1, ErrorCode.PROTOCOL_ERROR, False)
        ]
        assert peer.resets() == [(1, ErrorCode.PROTOCOL_ERROR)]
        (event,) = peer.say(peer.speaker.headers(3, [*GET, (b"x-new", b"remembered")]))
        assert isinstance(event, RequestReceived)
        assert event.request.headers[-1] == (b"x-new", b"remembered")

    def test_trailers(self, peer: Peer) -> None:
        """Fields behind a body are its trailers."""
        peer.upload()
        sent = client.data(1, b"abc") + peer.speaker.headers(1, [(b"x-sum", b"6")])
        assert peer.say(sent) == [BodyReceived(1, b"abc", 3), BodyEnded(1, [(b"x-sum", b"6")])]

    @pytest.mark.parametrize(
        ("fields", "end"),
        [([(b"x-sum", b"6")], False), ([(b":path", b"/")], True), ([(b"X", b"6")], True)],
        ids=["no end", "pseudo-header", "upper case"],
    )
    def test_bad_trailers(self, fields: list[tuple[bytes, bytes]], end: bool, peer: Peer) -> None:
        """Malformed trailers reset the stream."""
        peer.upload()
        assert peer.say(peer.speaker.headers(1, fields, end=end)) == [
            StreamReset(1, ErrorCode.PROTOCOL_ERROR, False)
        ]
        assert peer.resets() == [(1, ErrorCode.PROTOCOL_ERROR)]


class TestBodies:
    """RFC 9113 §6.1, §8.1.1."""

    def test_padding_counts(self, peer: Peer) -> None:
        """Padding is no part of the body, but takes room like it."""
        peer.upload()
        sent = frame(DATA, PADDED, 1, b"\x03abc\0\0\0")
        assert peer.say(sent) == [BodyReceived(1, b"abc", 7)]

    def test_badly_padded(self, peer: Peer) -> None:
        """More padding than payload is an error of the connection."""
        peer.upload()
        detail = "A frame's padding is longer than the frame."
        failed(peer, frame(DATA, PADDED, 1, b"\x03ab"), ErrorCode.PROTOCOL_ERROR, detail)

    @pytest.mark.parametrize("body", [b"1234", b"123456"], ids=["short", "long"])
    def test_content_length(self, body: bytes, peer: Peer) -> None:
        """A body has to be as long as its content-length says."""
        peer.upload(1, (b"content-length", b"5"))
        assert peer.say(client.data(1, body, end=True)) == [
            StreamReset(1, ErrorCode.PROTOCOL_ERROR, False)
        ]
        assert peer.resets() == [(1, ErrorCode.PROTOCOL_ERROR)]
        peer.request(3)

    def test_too_long_at_once(self, peer: Peer) -> None:
        """What is too long is known before its end."""
        peer.upload(1, (b"content-length", b"5"))
        assert peer.say(client.data(1, b"123456")) == [
            StreamReset(1, ErrorCode.PROTOCOL_ERROR, False)
        ]

    def test_short_with_trailers(self, peer: Peer) -> None:
        """Trailers do not make up for what is missing."""
        peer.upload(1, (b"content-length", b"5"))
        assert peer.say(peer.speaker.headers(1, [(b"x", b"y")])) == [
            StreamReset(1, ErrorCode.PROTOCOL_ERROR, False)
        ]

    def test_right_length(self, peer: Peer) -> None:
        """The right length is right, in any pieces."""
        peer.upload(1, (b"content-length", b"5"))
        sent = client.data(1, b"12") + client.data(1, b"345") + client.data(1, end=True)
        assert peer.say(sent) == [
            BodyReceived(1, b"12", 2), BodyReceived(1, b"345", 3), BodyEnded(1)
        ]  # fmt: skip

    def test_room(self) -> None:
        """More than the window of the stream breaks the connection (§6.9.1)."""
        peer = Peer(stream_window=65_535)
        peer.upload()
        for _ in range(4):
            peer.say(client.data(1, b"x" * 16_383))
        events = peer.say(client.data(1, b"x" * 16_383))
        assert isinstance(events[-1], ConnectionFailed)
        assert events[-1].code is ErrorCode.FLOW_CONTROL_ERROR

    def test_acknowledged(self) -> None:
        """Room is given back, for the stream and the connection, once bytes were used."""
        peer = Peer(stream_window=65_535, connection_window=65_535)
        peer.upload()
        for _ in range(3):
            peer.say(client.data(1, b"x" * 16_000))
        assert peer.sent() == []
        peer.server.acknowledge(1, 48_000)
        assert [(each.kind, each.stream_id, each.number) for each in peer.sent()] == [
            (WINDOW_UPDATE, 0, 48_000), (WINDOW_UPDATE, 1, 48_000)
        ]  # fmt: skip


class TestPriority:
    """RFC 9113 §5.3.2, §6.3: ignored, but for its form."""

    def test_ignored(self, peer: Peer) -> None:
        """On any stream, idle ones too, and whatever other one it depends on."""
        for stream_id in (1, 7, 2):
            for other in (0, stream_id + 1, 2**31 - 1):
                assert peer.say(frame(PRIORITY, 0, stream_id, struct.pack(">LB", other, 5))) == []
        peer.request(1)

    @pytest.mark.parametrize("exclusive", [0, 1 << 31])
    def test_itself(self, exclusive: int, peer: Peer) -> None:
        """A stream cannot depend on itself (RFC 7540 §5.3.1)."""
        priority = struct.pack(">LB", exclusive | 3, 5)
        detail = "A stream depends on itself."
        failed(peer, frame(PRIORITY, 0, 3, priority), ErrorCode.PROTOCOL_ERROR, detail)

    def test_size(self, peer: Peer) -> None:
        """With a wrong size it is an error of the stream."""
        peer.request()
        assert peer.say(frame(PRIORITY, 0, 1, b"\0\0\0\0")) == [
            StreamReset(1, ErrorCode.FRAME_SIZE_ERROR, False)
        ]
        assert peer.resets() == [(1, ErrorCode.FRAME_SIZE_ERROR)]

    def test_size_when_idle(self, peer: Peer) -> None:
        """An idle stream cannot be reset."""
        detail = "A PRIORITY frame does not have five bytes."
        failed(peer, frame(PRIORITY, 0, 3, b"\0"), ErrorCode.FRAME_SIZE_ERROR, detail)

    def test_no_stream(self, peer: Peer) -> None:
        """It is always about a stream."""
        detail = "A PRIORITY frame names no stream."
        failed(peer, frame(PRIORITY, 0, 0, bytes(5)), ErrorCode.PROTOCOL_ERROR, detail)


class TestSettings:
    """RFC 9113 §6.5."""

    def test_acknowledged(self, peer: Peer) -> None:
        """They are, with those that nobody knows."""
        assert peer.say(client.settings((3, 5), (0xABCD, 1))) == []
        assert peer.sent() == [Frame(SETTINGS, client.ACK, 0)]

    def test_acknowledgement(self, peer: Peer) -> None:
        """The client's own is taken."""
        assert peer.say(frame(SETTINGS, client.ACK)) == []
        assert peer.sent() == []

    @pytest.mark.parametrize(
        ("sent", "code"),
        [
            (frame(SETTINGS, 0, 0, b"12345"), ErrorCode.FRAME_SIZE_ERROR),
            (frame(SETTINGS, client.ACK, 0, b"123456"), ErrorCode.FRAME_SIZE_ERROR),
            (frame(SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
            (client.settings((2, 2)), ErrorCode.PROTOCOL_ERROR),
            (client.settings((4, 2**31)), ErrorCode.FLOW_CONTROL_ERROR),
            (client.settings((5, 16_383)), ErrorCode.PROTOCOL_ERROR),
            (client.settings((5, 2**24)), ErrorCode.PROTOCOL_ERROR),
            (client.settings((8, 2)), ErrorCode.PROTOCOL_ERROR),
        ],
        ids=["length", "acknowledgement with content", "on a stream", "push", "window",
             "small frames", "large frames", "connect protocol"],
    )  # fmt: skip
    def test_wrong(self, sent: bytes, code: ErrorCode, peer: Peer) -> None:
        """Wrong ones end the connection."""
        events = peer.say(sent)
        assert isinstance(events[-1], ConnectionFailed)
        assert events[-1].code is code
        assert peer.sent()[-1].kind == GOAWAY

    def test_window(self, peer: Peer) -> None:
        """The window of all streams changes by the difference, even below 0 (§6.9.2)."""
        peer.request()
        peer.server.send_fields(1, [(b":status", b"200")])
        peer.server.send_data(1, b"x" * 16_000)
        assert peer.server.window(1) == 49_535
        assert peer.say(client.settings((4, 10_000))) == [WindowOpened(0)]
        assert peer.server.window(1) == -6_000
        peer.say(client.settings((4, 20_000)))
        assert peer.server.window(1) == 4_000

    def test_table(self, peer: Peer) -> None:
        """A client that remembers a gigabyte of fields does not make the server do so."""
        peer.say(client.settings((1, 2**30)))
        peer.request()
        peer.server.send_fields(1, [(b":status", b"200"), (b"x", b"y" * 5000)])
        assert peer.server._h2.encoder.header_table_size == 4096


class TestOthers:
    """RFC 9113 §6.4, §6.6, §6.7, §6.8, §8.4."""

    def test_ping(self, peer: Peer) -> None:
        """A PING is answered with the same."""
        assert peer.say(client.ping(b"abcdefgh")) == []
        assert peer.sent() == [Frame(PING, client.ACK, 0, b"abcdefgh")]

    @pytest.mark.parametrize(
        ("sent", "code"),
        [
            (client.ping(b"abc"), ErrorCode.FRAME_SIZE_ERROR),
            (frame(PING, 0, 1, b"abcdefgh"), ErrorCode.PROTOCOL_ERROR),
            (frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2"), ErrorCode.PROTOCOL_ERROR),
            (frame(GOAWAY, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
            (frame(GOAWAY, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
            (frame(RST_STREAM, 0, 1, b"\0\0\0"), ErrorCode.FRAME_SIZE_ERROR),
        ],
        ids=["short PING", "PING on a stream", "push", "GOAWAY on a stream", "short GOAWAY",
             "short RST_STREAM"],
    )  # fmt: skip
    def test_wrong(self, sent: bytes, code: ErrorCode, peer: Peer) -> None:
        """Wrong ones end the connection."""
        peer.request()
        events = peer.say(sent)
        assert isinstance(events[-1], ConnectionFailed)
        assert events[-1].code is code

    def test_goaway(self, peer: Peer) -> None:
        """After the client's GOAWAY, what runs goes on."""
        peer.request()
        assert peer.say(frame(GOAWAY, 0, 0, bytes(8))) == [GoingAway(0)]
        peer.server.send_fields(1, [(b":status", b"200")])
        peer.server.send_data(1, b"x", end=True)
        assert [each.kind for each in peer.sent()] == [HEADERS, DATA]
        assert peer.server.open_streams == 0

    def test_drain(self, peer: Peer) -> None:
        """The server's end is announced, then it is said what is still served (§6.8)."""
        peer.request(1)
        peer.server.warn()
        warning, question = peer.sent()
        assert warning.goaway == (2**31 - 1, 0, "")
        peer.request(3)
        assert peer.say(frame(PING, client.ACK, 0, question.payload)) == [PingAnswered()]
        peer.server.go_away()
        (last,) = peer.sent()
        assert last.goaway == (3, 0, "")
        assert peer.say(peer.speaker.headers(5)) == [
            StreamReset(5, ErrorCode.REFUSED_STREAM, False)
        ]
        peer.server.send_fields(1, [(b":status", b"204")], end=True)
        peer.server.send_fields(3, [(b":status", b"204")], end=True)
        assert [each.stream_id for each in peer.sent()] == [5, 1, 3]


class TestWindowUpdates:
    """RFC 9113 §6.9."""

    def test_taken(self, peer: Peer) -> None:
        """More room is told, for a stream and for all."""
        peer.request()
        sent = client.window_update(1, 10) + client.window_update(0, 20)
        assert peer.say(sent) == [WindowOpened(1), WindowOpened(0)]
        assert peer.server.window(1) == 65_545
        assert peer.server.connection_window == 65_555

    @pytest.mark.parametrize(
        ("increment", "code"),
        [(0, ErrorCode.PROTOCOL_ERROR), (2**31 - 1, ErrorCode.FLOW_CONTROL_ERROR)],
        ids=["nothing", "too much"],
    )
    def test_stream(self, increment: int, code: ErrorCode, peer: Peer) -> None:
        """A wrong one for a stream is an error of that stream."""
        peer.request()
        assert peer.say(client.window_update(1, increment)) == [StreamReset(1, code, False)]
        assert peer.resets() == [(1, code)]
        peer.request(3)

    @pytest.mark.parametrize(
        ("sent", "code"),
        [
            (client.window_update(0, 0), ErrorCode.PROTOCOL_ERROR),
            (client.window_update(0, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR),
            (frame(WINDOW_UPDATE, 0, 0, b"123"), ErrorCode.FRAME_SIZE_ERROR),
        ],
        ids=["nothing", "too much", "length"],
    )
    def test_connection(self, sent: bytes, code: ErrorCode, peer: Peer) -> None:
        """A wrong one for the connection ends that."""
        events = peer.say(sent)
        assert isinstance(events[-1], ConnectionFailed)
        assert events[-1].code is code


class TestLimits:
    """What a client may do, and what it is told beyond that."""

    def test_target(self) -> None:
        """A long path is refused with 414."""
        peer = Peer(target=10)
        (event,) = peer.say(peer.speaker.headers(1, [*GET[:-1], (b":path", b"/" + b"x" * 10)]))
        assert isinstance(event, RequestRefused)
        assert event.refusal == Refusal(414, "The :path is longer than this server accepts.")
        assert event.limit is Limit.TARGET
        assert event.request is not None

    def test_header_size(self) -> None:
        """Many bytes of fields are refused with 431, and the connection goes on."""
        peer = Peer(header_size=300)
        (event,) = peer.say(peer.speaker.headers(1, [*GET, (b"x-long", b"y" * 100)]))
        assert event == RequestRefused(
            1,
            Refusal(431, "The header fields together are larger than this server accepts."),
            None,
            Limit.HEADER_SIZE,
        )
        peer.request(3)

    def test_header_bomb(self) -> None:
        """Fields that grow when they are decoded end the connection soon."""
        peer = Peer(header_size=1000)
        bomb = [*GET, *[(b"x-long", b"y" * 100)] * 60]
        failed(
            peer,
            peer.speaker.headers(1, bomb),
            ErrorCode.ENHANCE_YOUR_CALM,
            "The fields of a request are much larger than this server accepts.",
            Limit.HEADER_SIZE,
        )

    def test_header_count(self) -> None:
        """Many fields are refused with 431; cookies count as one, as HTTP/2 parts them."""
        peer = Peer(header_count=3)
        cookies = [*GET, *[(b"cookie", b"a=b")] * 10, (b"x", b"1")]
        assert isinstance(peer.say(peer.speaker.headers(1, cookies))[0], RequestReceived)
        (event,) = peer.say(peer.speaker.headers(3, [*cookies, (b"y", b"2")]))
        assert isinstance(event, RequestRefused)
        assert event.refusal == Refusal(
            431, "There are more header fields than this server accepts."
        )
        assert event.limit is Limit.HEADER_COUNT

    @pytest.mark.parametrize(
        ("fields", "limit"),
        [([(b"x", b"y" * 400)], Limit.HEADER_SIZE), ([(b"x", b"y")] * 9, Limit.HEADER_COUNT)],
    )
    def test_trailers(self, fields: list[tuple[bytes, bytes]], limit: Limit) -> None:
        """Trailers have the limits of headers."""
        peer = Peer(header_size=400, header_count=8)
        peer.upload()
        assert peer.say(peer.speaker.headers(1, fields)) == [
            RequestRefused(1, Refusal(431, "The trailers are larger than accepted."), None, limit)
        ]
        assert not peer.server.receives(1)

    def test_continuations(self, peer: Peer) -> None:
        """Fields in too many frames end the connection (CVE-2024-27316)."""
        begun = peer.speaker.headers(1, flags=0)
        flood = frame(CONTINUATION, 0, 1) * 33
        detail = "The fields of a request are too large, or come in too many pieces."
        failed(peer, begun + flood, ErrorCode.ENHANCE_YOUR_CALM, detail, Limit.HEADER_SIZE)

    def test_continued_size(self) -> None:
        """So do too many bytes of them, before they are decoded."""
        peer = Peer(header_size=1000)
        begun = peer.speaker.headers(1, flags=0)
        detail = "The fields of a request are too large, or come in too many pieces."
        flood = frame(CONTINUATION, 0, 1, b"\0" * 1000)
        failed(peer, begun + flood, ErrorCode.ENHANCE_YOUR_CALM, detail, Limit.HEADER_SIZE)

    def test_body_size(self) -> None:
        """A large body is refused with 413 as soon as that is known; the rest is ignored."""
        peer = Peer(body_size=10)
        (event,) = peer.say(peer.speaker.headers(1, [*POST, (b"content-length", b"11")], end=False))
        assert isinstance(event, RequestRefused)
        assert event.refusal.status == 413
        assert event.limit is Limit.BODY_SIZE
        assert peer.say(client.data(1, b"x" * 11, end=True)) == []
        peer.upload(3)
        assert peer.say(client.data(3, b"x" * 11)) == [
            RequestRefused(
                3,
                Refusal(413, "The request body is larger than this server accepts."),
                None,
                Limit.BODY_SIZE,
            )
        ]
        assert peer.say(client.data(3, b"x" * 11)) == []

    def test_resets(self) -> None:
        """Streams that are begun and reset again and again end the connection (CVE-2023-44487)."""
        peer = Peer(resets=10)
        for stream_id in range(1, 21, 2):
            peer.request(stream_id)
            assert peer.say(client.reset(stream_id)) == [StreamReset(stream_id, 8, True)]
        detail = "Too many streams ended early."
        attack = peer.speaker.headers(21) + client.reset(21)
        failed(peer, attack, ErrorCode.ENHANCE_YOUR_CALM, detail, Limit.RESETS)

    def test_made_to_reset(self) -> None:
        """So do those that the server is made to reset (CVE-2025-8671)."""
        peer = Peer(resets=10)
        for stream_id in range(1, 21, 2):
            peer.request(stream_id)
            peer.say(client.window_update(stream_id, 0))
        attack = peer.speaker.headers(21) + client.window_update(21, 0)
        detail = "Too many streams ended early."
        failed(peer, attack, ErrorCode.ENHANCE_YOUR_CALM, detail, Limit.RESETS)

    def test_refused_again_and_again(self) -> None:
        """So do requests that are too large: to read many small fields takes time."""
        peer = Peer(resets=10, header_count=5)
        many = [*GET, *[(b"a", b"b")] * 10]
        for stream_id in range(1, 21, 2):
            (event,) = peer.say(peer.speaker.headers(stream_id, many))
            assert isinstance(event, RequestRefused)
        attack = peer.speaker.headers(21, many)
        detail = "Too many streams ended early."
        failed(peer, attack, ErrorCode.ENHANCE_YOUR_CALM, detail, Limit.RESETS)

    def test_resets_spread_out(self) -> None:
        """A client that gives up now and then is left alone."""
        peer = Peer(resets=10)
        for number in range(100):
            peer.now += 1.01
            peer.request(2 * number + 1)
            peer.say(client.reset(2 * number + 1))
        assert not peer.server.failed

    @pytest.mark.parametrize(
        "make",
        [
            client.ping,
            client.settings,
            lambda: client.data(1),
            lambda: frame(DATA, PADDED, 1, bytes(1)),
            lambda: frame(DATA, PADDED, 1, b"\2" + bytes(2)),
            lambda: client.window_update(0, 1),
            lambda: client.window_update(1, 1),
            lambda: frame(PRIORITY, 0, 1, bytes(5)),
            lambda: frame(0x99),
            lambda: frame(GOAWAY, 0, 0, bytes(8)),
            lambda: client.data(3, b"x"),
            lambda: client.data(3, b""),
            lambda: client.data(5, b"x"),
            lambda: client.reset(3),
        ],
        ids=["PING", "SETTINGS", "empty DATA", "DATA padded with nothing", "DATA of padding",
             "WINDOW_UPDATE", "WINDOW_UPDATE of a stream",
             "PRIORITY", "unknown", "GOAWAY", "DATA beyond the room of a reset stream",
             "empty DATA on a reset stream", "DATA on a stream that its client has reset",
             "RST_STREAM again"],
    )  # fmt: skip
    def test_floods(self, make: Callable[[], bytes]) -> None:
        """Frames that carry nothing end the connection if there are too many of them."""
        peer = Peer(control_frames=20, stream_window=1000)
        peer.upload(1)
        peer.upload(3)
        peer.say(client.data(3, b"x" * 400))
        peer.server.reset(3, ErrorCode.NO_ERROR)
        peer.say(client.data(3, b"x" * 600))
        peer.upload(5)
        peer.say(client.reset(5))
        peer.sent()
        peer.now += 100.0
        peer.say(client.ping())
        for _ in range(19):  # one was for the PING
            peer.say(make())
            assert not peer.server.failed
        detail = "There were too many frames that carry nothing."
        failed(peer, make(), ErrorCode.ENHANCE_YOUR_CALM, detail, Limit.CONTROL_FRAMES)

    def test_turns(self) -> None:
        """Of many frames that come at once, one call takes as many as its budget says."""
        peer = Peer(budget=4)
        peer.upload()
        data = b"".join(client.data(1, each) for each in (b"a", b"b", b"c", b"d", b"e"))
        events = peer.say(data + client.ping()[:-1])
        pending = [peer.server.pending]
        assert events == [BodyReceived(1, each, 1) for each in (b"a", b"b", b"c", b"d")]
        assert peer.say(b"") == [BodyReceived(1, b"e", 1)]
        pending.append(peer.server.pending)
        assert pending == [True, False]
        assert peer.say(client.ping()[-1:]) == []
        assert [each.kind for each in peer.sent()] == [PING]

    def test_turns_with_fields(self) -> None:
        """A request counts for more, by the size of its fields."""
        peer = Peer(budget=4)
        long = [*GET, (b"x-long", bytes(range(0x21, 0x7F)) * 2)]
        data = peer.speaker.headers(1, long) + client.ping()
        assert [type(each) for each in peer.say(data)] == [RequestReceived]
        pending = [peer.server.pending]
        assert peer.say(b"") == []
        pending.append(peer.server.pending)
        assert pending == [True, False]

    def test_turn_that_ends_all(self) -> None:
        """After a frame that ends the connection nothing is left to be taken."""
        peer = Peer(budget=1)
        peer.say(frame(PUSH_PROMISE, 0, 1, bytes(4)) + client.ping())
        assert peer.server.failed
        assert not peer.server.pending

    def test_window_updates_that_are_explained(self) -> None:
        """A client that reads opens windows as often as it likes."""
        peer = Peer(control_frames=20)
        peer.request()
        peer.server.send_fields(1, [(b":status", b"200")])
        for _ in range(500):
            peer.server.send_data(1, b"x" * 100)
            peer.sent()
            peer.say(client.window_update(0, 100) + client.window_update(1, 100))
        assert not peer.server.failed

    def test_priorities_of_requests(self) -> None:
        """A client may say something about the priority of each request."""
        peer = Peer(control_frames=20)
        for stream_id in range(1, 201, 2):
            peer.say(frame(PRIORITY, 0, stream_id, bytes(5)))
            peer.request(stream_id)
            peer.server.send_fields(stream_id, [(b":status", b"204")], end=True)
            peer.sent()
        assert not peer.server.failed

    def test_none(self) -> None:
        """0 is no limit."""
        peer = Peer(control_frames=0, resets=0, streams=0, header_size=0, header_count=0, target=0)
        for stream_id in range(1, 2001, 2):
            peer.say(client.ping())
            peer.request(stream_id, [*GET, *[(b"x", b"y" * 100)] * 200])
        for stream_id in range(1, 2001, 2):
            peer.say(client.reset(stream_id))
        assert not peer.server.failed

    @pytest.mark.parametrize("name", ["streams", "resets", "header_size"])
    def test_negative(self, name: str) -> None:
        """A limit is no negative number."""
        with pytest.raises(ValueError, match=f"^{name} must not be negative; 0 means no limit.$"):
            HTTP2Limits(**{name: -1})

    @pytest.mark.parametrize(
        "limits", [{"stream_window": 0}, {"connection_window": 65_534}, {"stream_window": 2**31}]
    )
    def test_windows(self, limits: dict[str, int]) -> None:
        """Windows have the sizes that the standard allows."""
        with pytest.raises(ValueError, match="A stream's window is 1 to 2"):
            HTTP2Limits(**limits)


class TestWebSockets:
    """RFC 8441."""

    def test_request(self, peer: Peer) -> None:
        """An extended CONNECT is told as such, and what follows as it comes."""
        (event,) = peer.say(peer.speaker.headers(1, CONNECT, end=False))
        assert isinstance(event, RequestReceived)
        assert event.request.upgrade == b"websocket"
        assert event.request.method == "CONNECT"
        assert not event.request.has_body
        assert peer.say(client.data(1, b"frame")) == [BodyReceived(1, b"frame", 5)]
        assert peer.say(client.data(1, end=True)) == [BodyEnded(1)]

    def test_no_limit_for_bodies(self) -> None:
        """What is in a tunnel is no body."""
        peer = Peer(body_size=3)
        peer.say(peer.speaker.headers(1, CONNECT, end=False))
        assert peer.say(client.data(1, b"frame")) == [BodyReceived(1, b"frame", 5)]

    def test_trailers(self, peer: Peer) -> None:
        """A tunnel has no trailers."""
        peer.say(peer.speaker.headers(1, CONNECT, end=False))
        assert peer.say(peer.speaker.headers(1, [(b"x", b"y")])) == [
            StreamReset(1, ErrorCode.PROTOCOL_ERROR, False)
        ]
