"""The subscription to news."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pytest_django import Settings

from fairway import layers
from fairway._types import Event
from fairway.auth import listening
from fairway.auth.listening import GROUP, Listener, layer_alias
from fairway.delivery import mailbox
from fairway.layers import InMemoryChannelLayer
from tests.server.running import Logs, until


class Heard:
    """What a listener hears.

    Attributes:
        messages: The messages.
        missed: How often it may have missed some.
        pauses: How long it waited each time, in seconds.
    """

    def __init__(self) -> None:
        self.messages: list[Event] = []
        self.missed = 0
        self.pauses: list[float] = []

    def note(self) -> None:
        """Something may have been missed."""
        self.missed += 1

    async def sleep(self, seconds: float) -> None:
        """Pass the time."""
        self.pauses.append(seconds)
        await asyncio.sleep(0)


class Foreign:
    """A channel layer of somebody else's: it has the methods of Channels, and fails on demand."""

    def __init__(self) -> None:
        self.groups: dict[str, set[str]] = {}
        self.waiting: asyncio.Queue[Event] = asyncio.Queue()
        self.failures: list[Exception] = []
        self.joined = 0

    async def new_channel(self) -> str:
        """A name."""
        return "specific!foreign"

    async def group_add(self, group: str, channel: str) -> None:
        """Join, or fail."""
        if self.failures:
            raise self.failures.pop(0)
        self.joined += 1
        self.groups.setdefault(group, set()).add(channel)

    async def group_discard(self, group: str, channel: str) -> None:
        """Leave."""
        self.groups[group].discard(channel)

    async def receive(self, channel: str) -> Event:
        """Wait for a message."""
        return await self.waiting.get()


@pytest.fixture
def heard() -> Heard:
    """What is heard."""
    return Heard()


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> InMemoryChannelLayer:
    """The default layer, of this test alone."""
    layer = InMemoryChannelLayer()
    monkeypatch.setattr(layers, "get_channel_layer", lambda alias: layer)
    return layer


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> Foreign:
    """A foreign one as the default layer."""
    layer = Foreign()
    monkeypatch.setattr(layers, "get_channel_layer", lambda alias: layer)
    return layer


def listen(heard: Heard) -> Listener:
    """A listener, which has to be stopped."""
    return Listener(asyncio.get_running_loop(), heard.messages.append, heard.note, heard.sleep)


@pytest.fixture
async def listener(heard: Heard) -> AsyncIterator[Listener]:
    """A listener that ends with the test."""
    listener = listen(heard)
    yield listener
    await listener.stop()


def test_layer_alias(settings: Settings) -> None:
    """The default layer, unless the settings name another, or none."""
    assert layer_alias() == "default"
    settings.FAIRWAY_AUTH_CHANNEL_LAYER = "other"
    assert layer_alias() == "other"
    settings.FAIRWAY_AUTH_CHANNEL_LAYER = None
    assert layer_alias() is None


class TestOurLayer:
    """On a layer of ours."""

    async def test_hears(
        self, layer: InMemoryChannelLayer, heard: Heard, listener: Listener
    ) -> None:
        """It hears what is sent, and leaves nothing behind."""
        await until(lambda: GROUP in layer.groups)
        await until(lambda: heard.missed == 1)  # what came before
        await layer.group_send(GROUP, {"type": "auth.revoked", "user": "7"})
        await until(lambda: heard.messages == [{"type": "auth.revoked", "user": "7"}])
        await listener.stop()
        assert (layer.groups, layer.channels) == ({}, {})
        assert heard.pauses == []

    async def test_gap(self, layer: InMemoryChannelLayer, heard: Heard, listener: Listener) -> None:
        """A gap of the layer is one of the news."""
        await until(lambda: heard.missed == 1)
        layer._tell_gap()
        await until(lambda: heard.missed == 2)
        assert heard.messages == []

    async def test_too_much(
        self,
        layer: InMemoryChannelLayer,
        heard: Heard,
        listener: Listener,
        logs: Logs,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Who cannot keep up begins anew."""
        await until(lambda: heard.missed == 1)
        for _ in range(mailbox.MAX_MESSAGES + 1):  # in one turn of the event loop
            layer._hub._deliver(layer.groups[GROUP].values(), b"\x81\xa4type\xa1x", None)
        await until(lambda: heard.missed == 2)
        assert len(logs.take()) == 2
        assert len(heard.pauses) == 1


class TestForeignLayer:
    """On a layer of somebody else's."""

    async def test_hears(self, foreign: Foreign, heard: Heard, listener: Listener) -> None:
        """It hears what is sent, and leaves the group."""
        foreign.waiting.put_nowait({"type": "auth.revoked", "user": "7"})
        await until(lambda: heard.messages == [{"type": "auth.revoked", "user": "7"}])
        await listener.stop()
        assert foreign.groups == {GROUP: set()}

    async def test_down(self, foreign: Foreign, heard: Heard, logs: Logs) -> None:
        """It goes on trying, ever less often; the log has one line."""
        foreign.failures = [ConnectionError("refused")] * 9
        listener = listen(heard)
        await until(lambda: heard.missed == 1)
        await listener.stop()
        (line,) = logs.take()
        assert line == (
            "WARNING News of revoked users cannot be heard; until then their connections are "
            "checked by their interval only: ConnectionError: refused"
        )
        wanted = [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
        assert all(
            longest / 2 <= pause <= longest
            for pause, longest in zip(heard.pauses, wanted, strict=True)
        )

    async def test_joins_again(
        self, foreign: Foreign, heard: Heard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its membership does not expire."""
        monkeypatch.setattr(listening, "REJOIN", 0.0)
        listener = listen(heard)
        await until(lambda: foreign.joined >= 3)
        await listener.stop()
        assert heard.missed == 1


async def test_no_layer(
    heard: Heard, logs: Logs, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """Without such a layer it says so and ends; where none is wanted it says nothing."""
    monkeypatch.setattr(layers, "get_channel_layer", lambda alias: None)
    loop = asyncio.get_running_loop()
    listener = Listener(loop, heard.messages.append, heard.note)
    await listener._task
    (line,) = logs.take()
    assert line == (
        "WARNING There is no channel layer 'default' to hear of revoked users from; their "
        "connections are checked by their interval only. Name one in FAIRWAY_AUTH_CHANNEL_LAYER."
    )
    settings.FAIRWAY_AUTH_CHANNEL_LAYER = None
    await Listener(loop, heard.messages.append, heard.note)._task
    assert heard.missed == 0
