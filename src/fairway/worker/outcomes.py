"""What becomes of a job: done, tried again, among the dead letters, given back, lost."""

import asyncio
import logging
import traceback
from collections import Counter, defaultdict
from typing import Final, TypedDict

from fairway._types import Event
from fairway.exceptions import ChannelFull
from fairway.worker.policy import JobFailed, JobPolicy
from fairway.worker.slots import Slots
from fairway.worker.source import Delivery, SturdyLayer, size_of

logger = logging.getLogger("django.channels.worker")

#: The type of the messages in dead-letter channels.
DEAD_LETTER_TYPE: Final = "job.failed"


class Stats(TypedDict):
    """What a worker has done so far, and what it is doing: counts of jobs.

    Attributes:
        taken: Received from the layer; those that came back count again.
        done: Finished without an exception.
        failed: Raised an exception, had no type, or were cut off and lost.
        retried: Of those, how many were or will be tried again.
        dead: Of those, how many went to a dead-letter channel.
        requeued: Given back to the layer when the worker stopped.
        running: Being worked on now.
    """

    taken: int
    done: int
    failed: int
    retried: int
    dead: int
    requeued: int
    running: int


class Outcomes:
    """Tells the layer what became of jobs, and counts.

    Args:
        layer: Where jobs go back to.

    Attributes:
        counts: By channel and by the names of :class:`Stats`.
    """

    def __init__(self, layer: SturdyLayer) -> None:
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._layer = layer

    async def accepted(self, delivery: Delivery) -> bool:
        """It is done with, or not wanted back whatever becomes of it.

        Returns:
            False if its lease had run out: then another worker has it, or will.
        """
        delivery.settle()
        if delivery.lease is None:
            return True
        lease, delivery.lease = delivery.lease, None
        return await self._layer.insist(delivery.channel, lease.acknowledge) is not False

    async def done(self, delivery: Delivery) -> None:
        """It has been worked on without an exception."""
        self.counts[delivery.channel]["done"] += 1
        if delivery.lease is not None:
            await self.accepted(delivery)

    async def typeless(self, delivery: Delivery) -> None:
        """Nobody can handle a message without type."""
        self.counts[delivery.channel]["failed"] += 1
        logger.error(
            "A message without type on channel %r was skipped (%d bytes); its keys are %s.",
            delivery.channel,
            size_of(delivery.message),
            list(delivery.message),
        )
        await self.accepted(delivery)

    async def failed(
        self,
        slots: Slots,
        delivery: Delivery,
        policy: JobPolicy,
        error: BaseException,
        delay: float | None,
    ) -> None:
        """It raised an exception, which has been logged.

        Args:
            slots: Those of its channel.
            delivery: What failed.
            policy: What was asked for.
            error: What it raised.
            delay: Seconds until it is tried again, or None.
        """
        counts = self.counts[delivery.channel]
        counts["failed"] += 1
        if delay is not None:
            counts["retried"] += 1
            await self._retry(slots, delivery, delay)
        elif policy.dead_letter is not None:
            await self._bury(delivery, policy.dead_letter, cause_of(error))
        else:
            await self.accepted(delivery)

    async def _bury(self, delivery: Delivery, channel: str, error: BaseException) -> None:
        letter: Event = {
            "type": DEAD_LETTER_TYPE,
            "channel": delivery.channel,
            "message": delivery.message,
            "attempt": delivery.attempt,
            "error": describe(error),
            "traceback": "".join(traceback.format_exception(error)),
        }
        if await self._send(channel, letter):
            self.counts[delivery.channel]["dead"] += 1
        await self.accepted(delivery)

    async def given_back(self, delivery: Delivery) -> None:
        """It has not begun, or may begin again: let another worker have it."""
        delivery.settle()
        if delivery.lease is not None:
            lease, delivery.lease = delivery.lease, None
            await self._layer.insist(delivery.channel, lease.give_back)
        elif not await self._send(delivery.channel, delivery.as_it_came()):
            self.counts[delivery.channel]["failed"] += 1
            return
        self.counts[delivery.channel]["requeued"] += 1

    async def cut_off(self, delivery: Delivery, policy: JobPolicy) -> None:
        """The worker had to stop before it was done."""
        if delivery.lease is not None:
            await self.given_back(delivery)
        elif delivery.attempt <= policy.retries:
            await self.given_back(following(delivery))
        else:
            self.counts[delivery.channel]["failed"] += 1

    async def _retry(self, slots: Slots, delivery: Delivery, delay: float) -> None:
        delivery.settle()
        if delivery.lease is not None:
            lease, delivery.lease = delivery.lease, None
            await self._layer.insist(delivery.channel, lambda: lease.give_back(delay))
            return
        again = following(delivery)
        # A full channel is no reason to lose it: then it waits here.
        if not (
            self._layer.can_delay
            and "!" not in delivery.channel
            and await self._send(delivery.channel, again.as_it_came(), delay, quiet=True)
        ):
            slots.hold(again, delay)

    async def _send(
        self, channel: str, message: Event, delay: float = 0.0, *, quiet: bool = False
    ) -> bool:
        """Send, waiting for a layer that is down; says whether the channel took the message."""
        try:
            await self._layer.insist(
                channel, lambda: self._layer.send(channel, message, delay), unless=_is_answer
            )
        except asyncio.CancelledError:
            _log_loss(channel, message, "the worker ends while the layer is down")
            raise
        except Exception as error:  # noqa: BLE001  only what _is_answer() lets through
            if not quiet:
                _log_loss(channel, message, repr(error))
            return False
        return True


def following(delivery: Delivery) -> Delivery:
    """The next attempt at the same job."""
    return Delivery(delivery.channel, delivery.message, delivery.attempt + 1, None)


def retry_delay(delivery: Delivery, policy: JobPolicy, error: BaseException) -> float | None:
    """Seconds until a failed job is tried again, or None if it is not."""
    return policy.retry_delay(cause_of(error), delivery.attempt)


def cause_of(error: BaseException) -> BaseException:
    """What went wrong, for an application that has told of it already."""
    return (error.__cause__ or error) if isinstance(error, JobFailed) else error


def describe(error: BaseException) -> str:
    """An exception in a line: its class and what it says."""
    text = str(error)
    return f"{type(error).__qualname__}: {text}" if text else type(error).__qualname__


def _log_loss(channel: str, message: Event, reason: str) -> None:
    logger.error(
        "Job of type %r (%d bytes) is lost, as channel %r did not take it: %s.",
        message.get("type"),
        size_of(message),
        channel,
        reason,
    )


def _is_answer(error: Exception) -> bool:
    """Whether a layer's exception is about the message, so that trying again is of no use."""
    # By name too: foreign layers raise the class of Channels.
    is_full = isinstance(error, ChannelFull) or type(error).__name__ == "ChannelFull"
    return is_full or isinstance(error, TypeError | ValueError)
