"""Where jobs come from and go back to: any channel layer, and what it can do besides."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

from fairway._types import Event
from fairway.exceptions import ChannelLayerUnavailable, MessageNotSerializable
from fairway.layers.base import ChannelLayer
from fairway.layers.bus import MOST_AT_ONCE
from fairway.layers.codec import encode

logger = logging.getLogger("django.channels.worker")

#: Seconds to wait after a channel layer failed, doubled up to the limit for each further failure.
FIRST_DELAY: Final = 1.0
MAX_DELAY: Final = 30.0

#: Says in a message which attempt it is, while the layer carries it for a retry.
ATTEMPT: Final = "__fairway_attempt__"

T = TypeVar("T")


class Source(Protocol):
    """Where the messages come from: any channel layer."""

    async def receive(self, channel: str, /) -> Event:
        """Return the next message that was sent to the channel."""


class LeasedJob(Protocol):
    """A message on lease, as :class:`fairway.layers.base.Job` is one."""

    message: Event
    attempt: int

    async def acknowledge(self) -> object:
        """It is done."""

    async def give_back(self, delay: float = 0.0) -> object:
        """Somebody else shall have it."""

    async def extend(self, lease: float) -> object:
        """Keep it for so many seconds from now."""


def can_acknowledge(layer: object) -> bool:
    """Whether a layer keeps a message until it is acknowledged."""
    return "acknowledgement" in _abilities(layer)


def can_delay(layer: object) -> bool:
    """Whether a layer takes messages for later."""
    return "delay" in _abilities(layer)


def _abilities(layer: Any) -> frozenset[str]:
    # The type is asked first: the layer of channels_redis.pubsub looks up unknown names in the
    # connections of the running event loop, and fails where none runs.
    found: frozenset[str] = layer.abilities if hasattr(type(layer), "abilities") else frozenset()
    return found


def size_of(message: Event) -> int:
    """Bytes of a message as our layers carry it; of its text where it could not cross them."""
    try:
        return len(encode(message))
    except MessageNotSerializable:
        return len(repr(message))


class Delivery:
    """A job that this worker has taken.

    Attributes:
        channel: Where it was taken from.
        message: The job.
        attempt: Which attempt this is, from 1.
        lease: What to acknowledge, or None.
    """

    __slots__ = ("_heart", "attempt", "channel", "lease", "message")

    def __init__(self, channel: str, message: Event, attempt: int, lease: LeasedJob | None) -> None:
        self.channel = channel
        self.message = message
        self.attempt = attempt
        self.lease = lease
        self._heart: asyncio.Task[None] | None = None

    @property
    def kind(self) -> str:
        """The type of the message."""
        return str(self.message.get("type"))

    def keep(self, lease: LeasedJob, seconds: float) -> None:
        """Renew the lease until :meth:`settle`."""
        self._heart = asyncio.create_task(self._beat(lease, seconds))

    def settle(self) -> None:
        """It is decided what becomes of it: renew the lease no more."""
        if self._heart is not None:
            self._heart.cancel()
            self._heart = None

    def as_it_came(self) -> Event:
        """The message as it is sent back, with the number of this attempt."""
        return self.message if self.attempt == 1 else {**self.message, ATTEMPT: self.attempt}

    async def _beat(self, lease: LeasedJob, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds / 3)
            try:
                if await lease.extend(seconds) is False:
                    logger.warning(
                        "The lease of a job of type %r from channel %r ran out while it was being "
                        "worked on; it is done again. Raise the worker's lease (%g s).",
                        self.kind,
                        self.channel,
                        seconds,
                    )
                    return
            except Exception:  # the layer's own; there is time for another try
                logger.warning(
                    "The lease of a job of type %r from channel %r could not be renewed.",
                    self.kind,
                    self.channel,
                    exc_info=True,
                )


def as_delivery(channel: str, message: Event) -> Delivery:
    """A message that was received, without what we wrote into it."""
    attempt = 1
    if ATTEMPT in message:
        message = dict(message)
        found = message.pop(ATTEMPT)
        if type(found) is int and found > 1:
            attempt = found
    return Delivery(channel, message, attempt, None)


class SturdyLayer:
    """A layer and how to bear its failures.

    Args:
        layer: Any channel layer.
        lease: Seconds after which a job of a killed worker comes back, where the layer can do that.
    """

    def __init__(self, layer: Source, lease: float) -> None:
        # Any: third-party layers have methods of their own.
        self.layer: Any = layer
        self.lease = lease
        self.can_delay = can_delay(layer)
        self.is_ours = isinstance(layer, ChannelLayer)

    def at_once(self, room: int, *, on_lease: bool) -> int:
        """How many jobs are taken in one step: of other layers, and on lease, one.

        One, too, where a project's layer has a ``receive()`` of its own, which has to see each.
        """
        if on_lease or not self.is_ours or self.layer.has_own_receive:
            return 1
        return min(room, MOST_AT_ONCE)

    async def take(self, channel: str, *, on_lease: bool, limit: int = 1) -> list[Delivery]:
        """Wait for the next message of a channel, however often the layer fails.

        Args:
            channel: Its name.
            on_lease: Whether it has to be acknowledged.
            limit: How many may be taken in one step, see :meth:`at_once`.
        """
        if on_lease:
            lease = await self.insist(channel, lambda: self._receive_job(channel))
            delivery = as_delivery(channel, lease.message)
            # Where some handlers ask for acknowledgement, the retries of others say it themselves.
            delivery.attempt += lease.attempt - 1
            delivery.lease = lease
            delivery.keep(lease, self.lease)
            return [delivery]
        if limit > 1:
            messages: list[Event] = await self.insist(
                channel, lambda: self.layer.receive_many(channel, limit)
            )
        else:
            messages = [await self.insist(channel, lambda: self.layer.receive(channel))]
        return [as_delivery(channel, message) for message in messages]

    async def send(self, channel: str, message: Event, delay: float = 0.0) -> None:
        """Send a message once; the delay must be one that the layer can keep."""
        if delay:
            await self.layer.send(channel, message, delay=delay)
        else:
            await self.layer.send(channel, message)

    async def insist(
        self,
        channel: str,
        call: Callable[[], Awaitable[T]],
        *,
        unless: Callable[[Exception], bool] = lambda error: False,
    ) -> T:
        """Do something with the layer, again and again while it fails, with back-off and jitter.

        Args:
            channel: What it is about, for the log.
            call: What to do.
            unless: Tells exceptions that are no failure of the layer, but an answer: these are
                raised.
        """
        delay = FIRST_DELAY
        while True:
            try:
                return await call()
            except Exception as error:
                # Whatever the layer's client library raises; the cure is the same for all.
                if unless(error):
                    raise
                pause = delay * (0.5 + random.random() / 2)  # noqa: S311  no secret
                logger.error(
                    "The channel layer failed for channel %r: %r. Trying again in %.1f s.",
                    channel,
                    error,
                    pause,
                    # This one is expected, and says all there is to say.
                    exc_info=None if isinstance(error, ChannelLayerUnavailable) else error,
                )
            await asyncio.sleep(pause)
            delay = min(2 * delay, MAX_DELAY)

    def _receive_job(self, channel: str) -> Awaitable[LeasedJob]:
        job: Awaitable[LeasedJob] = self.layer.receive_job(channel, lease=self.lease)
        return job
