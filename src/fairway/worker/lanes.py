"""One channel of a worker: what is running, what was taken beyond that, what waits for a retry."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from fairway.worker.source import Delivery

logger = logging.getLogger("django.channels.worker")

#: Jobs that wait in the worker's memory for a retry, where the layer cannot delay them. With so
#: many nothing more is taken from the channel.
MAX_HELD: Final = 1000


class Lane:
    """The jobs of one channel.

    Args:
        channel: Its name.
        size: How many jobs run at once.
        prefetch: How many more are taken from the layer.
        begin: Starts a job; returns its task.

    Attributes:
        channel: Its name.
        size: How many jobs run at once.
        running: How many do now.
        tasks: Those of the running jobs.
    """

    def __init__(
        self,
        channel: str,
        size: int,
        prefetch: int,
        begin: Callable[["Lane", Delivery], "asyncio.Task[None]"],
    ) -> None:
        self.channel = channel
        self.size = size
        self.tasks: set[asyncio.Task[None]] = set()
        self._prefetch = prefetch
        self._begin = begin
        self._waiting: deque[Delivery] = deque()
        self._held: dict[Delivery, asyncio.TimerHandle] = {}
        self._stopped = False
        self._room = asyncio.Event()
        self._room.set()

    @property
    def running(self) -> int:
        """How many jobs run."""
        return len(self.tasks)

    async def room(self) -> None:
        """Wait until another job may be taken from the layer."""
        await self._room.wait()

    def put(self, delivery: Delivery) -> None:
        """A job was taken: begin it as soon as there is a slot."""
        self._waiting.append(delivery)
        self._pump()

    def hold(self, delivery: Delivery, delay: float) -> None:
        """Begin a job again, ``delay`` seconds from now."""
        loop = asyncio.get_running_loop()
        self._held[delivery] = loop.call_later(delay, self._due, delivery)
        self._pump()

    def stop(self) -> None:
        """Begin no more jobs."""
        self._stopped = True
        self._room.clear()

    def take_back(self) -> Iterator[Delivery]:
        """What was taken and has not begun, in order; those that wait for a retry last."""
        while self._waiting:
            yield self._waiting.popleft()
        for delivery in sorted(self._held, key=lambda held: self._held[held].when()):
            self._held.pop(delivery).cancel()
            yield delivery

    def _due(self, delivery: Delivery) -> None:
        del self._held[delivery]
        self._waiting.appendleft(delivery)
        self._pump()

    def _pump(self) -> None:
        while self._waiting and self.running < self.size and not self._stopped:
            task = self._begin(self, self._waiting.popleft())
            self.tasks.add(task)
            task.add_done_callback(self._finished)
        taken = self.running + len(self._waiting)
        if taken < self.size + self._prefetch and len(self._held) < MAX_HELD and not self._stopped:
            self._room.set()
        else:
            self._room.clear()

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("A job of channel %r was lost", self.channel, exc_info=error)
        self._pump()
