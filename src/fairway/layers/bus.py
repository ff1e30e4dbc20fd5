"""How the processes of a channel layer reach each other: bytes, topics and queues, nothing else.

A bus knows neither messages nor names' meaning; :class:`~fairway.layers.base.ChannelLayer` does,
and is written once for all of them. A new way to connect processes is a new bus.
"""

import abc
import concurrent.futures
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from fairway.delivery.queue import Lease

__all__ = [
    "ACKNOWLEDGEMENT",
    "COUNTING",
    "DELAY",
    "MOST_AT_ONCE",
    "Bus",
    "Confirmation",
    "Deliver",
    "Lease",
    "Published",
]

#: Takes what another process published: its topic and its bytes. May be called on any thread.
Deliver: TypeAlias = Callable[[str, bytes], None]

#: Resolved when something is certain; None where it is at once.
Confirmation: TypeAlias = "concurrent.futures.Future[None] | None"

#: The ability to lease from queues: :meth:`Bus.lease` and what ends a lease.
ACKNOWLEDGEMENT: Final = "acknowledgement"
#: The ability to tell how much waits in a queue: :meth:`Bus.waiting`.
COUNTING: Final = "counting"
#: The ability to push for later.
DELAY: Final = "delay"

#: Payloads that are taken from a queue in one step at most.
MOST_AT_ONCE: Final = 100


class Published(NamedTuple):
    """What became of a published payload.

    Attributes:
        processes: How many other processes it went to, as far as the bus knows.
        queues: The queues that are members of the topic, for the layer to push it to.
    """

    processes: int
    queues: Sequence[str] = ()


class Bus(abc.ABC):
    """What a channel layer needs from whatever connects its processes.

    **Topics** carry what many may want: each payload reaches every *other* process that is
    subscribed when it is published, at most once, in the order in which one process published them.
    A queue may be a member of a topic, too.

    **Queues** carry what one shall have: first in, first out, each payload to one reader.

    Every method may be called from any thread, with or without an event loop; coroutines may be
    awaited on any loop. A child process after a fork begins anew.

    Attributes:
        abilities: What this bus can do beyond the abstract methods, by name, so that it is refused
            at start and not in production: :data:`ACKNOWLEDGEMENT`, :data:`COUNTING`,
            :data:`DELAY`.
        deliver: Where payloads from other processes go; the layer's to set.
        lost: Called when payloads may have been missed, after an outage; the layer's to set.
    """

    abilities: frozenset[str] = frozenset()
    deliver: Deliver
    lost: Callable[[], None]

    # ------------------------------------------------------------------ topics

    @abc.abstractmethod
    async def publish(self, topic: str, payload: bytes) -> Published:
        """Hand a payload to every other process that is subscribed to ``topic``.

        Raises:
            ChannelLayerUnavailable: Nobody can be reached now.
        """

    @abc.abstractmethod
    def subscribe(self, topic: str) -> Confirmation:
        """Receive what is published to ``topic`` from now on.

        Takes effect in the order of calls, though not before the result is resolved: then a payload
        that anyone publishes arrives. Resolved too when the transport is down: the subscription is
        made when it is back.
        """

    @abc.abstractmethod
    def unsubscribe(self, topic: str) -> None:
        """Receive it no more; unknown topics are ignored."""

    @abc.abstractmethod
    def tell(self, topic: str, payload: bytes) -> None:
        """Publish without waiting for it; what cannot be sent now is lost."""

    async def adopt(self, topic: str, queue: str, expiry: float) -> None:
        """Make a queue a member of a topic, for ``expiry`` seconds; again means from now on."""
        raise NotImplementedError

    async def release(self, topic: str, queue: str) -> None:
        """End the membership of a queue; one that is no member is ignored."""
        raise NotImplementedError

    # ------------------------------------------------------------------ queues

    @abc.abstractmethod
    async def push(
        self, queue: str, payload: bytes, *, capacity: int, expiry: float, delay: float = 0.0
    ) -> bool:
        """Add to a queue.

        Args:
            queue: Its name.
            payload: What to add.
            capacity: How many payloads it may hold.
            expiry: Seconds after which nobody needs this one any more.
            delay: Seconds before a reader may have it; needs the ability.

        Returns:
            False when the queue was full; nothing was added then.

        Raises:
            ChannelLayerUnavailable: The queue cannot be reached now.
        """

    @abc.abstractmethod
    async def pop(self, queue: str, limit: int) -> list[bytes]:
        """Take the next payloads from a queue, in order, waiting for the first if need be.

        Cancelling this loses nothing. While the transport is down it waits too.

        Args:
            queue: Its name.
            limit: How many at most, up to :data:`MOST_AT_ONCE`; those that are there already, so
                mostly fewer.

        Returns:
            At least one.
        """

    async def waiting(self, queue: str) -> int:
        """How many payloads wait in a queue, those for later among them, those on lease not.

        Raises:
            ChannelLayerUnavailable: The queue cannot be reached now.
        """
        raise NotImplementedError

    async def lease(self, queue: str, seconds: float) -> Lease:
        """Take the next payload for ``seconds``; then it comes back, unless acknowledged."""
        raise NotImplementedError

    async def extend(self, queue: str, ticket: str, seconds: float) -> bool:
        """Keep a leased payload for ``seconds`` from now; False when its lease had run out."""
        raise NotImplementedError

    async def acknowledge(self, queue: str, ticket: str) -> bool:
        """Be done with a leased payload; False when its lease had run out."""
        raise NotImplementedError

    async def give_back(self, queue: str, ticket: str, delay: float = 0.0) -> bool:
        """Put a leased payload back to the front, or in for later; False as above."""
        raise NotImplementedError

    # ------------------------------------------------------------------ all of it

    @property
    def is_open(self) -> bool:
        """Whether there may be something to close."""
        return True

    def stats(self) -> dict[str, int]:
        """What this bus counts: sizes and totals by name."""
        return {}

    @abc.abstractmethod
    async def flush(self) -> None:
        """Forget every queue and every membership of queues."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Leave; what was pushed stays for others where the queue outlives the process."""
