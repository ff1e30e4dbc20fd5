"""What the conformance suite of this field asks of an echo server, case group by case group.

Autobahn's own suite runs on Python 2 only: `make interop` runs it where there is one. Its groups 1
to 7, 9, 10, 12 and 13 are written here for every run of the tests, from RFC 6455 and RFC 7692, on
sockets, with frames laid out by hand. Where its verdict may be "non-
strict" (a server that notices bad UTF-8 late), the strict one is asked for, but for one thing: a
message is echoed by an application, so it is not answered before the server has noticed what is
wrong with the frame behind it in the same packet. Here the answer is awaited first. (There are no
groups 8 and 11.)
"""

import random
import zlib
from collections.abc import Iterable

import pytest

from fairway._types import Receive, Scope, Send
from tests.server.conftest import Serve
from tests.server.running import WebSocketClient
from tests.wire.client import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close,
    continuation,
    frame,
    header,
    text,
)
from tests.wire.utf8 import INVALID, KOSME, UNFINISHED, VALID

TAIL = b"\x00\x00\xff\xff"
#: A Close from the client, echoed.
GOODBYE = (CLOSE, (1000).to_bytes(2))


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends back what it gets."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


class Peer(WebSocketClient):
    """The client of one case."""

    async def chop(self, data: bytes, size: int) -> None:
        """Send in pieces of such a size, each in a packet of its own as far as that can be had."""
        for start in range(0, len(data), size):
            await self.send(data[start : start + size])

    async def hears(self, *expected: tuple[int, bytes]) -> None:
        """These frames come next, whole, and nothing else does before the answer to a Close."""
        for opcode, payload in expected:
            assert await self.frame() == (opcode, payload)

    async def ends_well(self) -> None:
        """The server is still there: it answers a Close, and then ends the connection."""
        await self.send(close(1000))
        await self.hears(GOODBYE)
        assert await self.rest() == b""

    async def is_failed(self, code: int) -> None:
        """The server closes with this code, and then ends the connection."""
        assert (await self.goodbye())[0] == code
        assert await self.rest() == b""


@pytest.fixture
async def peer(serve: Serve) -> Peer:
    """The client of an echo server with room for messages of 16 MiB."""
    running = await serve(
        echo, websocket_max_message_size=16 << 20, websocket_max_frame_size=16 << 20
    )
    client = await running._open(Peer)
    assert isinstance(client, Peer)
    assert b" 101 " in await client.open()
    return client


def large(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A frame whose mask changes nothing, as to mask much takes a test a while."""
    return header((0x80 if fin else 0) | opcode, len(payload)) + bytes(4) + payload


def message(opcode: int, size: int) -> bytes:
    """A payload of such a size."""
    return b"*" * size if opcode == TEXT else b"\xfe" * size


class TestFraming:
    """Group 1: text and binary messages of all sizes."""

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    @pytest.mark.parametrize("size", [0, 125, 126, 127, 128, 65535, 65536])
    async def test_sizes(self, opcode: int, size: int, peer: Peer) -> None:
        """1.1.1 to 1.1.7, 1.2.1 to 1.2.7: they come back."""
        await peer.send(frame(opcode, message(opcode, size)))
        await peer.hears((opcode, message(opcode, size)))
        await peer.ends_well()

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    async def test_chopped(self, opcode: int, peer: Peer) -> None:
        """1.1.8, 1.2.8: also when they arrive in pieces of 997 bytes."""
        await peer.chop(frame(opcode, message(opcode, 65536)), 997)
        await peer.hears((opcode, message(opcode, 65536)))
        await peer.ends_well()


class TestPingsAndPongs:
    """Group 2: Pings are answered, in order, and Pongs ignored."""

    @pytest.mark.parametrize(
        "payload", [b"", b"Hello, world!", b"\x00\xff\xfe\xfd\xfc", b"\xfe" * 125]
    )
    @pytest.mark.parametrize("size", [1, 1000])
    async def test_answered(self, payload: bytes, size: int, peer: Peer) -> None:
        """2.1 to 2.4, 2.6: with their payload, however they arrive."""
        await peer.chop(frame(PING, payload), size)
        await peer.hears((PONG, payload))
        await peer.ends_well()

    async def test_too_long(self, peer: Peer) -> None:
        """2.5: one of 126 bytes fails the connection."""
        await peer.send(frame(PING, b"\xfe" * 126))
        await peer.is_failed(1002)

    @pytest.mark.parametrize("payload", [b"", b"unsolicited pong payload"])
    async def test_unsolicited(self, payload: bytes, peer: Peer) -> None:
        """2.7 to 2.9: a Pong that nobody asked for is ignored, and a Ping behind it answered."""
        await peer.send(frame(PONG, payload) + frame(PING, b"ping payload"))
        await peer.hears((PONG, b"ping payload"))
        await peer.ends_well()

    @pytest.mark.parametrize("size", [1, 1000])
    async def test_many(self, size: int, peer: Peer) -> None:
        """2.10, 2.11: ten Pings are answered in their order."""
        payloads = [b"payload-%d" % number for number in range(10)]
        await peer.chop(b"".join(frame(PING, payload) for payload in payloads), size)
        await peer.hears(*((PONG, payload) for payload in payloads))
        await peer.ends_well()


class TestReservedBits:
    """Group 3: a reserved bit fails the connection."""

    @pytest.mark.parametrize("reserved", range(1, 8))
    @pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, PONG, CLOSE])
    @pytest.mark.parametrize("size", [1, 1000])
    async def test_fails(self, reserved: int, opcode: int, size: int, peer: Peer) -> None:
        """3.1 to 3.7: what was said before is heard, and what follows is not."""
        await peer.send(text("good"))
        await peer.hears((TEXT, b"good"))
        await peer.chop(frame(opcode, b"", reserved=reserved) + frame(PING), size)
        await peer.is_failed(1002)


class TestOpcodes:
    """Group 4: an opcode that is not defined fails the connection."""

    @pytest.mark.parametrize("opcode", [*range(3, 8), *range(11, 16)])
    @pytest.mark.parametrize("payload", [b"", b"reserved opcode payload"])
    async def test_fails(self, opcode: int, payload: bytes, peer: Peer) -> None:
        """4.1.1 to 4.2.5: what was said before is heard, and what follows is not."""
        await peer.send(text("good"))
        await peer.hears((TEXT, b"good"))
        await peer.send(frame(opcode, payload) + frame(PING))
        await peer.is_failed(1002)


class TestFragmentation:
    """Group 5: messages in fragments, with control frames between them."""

    @pytest.mark.parametrize("opcode", [PING, PONG])
    async def test_control_frames(self, opcode: int, peer: Peer) -> None:
        """5.1, 5.2: control frames are not fragmented."""
        await peer.send(frame(opcode, b"fragment1", fin=False) + continuation(b"fragment2"))
        await peer.is_failed(1002)

    @pytest.mark.parametrize("size", [1, 7, 1000])
    @pytest.mark.parametrize("ping", [b"", frame(PING, b"ping payload")])
    async def test_two(self, size: int, ping: bytes, peer: Peer) -> None:
        """5.3 to 5.8: a message in two, with a Ping between them or without."""
        await peer.chop(text("fragment1", fin=False) + ping + continuation(b"fragment2"), size)
        if ping:
            await peer.hears((PONG, b"ping payload"))
        await peer.hears((TEXT, b"fragment1fragment2"))
        await peer.ends_well()

    @pytest.mark.parametrize("fin", [False, True])
    @pytest.mark.parametrize("size", [1, 1000])
    async def test_nothing_to_continue(self, fin: bool, size: int, peer: Peer) -> None:
        """5.9 to 5.14: a continuation of nothing fails the connection."""
        await peer.chop(continuation(b"non-continuation payload", fin=fin) + text("Hello"), size)
        await peer.is_failed(1002)

    async def test_behind_a_message(self, peer: Peer) -> None:
        """5.15: so does a continuation of a message that was complete."""
        await peer.send(text("fragment1", fin=False) + continuation(b"fragment2"))
        await peer.hears((TEXT, b"fragment1fragment2"))
        await peer.send(continuation(b"fragment3", fin=False) + text("fragment4"))
        await peer.is_failed(1002)

    @pytest.mark.parametrize(
        "said",
        [
            continuation(b"fragment1", fin=False) + text("fragment2", fin=False),
            continuation(b"fragment1") + text("fragment2", fin=False),
            text("fragment1", fin=False) + text("fragment2"),
        ],
    )
    async def test_twice(self, said: bytes, peer: Peer) -> None:
        """5.16 to 5.18: so does a continuation that comes first, and a second beginning."""
        await peer.send(said + continuation(b"fragment3"))
        await peer.is_failed(1002)

    @pytest.mark.parametrize("size", [1, 1000])
    async def test_five_and_two_pings(self, size: int, peer: Peer) -> None:
        """5.19, 5.20: five fragments, two Pings; these are answered before the message is whole."""
        await peer.chop(
            text("fragment1", fin=False)
            + continuation(b"fragment2", fin=False)
            + frame(PING, b"pongme 1!"),
            size,
        )
        await peer.hears((PONG, b"pongme 1!"))
        await peer.chop(
            continuation(b"fragment3", fin=False)
            + frame(PING, b"pongme 2!")
            + continuation(b"fragment4", fin=False),
            size,
        )
        await peer.hears((PONG, b"pongme 2!"))
        await peer.send(continuation(b"fragment5"))
        await peer.hears((TEXT, b"fragment1fragment2fragment3fragment4fragment5"))
        await peer.ends_well()


def pieces(data: bytes, size: int) -> Iterable[bytes]:
    """A text message in fragments of such a size, the last one empty."""
    for start in range(0, len(data), size):
        yield frame(CONTINUATION if start else TEXT, data[start : start + size], fin=False)
    yield frame(CONTINUATION if data else TEXT)


class TestUTF8:
    """Group 6: text is UTF-8, and what is not is refused at its first bad byte."""

    @pytest.mark.parametrize("name", VALID)
    async def test_valid(self, name: str, peer: Peer) -> None:
        """6.2, 6.5 to 6.7, 6.9, 6.11, 6.13, 6.16, 6.22, 6.23: whole, and in fragments anywhere."""
        data = VALID[name]
        await peer.send(text(data) + b"".join(pieces(data, 1)))
        await peer.hears((TEXT, data), (TEXT, data))
        await peer.chop(text(data), 1)
        await peer.hears((TEXT, data))
        await peer.ends_well()

    @pytest.mark.parametrize("name", INVALID)
    async def test_invalid(self, name: str, peer: Peer) -> None:
        """6.3, 6.8, 6.10, 6.12, 6.14, 6.15, 6.17 to 6.21: the first bad byte is enough."""
        data, good = INVALID[name]
        said = text(KOSME + data + b"edited")
        await peer.send(said[: 6 + len(KOSME) + good + 1])
        await peer.is_failed(1007)

    @pytest.mark.parametrize("name", UNFINISHED)
    async def test_unfinished(self, name: str, peer: Peer) -> None:
        """6.8: a text that ends within a character is none, in one frame or several."""
        await peer.send(b"".join(pieces(UNFINISHED[name], 1)))
        await peer.is_failed(1007)

    async def test_zero_length_fragments(self, peer: Peer) -> None:
        """6.1: empty fragments make an empty text."""
        begin = text("", fin=False)
        await peer.send(begin + continuation(b"", fin=False) + continuation(b""))
        await peer.hears((TEXT, b""))
        await peer.send(begin + continuation(b"middle", fin=False) + continuation(b""))
        await peer.hears((TEXT, b"middle"))
        await peer.ends_well()

    async def test_fail_fast(self, peer: Peer) -> None:
        """6.4.1, 6.4.2: the bad fragment is enough; the message need not be complete."""
        good = "Hello-µ@ßöäüàá".encode()
        await peer.send(text(good, fin=False))
        await peer.send(continuation(b"\xf4\x90", fin=False))
        await peer.is_failed(1007)

    async def test_fail_fast_within_a_frame(self, peer: Peer) -> None:
        """6.4.3, 6.4.4: the bad byte is enough; the frame need not be complete."""
        whole = text("κόσμε".encode() + b"\xf4\x90\x80\x80" + b"edited")
        await peer.send(whole[: 6 + len("κόσμε".encode()) + 2])
        await peer.is_failed(1007)

    async def test_split_characters(self, peer: Peer) -> None:
        """6.2.4: a character may be cut between fragments."""
        data = "κόσμε".encode()
        await peer.send(text(data[:1], fin=False) + continuation(data[1:]))
        await peer.hears((TEXT, data))
        await peer.ends_well()


CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
BAD_CODES = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


class TestClosing:
    """Group 7: the closing handshake, and what a Close may say."""

    async def test_after_a_message(self, peer: Peer) -> None:
        """7.1.1: a message, and then the end."""
        await peer.send(text("Hello World!"))
        await peer.hears((TEXT, b"Hello World!"))
        await peer.ends_well()

    @pytest.mark.parametrize("behind", [close(1000), frame(PING), text("Hello"), b"\xff" * 9])
    async def test_nothing_behind(self, behind: bytes, peer: Peer) -> None:
        """7.1.2 to 7.1.4: what follows a Close is ignored; it is answered once."""
        await peer.send(close(1000) + behind)
        await peer.hears(GOODBYE)
        assert await peer.rest() == b""

    async def test_within_a_message(self, peer: Peer) -> None:
        """7.1.5: a Close between fragments ends it; what follows is ignored."""
        await peer.send(text("fragment1", fin=False) + close(1000) + continuation(b"fragment2"))
        await peer.hears(GOODBYE)
        assert await peer.rest() == b""

    async def test_behind_a_large_message(self, peer: Peer) -> None:
        """7.1.6: a Close behind 256 KiB, a message and a Ping."""
        said = b"BAsd7&jh23" * 26214
        await peer.send(large(TEXT, said))
        await peer.hears((TEXT, said))
        await peer.send(close(1000) + frame(PING))
        await peer.hears(GOODBYE)
        assert await peer.rest() == b""

    async def test_empty(self, peer: Peer) -> None:
        """7.3.1: a Close without a code is answered without one."""
        await peer.send(close())
        await peer.hears((CLOSE, b""))
        assert await peer.rest() == b""

    async def test_half_a_code(self, peer: Peer) -> None:
        """7.3.2: half a code fails the connection."""
        await peer.send(frame(CLOSE, b"a"))
        await peer.is_failed(1002)

    @pytest.mark.parametrize("reason", ["", "Hello World!", "*" * 123])
    async def test_reason(self, reason: str, peer: Peer) -> None:
        """7.3.3 to 7.3.5: a code, and a reason that fits."""
        await peer.send(close(1000, reason))
        await peer.hears(GOODBYE)
        assert await peer.rest() == b""

    async def test_too_long(self, peer: Peer) -> None:
        """7.3.6: a reason of 124 bytes fails the connection."""
        await peer.send(close(1000, "*" * 124))
        await peer.is_failed(1002)

    async def test_reason_that_is_no_text(self, peer: Peer) -> None:
        """7.5.1: so does one that is not UTF-8."""
        await peer.send(frame(CLOSE, (1000).to_bytes(2) + b"\xce\xba\xed\xa0\x80edited"))
        await peer.is_failed(1007)

    @pytest.mark.parametrize("code", CODES)
    async def test_codes(self, code: int, peer: Peer) -> None:
        """7.7: each code that may be sent is echoed."""
        await peer.send(close(code))
        await peer.hears((CLOSE, code.to_bytes(2)))
        assert await peer.rest() == b""

    @pytest.mark.parametrize("code", BAD_CODES)
    async def test_bad_codes(self, code: int, peer: Peer) -> None:
        """7.9, 7.13: each other one fails the connection."""
        await peer.send(close(code))
        await peer.is_failed(1002)


class TestLimits:
    """Groups 9 and 10: large messages, in one frame, in fragments and in pieces."""

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    @pytest.mark.parametrize("size", [1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 23])
    async def test_whole(self, opcode: int, size: int, peer: Peer) -> None:
        """9.1, 9.2: up to 8 MiB in one frame."""
        await peer.send(large(opcode, message(opcode, size)))
        await peer.hears((opcode, message(opcode, size)))
        await peer.ends_well()

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    @pytest.mark.parametrize("size", [1 << 10, 1 << 14, 1 << 18, 1 << 20])
    async def test_fragments(self, opcode: int, size: int, peer: Peer) -> None:
        """9.3, 9.4: 1 MiB in fragments."""
        data = message(opcode, 1 << 20)
        starts = range(0, len(data), size)
        frames = [large(CONTINUATION, data[at : at + size], fin=False) for at in starts]
        await peer.send(frame(opcode, b"", fin=False) + b"".join(frames) + continuation(b""))
        await peer.hears((opcode, data))
        await peer.ends_well()

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    @pytest.mark.parametrize("size", [64, 512, 2048])
    async def test_chopped(self, opcode: int, size: int, peer: Peer) -> None:
        """9.5, 9.6: 256 KiB in pieces."""
        await peer.chop(large(opcode, message(opcode, 1 << 18)), size)
        await peer.hears((opcode, message(opcode, 1 << 18)))
        await peer.ends_well()

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    @pytest.mark.parametrize("size", [0, 16, 64, 256, 1024, 4096])
    async def test_one_after_the_other(self, opcode: int, size: int, peer: Peer) -> None:
        """9.7, 9.8: round trips, each message when the last one is back."""
        for _ in range(100):
            await peer.send(frame(opcode, message(opcode, size)))
            await peer.hears((opcode, message(opcode, size)))
        await peer.ends_well()

    async def test_fragments_of_1300(self, peer: Peer) -> None:
        """10.1.1: 64 KiB of text in fragments of 1300 bytes."""
        await peer.send(b"".join(pieces(b"*" * 65536, 1300)))
        await peer.hears((TEXT, b"*" * 65536))
        await peer.ends_well()


#: Offers of group 13, and whether either side may refer to the message before.
OFFERS = {
    "13.1": "",
    "13.2": "; server_no_context_takeover",
    "13.3": "; server_max_window_bits=9",
    "13.4": "; server_max_window_bits=15",
    "13.5": "; server_max_window_bits=9; server_no_context_takeover",
    "13.6": "; server_max_window_bits=15; server_no_context_takeover",
    "13.7": "; server_max_window_bits=9; server_no_context_takeover, permessage-deflate; "
    "server_no_context_takeover, permessage-deflate",
}


class TestCompression:
    """Groups 12 and 13: messages of all kinds and sizes, with all parameters."""

    @pytest.mark.parametrize("takeover", [False, True])
    @pytest.mark.parametrize("case", OFFERS)
    async def test_echo(self, case: str, takeover: bool, serve: Serve) -> None:
        """Text that repeats itself, text that does not, and noise; whole and in fragments."""
        running = await serve(
            echo,
            websocket_compression_threshold=0,
            websocket_server_takeover=takeover,
            websocket_client_takeover=takeover,
        )
        client = await running._open(Peer)
        assert isinstance(client, Peer)
        offer = "permessage-deflate; client_max_window_bits" + OFFERS[case]
        answer = await client.open("/", f"Sec-WebSocket-Extensions: {offer}")
        server_takeover = b"server_no_context_takeover" not in answer
        client_takeover = b"client_no_context_takeover" not in answer
        assert client_takeover == takeover
        assert server_takeover == (takeover and "server_no" not in OFFERS[case].split(",")[0])
        assert (b"server_max_window_bits=9" in answer) == ("=9" in OFFERS[case])
        bits = 9 if "=9" in OFFERS[case] else 15
        deflater, inflater = zlib.compressobj(wbits=-15), zlib.decompressobj(wbits=-bits)
        noise = random.Random(1)
        for number, size in enumerate([16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072]):
            opcode = TEXT if number % 3 else BINARY
            said = noise.randbytes(size) if opcode == BINARY else _prose(noise, size)
            if not client_takeover:
                deflater = zlib.compressobj(wbits=-15)
            data = deflater.compress(said) + deflater.flush(zlib.Z_SYNC_FLUSH)
            data = data.removesuffix(TAIL)
            first = frame(opcode, data[:1000], fin=len(data) <= 1000, reserved=4)
            await client.send(first + b"".join(
                continuation(data[start : start + 1000], fin=start + 1000 >= len(data))
                for start in range(1000, len(data), 1000)
            ))  # fmt: skip
            head, length = await client.read(2)
            if length >= 126:
                length = int.from_bytes(await client.read(2 if length == 126 else 8))
            heard = await client.read(length)
            if head & 0x40:
                if not server_takeover:
                    inflater = zlib.decompressobj(wbits=-bits)
                heard = inflater.decompress(heard + TAIL)
            assert heard == said
        await client.ends_well()


def _prose(source: random.Random, size: int) -> bytes:
    """Words in no order, of such a size together."""
    words = ["sit", "amet", "dolor", "lorem", "ipsum", "ærlig", "κόσμε", "wave 👋", "end.\n"]
    text = " ".join(source.choice(words) for _ in range(size // 3)).encode()
    return text[:size].decode("utf-8", "ignore").encode()
