"""Presence as consumers, views and scripts use it."""

import asyncio
import datetime
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.http import HttpRequest, JsonResponse
from django.test import RequestFactory, override_settings

from fairway._types import Event
from fairway.delivery import Mailbox
from fairway.exceptions import InvalidChannelLayerError
from fairway.generic.websocket import AsyncJsonWebsocketConsumer, WebsocketConsumer
from fairway.layers import BaseChannelLayer, InMemoryChannelLayer, channel_layers
from fairway.presence import Presence, presence
from fairway.presence.verbs import MAX_KEY_LENGTH, MAX_META_SIZE
from fairway.testing import WebsocketCommunicator


@pytest.fixture(autouse=True)
async def layer() -> AsyncIterator[InMemoryChannelLayer]:
    """A default layer that no other test uses."""
    layer = InMemoryChannelLayer()
    before = channel_layers.set("default", layer)
    yield layer
    await layer.close()
    channel_layers.backends.pop("default", None)
    if before is not None:
        channel_layers.set("default", before)


@pytest.fixture
async def channel(layer: InMemoryChannelLayer) -> str:
    return layer.bind(Mailbox(asyncio.get_running_loop()))


class TestVerbs:
    async def test_all(self, channel: str) -> None:
        """Join, list, count, update and leave, by awaiting them."""
        await presence.join("lobby", channel, 7, {"name": "Ada"})
        assert await presence.list("lobby") == {"7": [{"name": "Ada"}]}
        assert await presence.count("lobby") == 1
        await presence.update("lobby", channel, {"name": "Mei"})
        assert await presence.list("lobby") == {"7": [{"name": "Mei"}]}
        await presence.leave("lobby", channel, linger=0)
        assert await presence.list("lobby") == {}
        assert await presence.count("elsewhere") == 0

    async def test_linger(self, channel: str) -> None:
        """Who has left is still there for a while, unless it is said otherwise."""
        await presence.join("lobby", channel, "ada")
        await presence.leave("lobby", channel)
        assert await presence.count("lobby") == 1
        at_once = Presence(linger=0)
        await at_once.join("lobby", channel, "mei")
        await at_once.leave("lobby", channel)
        assert list(await presence.list("lobby")) == ["ada"]
        await at_once.join("lobby", channel, "kofi", linger=60)
        await at_once.leave("lobby", channel)
        assert list(await presence.list("lobby")) == ["ada", "kofi"]

    async def test_metas(self, channel: str) -> None:
        """A meta is what JSON makes of it, as Django does: dates and UUIDs are text."""
        number = uuid.UUID(int=7)
        when = datetime.datetime(2030, 1, 2, 3, 4, tzinfo=datetime.UTC)
        await presence.join("lobby", channel, number, {"since": when, "seats": (1, 2)})
        meta = {"since": "2030-01-02T03:04:00Z", "seats": [1, 2]}
        assert await presence.list("lobby") == {str(number): [meta]}

    @pytest.mark.parametrize(
        ("key", "error", "text"),
        [
            (None, TypeError, "must be text or a number, such as user.pk, not NoneType."),
            (True, TypeError, "must be text or a number, such as user.pk, not bool."),
            ("", ValueError, f"has 0 characters; it may have 1 to {MAX_KEY_LENGTH}."),
            ("x" * 201, ValueError, f"has 201 characters; it may have 1 to {MAX_KEY_LENGTH}."),
            ("\ud800", ValueError, "surrogates not allowed"),
        ],
    )
    async def test_bad_keys(
        self, channel: str, key: Any, error: type[Exception], text: str
    ) -> None:
        """A key is short text or a number."""
        with pytest.raises(error, match=re.escape(text)):
            await presence.join("lobby", channel, key)

    @pytest.mark.parametrize(
        ("meta", "error", "text"),
        [
            ([1], TypeError, "The meta of a presence must be a dictionary, not list."),
            ({"x": object()}, TypeError, "must be what JSON can carry: Object of type object is"),
            ({"x": float("nan")}, TypeError, "must be what JSON can carry: Out of range float"),
            ({"x": "\ud800"}, TypeError, "surrogates not allowed"),
            ({"x": "y" * MAX_META_SIZE}, ValueError, "has 4104 bytes; it may have 4096. Send a"),
        ],
    )
    async def test_bad_metas(
        self, channel: str, meta: Any, error: type[Exception], text: str
    ) -> None:
        """A meta is a small dictionary that JSON can carry."""
        with pytest.raises(error, match=re.escape(text)):
            await presence.join("lobby", channel, "ada", meta)
        await presence.join("lobby", channel, "ada")
        with pytest.raises(error, match=re.escape(text)):
            await presence.update("lobby", channel, meta)
        assert await presence.list("lobby") == {"ada": [{}]}

    async def test_deep_metas(self, channel: str) -> None:
        """What is nested too deeply to be told is refused where it comes from."""
        deep: dict[str, Any] = {}
        for _ in range(600):
            deep = {"": deep}
        with pytest.raises(TypeError, match="must be what JSON can carry"):
            await presence.join("lobby", channel, "ada", deep)

    @pytest.mark.parametrize("linger", [-1, 301, float("nan")])
    async def test_bad_linger(self, channel: str, linger: float) -> None:
        """Nobody lingers for less than nothing, or for ever."""
        text = f"'linger' is {linger:g} s; it may be 0 to 300."
        with pytest.raises(ValueError, match=text):
            await presence.join("lobby", channel, "ada", linger=linger)
        with pytest.raises(ValueError, match=text):
            await presence.leave("lobby", channel, linger=linger)
        with pytest.raises(ValueError, match=text):
            Presence(linger=linger)

    async def test_bad_groups(self, channel: str) -> None:
        """A group has a name as layers take it."""
        for verb in (presence.join("der Hafen", channel, 1), presence.count("der Hafen")):
            with pytest.raises(TypeError, match=r"^Group name must be a valid unicode string"):
                await verb

    async def test_swapped_arguments(self, channel: str) -> None:
        """Who mixes up key and channel is told that this is no channel."""
        with pytest.raises(ValueError, match=r"^Channel ada is not of this process.$"):
            await presence.join("lobby", "ada", channel)


class TestLayers:
    async def test_no_layer(self) -> None:
        """Without a layer of that name there is no presence."""
        with pytest.raises(InvalidChannelLayerError, match="and CHANNEL_LAYERS has no 'nowhere'"):
            await Presence("nowhere").count("lobby")

    async def test_foreign_layer(self) -> None:
        """A layer of somebody else's does not tell when its channels end."""
        with override_settings(
            CHANNEL_LAYERS={"other": {"BACKEND": "fairway.layers.base.BaseChannelLayer"}}
        ):
            assert type(channel_layers["other"]) is BaseChannelLayer
            with pytest.raises(
                InvalidChannelLayerError,
                match="^Presence needs a channel layer of Fairway's, and CHANNEL_LAYERS"
                r"\['other'\] is fairway.layers.contract.BaseChannelLayer.$",
            ):
                await Presence("other").count("lobby")

    async def test_layers_are_apart(self, channel: str) -> None:
        """People of one layer are not seen in another; after close() a layer begins anew."""
        other = InMemoryChannelLayer()
        channel_layers.set("other", other)
        there = other.bind(Mailbox(asyncio.get_running_loop()))
        await presence.join("lobby", channel, "ada")
        await Presence("other").join("lobby", there, "mei")
        assert list(await presence.list("lobby")) == ["ada"]
        assert list(await Presence("other").list("lobby")) == ["mei"]
        await other.close()
        assert await Presence("other").list("lobby") == {}
        await other.close()
        del channel_layers.backends["other"]


def people(request: HttpRequest) -> JsonResponse:
    """A view of the old kind."""
    return JsonResponse({"count": presence.sync.count("lobby"), **presence.sync.list("lobby")})


class TestSync:
    async def test_view(self, channel: str) -> None:
        """A view asks without an event loop."""
        await presence.join("lobby", channel, "ada", {"at": "sea"})
        response = await asyncio.to_thread(people, RequestFactory().get("/"))
        assert response.content == b'{"count": 1, "ada": [{"at": "sea"}]}'

    async def test_verbs(self, channel: str) -> None:
        """The other verbs block, too."""
        sync = presence.sync

        def use() -> None:
            sync.join("lobby", channel, "ada", linger=0)
            sync.update("lobby", channel, {"at": "sea"})
            assert sync.list("lobby") == {"ada": [{"at": "sea"}]}
            sync.leave("lobby", channel)
            assert sync.count("lobby") == 0

        await asyncio.to_thread(use)

    async def test_in_a_loop(self) -> None:
        """In an event loop, which they would stop, they say what to write instead."""
        with pytest.raises(
            RuntimeError,
            match=r"^presence.sync.count\(\) was called in an event loop, which it would stop. "
            r"Use: await presence.count\(…\)$",
        ):
            presence.sync.count("lobby")


class Lobby(AsyncJsonWebsocketConsumer):
    """What a page of people is behind."""

    groups = ["lobby"]

    async def connect(self) -> None:
        await self.accept()
        await presence.join("lobby", self.channel_name, self.scope["key"], linger=0)
        await self.send_json({"people": await presence.list("lobby")})

    async def presence_diff(self, event: Event) -> None:
        await self.send_json(event)


class SyncLobby(WebsocketConsumer):
    """The same in functions."""

    groups = ["lobby"]

    def connect(self) -> None:
        self.accept()
        presence.sync.join("lobby", self.channel_name, self.scope["key"], linger=0)

    def presence_diff(self, event: Event) -> None:
        self.send(text_data=" ".join(event["joins"]))


class TestConsumers:
    async def open(self, key: str, consumer: Any = Lobby) -> WebsocketCommunicator:
        communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
        communicator.scope["key"] = key
        assert await communicator.connect() == (True, None)
        return communicator

    @pytest.mark.pain(16)
    async def test_come_and_go(self) -> None:
        """A page knows who is here, is told who comes, and who goes when a connection ends."""
        ada = await self.open("ada")
        assert await ada.receive_json_from() == {"people": {"ada": [{}]}}
        assert (await ada.receive_json_from(timeout=60))["joins"] == {"ada": [{}]}
        mei = await self.open("mei")
        assert await mei.receive_json_from() == {"people": {"ada": [{}], "mei": [{}]}}
        assert (await ada.receive_json_from(timeout=60))["joins"] == {"mei": [{}]}
        await mei.disconnect()
        assert await ada.receive_json_from(timeout=60) == {
            "type": "presence.diff",
            "group": "lobby",
            "joins": {},
            "updates": {},
            "leaves": {"mei": [{}]},
        }
        await ada.disconnect()

    async def test_sync_consumer(self) -> None:
        """A consumer of functions uses presence.sync, and gets diffs like any other."""
        ada = await self.open("ada", SyncLobby)
        assert await ada.receive_from(timeout=60) == "ada"
        await ada.disconnect()
