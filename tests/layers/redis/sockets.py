"""What a consumer has of a layer: a mailbox that is open, whatever happens to the server."""

import asyncio
from typing import Self

from fairway._types import Event
from fairway.delivery import Mailbox
from fairway.layers.codec import decode
from fairway.layers.redis import RedisChannelLayer
from tests.layers.redis.servers import within


class Socket:
    """A consumer's mailbox.

    Attributes:
        channel: Its channel.
    """

    def __init__(self, layer: RedisChannelLayer, *, gaps: bool = True) -> None:
        self.mailbox = Mailbox(asyncio.get_running_loop())
        self.channel = layer.bind(self.mailbox, gaps=gaps)

    @classmethod
    async def joined(cls, layer: RedisChannelLayer, group: str, *, gaps: bool = True) -> Self:
        """One that is in a group."""
        socket = cls(layer, gaps=gaps)
        await layer.group_add(group, socket.channel)
        return socket

    async def receive(self) -> Event:
        """The next message."""
        return await within(self._receive())

    async def _receive(self) -> Event:
        while (item := self.mailbox.take()) is None:
            await self.mailbox.park()
        assert isinstance(item, bytes)
        return decode(item)

    def received(self) -> list[Event]:
        """What is there already."""
        found = []
        while (item := self.mailbox.take()) is not None:
            assert isinstance(item, bytes)
            found.append(decode(item))
        return found
