"""A job from its beginning to its outcome: policy, instance, failure, interruption."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine

from fairway._types import Event
from fairway.worker.instances import ApplicationDetails, CurrentJob, Instance, Instances
from fairway.worker.outcomes import Outcomes, retry_delay
from fairway.worker.policy import JobFailed, JobPolicy
from fairway.worker.slots import Slots
from fairway.worker.source import Delivery, size_of

logger = logging.getLogger("django.channels.worker")

#: Seconds that an application has to end in once it is cancelled, and that giving a job back may
#: take then.
FAREWELL = 5.0


class Jobs:
    """Works on deliveries.

    Args:
        outcomes: Told what became of each.
        instances: Who does the work.
        policy_of: The policy for a message of a channel.
        report: Told of each exception; the worker's ``application_exception()``.

    Attributes:
        cut_off: How many jobs were interrupted.
    """

    def __init__(
        self,
        outcomes: Outcomes,
        instances: Instances,
        policy_of: Callable[[str, Event], JobPolicy],
        report: Callable[[BaseException, ApplicationDetails], Awaitable[None]],
    ) -> None:
        self.cut_off = 0
        self._outcomes = outcomes
        self._instances = instances
        self._policy_of = policy_of
        self._report = report

    async def settle(self, slots: Slots, delivery: Delivery) -> None:
        """Work on a delivery until it is decided what becomes of it; cancelling interrupts it."""
        try:
            await self._work(slots, delivery)
        finally:
            delivery.settle()  # whatever went wrong, nobody keeps it from others any longer

    async def _work(self, slots: Slots, delivery: Delivery) -> None:
        if not delivery.message.get("type"):
            await self._outcomes.typeless(delivery)
            return
        policy = self._policy_of(slots.channel, delivery.message)
        if not policy.acknowledge:
            # At most once: not again, whatever happens.
            if delivery.lease is not None and not await self._outcomes.accepted(delivery):
                logger.warning(
                    "Job of type %r from channel %r went to another worker before it was begun.",
                    delivery.kind,
                    slots.channel,
                )
                self._outcomes.counts[slots.channel]["requeued"] += 1
                return
        elif policy.came_too_often(delivery.attempt):
            await self._give_up(slots, delivery, policy)
            return
        instance = await self._instances.lend(slots.channel)
        started = time.monotonic()
        try:
            left = max(0, policy.retries + 1 - delivery.attempt)
            current = CurrentJob(slots.channel, delivery.attempt, left)
            error = await instance.work_on(delivery.message, current)
        except asyncio.CancelledError:
            await self._interrupt(instance, delivery, policy)
            raise
        finally:
            self._instances.give_back(instance)
        if error is not None:
            await self._failed(slots, delivery, policy, error)
            return
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug(
                "Job of type %r from channel %r is done, in %.3f s.",
                delivery.kind,
                slots.channel,
                time.monotonic() - started,
            )
        await self._outcomes.done(delivery)

    async def _failed(
        self, slots: Slots, delivery: Delivery, policy: JobPolicy, error: BaseException
    ) -> None:
        delay = retry_delay(delivery, policy, error)
        if not isinstance(error, JobFailed):
            details = {
                "scope": self._instances.scope(slots.channel),
                "message": delivery.message,
                "attempt": delivery.attempt,
                "fate": _fate(delivery, policy, delay),
                "level": logging.ERROR if delay is None else logging.WARNING,
            }
            try:
                await self._report(error, details)
            except Exception:
                logger.exception("application_exception() failed itself")
        await self._outcomes.failed(slots, delivery, policy, error, delay)

    async def _give_up(self, slots: Slots, delivery: Delivery, policy: JobPolicy) -> None:
        """A job has come back so often that it is probably what ends its workers."""
        error = JobFailed(
            f"It was begun {delivery.attempt - 1} times, and no worker lived to see its end."
        )
        logger.error(
            "Job of type %r (%d bytes) from channel %r is given up: %s",
            delivery.kind,
            size_of(delivery.message),
            slots.channel,
            error,
        )
        await self._outcomes.failed(slots, delivery, policy, error, None)

    async def _interrupt(self, instance: Instance, delivery: Delivery, policy: JobPolicy) -> None:
        self.cut_off += 1
        again = delivery.lease is not None or delivery.attempt <= policy.retries
        logger.error(
            "Job of type %r (%d bytes) from channel %r is interrupted, as the worker ends; it %s. "
            "It was here:\n%s",
            delivery.kind,
            size_of(delivery.message),
            delivery.channel,
            "goes back to the channel" if again else "is lost",
            instance.where(),
        )
        if not await instance.end(FAREWELL):
            logger.error("It does not end:\n%s", instance.where())
        await briefly(self._outcomes.cut_off(delivery, policy))


async def briefly(coroutine: Coroutine[object, object, None]) -> None:
    """Await what gives jobs back, but not for longer than a worker that ends may take."""
    try:
        async with asyncio.timeout(FAREWELL):
            await coroutine
    except TimeoutError:
        logger.error("Jobs could not be given back, as the channel layer does not answer.")


def _fate(delivery: Delivery, policy: JobPolicy, delay: float | None) -> str:
    if delay is not None:
        return f"retry {delivery.attempt} of {policy.retries} comes in {delay:.1f} s"
    if policy.dead_letter is not None:
        return f"it goes to channel {policy.dead_letter!r}"
    return "it is lost"
