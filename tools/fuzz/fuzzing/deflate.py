"""permessage-deflate: any bytes as compressed messages, in any fragments and pieces.

Also the extension's negotiation: any offer is answered as RFC 7692 §7.1 allows, or declined.
"""

import itertools
import zlib
from typing import Any, Final

from fairway.wire.deflate import Agreement, Compression, CompressionOptions
from fairway.wire.extensions import ExtensionsMalformed, parse_extensions
from fairway.wire.websocket import Closed, Event, WebSocketConnection
from fuzzing.target import Target, held, in_pieces, octets

__all__ = ["TARGET", "check", "check_messages", "check_offer"]

MESSAGE: Final = 5000
TAIL: Final = b"\0\0\xff\xff"
_COMPRESSION: Final = Compression(CompressionOptions(threshold=1, client_takeover=True))


def _frames(payload: bytes, opcode: int, fragments: int) -> bytes:
    """A compressed message, in so many fragments, masked with zeros."""
    size = -(-len(payload) // fragments) or 1
    parts = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
    data = b""
    for number, part in enumerate(parts):
        first = (0x40 | opcode) if number == 0 else 0
        first |= 0x80 if number == len(parts) - 1 else 0
        length = bytes((0x80 | len(part),)) if len(part) < 126 else b"\xfe%b" % _u16(len(part))
        data += bytes((first,)) + length + bytes(4) + part
    return data


def _u16(number: int) -> bytes:
    return number.to_bytes(2, "big")


def _run(pieces: list[bytes], agreement: Agreement, limit: int, budget: int) -> list[Event]:
    connection = WebSocketConnection(limit, 0, budget)
    connection.inflater = _COMPRESSION.inflater(agreement)
    events: list[Event] = []
    window = 1 << agreement.client_window_bits if agreement.client_takeover else 0
    for piece in pieces:
        events += connection.receive_data(piece)
        assert not connection.pending or budget
        while connection.pending:
            assert held(connection) <= 2 * limit + window + len(piece) + 2000
            events += connection.receive_data(b"")
        if limit:
            assert held(connection) <= 2 * limit + window + 2000
        connection.data_to_send()
    for event in events:
        if isinstance(event, str | bytes):
            size = len(event.encode() if isinstance(event, str) else event)
            assert not limit or size <= limit, "a bomb went off"
    closed = [event for event in events if isinstance(event, Closed)]
    assert closed in ([], events[-1:])
    return events


def _named(events: list[Event]) -> list[object]:
    """Events that can be compared: of several faults in one message, pieces decide the first."""
    return ["fault" if isinstance(e, Closed) and e.code in (1007, 1009) else e for e in events]


def _plain(payload: bytes, bits: int) -> bytes | None:
    """What zlib alone makes of a message of whole blocks; None if it is not one, or ends itself."""
    decoder: Any = zlib.decompressobj(-bits)  # its attributes change with its calls
    try:
        data: bytes = decoder.decompress(payload + TAIL, MESSAGE + 1)
        if decoder.eof or decoder.unconsumed_tail:
            return None
        # Only between two blocks does a last and empty one give nothing, and end there.
        last = decoder.decompress(b"\x01" + TAIL)
    except zlib.error:
        return None
    return data if decoder.eof and not last and not decoder.unused_data else None


def check_messages(payload: bytes, *, takeover: bool, bits: int, text: bool, limit: int) -> None:
    """The same message twice, in any fragments and pieces: what zlib says, or a fault."""
    agreement = Agreement(15, bits, server_takeover=False, client_takeover=takeover, answer=b"")
    opcode = 1 if text else 2
    whole = _frames(payload, opcode, 1)
    data = whole + _frames(payload, opcode, 3)
    outcome = _run([data], agreement, limit, 0)
    for pieces in (octets(data) if len(data) < 200 else [data], in_pieces(data)):
        assert _named(_run(pieces, agreement, limit, 0)) == _named(outcome)
    assert _named(_run([data], agreement, limit, 1)) == _named(outcome)
    expected = _plain(payload, bits)
    if not text and payload and expected is not None and len(expected) <= (limit or MESSAGE):
        assert outcome[0] == expected
    for first, second in itertools.pairwise(outcome):
        if isinstance(first, str | bytes) and isinstance(second, str | bytes) and not takeover:
            assert first == second, "what was compressed before is remembered"


def check_offer(value: bytes) -> None:
    """An answer names only what was offered, and windows within those that were."""
    try:
        offers = parse_extensions([value])
    except ExtensionsMalformed:
        return
    agreement = _COMPRESSION.negotiate(offers)
    if agreement is None:
        return
    offered = [dict(offer.parameters) for offer in offers if offer.name == "permessage-deflate"]
    (answer,) = parse_extensions([agreement.answer])
    answered = dict(answer.parameters)
    assert answer.name == "permessage-deflate"
    assert any(
        ("client_max_window_bits" not in answered or "client_max_window_bits" in offer)
        and ("server_max_window_bits" not in offer or "server_max_window_bits" in answered)
        and agreement.server_window_bits <= _bits(offer.get("server_max_window_bits"))
        and agreement.client_window_bits <= _bits(offer.get("client_max_window_bits"))
        for offer in offered
    )
    assert agreement.server_takeover == ("server_no_context_takeover" not in answered)
    assert agreement.client_takeover == ("client_no_context_takeover" not in answered)


def _bits(value: str | None) -> int:
    """The window that an offer names; what names none that there is, is declined."""
    return int(value) if value and value.isdigit() else 15 if value is None else -1


def check(data: bytes) -> None:
    """The first byte chooses what, and how; the rest are compressed messages, or an offer."""
    if not data:
        return
    options, payload = data[0], data[1:]
    if options & 0x80:
        check_offer(b"permessage-deflate" + payload)
        check_offer(payload)
        return
    check_messages(
        payload,
        takeover=bool(options & 8),
        bits=8 + (options & 7),
        text=bool(options & 16),
        limit=MESSAGE if options & 32 else 300,
    )


def _compressed(data: bytes, flush: int = zlib.Z_SYNC_FLUSH) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflater.compress(data) + deflater.flush(flush)).removesuffix(TAIL)


_HELLO: Final = _compressed(b"hello")

TARGET = Target(
    name="deflate",
    check=check,
    seeds=(
        *(bytes((options,)) + _HELLO for options in (7, 15, 23, 39, 0)),
        b"\x37" + _compressed(b"hello " * 500),
        b"\x27" + _compressed(bytes(100_000)),
        b"\x2f" + _compressed(b"abc", zlib.Z_FINISH) + b"\x00",
        b"\x27" + _compressed(b"abc", zlib.Z_FINISH) * 3 + b"\x00",
        b"\x27\x00\x05\x00\xfa\xffhello\x00",
        b"\x80; client_max_window_bits; server_max_window_bits=10",
        b'\x80;server_no_context_takeover;client_max_window_bits="9", permessage-deflate',
    ),
    tokens=(
        *(TAIL, b"\x01" + TAIL, b"\x00", b"\x03\x00", b"\x02\x00", _HELLO, b"\x00\x05\x00\xfa\xff"),
        *(b"permessage-deflate", b"client_max_window_bits", b"server_max_window_bits", b"=15"),
        *(b"server_no_context_takeover", b"client_no_context_takeover", b'="', b"; ", b", ", b"=8"),
    ),
    modules=("fairway.wire.deflate", "fairway.wire.extensions"),
)
