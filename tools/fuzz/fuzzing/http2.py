"""HTTP/2: frames of any kind in any order, with fields of any bytes, in any pieces."""

from collections.abc import Iterable
from typing import Final

from fairway.wire.http2 import HTTP2Connection
from fairway.wire.http2_events import (
    BodyEnded,
    BodyReceived,
    ConnectionFailed,
    Event,
    HTTP2Limits,
    RequestReceived,
    RequestRefused,
    StreamReset,
)
from fuzzing.target import Target, in_pieces, octets

__all__ = ["TARGET", "check"]

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS: Final = b"\0\0\0\4\0\0\0\0\0"
#: The first byte of an input chooses among these.
LIMITS: Final = (
    HTTP2Limits(),
    HTTP2Limits(
        streams=2,
        resets=2,
        control_frames=5,
        target=20,
        header_size=300,
        header_count=5,
        body_size=9,
    ),
)
#: Bytes that a connection may owe its client for one input: more would be an amplifier.
MAX_REPLY: Final = 65536


def frames(data: bytes) -> bytes:
    """Frames with the right length: of each, type, flags, stream and length are a byte."""
    out = b""
    while len(data) >= 4:
        kind, flags, stream, length = data[:4]
        payload, data = data[4 : 4 + length], data[4 + length :]
        out += len(payload).to_bytes(3, "big") + bytes((kind, flags)) + bytes((0, 0, 0, stream))
        out += payload
    return out


def _run(pieces: Iterable[bytes], limits: HTTP2Limits) -> list[Event]:
    connection = HTTP2Connection(limits)
    connection.start()
    events: list[Event] = []
    sent = len(connection.data_to_send())
    for piece in pieces:
        events += connection.receive_data(piece, 0.0)
        sent += len(connection.data_to_send())
        assert sent < MAX_REPLY
        assert not limits.streams or connection.open_streams <= limits.streams
    if events and isinstance(events[-1], ConnectionFailed):
        assert connection.failed
        assert connection.receive_data(b"anything", 0.0) == []
    return events


def _describe(events: list[Event]) -> list[str]:
    """Events that can be compared: where the parts of a body are cut does not count."""
    described: list[str] = []
    bodies: dict[int, bytes] = {}
    for event in events:
        if isinstance(event, BodyReceived):
            bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
        else:
            described.append(repr(event))
    return [*described, repr(bodies)]


def _check_order(events: list[Event], limits: HTTP2Limits) -> None:
    """Each stream: a request, its body, its end; and nothing behind the end of the connection."""
    begun: set[int] = set()
    ended: set[int] = set()
    bodies: dict[int, int] = {}
    for position, event in enumerate(events):
        if isinstance(event, ConnectionFailed):
            assert position == len(events) - 1
            assert event.detail
        elif isinstance(event, RequestReceived):
            assert event.stream_id not in begun | ended
            assert event.stream_id % 2 == 1
            assert event.request.http_version == "2"
            assert not limits.header_count or len(event.request.headers) <= limits.header_count + 1
            begun.add(event.stream_id)
        elif isinstance(event, RequestRefused):
            assert 400 <= event.refusal.status <= 505
            assert event.stream_id not in ended
            ended.add(event.stream_id)
        elif isinstance(event, BodyReceived | BodyEnded):
            assert event.stream_id in begun
            assert event.stream_id not in ended
            if isinstance(event, BodyEnded):
                ended.add(event.stream_id)
            else:
                size = bodies[event.stream_id] = bodies.get(event.stream_id, 0) + len(event.data)
                assert not limits.body_size or size <= limits.body_size
        elif isinstance(event, StreamReset):
            ended.add(event.stream_id)


def check(data: bytes) -> None:
    """The first byte chooses limits, and whether the rest is raw or the insides of frames."""
    if not data:
        return
    limits = LIMITS[data[0] & 1]
    stream = data[1:] if data[0] & 2 else PREFACE + SETTINGS + frames(data[1:])
    events = _run([stream], limits)
    _check_order(events, limits)
    assert _describe(_run(in_pieces(stream), limits)) == _describe(events)
    if len(stream) < 300:
        assert _describe(_run(octets(stream), limits)) == _describe(events)


def _inside(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return bytes((kind, flags, stream, len(payload))) + payload


_GET: Final = b"\x82\x84\x86\x41\x01a"
_POST: Final = b"\x83\x84\x86\x41\x01a"
_CONNECT: Final = b"\x02\x07CONNECT\x00\x09:protocol\x09websocket\x84\x87\x41\x01a"

_SEEDS: Final = (
    _inside(1, 5, 1, _GET) + _inside(1, 5, 3, _GET),
    _inside(1, 4, 1, _POST) + _inside(0, 0, 1, b"hello") + _inside(0, 1, 1, b"!"),
    _inside(1, 0, 1, _GET[:3]) + _inside(9, 4, 1, _GET[3:]),
    _inside(1, 4, 1, _POST) + _inside(0, 0, 1, b"x") + _inside(1, 5, 1, b"\x00\x01x\x01y"),
    _inside(1, 4, 1, _CONNECT) + _inside(0, 0, 1, b"\x81\x80\0\0\0\0"),
    _inside(4, 0, 0, b"\0\x04\0\0\0\x10") + _inside(6, 0, 0, b"12345678"),
    _inside(1, 5, 1, _GET) + _inside(8, 0, 1, b"\0\0\0\x10") + _inside(3, 0, 1, b"\0\0\0\x08"),
    _inside(2, 0, 1, b"\0\0\0\0\x10") + _inside(7, 0, 0, bytes(8)) + _inside(5, 4, 1, b""),
    _inside(1, 0x2D, 1, b"\x01\0\0\0\0\x10" + _GET + b"\0"),
)

TARGET = Target(
    name="http2",
    check=check,
    seeds=(
        b"\x02" + PREFACE + SETTINGS,
        b"\x02GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        *(bytes((options,)) + data for options in (0, 1) for data in _SEEDS),
    ),
    tokens=(
        *(PREFACE, SETTINGS, _GET, _POST, _CONNECT, b"\x01\x05\x01", b"\x00\x01\x01", b"\x09\x04"),
        *(
            b"\x82",
            b"\x83",
            b"\x84",
            b"\x86",
            b"\x87",
            b"\x41\x01a",
            b"\x5c\x015",
            b"\x40\x01x\x01y",
        ),
        *(b"\x3f\xe1\x1f", b"\x20", b"\x00\x04host", b"\x00\x06cookie", b"\x00\x02te", b"\xbe"),
        *(
            b"\x00\x11transfer-encoding",
            b"\x00\x0aconnection",
            b"\x7f\xff\xff\xff",
            b"content-length",
        ),
    ),
    modules=(
        "fairway.wire.http2",
        "fairway.wire.http2_budget",
        "fairway.wire.http2_engine",
        "fairway.wire.http2_fields",
        "fairway.wire.http2_frames",
        "fairway.wire.http2_head",
        "fairway.wire.http2_resets",
    ),
)
