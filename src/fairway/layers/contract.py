"""What every channel layer offers, whoever wrote it: the specification that Channels gave."""

from typing import NamedTuple

from fairway._types import Event
from fairway.layers.names import ChannelNames


class Reached(NamedTuple):
    """How far a group message went.

    Attributes:
        members: Channels of this process that it was handed to.
        processes: Processes with members, this one included, as far as the bus knows.
    """

    members: int
    processes: int


class BaseChannelLayer(ChannelNames):
    """What every channel layer offers, whoever wrote it.

    A message is a dictionary with a ``type``. Delivery is at-most-once; a channel's messages are
    read in the order in which one sender sent them, each by one reader. ``group_send`` reaches
    every channel that is in the group at that moment.
    """

    async def send(self, channel: str, message: Event) -> None:
        """Send a message to one channel.

        Raises:
            ChannelFull: It holds as many messages as it may.
            TypeError: It is no valid name.
        """
        raise NotImplementedError("send() should be implemented in a channel layer")

    async def receive(self, channel: str) -> Event:
        """Take the next message of a channel, waiting for one if need be."""
        raise NotImplementedError("receive() should be implemented in a channel layer")

    async def new_channel(self) -> str:
        """A new channel name that this process alone can receive from."""
        raise NotImplementedError("new_channel() should be implemented in a channel layer")

    async def flush(self) -> None:
        """Forget every message and every membership."""
        raise NotImplementedError("flush() not implemented (flush extension)")

    async def group_add(self, group: str, channel: str) -> None:
        """Put a channel into a group; again is the same as once."""
        raise NotImplementedError("group_add() not implemented (groups extension)")

    async def group_discard(self, group: str, channel: str) -> None:
        """Take a channel out of a group; one that is not in it is ignored."""
        raise NotImplementedError("group_discard() not implemented (groups extension)")

    async def group_send(self, group: str, message: Event) -> Reached | None:
        """Send a message to every channel of a group; a full channel is counted, not raised.

        Returns:
            How far it went; None from layers that do not know.
        """
        raise NotImplementedError("group_send() not implemented (groups extension)")
