"""Frames from the client, RFC 6455 §5: headers, masks, lengths, control frames, limits."""

from typing import Final

import pytest

from fairway.wire.websocket import Closed, Event, Ping, Pong, State
from tests.wire.client import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    TEXT,
    Client,
    binary,
    continuation,
    frame,
    goodbye,
    header,
    mask,
    text,
    unmasked,
)
from tests.wire.conftest import Connect

RESERVED_BIT: Final = "A reserved bit is set, but no extension was agreed on."
NOT_MASKED: Final = "A frame from the client is not masked."
FRAGMENTED: Final = "A control frame is fragmented."
LONG_CONTROL: Final = "A control frame exceeds 125 bytes."
BAD_LENGTH: Final = "A frame's length is badly encoded."

ALL_OPCODES: Final = (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG)
UNDEFINED_OPCODES: Final = (0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF)
LENGTHS: Final = (0, 1, 2, 3, 4, 5, 124, 125, 126, 127, 128, 65535, 65536, 65537)


def assert_fails(client: Client, data: bytes, code: int, reason: str) -> None:
    """The last byte of ``data``, and none before it, fails the connection with ``code``."""
    if len(data) > 1:
        assert client.says(data[:-1]) == []
        assert client.state is State.OPEN
    assert client.says(data[-1:]) == [Closed(code, reason)]
    assert client.hears() == goodbye(code, reason)
    assert client.state is State.FAILED


class TestExamples:
    """The masked examples of §5.7."""

    def test_hello(self, client: Client) -> None:
        """A single-frame masked text message contains "Hello"."""
        data = bytes.fromhex("81 85 37 fa 21 3d 7f 9f 4d 51 58")
        assert client.says(data) == ["Hello"]
        assert client.hears() == b""

    def test_pong(self, client: Client) -> None:
        """A masked Pong contains "Hello"."""
        data = bytes.fromhex("8a 85 37 fa 21 3d 7f 9f 4d 51 58")
        assert client.says(data) == [Pong(b"Hello")]
        assert client.hears() == b""


class TestReservedBits:
    """§5.2: "MUST be 0 unless an extension is negotiated that defines meanings for non-zero"."""

    @pytest.mark.parametrize("reserved", range(1, 8))
    @pytest.mark.parametrize("opcode", ALL_OPCODES)
    def test_set(self, client: Client, reserved: int, opcode: int) -> None:
        """Any reserved bit in any frame fails the connection at the frame's first byte."""
        data = frame(opcode, b"hi", reserved=reserved)
        assert_fails(client, data[:1], 1002, RESERVED_BIT)

    def test_after_messages(self, client: Client) -> None:
        """What came before the bad frame reaches the application."""
        data = text("1") + binary(b"2") + frame(PING, b"3") + frame(TEXT, b"4", reserved=4)
        assert client.says(data) == ["1", b"2", Ping(b"3"), Closed(1002, RESERVED_BIT)]
        assert client.hears() == b"\x8a\x013" + goodbye(1002, RESERVED_BIT)


class TestOpcodes:
    """§5.2: "If an unknown opcode is received, the receiving endpoint MUST Fail"."""

    @pytest.mark.parametrize("fin", [True, False], ids=["final", "not final"])
    @pytest.mark.parametrize("opcode", UNDEFINED_OPCODES, ids=hex)
    def test_undefined(self, client: Client, opcode: int, fin: bool) -> None:
        """An opcode that the standard keeps for later fails the connection at once."""
        data = frame(opcode, fin=fin)
        assert_fails(client, data[:1], 1002, f"Opcode {opcode:#x} is not defined.")

    @pytest.mark.parametrize("opcode", UNDEFINED_OPCODES, ids=hex)
    def test_undefined_within_message(self, client: Client, opcode: int) -> None:
        """The same between the fragments of a message."""
        assert client.says(text("1", fin=False)) == []
        assert_fails(client, frame(opcode)[:1], 1002, f"Opcode {opcode:#x} is not defined.")


class TestMasking:
    """§5.1: "a client MUST mask all frames that it sends to the server", and §5.3."""

    @pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
    def test_missing(self, client: Client, opcode: int) -> None:
        """A frame without a mask fails the connection before its payload arrives."""
        assert_fails(client, unmasked(opcode, b"\x03\xe8")[:2], 1002, NOT_MASKED)

    def test_missing_on_continuation(self, client: Client) -> None:
        """Each fragment must be masked, too."""
        assert client.says(text("1", fin=False)) == []
        assert_fails(client, unmasked(CONTINUATION, b"2")[:2], 1002, NOT_MASKED)

    @pytest.mark.parametrize("key", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\x02\x03\x04", MASK])
    @pytest.mark.parametrize("length", [*range(10), 126, 1000])
    def test_any_key(self, client: Client, key: bytes, length: int) -> None:
        """Any key takes its own mask off, in frames of any length."""
        payload = bytes(index % 251 for index in range(length))
        assert client.says(frame(BINARY, payload, key=key)) == [payload]

    @pytest.mark.parametrize("length", [*range(10), 125])
    def test_control(self, client: Client, length: int) -> None:
        """Control frames are unmasked in the same way."""
        payload = bytes(range(length))
        assert client.says(frame(PONG, payload, key=b"\x01\x02\x03\x04")) == [Pong(payload)]

    def test_key_of_each_frame(self, client: Client) -> None:
        """Each fragment has a key of its own, and its first byte meets that key's first."""
        first = frame(TEXT, b"Hel", fin=False, key=b"\x01\x02\x03\x04")
        second = frame(CONTINUATION, b"lo", key=b"\x05\x06\x07\x08")
        assert client.says(first + second) == ["Hello"]


class TestPayloadLength:
    """§5.2: the three forms of a length."""

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    @pytest.mark.parametrize("length", LENGTHS)
    def test_each_form(self, client: Client, length: int, opcode: int) -> None:
        """A message on either side of each form's border is received as it was sent."""
        payload = b"x" * length
        message: Event = payload.decode() if opcode == TEXT else payload
        assert client.says(frame(opcode, payload)) == [message]
        assert client.says(frame(opcode, b"and next")) == [
            "and next" if opcode == TEXT else b"and next"
        ]

    @pytest.mark.parametrize(
        ("octets", "length"),
        [(2, 0), (2, 1), (2, 125), (8, 0), (8, 125), (8, 126), (8, 127), (8, 65535)],
    )
    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    def test_not_minimal(self, client: Client, opcode: int, octets: int, length: int) -> None:
        """A longer form than needed: "the minimal number of bytes MUST be used"."""
        data = header(0x80 | opcode, length, octets=octets)
        assert_fails(client, data, 1002, BAD_LENGTH)

    @pytest.mark.parametrize("length", [1 << 63, (1 << 64) - 1])
    @pytest.mark.parametrize("limit", [0, 1000])
    def test_top_bit(self, connect: Connect, length: int, limit: int) -> None:
        """A length whose "most significant bit MUST be 0" is wrong rather than too big."""
        client = connect(max_message_size=limit, max_frame_size=limit)
        assert_fails(client, header(0x82, length, octets=8), 1002, BAD_LENGTH)

    def test_longest(self, client: Client) -> None:
        """A frame may announce 2**63 - 1 bytes; nothing is set aside for them before they come."""
        assert client.says(header(0x82, (1 << 63) - 1) + MASK + mask(b"first of many")) == []
        assert client.state is State.OPEN
        assert client.leaves() == [Closed(1006, "")]

    @pytest.mark.parametrize("length", [0, 125, 126, 65536])
    def test_incomplete(self, client: Client, length: int) -> None:
        """A frame says nothing before its last byte."""
        data = binary(b"x" * length)
        assert client.says(data[:-1]) == []
        assert client.says(data[-1:]) == [b"x" * length]


class TestControlFrames:
    """§5.5: "payload length of 125 bytes or less and MUST NOT be fragmented"."""

    @pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
    @pytest.mark.parametrize("length", [126, 65536])
    def test_too_long(self, client: Client, opcode: int, length: int) -> None:
        """More than 125 bytes fail the connection as soon as the form of the length shows it."""
        assert_fails(client, frame(opcode, b"x" * length)[:2], 1002, LONG_CONTROL)

    @pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
    def test_fragmented(self, client: Client, opcode: int) -> None:
        """A control frame without FIN fails the connection at its first byte."""
        assert_fails(client, frame(opcode, fin=False)[:1], 1002, FRAGMENTED)

    @pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
    def test_fragmented_within_message(self, client: Client, opcode: int) -> None:
        """The same between the fragments of a message."""
        assert client.says(binary(b"1", fin=False)) == []
        assert_fails(client, frame(opcode, fin=False)[:1], 1002, FRAGMENTED)

    @pytest.mark.parametrize("payload", [b"", b"Hello", bytes(range(125))])
    def test_ping(self, client: Client, payload: bytes) -> None:
        """A Ping is answered by a Pong with "identical Application data" (§5.5.2, §5.5.3)."""
        assert client.says(frame(PING, payload)) == [Ping(payload)]
        assert client.hears() == unmasked(PONG, payload)

    @pytest.mark.parametrize("payload", [b"", b"Hello", bytes(range(125))])
    def test_pong(self, client: Client, payload: bytes) -> None:
        """A Pong is told and never answered, even if none was asked for (§5.5.3)."""
        assert client.says(frame(PONG, payload)) == [Pong(payload)]
        assert client.hears() == b""

    def test_many_pings(self) -> None:
        """Each of thousands of Pings in one chunk gets its Pong, in order."""
        client = Client()
        payloads = [str(number).encode() for number in range(5000)]
        data = b"".join(frame(PING, payload) for payload in payloads)
        assert client.says(data) == [Ping(payload) for payload in payloads]
        assert client.hears() == b"".join(unmasked(PONG, payload) for payload in payloads)


class TestLimits:
    """§10.4: limits on frames and on messages "after reassembly from multiple frames"; 1009."""

    @pytest.mark.parametrize("limit", [1, 10, 124, 125, 126, 1000, 65535, 65536])
    def test_frame(self, connect: Connect, limit: int) -> None:
        """A frame within the limit passes; one byte more fails before any payload arrives."""
        client = connect(max_frame_size=limit)
        assert client.says(binary(b"x" * limit)) == [b"x" * limit]
        announcement = header(0x82, limit + 1)
        assert_fails(client, announcement, 1009, f"A frame exceeds {limit} bytes.")

    @pytest.mark.parametrize("limit", [1, 10, 124, 125, 126, 1000, 65535, 65536])
    def test_message(self, connect: Connect, limit: int) -> None:
        """A message within the limit passes; one byte more fails before any payload arrives."""
        client = connect(max_message_size=limit)
        assert client.says(binary(b"x" * limit)) == [b"x" * limit]
        announcement = header(0x82, limit + 1)
        assert_fails(client, announcement, 1009, f"A message exceeds {limit} bytes.")

    @pytest.mark.parametrize("limit", [10, 125, 1000])
    def test_whole_frame_too_big(self, connect: Connect, limit: int) -> None:
        """What comes with the announcement of too much is not given to the application."""
        client = connect(max_message_size=limit)
        reason = f"A message exceeds {limit} bytes."
        data = text("1") + text("x" * (limit + 1)) + text("3")
        assert client.says(data) == ["1", Closed(1009, reason)]
        assert client.hears() == goodbye(1009, reason)

    def test_over_fragments(self, connect: Connect) -> None:
        """Fragments count together: the one that goes beyond the limit fails by its header."""
        client = connect(max_message_size=10)
        assert client.says(text("1234", fin=False) + continuation(b"5678", fin=False)) == []
        assert_fails(client, header(0x80, 3), 1009, "A message exceeds 10 bytes.")

    def test_fragments_within(self, connect: Connect) -> None:
        """Fragments that reach the limit exactly are a message, and the next one starts at zero."""
        client = connect(max_message_size=10)
        whole = text("12345", fin=False) + continuation(b"67890") + text("12345678", fin=False)
        assert client.says(whole + continuation(b"", fin=False)) == ["1234567890"]
        assert client.says(continuation(b"90")) == ["1234567890"]

    def test_each_fragment(self, connect: Connect) -> None:
        """The limit of a frame holds for each fragment, whatever they come to together."""
        client = connect(max_frame_size=4)
        assert client.says(text("1234", fin=False) + continuation(b"5678", fin=False)) == []
        assert_fails(client, header(0x80, 5), 1009, "A frame exceeds 4 bytes.")

    @pytest.mark.parametrize(
        ("message", "frame", "reason"),
        [(10, 20, "A message exceeds 10 bytes."), (20, 10, "A frame exceeds 10 bytes.")],
    )
    def test_smaller(self, connect: Connect, message: int, frame: int, reason: str) -> None:
        """Of two limits the smaller one is met first."""
        client = connect(max_message_size=message, max_frame_size=frame)
        assert_fails(client, header(0x81, 11), 1009, reason)

    def test_bytes(self, connect: Connect) -> None:
        """Text is measured in bytes of UTF-8, not in characters."""
        client = connect(max_message_size=10)
        assert client.says(text("жжжжж")) == ["жжжжж"]
        assert_fails(client, text("жжжжжж")[:2], 1009, "A message exceeds 10 bytes.")

    def test_control_frames(self, connect: Connect) -> None:
        """Control frames have their own limit (§5.5) and do not count, also within a message."""
        client = connect(max_message_size=2, max_frame_size=1)
        long = bytes(125)
        data = text("1", fin=False) + frame(PING, long) + frame(PONG, long) + continuation(b"2")
        assert client.says(data) == [Ping(long), Pong(long), "12"]
        assert client.hears() == unmasked(PONG, long)

    @pytest.mark.parametrize("length", [126, 65536, 1 << 20])
    def test_unlimited(self, length: int) -> None:
        """Zero is no limit."""
        client = Client()
        assert client.says(binary(b"x" * length)) == [b"x" * length]

    def test_no_limit_on_count(self, connect: Connect) -> None:
        """Messages are limited one by one: any number of them may come."""
        client = connect(max_message_size=10, max_frame_size=10)
        assert client.says(text("1234567890") * 50) == ["1234567890"] * 50
