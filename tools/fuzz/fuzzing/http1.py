"""HTTP/1.1: heads, bodies of both kinds, pipelined, in any pieces, within any limits."""

from collections.abc import Iterable
from typing import Final, TypeAlias

from fairway.wire.http1 import (
    END_OF_MESSAGE,
    EndOfMessage,
    Event,
    HTTP1Connection,
    HTTP1Limits,
    Refusal,
    Request,
    State,
)
from fuzzing.target import Target, held, in_pieces, octets

__all__ = ["TARGET", "check", "check_http1", "conversation", "said_to"]

#: The first byte of an input chooses among these.
LIMITS: Final = (
    HTTP1Limits(),
    HTTP1Limits(request_line=40, header_size=200, header_count=6, body_size=20),
    HTTP1Limits(request_line=14, header_size=9, header_count=1, body_size=5),
    HTTP1Limits(request_line=0, header_size=0, header_count=0, body_size=0),
)

#: What may be taken in one turn.
BUDGETS: Final = (1, 30)

#: A request is all its attributes.
Described: TypeAlias = dict[str, object] | bytes | EndOfMessage | Refusal

#: What a connection keeps besides a head that is not complete: the fields of the last request as
#: bytes and as pairs (4,096 bytes of them), and a line of a chunked body (1,024 bytes).
KEPT: Final = 3 * 4096 + 1100
UPGRADED: Final = 65536

_GET: Final = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
_CHUNKED: Final = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
_POST: Final = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
_WEBSOCKET: Final = (
    b"GET /chat?x=1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
)


def said_to(piece: bytes, connection: HTTP1Connection) -> list[Event]:
    """What a connection says to a piece, in as many turns as it takes."""
    events = connection.receive_data(piece)
    while connection.pending:
        events += connection.receive_data(b"")
    return events


def conversation(
    pieces: Iterable[bytes],
    limits: HTTP1Limits,
    *,
    weigh: bool = True,
    budget: int = 0,
) -> tuple[list[Described], list[Described]]:
    """What a connection says to these pieces, and to the end of input after them.

    Args:
        pieces: What arrives; neighbouring parts of a body are joined in what is said to it.
        limits: Those of the connection.
        weigh: Whether to look after each piece at what the connection holds, which takes time.
        budget: That of the connection.
    """
    connection = HTTP1Connection(limits, budget=budget)
    events: list[Event] = []
    for piece in pieces:
        events += said_to(piece, connection)
        if weigh:
            _check_memory(connection, limits)
    ended = events and isinstance(events[-1], Refusal)
    if ended:
        assert connection.state is State.CLOSED
    if connection.state is State.CLOSED:
        assert connection.receive_data(_GET) == []
    ending = connection.receive_eof()
    assert connection.receive_eof() == []
    return _describe(events), _describe(ending)


def _check_memory(connection: HTTP1Connection, limits: HTTP1Limits) -> None:
    if connection.state is State.UPGRADE:
        assert len(connection.upgraded_data) <= UPGRADED
    elif limits.request_line and limits.header_size:
        assert held(connection) <= limits.request_line + limits.header_size + KEPT


def _describe(events: Iterable[Event]) -> list[Described]:
    described: list[Described] = []
    for event in events:
        if isinstance(event, Request):
            described.append({name: getattr(event, name) for name in Request.__slots__})
        elif isinstance(event, bytes) and described and isinstance(described[-1], bytes):
            described[-1] += event
        else:
            described.append(event)
    return described


def _check_order(events: list[Described], ending: list[Described], limits: HTTP1Limits) -> None:
    """A request, the body that it announces, its end, and so on; a Refusal is the last word."""
    request: dict[str, object] | None = None
    body = b""
    for position, event in enumerate([*events, *ending]):
        if isinstance(event, dict):
            assert request is None, "a request within a request"
            request, body = event, b""
            _check_request(event, limits)
        elif isinstance(event, bytes):
            assert request is not None
            assert request["has_body"], "a body that was not announced"
            assert event, "a part of a body is never empty"
            body = event
            assert not limits.body_size or len(body) <= limits.body_size
        elif event is END_OF_MESSAGE:
            assert request is not None
            assert request["content_length"] in (None, len(body))
            request = None
        else:
            assert isinstance(event, Refusal)
            assert position == len(events) + len(ending) - 1, "something after a Refusal"
            assert event.status in {400, 413, 414, 417, 431, 501, 505}
            assert event.detail.endswith((".", "?"))
            assert event.detail.isascii()
    assert ending in ([], [Refusal(400, "The connection ended before the request was complete.")])


def _check_request(request: dict[str, object], limits: HTTP1Limits) -> None:
    headers = request["headers"]
    target = request["target"]
    path = request["path"]
    assert isinstance(headers, list)
    assert isinstance(target, bytes)
    assert isinstance(path, bytes)
    # The URI of an absolute target may have brought a Host of its own.
    assert not limits.header_count or len(headers) <= limits.header_count + 1
    assert not limits.request_line or len(target) < limits.request_line
    # Each field had a colon and a CRLF besides its name and value; the Host may be the target's.
    size = sum(len(name) + len(value) + 3 for name, value in headers if name != b"host")
    assert not limits.header_size or size <= limits.header_size
    assert path == b"*" or path.startswith(b"/")
    assert len([name for name, _ in headers if name == b"host"]) <= 1
    for name, value in headers:
        assert name == name.lower()
        assert name
        assert not set(value) & set(b"\r\n\0")
        assert value == value.strip(b" \t")
    if request["upgrade"] is not None:
        assert not request["has_body"]
        assert request["http_version"] == "1.1"


def check_http1(data: bytes, limits: HTTP1Limits) -> None:
    """In one piece, in turns, byte by byte, in others: the same events, and in a lawful order."""
    events, ending = conversation([data], limits)
    _check_order(events, ending, limits)
    assert (events, ending) == conversation(octets(data), limits, weigh=False)
    assert (events, ending) == conversation(in_pieces(data), limits)
    for budget in BUDGETS:
        assert (events, ending) == conversation([data], limits, budget=budget)


def check(data: bytes) -> None:
    """The first byte chooses limits, the rest is input."""
    if data:
        check_http1(data[1:], LIMITS[data[0] & 3])


TARGET = Target(
    name="http1",
    check=check,
    seeds=tuple(
        bytes((options,)) + data
        for options in (0, 1)
        for data in (
            _GET * 2,
            _POST + _GET,
            _CHUNKED + b"5;a=b\r\nhello\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n" + _GET,
            _WEBSOCKET + _GET,
            b"\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\nX-Y: z \r\nConnection: close\r\n\r\n",
            b"GET http://b:80/c?d HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            b"PUT / HTTP/1.1\r\nHost: [::1]\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
        )
    ),
    tokens=(
        *(b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" ", b"\t", b":", b",", b";", b"#", b"?", b"*"),
        *(b"GET ", b"POST ", b"OPTIONS ", b"CONNECT ", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n"),
        *(b"HTTP/2.0", b"http://", b"https://", b"Host: ", b"Content-Length: ", b"close", b"0\r\n"),
        *(b"Transfer-Encoding: ", b"chunked", b"gzip, chunked", b"Connection: ", b"keep-alive"),
        *(b"Upgrade: websocket\r\n", b"Upgrade", b"Expect: 100-continue\r\n", b"\r\n ", b"ffff"),
        *(b"Trailer: ", b"TE: trailers\r\n", b"0x", b"+1", b"[::1]", b"\x16\x03\x01", b"PRI * "),
    ),
    modules=(
        "fairway.wire.http1",
        "fairway.wire.http1_chunked",
        "fairway.wire.http1_faults",
        "fairway.wire.http1_head",
    ),
)
