"""A channel layer that cannot be reached closes nobody."""

import logging

import pytest

from fairway._types import Event
from fairway.consumer import AsyncConsumer
from fairway.consuming import outage
from fairway.exceptions import ChannelLayerUnavailable
from fairway.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from tests.consumers.connections import Connect


@pytest.fixture(autouse=True)
def first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test is quiet because of another one."""
    monkeypatch.setattr(outage, "_next_line", 0.0)


class Asynchronous(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "down":
            raise ChannelLayerUnavailable("Redis is not there.")
        await self.send(text_data=text_data)


class Synchronous(WebsocketConsumer):
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "down":
            raise ChannelLayerUnavailable("Redis is not there.")
        self.send(text_data=text_data)


@pytest.mark.parametrize("consumer", [Asynchronous, Synchronous])
async def test_the_connection_goes_on(
    connect: Connect, consumer: type[AsyncConsumer], caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once per burst, with what the layer says, and the next message is handled."""
    async with connect(consumer.as_asgi()) as connection:
        for text in ("down", "down", "up"):
            connection.text(text)
        assert await connection.sent() == {"type": "websocket.send", "text": "up"}
    (record,) = (r for r in caplog.records if r.levelno == logging.WARNING)
    assert f"{consumer.__name__} could not send: Redis is not there. Its connection stays" in (
        record.getMessage()
    )


class BeforeAccepting(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        raise ChannelLayerUnavailable("Redis is not there.")


class AfterAccepting(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        raise ChannelLayerUnavailable("Redis is not there.")

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data="still here")


async def test_handshakes_are_answered(connect: Connect) -> None:
    """A client that waits for an answer is not left waiting; one that has it stays."""
    async with connect(BeforeAccepting.as_asgi(), accepted=False) as connection:
        connection.put({"type": "websocket.connect"})
        with pytest.raises(ChannelLayerUnavailable):
            await connection.sent()
    async with connect(AfterAccepting.as_asgi()) as connection:
        connection.text("?")
        assert await connection.sent() == {"type": "websocket.send", "text": "still here"}


class Strict(Asynchronous):
    async def on_error(self, exception: Exception, event: Event) -> None:
        await self.close(4000)


async def test_on_error_has_the_word(connect: Connect) -> None:
    """A consumer may decide otherwise."""
    async with connect(Strict.as_asgi()) as connection:
        connection.text("down")
        assert await connection.sent() == {"type": "websocket.close", "code": 4000}


class Listening(AsyncWebsocketConsumer):
    async def layer_gap(self, event: Event) -> None:
        await self.send(text_data="look again")


def test_who_wants_to_know_of_gaps() -> None:
    """Those consumers that have a handler for it."""
    assert Listening._fw_wants_gaps
    assert not Asynchronous._fw_wants_gaps
