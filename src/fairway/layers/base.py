"""Channel layers: the contract, and its one implementation over hub, codec and bus."""

import asyncio
import concurrent.futures
import functools
import logging
import math
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import ClassVar, Final

from fairway._types import Event
from fairway.delivery import ChannelQueue, Hub, Mailbox
from fairway.exceptions import ChannelFull, WrongProcess
from fairway.layers.bus import ACKNOWLEDGEMENT, COUNTING, DELAY, MOST_AT_ONCE, Bus, Confirmation
from fairway.layers.codec import decode, encode
from fairway.layers.contract import BaseChannelLayer, Reached
from fairway.layers.envelope import for_group
from fairway.layers.io import io
from fairway.layers.job import Job
from fairway.layers.names import ChannelPattern, require_numbers
from fairway.layers.prepared import prepare
from fairway.layers.queues import Queues
from fairway.layers.remote import QUEUE_MARK, Remote, is_connection, process_of
from fairway.layers.sync import SyncVerbs
from fairway.layers.unreadable import Unreadable

__all__ = ["BaseChannelLayer", "ChannelLayer", "Job", "Reached"]

logger = logging.getLogger("fairway.layers")

_ADVICE: Final = (
    "Have all processes the same CHANNEL_LAYERS, and the same version of this package? (While one "
    "replaces the other, they cannot always read each other's messages.)"
)


class ChannelLayer(BaseChannelLayer):
    """The contract of :class:`BaseChannelLayer`, for any bus.

    A connection's channel is its mailbox: :meth:`bind` names it, and from then on messages go from
    the sender's encoder straight into it. A channel that is read with :meth:`receive` is a queue:
    of this process, if its name has a ``!``, else of the bus.

    Args:
        bus: What connects the processes; made by the subclass.
        hub: What this process reads; one for all its event loops.
        expiry: Seconds after which a message in a queue that nobody took is dropped.
        group_expiry: Seconds after its last ``group_add`` that a queue stays in a group. A
            connection stays until it ends, however long that is.
        capacity: Messages that a queue may hold. (A connection's mailbox has budgets of its own.)
        channel_capacity: Other capacities by glob or compiled regular expression.
        clock: Seconds that only go forwards.

    Attributes:
        on_unbind: Called with each channel that ends, on whatever thread.
        on_close: Awaited before the layer leaves, while others can still be told.
    """

    extensions: list[str] = ["groups", "flush"]
    #: So many times ``expiry`` may messages expire in a queue that nobody reads; then it leaves its
    #: groups. A reader that is busy for long stays in, and what a view has forgotten is let go.
    unread_expiries: ClassVar[int] = 10
    #: Whether its constructor takes a ``project``, which ``CHANNEL_LAYERS`` fills in.
    names_project: ClassVar[bool] = False

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
        require_numbers(expiry=expiry, group_expiry=group_expiry, capacity=capacity)
        super().__init__(expiry=expiry, capacity=capacity, channel_capacity=channel_capacity)
        for pattern, number in self.channel_capacity:
            require_numbers(**{f"channel_capacity[{pattern.pattern!r}]": number})
        self.group_expiry = group_expiry
        self._bus = bus
        self._hub = hub
        self._clock = clock
        self.on_unbind: list[Callable[[str], None]] = []
        self.on_close: list[Callable[[], Awaitable[None]]] = []
        self._queues = Queues(
            hub,
            self._new_queue,
            expiry=expiry,
            patience=expiry * self.unread_expiries,
            group_expiry=group_expiry,
            clock=clock,
            emptied=bus.unsubscribe,
        )
        self._unreadable = Unreadable(logger, _ADVICE)
        self._remote = Remote(
            bus, hub, self._queues, self._join_here, self._leave_here, self._unreadable
        )
        bus.deliver = self._remote.deliver
        bus.lost = self._tell_gap
        # Groups whose subscription is not yet certain.
        self._joining: dict[str, concurrent.futures.Future[None]] = {}
        self._gap_channels: set[str] = set()
        self._counts: Counter[str] = Counter()

    @property
    def process(self) -> str:
        """What stands before the ``!`` in this process's channel names."""
        return self._remote.process

    @property
    def abilities(self) -> frozenset[str]:
        """What this layer can do beyond the contract, by name; see :class:`~fairway.layers.bus`."""
        return self._bus.abilities

    @functools.cached_property
    def sync(self) -> SyncVerbs:
        """The same verbs for code that does not run in an event loop; see :class:`SyncVerbs`."""
        return SyncVerbs(self)

    # ------------------------------------------------------------------ channels

    async def new_channel(self, prefix: str = "specific") -> str:
        """A new channel name that this process alone can receive from.

        Raises:
            TypeError: With this prefix it is no valid name, or too long.
        """
        self._queues.sweep()
        name = self._new_name(prefix, QUEUE_MARK)
        self._hub.attach(name, self._new_queue(name))
        confirmed = self._remote.listen()
        if confirmed is not None:
            await asyncio.shield(asyncio.wrap_future(confirmed))
        return name

    @property
    def has_own_receive(self) -> bool:
        """Whether there is a ``receive()`` of a project's own, which has to see each message."""
        return getattr(self.receive, "__func__", None) is not ChannelLayer.receive

    @property
    def may_bind(self) -> bool:
        """Whether :meth:`bind` passes nobody over.

        Nor a ``new_channel()`` of a project's own, which has to see each name.
        """
        made = getattr(self.new_channel, "__func__", None)
        return made is ChannelLayer.new_channel and not self.has_own_receive

    def bind(self, mailbox: Mailbox, prefix: str = "specific", *, gaps: bool = False) -> str:
        """Give a mailbox a channel name; messages to it go straight into the mailbox.

        Args:
            mailbox: The mailbox of a connection, of the running event loop.
            prefix: What the name begins with.
            gaps: Whether it is to get a ``layer.gap`` message when messages from other processes
                may have been missed.

        Raises:
            TypeError: With this prefix it is no valid name, or too long.
        """
        name = self._new_name(prefix)
        self._remote.listen()
        self._hub.attach(name, mailbox)
        if gaps:
            self._gap_channels.add(name)
        return name

    async def unbind(self, channel: str) -> None:
        """End a channel: it leaves every group, and what is sent to it afterwards is lost."""
        self._gap_channels.discard(channel)
        with self._hub.lock:
            for group in self._hub.detach(channel):
                self._bus.unsubscribe(group)
        for ended in self.on_unbind:
            ended(channel)

    def reads(self, channel: str) -> bool:
        """Whether a channel is of this process and has not ended.

        Raises:
            ValueError: It belongs to another process, or to whichever reads it.
        """
        if "!" not in channel or not self._is_mine(channel):
            raise ValueError(f"Channel {channel} is not of this process.")
        return channel in self._hub.channels

    async def send(self, channel: str, message: Event, *, delay: float = 0.0) -> None:
        """Send a message to one channel.

        Args:
            channel: Its name.
            message: A dictionary with a ``type``.
            delay: Seconds before anyone may receive it, and none if less than 0; for named
                channels, those without ``!``.

        Raises:
            ChannelFull: It holds as many messages as it may.
            ChannelLayerUnavailable: It is in another process, which cannot be reached now.
            MessageNotSerializable: The message holds a value that cannot be sent.
            TypeError: The channel's name is not valid.
            ValueError: There is a delay that this channel, or this layer, cannot keep.
        """
        assert isinstance(message, dict), "message is not a dict"
        self.require_valid_channel_name(channel)
        assert "__asgi_channel__" not in message
        if delay:
            self.require_valid_delay(channel, delay)
        payload = encode(message)
        if "!" not in channel:
            taken = await self._push(channel, payload, delay)
        elif self._is_mine(channel):
            taken = self._remote.put(channel, payload)
        else:
            taken = True  # full or not: its own process will see
            await self._remote.send(channel, payload)
        if not taken:
            raise ChannelFull(channel)
        self._counts["sent"] += 1

    async def receive(self, channel: str) -> Event:
        """Take the next message of a channel, waiting for one if need be; cancelling loses nothing.

        What is no message is dropped, counted and logged.

        Raises:
            RuntimeError: The channel belongs to a consumer, which reads it itself, or to another
                process.
            TypeError: The channel's name is not valid.
        """
        (message,) = await self.receive_many(channel, 1)
        return message

    async def receive_many(self, channel: str, limit: int) -> list[Event]:
        """Take the next message of a channel and those behind it, in order, in one step.

        Waits for the first, and for no other. Cancelling loses nothing; what was returned is lost
        if this process dies, as with :meth:`receive`.

        Args:
            channel: Its name.
            limit: How many at most, and never more than 100; there may be more in the channel.

        Raises:
            RuntimeError: As for :meth:`receive`.
            TypeError: The channel's name is not valid.
            ValueError: The limit is less than 1.
        """
        self._require_readable(channel)
        if limit < 1:
            raise ValueError(f"limit is how many messages to take at most, not {limit}.")
        limit = min(limit, MOST_AT_ONCE)
        if "!" in channel:
            return [decode(payload) for payload in await self._queues.get(channel, limit)]
        while True:
            messages = []
            for payload in await self._bus.pop(channel, limit):
                try:
                    messages.append(decode(payload))
                except ValueError as error:
                    self._unreadable.drop(f"in channel {channel}", error)
            if messages:
                return messages

    async def receive_job(self, channel: str, *, lease: float) -> Job:
        """Take the next message of a named channel, so that it is not lost if this process dies.

        It comes back to the channel unless it is acknowledged within ``lease`` seconds.

        Raises:
            RuntimeError: This layer cannot do that (see :attr:`abilities`), or not for a channel
                that belongs to one process.
            TypeError: The channel's name is not valid.
        """
        self._require_readable(channel)
        if "!" in channel or ACKNOWLEDGEMENT not in self.abilities:
            raise RuntimeError(
                f"{type(self).__name__} cannot lease messages of {channel}; use receive()."
            )
        while True:
            leased = await self._bus.lease(channel, lease)
            try:
                return Job(self._bus, channel, leased)
            except ValueError as error:
                self._unreadable.drop(f"in channel {channel}", error)
                await self._bus.acknowledge(channel, leased.ticket)

    async def waiting(self, channel: str) -> int:
        """How many messages wait in a channel, those for later among them, those on lease not.

        Raises:
            ChannelLayerUnavailable: It cannot be asked for now.
            RuntimeError: This layer cannot tell (see :attr:`abilities`), or the channel belongs to
                another process.
            TypeError: The channel's name is not valid.
        """
        self.require_valid_channel_name(channel)
        if "!" not in channel:
            if COUNTING not in self.abilities:
                raise RuntimeError(f"{type(self).__name__} cannot tell what waits in {channel}.")
            return await self._bus.waiting(channel)
        if not self._is_mine(channel):
            raise WrongProcess(f"Channel {channel} belongs to another process.")
        found = self._hub.channels.get(channel)
        return 0 if found is None else found.waiting[1]

    def require_valid_delay(self, channel: str, delay: float) -> None:
        """See that a message to this channel can be sent for so many seconds later.

        Raises:
            ValueError: It cannot; the message says why.
        """
        if not math.isfinite(delay):
            raise ValueError(f"A delay is a number of seconds, not {delay}.")
        if "!" in channel:
            raise ValueError(f"Channel {channel} belongs to one process: nothing waits for it.")
        if DELAY not in self.abilities:
            raise ValueError(f"{type(self).__name__} cannot delay messages.")

    def _require_readable(self, channel: str) -> None:
        self.require_valid_channel_name(channel)
        if isinstance(self._hub.channels.get(channel), Mailbox):
            raise RuntimeError(
                f"Channel {channel} belongs to a consumer of this process, which receives its "
                "messages in its handlers."
            )
        if "!" in channel and not self._is_mine(channel):
            raise WrongProcess(
                f"Wrong client prefix: channel {channel} belongs to another process, which "
                "receives it."
            )

    async def _push(self, channel: str, payload: bytes, delay: float = 0.0) -> bool:
        options: dict[str, float] = {"delay": delay} if delay else {}
        return await self._bus.push(
            channel, payload, capacity=self.get_capacity(channel), expiry=self.expiry, **options
        )

    def _is_mine(self, channel: str) -> bool:
        """Whether this process is the one that receives from a channel whose name has a ``!``."""
        return process_of(channel) == self.process

    def _new_name(self, prefix: str, mark: str = "") -> str:
        name = f"{prefix.rstrip('.')}.{self.process}!{mark}{secrets.token_hex(8)}"
        self.require_valid_channel_name(name)
        return name

    def _new_queue(self, name: str) -> ChannelQueue:
        return ChannelQueue(name, self.get_capacity(name), self.expiry, self._clock)

    # ------------------------------------------------------------------ groups

    async def group_add(self, group: str, channel: str) -> None:
        """Put a channel into a group; again is the same as once.

        When this has returned, a message sent to the group from anywhere arrives. The channel of a
        connection that has ended joins nothing: nobody would take it out again.

        Raises:
            ChannelLayerUnavailable: The channel is not of this process, and cannot be reached now.
            TypeError: A name is not valid.
        """
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        if "!" not in channel:
            await self._bus.adopt(group, channel, self.group_expiry)
        elif self._is_mine(channel):
            confirmed = self._join_here(group, channel)
            if confirmed is not None and not confirmed.done():
                # Others wait for the same one: who is cancelled must not cancel it for them.
                await asyncio.shield(asyncio.wrap_future(confirmed))
        else:
            await self._remote.join(group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        """Take a channel out of a group; one that is not in it is ignored.

        Raises:
            ChannelLayerUnavailable: The channel is not of this process, and cannot be reached now.
            TypeError: A name is not valid.
        """
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        if "!" not in channel:
            await self._bus.release(group, channel)
        elif self._is_mine(channel):
            self._leave_here(group, channel)
        else:
            await self._remote.leave(group, channel)

    def _join_here(self, group: str, channel: str) -> Confirmation:
        # Subscriptions and their ends are asked for in the order in which the members change.
        with self._hub.lock:
            if isinstance(self._hub.channels.get(channel), Mailbox):
                first = self._hub.join(group, channel)
            elif is_connection(channel):
                return None  # a task or thread that its consumer has left behind is late
            else:
                first = self._queues.join(group, channel)
            if not first:
                return self._joining.get(group)
            confirmed = self._bus.subscribe(group)
            if confirmed is not None:
                self._joining[group] = confirmed
            else:
                self._joining.pop(group, None)  # of the parent, before a fork
        if confirmed is not None:
            confirmed.add_done_callback(functools.partial(self._joined, group))
        return confirmed

    def _joined(self, group: str, confirmed: "concurrent.futures.Future[None]") -> None:
        with self._hub.lock:
            if self._joining.get(group) is confirmed:
                del self._joining[group]

    def _leave_here(self, group: str, channel: str) -> None:
        with self._hub.lock:
            if isinstance(self._hub.channels.get(channel), Mailbox):
                emptied = self._hub.leave(group, channel)
            else:
                emptied = self._queues.leave(group, channel)
            if emptied:
                self._bus.unsubscribe(group)

    async def group_send(self, group: str, message: Event) -> Reached:
        """Send a message to every channel of a group.

        A message whose type is ``"websocket.send"``, with ``text`` or ``bytes``, needs no handler:
        it is what the clients receive, encoded once for all of them. A channel that is full misses
        the message, which is counted and logged.

        Returns:
            How far it went.

        Raises:
            ChannelLayerUnavailable: Other processes cannot be reached now; members of this one have
                got it.
            MessageNotSerializable: The message holds a value that cannot be sent.
            TypeError: The group's name is not valid.
        """
        assert isinstance(message, dict), "Message is not a dict"
        self.require_valid_group_name(group)
        self._queues.sweep()
        payload = encode(message)
        prepared = prepare(message)
        members = await self._hub.publish(group, payload, prepared)
        self._counts["sent"] += 1
        self._counts["delivered"] += members
        published = await self._bus.publish(
            group, for_group(payload, websocket_send=prepared is not None)
        )
        for queue in published.queues:
            if not await self._push(queue, payload):
                self._hub.dropped += 1
        return Reached(members, published.processes + bool(members))

    def group_tell(self, group: str, message: Event) -> int:
        """Hand a message to the members of a group in this process, and to nobody else's.

        Does not wait, and may be called from any thread.

        Returns:
            How many members it was handed to.
        """
        if not self.group_size(group):
            return 0
        return self._hub.post(group, encode(message))

    def group_size(self, group: str) -> int:
        """How many channels of this process are in a group."""
        return len(self._hub.groups.get(group, ()))

    def _tell_gap(self) -> None:
        """Tell those who asked for it that messages may be missing."""
        payload = encode({"type": "layer.gap"})
        for channel in list(self._gap_channels):
            self._remote.put(channel, payload)

    # ------------------------------------------------------------------ all of it

    def stats(self) -> dict[str, int]:
        """What this process has done with the layer so far, and what it holds now.

        ``sent`` messages, ``delivered`` to members of groups here, ``received`` from other
        processes, ``dropped`` as their channel was full, ``expired`` as nobody took them in time,
        ``unreadable`` as they were no message of this version and these options;
        ``channels`` and ``groups`` of this process, and what is ``waiting`` in those channels; and
        what the bus counts.
        """
        counted = self._bus.stats()
        return {
            "sent": self._counts["sent"],
            "delivered": self._counts["delivered"],
            "received": self._remote.received,
            "dropped": self._hub.dropped,
            "channels": len(self._hub.channels),
            "groups": len(self._hub.groups),
            "waiting": sum(each.waiting[1] for each in list(self._hub.channels.values())),
            **counted,
            "expired": self._queues.expired + counted.get("expired", 0),
            "unreadable": self._unreadable.count + counted.get("unreadable", 0),
        }

    async def flush(self) -> None:
        """Forget every message and every membership."""
        with self._hub.lock:
            groups = list(self._hub.groups)
            self._hub.clear()
            self._queues.clear()
            for group in groups:
                self._bus.unsubscribe(group)
        await self._bus.flush()

    async def close(self) -> None:
        """Leave: forget the memberships of this process, end the connections to others."""
        for closing in list(self.on_close):
            await closing()
        with self._hub.lock:
            groups = list(self._hub.groups)
            self._hub.clear()
            self._queues.clear()
            for group in groups:
                self._bus.unsubscribe(group)
        self._remote.stop_listening()
        await self._bus.close()

    def close_soon(self) -> None:
        """The same without waiting for it, from any thread; for whoever lets go of a layer."""
        # In memory there is nothing to close, but somebody may look after the layer until its end.
        if self._bus.is_open or self.on_close:
            io.submit(self.close()).add_done_callback(_log_failure)


def _log_failure(closing: "concurrent.futures.Future[None]") -> None:
    error = None if closing.cancelled() else closing.exception()
    if error is not None:
        logger.error("A channel layer could not be closed", exc_info=error)
