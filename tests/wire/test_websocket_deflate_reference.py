"""Second and third opinions on compressed messages: `websockets` and `wsproto`, on either side."""

import zlib
from typing import NamedTuple

import wsproto.connection
import wsproto.events
import wsproto.extensions
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from fairway.wire.deflate import CompressionOptions, Deflater, Inflater
from fairway.wire.messages import encode_message
from fairway.wire.websocket import Closed, WebSocketConnection
from tests.wire.client import BINARY, CONTINUATION, TEXT, frame
from tests.wire.streams import FUZZ

TAIL = b"\x00\x00\xff\xff"
messages = st.one_of(
    st.binary(max_size=50),
    st.text(st.sampled_from("abc\x00é€👋"), max_size=50),
    st.binary(max_size=10).map(lambda data: data * 60),
    st.text(st.sampled_from("ab"), max_size=10).map(lambda data: data * 60),
)


class Said(NamedTuple):
    """A message, and how a client sends it.

    Attributes:
        message: What it says.
        compressed: Whether it is.
        cuts: Where its frames end, modulo its length.
    """

    message: str | bytes
    compressed: bool
    cuts: list[int]


said = st.builds(Said, messages, st.booleans(), st.lists(st.integers(0, 500), max_size=3))


def spoken(conversation: list[Said], *, bits: int, takeover: bool) -> bytes:
    """The frames of a client that compresses with zlib itself."""
    data = b""
    compressor = zlib.compressobj(wbits=-bits)
    for each in conversation:
        payload = each.message.encode() if isinstance(each.message, str) else each.message
        if each.compressed:
            if not takeover:
                compressor = zlib.compressobj(wbits=-bits)
            # Without input a second flush in a row gives nothing, and a message needs something.
            payload = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
            payload = payload.removesuffix(TAIL) or b"\x00"
        ends = sorted({cut % (len(payload) + 1) for cut in each.cuts} | {len(payload)})
        opcode = TEXT if isinstance(each.message, str) else BINARY
        start = 0
        for index, end in enumerate(ends):
            data += frame(
                CONTINUATION if index else opcode,
                payload[start:end],
                fin=end == ends[-1],
                reserved=4 if each.compressed and not index else 0,
            )
            start = end
    return data


def by_websockets(data: bytes, *, bits: int, takeover: bool) -> list[str | bytes]:
    """The messages that `websockets` hears as a server."""
    protocol = ServerProtocol(state=OPEN, max_size=None)
    protocol.extensions = [PerMessageDeflate(not takeover, not takeover, bits, bits)]
    protocol.receive_data(data)
    heard: list[str | bytes] = []
    parts, is_text = b"", False
    for event in protocol.events_received():
        assert isinstance(event, Frame)
        if event.opcode != CONTINUATION:
            parts, is_text = b"", event.opcode == TEXT
        parts += bytes(event.data)
        if event.fin:
            heard.append(parts.decode() if is_text else parts)
    assert protocol.state is OPEN
    return heard


def by_wsproto(data: bytes, *, bits: int, takeover: bool) -> list[str | bytes]:
    """The messages that `wsproto` hears as a server."""
    extension = wsproto.extensions.PerMessageDeflate(
        client_no_context_takeover=not takeover, client_max_window_bits=bits
    )
    extension._enabled = True
    connection = wsproto.connection.Connection(
        wsproto.connection.ConnectionType.SERVER, extensions=[extension]
    )
    connection.receive_data(data)
    heard: list[str | bytes] = []
    parts: list[str | bytes] = []
    for event in connection.events():
        assert isinstance(event, wsproto.events.Message)
        parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
        if event.message_finished:
            empty: str | bytes = "" if isinstance(parts[0], str) else b""
            heard.append(empty.join(parts))  # type: ignore[arg-type]  # all of one type
            parts = []
    return heard


@FUZZ
@given(st.lists(said, max_size=6), st.integers(9, 15), st.booleans())
def test_heard(conversation: list[Said], bits: int, takeover: bool) -> None:
    """All three hear the same, from a client that compresses some messages and others not."""
    data = spoken(conversation, bits=bits, takeover=takeover)
    connection = WebSocketConnection()
    connection.inflater = Inflater(bits, takeover=takeover)
    expected = [each.message for each in conversation]
    assert connection.receive_data(data) == expected
    assert by_websockets(data, bits=bits, takeover=takeover) == expected
    assert by_wsproto(data, bits=bits, takeover=takeover) == expected


@FUZZ
@given(st.lists(messages, max_size=6), st.integers(8, 15), st.booleans(), st.integers(0, 100))
def test_said(conversation: list[str | bytes], bits: int, takeover: bool, threshold: int) -> None:
    """What a server with our deflater says is understood by another client."""
    deflater = Deflater(bits, CompressionOptions(threshold=threshold), takeover=takeover)
    protocol = ClientProtocol(parse_uri("ws://example.org/"), state=OPEN, max_size=None)
    protocol.extensions = [PerMessageDeflate(not takeover, not takeover, bits, 15)]
    for message in conversation:
        protocol.receive_data(encode_message(message, deflater))
        (event,) = protocol.events_received()
        assert isinstance(event, Frame)
        heard = bytes(event.data)
        assert (heard.decode() if isinstance(message, str) else heard) == message


class TestKnownDifferences:
    """Where we are stricter, and where we understand more."""

    def test_unfinished_block(self) -> None:
        """A message that ends within a block: they hear its beginning, and we refuse it.

        RFC 7692 §7.2.1 has the sender end it with a whole block; half a message is worse than none.
        """
        whole = frame(BINARY, bytes.fromhex("f2 48 cd"), reserved=4)
        connection = WebSocketConnection()
        connection.inflater = Inflater(15)
        (event,) = connection.receive_data(whole)
        assert isinstance(event, Closed)
        assert event.code == 1007
        assert by_websockets(whole, bits=15, takeover=False) == [b"Heh"], (
            "an octet of theirs is in it"
        )

    def test_final_block(self) -> None:
        """A message in several final blocks (§7.2.3.4): they hear the first, and we all of them."""
        data = b""
        for word in (b"Hello ", b"World"):
            compressor = zlib.compressobj(wbits=-15)
            data += compressor.compress(word) + compressor.flush(zlib.Z_FINISH)
        whole = frame(BINARY, data + b"\x00", reserved=4)
        connection = WebSocketConnection()
        connection.inflater = Inflater(15)
        assert connection.receive_data(whole) == [b"Hello World"]
        assert by_websockets(whole, bits=15, takeover=False) == [b"Hello "]
