"""Channel layers: Channels' contract, and its one implementation over hub, codec and bus."""

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Final

from fairway._types import Event
from fairway.delivery import ChannelQueue, Hub, Mailbox
from fairway.exceptions import ChannelFull
from fairway.layers.bus import Bus
from fairway.layers.codec import decode, encode
from fairway.layers.names import ChannelNames, ChannelPattern
from fairway.wire.frames import PreparedMessage

logger = logging.getLogger("fairway.layers")

#: The message that needs no handler: it is what the client receives.
WEBSOCKET_SEND: Final = "websocket.send"


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

    async def group_send(self, group: str, message: Event) -> None:
        """Send a message to every channel of a group; a full channel is counted, not raised."""
        raise NotImplementedError("group_send() not implemented (groups extension)")


class ChannelLayer(BaseChannelLayer):
    """The contract of :class:`BaseChannelLayer`, for any bus.

    A connection's channel is its mailbox: :meth:`bind` names it, and from then on messages go from
    the sender's encoder straight into it. A channel that is read with :meth:`receive` is a queue.

    Args:
        bus: What connects the processes; made by the subclass.
        hub: What this process reads; one for all its event loops.
        expiry: Seconds after which a message in a queue that nobody took is dropped, and its
            channel leaves its groups.
        group_expiry: Seconds after its last ``group_add`` that a queue stays in a group. A
            connection stays until it ends, however long that is.
        capacity: Messages that a queue may hold. (A connection's mailbox has budgets of its own.)
        channel_capacity: Other capacities by glob or compiled regular expression.
        clock: Seconds that only go forwards.
    """

    extensions: list[str] = ["groups", "flush"]

    def __init__(
        self,
        bus: Bus,
        hub: Hub,
        *,
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Mapping[ChannelPattern, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(expiry=expiry, capacity=capacity, channel_capacity=channel_capacity)
        self.group_expiry = group_expiry
        self._bus = bus
        self._hub = hub
        self._clock = clock
        self._process = self._process_name()

    def _process_name(self) -> str:
        """What stands before the ``!`` in this process's channel names."""
        return secrets.token_hex(8)

    # ------------------------------------------------------------------ channels

    async def new_channel(self, prefix: str = "specific") -> str:
        """A new channel name that this process alone can receive from.

        Raises:
            TypeError: With this prefix it is no valid name, or too long.
        """
        name = self._new_name(prefix)
        self._hub.attach(name, self._new_queue(name))
        return name

    def bind(self, mailbox: Mailbox, prefix: str = "specific") -> str:
        """Give a mailbox a channel name; messages to it go straight into the mailbox.

        Raises:
            TypeError: With this prefix it is no valid name, or too long.
        """
        name = self._new_name(prefix)
        self._hub.attach(name, mailbox)
        return name

    async def unbind(self, channel: str) -> None:
        """End a channel: it leaves every group, and what is sent to it afterwards is lost."""
        for group in self._hub.detach(channel):
            await self._bus.unsubscribe(group)

    async def send(self, channel: str, message: Event) -> None:
        """Send a message to one channel.

        Raises:
            ChannelFull: It holds as many messages as it may.
            MessageNotSerializable: The message holds a value that cannot be sent.
            TypeError: The channel's name is not valid.
        """
        assert isinstance(message, dict), "message is not a dict"
        self.require_valid_channel_name(channel)
        assert "__asgi_channel__" not in message
        payload = encode(message)
        if isinstance(self._hub.channels.get(channel), Mailbox):
            try:
                taken = self._hub.put(channel, payload)
            except KeyError:
                return  # another thread has just ended it: what is sent to it is lost
        else:
            taken = await self._bus.push(
                channel, payload, capacity=self.get_capacity(channel), expiry=self.expiry
            )
        if not taken:
            raise ChannelFull(channel)

    async def receive(self, channel: str) -> Event:
        """Take the next message of a channel, waiting for one if need be; cancelling loses nothing.

        Raises:
            RuntimeError: The channel belongs to a consumer, which reads it itself.
            TypeError: The channel's name is not valid.
        """
        self.require_valid_channel_name(channel)
        if isinstance(self._hub.channels.get(channel), Mailbox):
            raise RuntimeError(
                f"Channel {channel} belongs to a consumer of this process, which receives its "
                "messages in its handlers."
            )
        return decode(await self._bus.pop(channel))

    def _new_name(self, prefix: str) -> str:
        name = f"{prefix.rstrip('.')}.{self._process}!{secrets.token_hex(8)}"
        self.require_valid_channel_name(name)
        return name

    def _new_queue(self, name: str) -> ChannelQueue:
        return ChannelQueue(name, self.get_capacity(name), self.expiry, self._clock)

    # ------------------------------------------------------------------ groups

    async def group_add(self, group: str, channel: str) -> None:
        """Put a channel into a group; again is the same as once.

        When this has returned, a message sent to the group from anywhere arrives.

        Raises:
            TypeError: A name is not valid.
        """
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        with self._hub.lock:
            if channel not in self._hub.channels:
                self._hub.attach(channel, self._new_queue(channel))
            first = self._hub.join(group, channel)
        if first:
            await self._bus.subscribe(group)

    async def group_discard(self, group: str, channel: str) -> None:
        """Take a channel out of a group; one that is not in it is ignored.

        Raises:
            TypeError: A name is not valid.
        """
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        if self._hub.leave(group, channel):
            await self._bus.unsubscribe(group)

    async def group_send(self, group: str, message: Event) -> None:
        """Send a message to every channel of a group.

        A message whose type is ``"websocket.send"``, with ``text`` or ``bytes``, needs no handler:
        it is what the clients receive, encoded once for all of them. A channel that is full misses
        the message, which is counted and logged.

        Raises:
            MessageNotSerializable: The message holds a value that cannot be sent.
            TypeError: The group's name is not valid.
        """
        assert isinstance(message, dict), "Message is not a dict"
        self.require_valid_group_name(group)
        payload = encode(message)
        prepared = prepare(message) if message.get("type") == WEBSOCKET_SEND else None
        await self._hub.publish(group, payload, prepared)
        await self._bus.publish(group, payload)

    # ------------------------------------------------------------------ all of it

    async def flush(self) -> None:
        """Forget every message and every membership."""
        groups = list(self._hub.groups)
        self._hub.clear()
        for group in groups:
            await self._bus.unsubscribe(group)

    async def close(self) -> None:
        """Leave: flush, and end the connections to other processes."""
        await self.flush()
        await self._bus.close()


def prepare(message: Event) -> PreparedMessage | None:
    """A ``websocket.send`` message framed for many, or None if it is not what ASGI asks for.

    None is no error: the members' consumers then send it one by one and meet the error there.
    """
    text, data = message.get("text"), message.get("bytes")
    if isinstance(text, str) and data is None:
        return PreparedMessage(text)
    if isinstance(data, bytes) and text is None:
        return PreparedMessage(data)
    return None
