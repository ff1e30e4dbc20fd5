"""Pumps: into a mailbox from a foreign server's receive and a foreign layer's channel."""

import asyncio
from collections.abc import Iterator

import pytest

from fairway._types import Event
from fairway.delivery.mailbox import INPUT_HIGH_WATER
from fairway.delivery.pump import LayerMessage, payload_size, pump_client, pump_layer
from tests.delivery.helpers import new_mailbox


async def test_client_events_until_the_disconnect() -> None:
    """Events come in order; after the disconnect the source is asked no more."""
    events: list[Event] = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "hi"},
        {"type": "websocket.disconnect", "code": 1000},
        {"type": "never asked for"},
    ]
    mailbox = new_mailbox()

    async def receive() -> Event:
        return events.pop(0)

    await pump_client(receive, mailbox)
    assert [await mailbox() for _ in range(3)] == [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "hi"},
        {"type": "websocket.disconnect", "code": 1000},
    ]
    assert events == [{"type": "never asked for"}]


async def test_client_is_slowed_down() -> None:
    """While the mailbox is over its budget, the source is not asked for more."""
    asked = 0
    mailbox = new_mailbox()

    async def receive() -> Event:
        nonlocal asked
        asked += 1
        return {"type": "websocket.receive", "bytes": b"x" * INPUT_HIGH_WATER}

    pump = pump_client(receive, mailbox)
    for _ in range(10):
        await asyncio.sleep(0)
    assert asked == 1
    await mailbox()
    for _ in range(10):
        await asyncio.sleep(0)
    assert asked == 2
    pump.cancel()


async def test_layer_messages_are_marked() -> None:
    """What came from a layer can be told from the client's events."""
    mailbox = new_mailbox()
    queue: asyncio.Queue[Event] = asyncio.Queue()
    pump = pump_layer(queue.get, mailbox)
    queue.put_nowait({"type": "chat.message"})
    message = await mailbox()
    assert (message, type(message)) == ({"type": "chat.message"}, LayerMessage)
    pump.cancel()


async def test_layer_messages_wait_in_the_layer() -> None:
    """The next message is received when the reader has taken the one before."""
    mailbox = new_mailbox()
    queue: asyncio.Queue[Event] = asyncio.Queue()
    for number in range(3):
        queue.put_nowait({"type": "chat.message", "number": number})
    pump = pump_layer(queue.get, mailbox)
    for number in range(3):
        message = await mailbox()
        assert isinstance(message, LayerMessage)
        assert (message["number"], queue.qsize()) == (number, 2 - number)
        message.taken.set()
    pump.cancel()


async def test_failing_layer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A layer that fails is logged and tried again; what it brings then arrives."""
    monkeypatch.setattr("fairway.delivery.pump.FIRST_DELAY", 0.0)
    mailbox = new_mailbox()
    answers: Iterator[Event | Exception] = iter(
        [ConnectionError("down"), TimeoutError("still"), {"type": "chat.message"}]
    )

    async def receive() -> Event:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    pump = pump_layer(receive, mailbox)
    assert await mailbox() == {"type": "chat.message"}
    assert [r.getMessage().partition(";")[0] for r in caplog.records] == [
        "The channel layer failed for channel None"
    ] * 2
    pump.cancel()


async def test_failing_client() -> None:
    """An exception of a server's receive is the reader's to handle."""
    mailbox = new_mailbox()

    async def receive() -> Event:
        raise ConnectionResetError("gone")

    await pump_client(receive, mailbox)
    with pytest.raises(ConnectionResetError, match="gone"):
        await mailbox()


def test_payload_size() -> None:
    """Text, bytes and body count; what is missing or None does not."""
    assert payload_size({"type": "websocket.receive", "text": "four", "bytes": None}) == 4
    assert payload_size({"type": "http.request", "body": b"seven!!"}) == 7
    assert payload_size({"type": "websocket.connect"}) == 0
