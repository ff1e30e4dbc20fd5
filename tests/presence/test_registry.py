"""The trackers of a process: one for each layer."""

import asyncio

from django.test import override_settings

from fairway.delivery import Mailbox
from fairway.layers import InMemoryChannelLayer, get_channel_layer
from fairway.layers.io import io
from fairway.presence.registry import Trackers, trackers
from fairway.testing import isolated_channel_layers, use_channel_layer
from tests.presence.places import until


async def test_one_for_each_layer() -> None:
    """A layer has one tracker, from its first use to its end; then another one."""
    trackers = Trackers()
    layer, other = InMemoryChannelLayer(), InMemoryChannelLayer()
    first = trackers.of(layer)
    assert trackers.of(layer) is first
    assert trackers.of(other) is not first
    await io.run(first.start())
    await layer.close()
    assert trackers.of(layer) is not first
    assert list(trackers._found) == [other, layer]


async def test_stop() -> None:
    """At the end of the process all of them say goodbye."""
    trackers = Trackers()
    layer = InMemoryChannelLayer()
    await io.run(trackers.of(layer).start())
    await asyncio.to_thread(trackers.stop)
    assert layer.on_unbind == []
    assert layer._hub.channels == {}


async def test_forget_parent() -> None:
    """A child process has no trackers, and does not hear of its parent's channels."""
    trackers = Trackers()
    layer = InMemoryChannelLayer()
    tracker = trackers.of(layer)
    await io.run(tracker.start())
    trackers.forget_parent()
    assert trackers.of(layer) is not tracker
    assert (layer.on_unbind, layer.on_close) == ([], [])
    await tracker.stop()


async def test_isolated_tests() -> None:
    """Whoever lingers after one test is not there in the next."""
    layer = InMemoryChannelLayer()
    tracker = trackers.of(layer)
    await io.run(tracker.start())
    mailbox = Mailbox(asyncio.get_running_loop())
    channel = layer.bind(mailbox)
    await io.run(tracker.join("harbour", channel, "ada", "{}", 300.0))
    stays = layer.bind(mailbox)
    await io.run(tracker.join("harbour", stays, "mei", "{}", 300.0))
    await layer.unbind(channel)
    with use_channel_layer("other", layer), isolated_channel_layers():
        assert list(await io.run(tracker.people("harbour"))) == ["mei"]
    await layer.close()
    trackers.forget_the_gone(layer)
    trackers.forget_the_gone(InMemoryChannelLayer())


async def test_discard() -> None:
    """The layer of a test that is over is not kept, nor what looks after it."""
    with use_channel_layer() as layer:
        assert isinstance(layer, InMemoryChannelLayer)
        tracker = trackers.of(layer)
        await io.run(tracker.start())
    await until(lambda: tracker.stopped and not layer.channels)
    assert layer not in trackers._found
    trackers.discard(layer)


async def test_replaced_by_settings() -> None:
    """The tracker of a layer that other settings replace ends with it, in memory too."""
    memory = {"default": {"BACKEND": "fairway.layers.InMemoryChannelLayer"}}
    with override_settings(CHANNEL_LAYERS=memory):
        layer = get_channel_layer()
        assert isinstance(layer, InMemoryChannelLayer)
        tracker = trackers.of(layer)
        await io.run(tracker.start())
    await until(lambda: tracker.stopped and not layer.channels)
    assert (layer.on_unbind, layer.on_close) == ([], [])
