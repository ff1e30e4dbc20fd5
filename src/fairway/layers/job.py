"""A message on lease: what a worker takes where a lost job is worse than one done twice."""

from fairway._types import Event
from fairway.layers.bus import Bus, Lease
from fairway.layers.codec import decode


class Job:
    """A message that a worker has taken and not yet finished.

    Attributes:
        message: What was sent.
        attempt: 1 the first time, one more each time that it came back.
    """

    def __init__(self, bus: Bus, channel: str, lease: Lease) -> None:
        self.message: Event = decode(lease.payload)
        self.attempt = lease.attempt
        self._bus = bus
        self._channel = channel
        self._ticket = lease.ticket

    async def acknowledge(self) -> bool:
        """It is done, and will not come back; False if it has already gone to another worker."""
        return await self._bus.acknowledge(self._channel, self._ticket)

    async def give_back(self, delay: float = 0.0) -> bool:
        """Let another worker have it, ``delay`` seconds from now; False as above."""
        return await self._bus.give_back(self._channel, self._ticket, delay)

    async def extend(self, lease: float) -> bool:
        """Keep it for ``lease`` seconds from now; False as above."""
        return await self._bus.extend(self._channel, self._ticket, lease)
