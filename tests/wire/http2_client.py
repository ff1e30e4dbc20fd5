"""An HTTP/2 client by hand: frames laid out from RFC 9113 §4.1, fields by hpack.

It shares no code with the package, nor with h2, and may break every rule.
"""

import dataclasses
import struct
from collections.abc import Iterable

from hpack import Decoder, Encoder

from fairway._types import Headers

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9

END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20

#: The least that a request has.
GET: Headers = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"example.org"),
    (b":path", b"/"),
]
#: A request that has a body.
POST: Headers = [(b":method", b"POST"), *GET[1:]]
#: A request for a WebSocket (RFC 8441 §5.1).
CONNECT: Headers = [
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    (b":scheme", b"https"),
    (b":authority", b"example.org"),
    (b":path", b"/"),
    (b"sec-websocket-version", b"13"),
]


def frame(kind: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    """Any frame."""
    return (
        struct.pack(">L", len(payload))[1:] + struct.pack(">BBL", kind, flags, stream_id) + payload
    )


def settings(*values: tuple[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, payload=b"".join(struct.pack(">HL", *value) for value in values))


def data(stream_id: int, payload: bytes = b"", *, end: bool = False) -> bytes:
    """A DATA frame."""
    return frame(DATA, END_STREAM if end else 0, stream_id, payload)


def reset(stream_id: int, code: int = 8) -> bytes:
    """A RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream_id, struct.pack(">L", code))


def window_update(stream_id: int, increment: int) -> bytes:
    """A WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, 0, stream_id, struct.pack(">L", increment))


def ping(payload: bytes = b"12345678") -> bytes:
    """A PING frame."""
    return frame(PING, 0, 0, payload)


@dataclasses.dataclass(frozen=True)
class Frame:
    """A frame that the server has sent; of HEADERS the fields are decoded."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes = b""
    fields: Headers = dataclasses.field(default_factory=list)

    @property
    def ends(self) -> bool:
        """Whether its stream ends with it."""
        return bool(self.flags & END_STREAM) and self.kind in (DATA, HEADERS)

    @property
    def number(self) -> int:
        """What a RST_STREAM or a WINDOW_UPDATE says."""
        return int(struct.unpack(">L", self.payload)[0])

    @property
    def goaway(self) -> tuple[int, int, str]:
        """What a GOAWAY says: the last stream, the code, and the text."""
        last, code = struct.unpack(">LL", self.payload[:8])
        return last, code, self.payload[8:].decode()

    @property
    def status(self) -> int:
        """What the fields of a response begin with."""
        assert self.fields[0][0] == b":status"
        return int(self.fields[0][1])


class Speaker:
    """Compression both ways, and frames out of bytes."""

    def __init__(self) -> None:
        self.encoder = Encoder()
        self._decoder = Decoder()
        self._buffer = b""

    def headers(
        self,
        stream_id: int,
        fields: Iterable[tuple[bytes, bytes]] = GET,
        *,
        end: bool = True,
        flags: int = END_HEADERS,
    ) -> bytes:
        """A HEADERS frame with fields, whatever they are."""
        block = self.encoder.encode(list(fields))
        return frame(HEADERS, flags | (END_STREAM if end else 0), stream_id, block)

    def parts(
        self, stream_id: int, fields: Iterable[tuple[bytes, bytes]], size: int, *, end: bool = True
    ) -> bytes:
        """Fields cut into a HEADERS frame and CONTINUATION frames."""
        block = self.encoder.encode(list(fields))
        pieces = [block[start : start + size] for start in range(0, len(block), size)]
        sent = frame(HEADERS, END_STREAM if end else 0, stream_id, pieces[0])
        for number, piece in enumerate(pieces[1:], 2):
            last = END_HEADERS if number == len(pieces) else 0
            sent += frame(CONTINUATION, last, stream_id, piece)
        return sent

    def receive(self, received: bytes) -> list[Frame]:
        """The frames that are complete with these bytes."""
        self._buffer += received
        found = []
        while len(self._buffer) >= 9:
            size = int.from_bytes(self._buffer[:3])
            if len(self._buffer) < 9 + size:
                break
            kind, flags, stream_id = struct.unpack(">BBL", self._buffer[3:9])
            payload, self._buffer = self._buffer[9 : 9 + size], self._buffer[9 + size :]
            fields: Headers = []
            if kind == HEADERS:
                assert flags & END_HEADERS
                decoded = self._decoder.decode(payload, raw=True)
                fields = [(bytes(name), bytes(value)) for name, value in decoded]
                payload = b""
            found.append(Frame(kind, flags, stream_id, payload, fields))
        return found
