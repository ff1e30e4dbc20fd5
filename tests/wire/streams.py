"""Hypothesis strategies: what clients send, right and wrong, and how networks cut it."""

from typing import Final, NamedTuple

from hypothesis import strategies as st

from fairway.wire.websocket import Event, Ping, Pong
from tests.exploring import examples
from tests.wire.client import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close_body,
    frame,
    unmasked,
)

#: For all that reads what a stranger has written.
FUZZ: Final = examples(300)

keys = st.binary(min_size=4, max_size=4)
# Characters of one, two, three and four bytes, for st.text() prefers the short ones.
texts = st.text(st.sampled_from("ab\x00é߿ࠀ€\ufeff\uffff𐀀👋\U0010ffff"), max_size=40)
payloads = st.binary(max_size=40) | st.integers(120, 300).map(lambda length: b"\xc3\xa9" * length)
short_payloads = st.binary(max_size=125)
codes = st.sampled_from([1000, 1001, 1011, 1014, 3000, 4999])
reasons = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


class Stream(NamedTuple):
    """What a client sends, and what the application hears of it."""

    data: bytes
    events: list[Event]
    pongs: bytes


@st.composite
def control_frames(draw: st.DrawFn) -> Stream:
    """Some Pings and Pongs, mostly none."""
    data, events, pongs = b"", list[Event](), b""
    for payload in draw(st.lists(short_payloads, max_size=2)):
        is_ping = draw(st.booleans())
        data += frame(PING if is_ping else PONG, payload, key=draw(keys))
        events.append(Ping(payload) if is_ping else Pong(payload))
        pongs += unmasked(PONG, payload) if is_ping else b""
    return Stream(data, events, pongs)


@st.composite
def messages(draw: st.DrawFn) -> Stream:
    """A message in some fragments cut anywhere, with control frames around and between them."""
    message = draw(texts | payloads)
    payload = message.encode() if isinstance(message, str) else message
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
    parts = [
        payload[start:end] for start, end in zip([0, *cuts], [*cuts, len(payload)], strict=True)
    ]
    data, events, pongs = b"", list[Event](), b""
    for index, part in enumerate(parts):
        between = draw(control_frames())
        opcode = CONTINUATION if index else TEXT if isinstance(message, str) else BINARY
        fin = index == len(parts) - 1
        data += between.data + frame(opcode, part, fin=fin, key=draw(keys))
        events += between.events
        pongs += between.pongs
    return Stream(data, [*events, message], pongs)


@st.composite
def conversations(draw: st.DrawFn) -> Stream:
    """Several messages, one after the other."""
    parts = draw(st.lists(messages(), max_size=5))
    events = [event for part in parts for event in part.events]
    return Stream(
        b"".join(part.data for part in parts), events, b"".join(part.pongs for part in parts)
    )


class LooseFrame(NamedTuple):
    """A whole frame that need not be right."""

    opcode: int
    payload: bytes
    fin: bool
    reserved: int
    masked: bool

    @property
    def data(self) -> bytes:
        """The frame as bytes."""
        if self.masked:
            return frame(self.opcode, self.payload, fin=self.fin, reserved=self.reserved)
        wrong = unmasked(self.opcode, self.payload, fin=self.fin)
        return bytes((wrong[0] | self.reserved << 4,)) + wrong[1:]


def mostly(usual: bool) -> st.SearchStrategy[bool]:
    """``usual``, fifteen times out of sixteen."""
    return st.sampled_from([usual] * 15 + [not usual])


close_bodies = (
    st.builds(close_body, codes, reasons)
    | st.integers(990, 1020).map(lambda code: code.to_bytes(2))
    | st.binary(max_size=6)
)
good_opcodes = st.sampled_from([CONTINUATION] * 3 + [TEXT] * 3 + [BINARY] * 3 + [PING, PONG, CLOSE])


@st.composite
def loose_frames(draw: st.DrawFn) -> LooseFrame:
    """A frame with a fault now and then; its length is right, so the next one can be found."""
    opcode = draw(good_opcodes) if draw(mostly(True)) else draw(st.integers(0, 15))
    if opcode == CLOSE:
        payload = draw(close_bodies)
    elif opcode >= CLOSE:
        payload = draw(short_payloads) if draw(mostly(True)) else bytes(126)
    else:
        payload = draw(texts.map(str.encode) if draw(mostly(True)) else payloads)
    fin = draw(mostly(True)) if opcode >= CLOSE else draw(st.booleans())
    reserved = 0 if draw(mostly(True)) else draw(st.integers(1, 7))
    return LooseFrame(opcode, payload, fin, reserved, draw(mostly(True)))


@st.composite
def noises(draw: st.DrawFn) -> bytes:
    """Bytes that begin like a conversation and may have gone wrong at a few places."""
    data = bytearray(draw(conversations()).data)
    data += b"".join(loose.data for loose in draw(st.lists(loose_frames(), max_size=4)))
    for place, octet in draw(
        st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=3)
    ):
        if place < len(data):
            data[place] = octet
    return bytes(data) + draw(st.binary(max_size=20))


@st.composite
def chunked(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """``data`` in chunks cut anywhere, empty ones included."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=10)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
