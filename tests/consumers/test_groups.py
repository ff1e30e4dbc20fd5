"""The ``groups`` attribute, of every kind of consumer."""

import pytest

from fairway._types import Scope
from fairway.exceptions import InvalidChannelLayerError
from fairway.generic.http import AsyncHttpConsumer
from fairway.generic.polling import AsyncLongPollConsumer
from fairway.generic.sse import AsyncEventStreamConsumer
from fairway.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from fairway.layers import InMemoryChannelLayer
from tests.consumers.connections import Connect

HTTP: Scope = {"type": "http", "asgi": {"version": "3.0"}, "path": "/", "headers": []}


class TestGroups:
    @pytest.mark.parametrize("cls", [AsyncWebsocketConsumer, AsyncHttpConsumer])
    def test_none(self, cls: type[AsyncHttpConsumer]) -> None:
        """No groups is an empty list, each instance's own."""
        assert cls.groups is None
        assert cls().groups == []
        assert cls().groups is not cls().groups

    @pytest.mark.parametrize(
        "base", [AsyncHttpConsumer, AsyncEventStreamConsumer, AsyncLongPollConsumer]
    )
    async def test_without_a_layer(
        self, connect: Connect, settings: object, base: type, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Groups need a layer that has groups."""
        monkeypatch.setattr(settings, "CHANNEL_LAYERS", {}, raising=False)
        consumer = type("Grouped", (base,), {"groups": ["room"]})()
        async with connect(consumer, HTTP, accepted=False) as client:
            client.put({"type": "http.request"})
            with pytest.raises(InvalidChannelLayerError) as caught:
                await client.task
        assert str(caught.value) == "BACKEND is unconfigured or doesn't support groups"

    @pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer])
    async def test_one_name_alone(
        self, connect: Connect, layer: InMemoryChannelLayer, base: type
    ) -> None:
        """A text is no list of names, though one can go through its letters."""
        consumer = type("Mistaken", (base,), {"groups": "room"})()
        async with connect(consumer, accepted=False) as client:
            client.put({"type": "websocket.connect"})
            with pytest.raises(TypeError, match=r"^groups is 'room': write groups = \['room'\]\."):
                await client.task
