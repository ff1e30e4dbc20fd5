"""Outbox: the ASGI send, with a short way for what may be written at once."""

import asyncio

import pytest

from fairway._types import Event
from fairway.delivery.outbox import IN_A_ROW
from fairway.server.observing.counters import Counters
from fairway.wire.deflate import Compression, CompressionOptions, Deflater
from fairway.wire.extensions import Extension
from fairway.wire.prepared import PreparedMessage
from tests.delivery.helpers import open_outbox, write_prepared


async def test_text_goes_out_at_once() -> None:
    """A text message of an open connection is framed and written without another step."""
    outbox, written, handled = open_outbox()
    await outbox({"type": "websocket.send", "text": "héllo"})
    assert written == [b"\x81\x06h\xc3\xa9llo"]
    assert handled == []


async def test_bytes_go_out_at_once() -> None:
    """So is a binary message, and one whose other key is None."""
    outbox, written, _ = open_outbox()
    await outbox({"type": "websocket.send", "bytes": b"\0\1"})
    await outbox({"type": "websocket.send", "bytes": b"", "text": None})
    assert written == [b"\x82\x02\0\1", b"\x82\x00"]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "websocket.accept"},
        {"type": "websocket.close", "code": 1000},
        {"type": "websocket.send"},
        {"type": "websocket.send", "text": "a", "bytes": b"b"},
        {"type": "websocket.send", "text": b"not text"},
        {"type": "websocket.send", "bytes": bytearray(b"not bytes")},
    ],
)
async def test_everything_else_is_the_servers(event: Event) -> None:
    """Whatever needs a look goes to the server's own send, unchanged."""
    outbox, written, handled = open_outbox()
    await outbox(event)
    assert (written, handled) == ([], [event])


async def test_not_ready() -> None:
    """A connection that is not open, or whose reader is slow, takes the long way."""
    outbox, written, handled = open_outbox()
    outbox.ready = False
    event = {"type": "websocket.send", "text": "later"}
    await outbox(event)
    assert (written, handled) == ([], [event])


async def test_without_an_event() -> None:
    """Who has a message in hand writes it as it is: what would be an event does the same."""
    outbox, written, _ = open_outbox()
    assert outbox.write_now("hi", None) is True
    assert outbox.write_now(None, b"\0") is True
    assert written == [b"\x81\x02hi", b"\x82\x01\0"]
    assert outbox.sent == 7
    with pytest.raises(UnicodeEncodeError):
        outbox.write_now("\ud800", None)
    assert len(written) == 2


@pytest.mark.parametrize("message", [None, 1, b"", "", bytearray(b"x"), ["x"]])
async def test_without_an_event_in_vain(message: object) -> None:
    """Nothing but text is written as text, nothing but bytes as bytes, and neither too early."""
    outbox, written, _ = open_outbox()
    assert outbox.write_now(message, None) is isinstance(message, str)
    assert outbox.write_now(None, message) is (message == b"" and isinstance(message, bytes))
    assert outbox.write_now("both", b"of them") is False
    written.clear()
    outbox.ready = False
    assert outbox.write_now(message, None) is False
    assert outbox.write_now(None, message) is False
    assert written == []


async def test_prepared_message() -> None:
    """A message framed for many is written as it is, if the connection can take it now."""
    outbox, written, _ = open_outbox()
    message = PreparedMessage("hi")
    assert write_prepared(outbox, message) is True
    outbox.ready = False
    assert write_prepared(outbox, message) is False
    assert written == [b"\x81\x02hi"]
    assert written[0] is message.plain


@pytest.mark.parametrize(("key", "first"), [("text", 0xC1), ("bytes", 0xC2)])
async def test_compressed(key: str, first: int) -> None:
    """For a client that reads compressed messages, those that are long enough are compressed."""
    outbox, written, handled = open_outbox()
    outbox.deflater = Deflater(15, CompressionOptions(threshold=100))
    for message in ("x" * 99, "x" * 100):
        await outbox(
            {"type": "websocket.send", key: message if key == "text" else message.encode()}
        )
    assert [frame[0] for frame in written] == [first & 0x8F, first]
    assert len(written[1]) < 20
    assert handled == []


async def test_prepared_and_compressed() -> None:
    """Clients that read compressed messages share one frame, and the others the plain one."""
    message = PreparedMessage("x" * 200)
    compression = Compression(CompressionOptions(threshold=100))
    agreement = compression.negotiate([Extension("permessage-deflate")])
    assert agreement is not None
    frames = []
    for compresses in (True, False, True, False):
        outbox, written, _ = open_outbox()
        outbox.deflater = compression.deflater(agreement) if compresses else None
        assert write_prepared(outbox, message)
        frames += written
    assert frames[0] is frames[2]
    assert frames[1] is frames[3] is message.plain
    assert frames[0][0] == 0xC1


async def test_counted() -> None:
    """What an application sends the short way is counted."""
    outbox, _, _ = open_outbox()
    outbox.tally = Counters()
    await outbox({"type": "websocket.send", "text": "a"})
    await outbox({"type": "websocket.send", "bytes": b"b"})
    outbox.ready = False
    await outbox({"type": "websocket.send", "text": "d"})
    assert outbox.tally.messages_sent == 2


@pytest.mark.parametrize("size", [10, 10_000])
async def test_turns(size: int) -> None:
    """Who sends without end lets others have a turn: after many messages, or a few long ones."""
    outbox, written, handled = open_outbox()
    turns: list[int] = []
    asyncio.get_running_loop().call_soon(lambda: turns.append(len(written)))
    for text in ("x" * size, b"x" * size) * IN_A_ROW:
        kind = "text" if isinstance(text, str) else "bytes"
        await outbox({"type": "websocket.send", kind: text})
    assert turns == [IN_A_ROW if size < 1024 else 10]
    assert len(written) == 2 * IN_A_ROW
    assert handled == []


async def test_no_turn_without_an_event() -> None:
    """Who has a message in hand is sent to the long way for that, which then takes the short."""
    outbox, written, handled = open_outbox()
    assert all(outbox.write_now("x", None) for _ in range(IN_A_ROW))
    assert not outbox.write_now("y", None)
    assert not outbox.write_now(None, b"y")
    await outbox({"type": "websocket.send", "text": "y"})
    assert written[-1] == b"\x81\x01y"
    assert handled == []


async def test_turns_of_who_is_not_heard() -> None:
    """So does who goes on sending to a connection that has ended."""
    outbox, _, handled = open_outbox()
    outbox.ready = False
    turns: list[int] = []
    asyncio.get_running_loop().call_soon(lambda: turns.append(len(handled)))
    for _ in range(2 * IN_A_ROW):
        await outbox({"type": "websocket.send", "text": "lost"})
    assert turns == [IN_A_ROW]


@pytest.mark.parametrize("compresses", [False, True])
async def test_late(*, compresses: bool) -> None:
    """What was taken in time is written as ever, into a full buffer too, but after no Close."""
    outbox, written, handled = open_outbox()
    outbox.tally = Counters()
    outbox.deflater = Deflater(15, CompressionOptions(threshold=1)) if compresses else None
    outbox.write_late("x" * 100)
    outbox.ready, outbox.full = False, True
    outbox.write_late(b"x" * 100)
    outbox.full = False
    outbox.write_late("lost")
    assert [frame[0] for frame in written] == ([0xC1, 0xC2] if compresses else [0x81, 0x82])
    assert outbox.sent == sum(map(len, written))
    assert outbox.tally.messages_sent == 2
    assert handled == []


@pytest.mark.parametrize("compresses", [False, True])
async def test_by_the_server(*, compresses: bool) -> None:
    """What the server itself has found good is framed, written and counted as the rest is."""
    outbox, written, handled = open_outbox()
    outbox.ready = False
    outbox.tally = Counters()
    outbox.deflater = Deflater(15, CompressionOptions(threshold=1)) if compresses else None
    outbox.write_message("x" * 100)
    outbox.write_message(b"x" * 100)
    assert [frame[0] for frame in written] == ([0xC1, 0xC2] if compresses else [0x81, 0x82])
    assert outbox.sent == sum(map(len, written))
    assert outbox.tally.messages_sent == 2
    assert handled == []
