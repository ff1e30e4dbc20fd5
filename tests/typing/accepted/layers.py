"""Channel layers as projects use them."""

from typing import assert_type

from fairway._types import Event
from fairway.layers import BaseChannelLayer, InMemoryChannelLayer, get_channel_layer
from fairway.testing import Capture, capture_channel, capture_group, use_channel_layer

assert_type(get_channel_layer(), BaseChannelLayer | None)
assert_type(get_channel_layer("other"), BaseChannelLayer | None)


async def use() -> None:
    """The verbs, once it is clear that there is a layer."""
    layer = get_channel_layer()
    assert layer is not None
    channel = await layer.new_channel()
    assert_type(channel, str)
    await layer.group_add("news", channel)
    await layer.group_send("news", {"type": "news.item", "title": "Ahoy", "tags": ["a", 1]})
    await layer.group_discard("news", channel)
    await layer.send(channel, {"type": "news.item"})
    assert_type(await layer.receive(channel), Event)


class Recording(InMemoryChannelLayer):
    """A layer of a project's own."""

    async def send(self, channel: str, message: Event, *, delay: float = 0.0) -> None:
        """Look at every message."""
        await super().send(channel, message, delay=delay)


def test() -> None:
    """What tests use."""
    with capture_group("news") as sent, capture_channel("jobs", alias="other") as jobs:
        assert_type(sent, Capture)
        assert_type(sent[0], Event)
    assert_type(jobs.assert_sent(type="job"), Event)
    with use_channel_layer("default", Recording()) as layer:
        assert_type(layer, BaseChannelLayer)
