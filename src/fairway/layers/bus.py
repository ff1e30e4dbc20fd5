"""How the processes of a channel layer reach each other: bytes, topics and queues, nothing else.

A bus knows neither messages nor names' meaning; :class:`~fairway.layers.base.ChannelLayer` does,
and is written once for all of them. A new way to connect processes is a new bus of six methods.
"""

import abc
from collections.abc import Callable
from typing import TypeAlias

#: Takes what another process published: its topic and its bytes.
Deliver: TypeAlias = Callable[[str, bytes], None]


class Bus(abc.ABC):
    """What a channel layer needs from whatever connects its processes.

    **Topics** carry what many may want: each payload reaches every *other* process that is
    subscribed when it is published, at most once, in the order in which one process published them.

    **Queues** carry what one shall have: first in, first out, each payload to one reader.

    Attributes:
        abilities: What this bus can do beyond that, by name, so that it is refused at start and
            not in production: ``"history"``, ``"acknowledgement"``, ``"presence"``.
    """

    abilities: frozenset[str] = frozenset()

    @abc.abstractmethod
    async def publish(self, topic: str, payload: bytes) -> None:
        """Hand a payload to every other process that is subscribed to ``topic``."""

    @abc.abstractmethod
    async def subscribe(self, topic: str) -> None:
        """Receive what is published to ``topic`` from now on; returns when that is certain."""

    @abc.abstractmethod
    async def unsubscribe(self, topic: str) -> None:
        """Receive it no more; unknown topics are ignored."""

    @abc.abstractmethod
    async def push(self, queue: str, payload: bytes, *, capacity: int, expiry: float) -> bool:
        """Add to a queue.

        Args:
            queue: Its name.
            payload: What to add.
            capacity: How many payloads it may hold.
            expiry: Seconds after which nobody needs this one any more.

        Returns:
            False when the queue was full; nothing was added then.
        """

    @abc.abstractmethod
    async def pop(self, queue: str) -> bytes:
        """Take the next payload from a queue, waiting for one if need be.

        Cancelling this loses nothing.
        """

    @abc.abstractmethod
    async def close(self) -> None:
        """Leave; what was pushed stays for others where the queue outlives the process."""
