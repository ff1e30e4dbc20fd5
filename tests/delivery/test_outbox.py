"""Outbox: the ASGI send, with a short way for what may be written at once."""

import pytest

from fairway._types import Event
from fairway.wire.prepared import PreparedMessage
from tests.delivery.helpers import open_outbox


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


async def test_prepared_message() -> None:
    """A message framed for many is written as it is, if the connection can take it now."""
    outbox, written, _ = open_outbox()
    message = PreparedMessage("hi")
    assert outbox.write_prepared(message) is True
    outbox.ready = False
    assert outbox.write_prepared(message) is False
    assert written == [b"\x81\x02hi"]
    assert written[0] is message.plain
