"""The generic WebSocket consumers, sync and async alike."""

import json
from typing import Any

import pytest

from fairway._types import Event
from fairway.exceptions import AcceptConnection, DenyConnection, InvalidChannelLayerError
from fairway.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from fairway.layers import InMemoryChannelLayer
from tests.consumers.connections import WEBSOCKET, Connect

pytestmark = pytest.mark.django_db(transaction=True)


class AsyncScript(AsyncWebsocketConsumer):
    """Does what the client's text says, in Python."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if bytes_data is not None:
            await self.send(bytes_data=bytes_data[::-1])
            return
        name, arguments = json.loads(text_data or "")
        await getattr(self, name)(**arguments)


class SyncScript(WebsocketConsumer):
    """Does what the client's text says, in Python."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if bytes_data is not None:
            self.send(bytes_data=bytes_data[::-1])
            return
        name, arguments = json.loads(text_data or "")
        getattr(self, name)(**arguments)


SCRIPTS = pytest.mark.parametrize("script", [AsyncScript, SyncScript])


@SCRIPTS
@pytest.mark.parametrize(
    ("call", "sent"),
    [
        (("send", {"text_data": "hi"}), [{"type": "websocket.send", "text": "hi"}]),
        (("send", {"text_data": ""}), [{"type": "websocket.send", "text": ""}]),
        (
            ("send", {"text_data": "bye", "close": True}),
            [{"type": "websocket.send", "text": "bye"}, {"type": "websocket.close"}],
        ),
        (
            ("send", {"text_data": "bye", "close": 4000}),
            [{"type": "websocket.send", "text": "bye"}, {"type": "websocket.close", "code": 4000}],
        ),
        (("close", {}), [{"type": "websocket.close"}]),
        (("close", {"code": True}), [{"type": "websocket.close"}]),
        (
            ("close", {"code": 4001, "reason": "enough"}),
            [{"type": "websocket.close", "code": 4001, "reason": "enough"}],
        ),
    ],
)
async def test_what_is_sent(
    connect: Connect,
    layer: InMemoryChannelLayer,
    script: Any,
    call: tuple[str, dict[str, Any]],
    sent: list[Event],
) -> None:
    """send() and close() send what ASGI asks for, and only the keys that were given."""
    async with connect(script()) as client:
        client.text(json.dumps(call))
        assert [await client.sent() for _ in sent] == sent


@SCRIPTS
async def test_nothing_to_send(connect: Connect, layer: InMemoryChannelLayer, script: Any) -> None:
    """Neither text nor bytes is a mistake."""
    async with connect(script()) as client:
        client.text(json.dumps(("send", {})))
        with pytest.raises(ValueError, match="You must pass one of bytes_data or text_data"):
            await client.sent()


@SCRIPTS
async def test_bytes(connect: Connect, layer: InMemoryChannelLayer, script: Any) -> None:
    """A binary message comes as bytes_data, also under servers that send both keys."""
    async with connect(script()) as client:
        client.put({"type": "websocket.receive", "bytes": b"ab", "text": None})
        assert await client.sent() == {"type": "websocket.send", "bytes": b"ba"}


@SCRIPTS
async def test_after_closing(connect: Connect, layer: InMemoryChannelLayer, script: Any) -> None:
    """After close() nothing more is sent, and it is no error to try."""
    async with connect(script()) as client:
        for call in (("close", {}), ("close", {}), ("send", {"text_data": "late"})):
            client.text(json.dumps(call))
        assert await client.sent() == {"type": "websocket.close"}
        client.disconnect(1000)
        await client.task
        assert client.quiet


@pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer])
@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (AcceptConnection, {"type": "websocket.accept", "subprotocol": None}),
        (DenyConnection, {"type": "websocket.close"}),
    ],
)
async def test_connect_raises(
    connect: Connect, layer: InMemoryChannelLayer, base: Any, error: type, sent: Event
) -> None:
    """connect() may decide by exception."""

    class Deciding(base):  # type: ignore[misc]  # one of two bases
        def connect(self) -> Any:
            raise error

    async with connect(Deciding(), accepted=False) as client:
        client.put({"type": "websocket.connect"})
        assert await client.sent() == sent


async def test_accept(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """accept() takes a subprotocol and headers, and runs the hooks that middleware left."""

    class Accepting(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await self.accept("chat.v2", headers=[(b"x-a", b"1")])

    async def hook(event: Event) -> None:
        event["headers"].append((b"set-cookie", b"a=b"))

    scope = {**WEBSOCKET, "fairway.on_accept": [hook]}
    async with connect(Accepting(), scope, accepted=False) as client:
        client.put({"type": "websocket.connect"})
        assert await client.sent() == {
            "type": "websocket.accept",
            "subprotocol": "chat.v2",
            "headers": [(b"x-a", b"1"), (b"set-cookie", b"a=b")],
        }


@pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer])
async def test_groups_need_a_layer(connect: Connect, settings: Any, base: Any) -> None:
    """Groups without a layer that has groups are a clear error."""
    settings.CHANNEL_LAYERS = {}
    consumer = type("Grouped", (base,), {"groups": ["room"]})()
    async with connect(consumer, accepted=False) as client:
        client.put({"type": "websocket.connect"})
        with pytest.raises(InvalidChannelLayerError) as caught:
            await client.sent()
    assert str(caught.value) == "BACKEND is unconfigured or doesn't support groups"


async def test_own_attribute_error(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A mistake in the user's own code is not taken for a missing layer."""

    class Mistaken(AsyncWebsocketConsumer):
        groups = ["room"]

        async def connect(self) -> None:
            self.nothing.here()  # type: ignore[attr-defined]  # the mistake in question

    async with connect(Mistaken(), accepted=False) as client:
        client.put({"type": "websocket.connect"})
        with pytest.raises(AttributeError, match="nothing"):
            await client.sent()


async def test_constructor_without_super(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A subclass that forgets super().__init__() works."""

    class Forgetful(AsyncScript):
        def __init__(self) -> None:
            self.mine = True

    async with connect(Forgetful()) as client:
        client.text(json.dumps(("close", {})))
        assert await client.sent() == {"type": "websocket.close"}
        client.disconnect(1000)
        await client.task


class AsyncJson(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json({"got": content}, close=content == "bye")


class SyncJson(JsonWebsocketConsumer):
    def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.send_json({"got": content}, close=content == "bye")


JSONS = pytest.mark.parametrize("cls", [AsyncJson, SyncJson])


@JSONS
async def test_json(connect: Connect, layer: InMemoryChannelLayer, cls: Any) -> None:
    """JSON in, JSON out, as Python's json writes it."""
    async with connect(cls()) as client:
        client.text('{"a": [1, null]}')
        assert await client.sent() == {
            "type": "websocket.send",
            "text": '{"got": {"a": [1, null]}}',
        }
        client.text('"bye"')
        assert await client.sent() == {"type": "websocket.send", "text": '{"got": "bye"}'}
        assert await client.sent() == {"type": "websocket.close"}


@JSONS
@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"text": ""}, "No text section for incoming WebSocket frame!"),
        ({"bytes": b"{}"}, "No text section for incoming WebSocket frame!"),
        ({"text": "{nonsense"}, "property name"),
    ],
)
async def test_not_json(
    connect: Connect, layer: InMemoryChannelLayer, cls: Any, event: Event, text: str
) -> None:
    """What is no JSON text raises ValueError, which ends this connection."""
    async with connect(cls()) as client:
        client.put({"type": "websocket.receive", **event})
        with pytest.raises(ValueError, match=text):
            await client.task


async def test_json_hooks(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """Encoding and decoding can be overridden."""

    class Shouting(AsyncJson):
        @classmethod
        async def decode_json(cls, text_data: str) -> Any:
            return text_data.upper()

        @classmethod
        async def encode_json(cls, content: Any) -> str:
            return f"<{content['got']}>"

    async with connect(Shouting()) as client:
        client.text("hey")
        assert await client.sent() == {"type": "websocket.send", "text": "<HEY>"}
