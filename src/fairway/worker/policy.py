"""What a handler asks of the worker: retries, a channel for what failed, acknowledgement.

Plain values and decisions; the worker acts on them.
"""

import dataclasses
import inspect
import random
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from fairway._types import Event
from fairway.consuming.handlers import HandlerTable, NoHandler

_MARK: Final = "_fairway_job"

#: How often a job on lease comes back, beyond its retries, because its worker died or was stopped.
#: One that ends every worker that takes it must not go round for ever.
LOST_LIMIT: Final = 5

F = TypeVar("F", bound=Callable[..., Any])


class JobFailed(Exception):
    """Raised by an application whose job failed and which has already told of it.

    The worker counts the job as failed and retries it if that was asked for, like any other, but
    does not log it again.
    """


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobPolicy:
    """What becomes of a job that fails, or whose worker dies.

    Attributes:
        retries: How often a job that failed is tried again, a count.
        backoff: Seconds before the first retry, doubled for each further one.
        max_backoff: Seconds that a retry waits at most.
        retry_on: The exceptions after which it is tried again; others are final.
        dead_letter: The channel that a job goes to when it has failed for good, or None.
        acknowledge: Keep the job in the layer until it is done with.

    Raises:
        ValueError: A number is negative.
    """

    retries: int = 0
    backoff: float = 1.0
    max_backoff: float = 600.0
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    dead_letter: str | None = None
    acknowledge: bool = False

    def __post_init__(self) -> None:
        for name in ("retries", "backoff", "max_backoff"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, not {getattr(self, name)!r}.")

    def retry_delay(
        self, error: BaseException, attempt: int, jitter: Callable[[], float] = random.random
    ) -> float | None:
        """Seconds until a job that failed is tried again, or None if it is not.

        Between half and all of the back-off, so that jobs that failed together do not come back
        together.

        Args:
            error: What the handler raised.
            attempt: Which attempt that was, from 1.
            jitter: Gives a number from 0 to 1.
        """
        if attempt > self.retries or not isinstance(error, self.retry_on):
            return None
        # The exponent has a limit, as a float has one.
        longest = min(self.backoff * 2.0 ** min(attempt - 1, 64), self.max_backoff)
        return longest * (0.5 + jitter() / 2)

    def came_too_often(self, attempt: int) -> bool:
        """Whether a job on lease has come back more often than retries can explain."""
        return attempt > self.retries + 1 + LOST_LIMIT


def job(
    *,
    retries: int = 0,
    backoff: float = 1.0,
    max_backoff: float = 600.0,
    retry_on: tuple[type[BaseException], ...] = (Exception,),
    dead_letter: str | None = None,
    acknowledge: bool = False,
) -> Callable[[F], F]:
    """Say how a worker treats the jobs of a handler.

    ::

        class ThumbnailConsumer(SyncConsumer):
            @job(retries=5, dead_letter="failed-thumbnails", acknowledge=True)
            def generate(self, message):
                ...

    Without it a job is tried once: if it fails, or the worker is killed while it runs, it is lost.
    It decorates handlers of consumers, and ASGI applications that are functions.

    Args:
        retries: How often a job that failed is tried again, a count.
        backoff: Seconds before the first retry, doubled for each further one. The retry comes after
            between half and all of that.
        max_backoff: Seconds that a retry waits at most.
        retry_on: The exceptions after which it is tried again; others are final.
        dead_letter: A channel for what has failed for good. It gets a message of type
            ``"job.failed"`` with ``channel``, ``message`` (the job as it was sent), ``attempt``,
            ``error`` and ``traceback`` (text).
        acknowledge: Keep the job in the layer until the handler has returned, so that it is done
            again if the worker is killed: at least once, where it is at most once otherwise. Each
            time that it comes back counts as an attempt. The layer must be able to do it.

    Raises:
        ValueError: A number is negative.
    """
    policy = JobPolicy(
        retries=retries,
        backoff=backoff,
        max_backoff=max_backoff,
        retry_on=retry_on,
        dead_letter=dead_letter,
        acknowledge=acknowledge,
    )

    def mark(handler: F) -> F:
        setattr(handler, _MARK, policy)
        return handler

    return mark


_NONE: Final = JobPolicy()


class Policies:
    """The policies of one application, by message.

    Args:
        application: What :meth:`~fairway.consumer.AsyncConsumer.as_asgi` made, or any other ASGI
            application. It is looked at once, now.

    Attributes:
        acknowledge: Whether any job wants acknowledgement.
        consumer_class: The consumer, if it is one.
    """

    def __init__(self, application: object) -> None:
        self._own = _marked(application) or _NONE
        self._table: HandlerTable | None = None
        self._by_handler: dict[str, JobPolicy] = {}
        consumer_class = getattr(application, "consumer_class", None)
        self.consumer_class = consumer_class if isinstance(consumer_class, type) else None
        if isinstance(consumer_class, type):
            self._table = HandlerTable(consumer_class)
            for name in dir(consumer_class):
                policy = _marked(inspect.getattr_static(consumer_class, name))
                if policy is not None:
                    self._by_handler[name] = policy
        self.acknowledge = any(policy.acknowledge for policy in self)

    def find(self, message: Event) -> JobPolicy:
        """The policy for a message; the default one where nothing was asked for."""
        if self._table is None or not self._by_handler:
            return self._own
        try:
            name = self._table.find(message, from_layer=True)
        except NoHandler:
            return self._own
        return self._by_handler.get(name, self._own)

    def __iter__(self) -> Iterator[JobPolicy]:
        """Every policy that was asked for."""
        return (policy for policy in (*self._by_handler.values(), self._own) if policy != _NONE)


def _marked(thing: object) -> JobPolicy | None:
    policy = getattr(getattr(thing, "__func__", thing), _MARK, None)
    return policy if isinstance(policy, JobPolicy) else None
