"""Mistakes with channel layers that a type checker finds."""

from fairway._types import Event
from fairway.layers import InMemoryChannelLayer, get_channel_layer


async def use() -> None:
    """Forget that there may be no layer, and send what is no message."""
    layer = get_channel_layer()
    await layer.group_send("news", {"type": "news.item"})  # E: union-attr
    assert layer is not None
    await layer.group_send("news", "Ahoy")  # E: arg-type
    await layer.send(b"news", {"type": "news.item"})  # E: arg-type
    layer.group_send("news", {"type": "news.item"})  # E: unused-coroutine
    get_channel_layer(1)  # E: arg-type


class Wrong(InMemoryChannelLayer):
    """A verb that is no coroutine."""

    def group_add(self, group: str, channel: str) -> None:  # E: override
        """Forget the async."""

    async def group_send(self, message: Event) -> None:  # E: override
        """Forget the group."""
