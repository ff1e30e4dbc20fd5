"""WebSocket frames: right and wrong, in any pieces, within any limits, while open or closing."""

from typing import Final, NamedTuple

from fairway.wire.websocket import Closed, Event, Ping, Pong, State, WebSocketConnection
from fuzzing.target import Target, held, in_pieces, octets

__all__ = ["TARGET", "check", "check_websocket"]

#: The first byte of an input chooses among these: most bytes of a message and of a frame.
LIMITS: Final = ((0, 0), (20, 0), (0, 16), (125, 60))

#: An incomplete header takes 13 bytes, a control frame 125 and its mask 4, UTF-8 3.
KEPT: Final = 13 + 125 + 4 + 3 + 16


class Outcome(NamedTuple):
    """All that can be seen of a connection from outside."""

    events: list[Event]
    replies: bytes
    state: State


def _run(
    pieces: list[bytes],
    limits: tuple[int, int],
    *,
    closing: bool,
    weigh: bool = True,
    budget: int = 0,
) -> Outcome:
    connection = WebSocketConnection(*limits, budget)
    if closing:
        connection.send_close()
    events: list[Event] = []
    replies = b""
    for piece in pieces:
        events += connection.receive_data(piece)
        replies += connection.data_to_send()
        while connection.pending:
            events += connection.receive_data(b"")
            replies += connection.data_to_send()
        if limits[0] and weigh:
            assert held(connection) <= limits[0] + KEPT
    state = connection.state
    ended = state in (State.CLOSED, State.FAILED)
    assert connection.receive_eof() == ([] if ended else [Closed(1006, "")])
    assert connection.receive_data(b"\x81\x80abcd") == []
    assert connection.receive_eof() == []
    assert connection.data_to_send() == b""
    return Outcome(events, replies, state)


def _check_outcome(outcome: Outcome, limits: tuple[int, int], *, closing: bool) -> None:
    events, replies, state = outcome
    closed = [event for event in events if isinstance(event, Closed)]
    last = b""
    if not closed:
        assert state is (State.CLOSE_SENT if closing else State.OPEN)
    else:
        assert closed == events[-1:], "something after Closed"
        assert closed[0].reason.encode() is not None
        if state is State.FAILED:
            assert closed[0].code in (1002, 1007, 1009)
            body = closed[0].code.to_bytes(2, "big") + closed[0].reason.encode()
        else:
            assert state is State.CLOSED
            body = b"" if closed[0].code == 1005 else closed[0].code.to_bytes(2, "big")
        last = bytes((0x88, len(body))) + body
    pongs = b"".join(
        bytes((0x8A, len(event.payload))) + event.payload
        for event in events
        if isinstance(event, Ping) and not isinstance(event, Pong)
    )
    assert replies == (b"" if closing else pongs + last)
    for event in events:
        if isinstance(event, str | bytes):
            assert not closing, "a message after the server's Close"
            size = len(event.encode() if isinstance(event, str) else event)
            assert not limits[0] or size <= limits[0]


def check_websocket(data: bytes, limits: tuple[int, int], *, closing: bool) -> None:
    """In one piece, byte by byte and in some others: the same, and only what the RFC allows."""
    outcome = _run([data], limits, closing=closing)
    _check_outcome(outcome, limits, closing=closing)
    assert outcome == _run(octets(data), limits, closing=closing, weigh=False)
    assert outcome == _run(in_pieces(data), limits, closing=closing)
    assert outcome == _run([data], limits, closing=closing, weigh=False, budget=1)


def check(data: bytes) -> None:
    """The first byte chooses limits and whether the server is closing, the rest is input."""
    if data:
        check_websocket(data[1:], LIMITS[data[0] & 3], closing=bool(data[0] & 4))


TARGET = Target(
    name="websocket",
    check=check,
    seeds=tuple(
        bytes((options,)) + data
        for options in (0, 1, 2, 3, 4)
        for data in (
            b"\x81\x85\0\0\0\0hello\x82\x83\0\0\0\0abc",
            b"\x01\x82\0\0\0\0\xc3\xa9\x89\x81\0\0\0\0p\x80\x81\0\0\0\0!",
            b"\x82\xfe\x00\x7e\0\0\0\0" + b"x" * 126 + b"\x8a\x80abcd",
            b"\x88\x85\0\0\0\0\x03\xe8bye",
            b"\x02\x80abcd\x00\xff" + bytes(7) + b"\x10",
        )
    ),
    tokens=(
        *(b"\x81\x80", b"\x82\x80", b"\x01\x81", b"\x02\x81", b"\x00\x81", b"\x80\x81"),
        *(b"\x88\x82", b"\x89\x80", b"\x8a\x80", b"\x82\xfe", b"\x82\xff", b"\0\0\0\0"),
        *(b"\x03\xe8", b"\x03\xed", b"\x0f\xa0", b"\xed\xa0\x80", b"\xf4\x90", b"\xe2\x82\xac"),
    ),
    modules=("fairway.wire.websocket", "fairway.wire.websocket_reader", "fairway.wire.violations"),
)
