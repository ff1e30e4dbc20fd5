"""One channel of a worker: what is running, what was taken beyond that, what waits for a retry."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Final

from fairway.later import create_task_later
from fairway.worker.source import Delivery

logger = logging.getLogger("django.channels.worker")

#: Jobs that wait in the worker's memory for a retry, where the layer cannot delay them. With so
#: many nothing more is taken from the channel.
MAX_HELD: Final = 1000


class Slots:
    """The slots of one channel, for so many jobs at once, and the jobs that have none yet.

    Args:
        channel: Its name.
        size: How many jobs run at once.
        prefetch: How many more are taken from the layer.
        work: Works on a job until it is settled; cancelling interrupts it.

    Attributes:
        channel: Its name.
        size: How many jobs run at once.
        running: How many do now.
        tasks: Those of the running jobs.
        stopped: Whether no more jobs are begun.
    """

    def __init__(
        self,
        channel: str,
        size: int,
        prefetch: int,
        work: Callable[["Slots", Delivery], Coroutine[object, object, None]],
    ) -> None:
        self.channel = channel
        self.size = size
        self.tasks: set[asyncio.Task[None]] = set()
        self._prefetch = prefetch
        self._work = work
        self._waiting: deque[Delivery] = deque()
        self._held: dict[Delivery, asyncio.TimerHandle] = {}
        self.stopped = False
        # Not each time that one is used up, but when half are: then several are taken in one step.
        self._filling = True
        self._room = asyncio.Event()
        self._room.set()

    @property
    def running(self) -> int:
        """How many jobs run."""
        return len(self.tasks)

    async def room(self) -> int:
        """Wait until another job may be taken from the layer; says how many may be, at least 1."""
        while not self._room.is_set():
            await self._room.wait()  # a retry that became due may have been faster
        return self.size + self._prefetch - self.running - len(self._waiting)

    def put(self, delivery: Delivery) -> None:
        """A job was taken: begin it as soon as there is a slot."""
        self._waiting.append(delivery)
        self._pump()

    async def take_on(self, deliveries: list[Delivery], task: "asyncio.Task[None]") -> None:
        """The same for jobs that ``task`` took, which calls this.

        It works on the job itself where nothing may be taken meanwhile: a task less for each job,
        and fewer turns of the event loop.
        """
        if self.size + self._prefetch > 1 or self.running or self.stopped:
            for delivery in deliveries:
                self.put(delivery)
            return
        (delivery,) = deliveries
        self.tasks.add(task)
        self._room.clear()
        try:
            await self._work(self, delivery)
        except asyncio.CancelledError as error:
            if task.cancelling():
                raise
            self._log_loss(error)  # somebody else's, which came out of the job
        except Exception as error:  # noqa: BLE001  whatever it was, the next job is to be taken
            self._log_loss(error)
        finally:
            self.tasks.discard(task)
            self._pump()

    def hold(self, delivery: Delivery, delay: float) -> None:
        """Begin a job again, ``delay`` seconds from now."""
        loop = asyncio.get_running_loop()
        self._held[delivery] = loop.call_later(delay, self._due, delivery)
        self._pump()

    def stop(self) -> None:
        """Begin no more jobs."""
        self.stopped = True
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
        while self._waiting and self.running < self.size and not self.stopped:
            # Later: it is counted before it begins, and may come back here when it ends.
            job = self._work(self, self._waiting.popleft())
            task = create_task_later(asyncio.get_running_loop(), job)
            self.tasks.add(task)
            task.add_done_callback(self._finished)
        if self.running + len(self._waiting) >= self.size + self._prefetch:
            self._filling = False
        elif len(self._waiting) <= self._prefetch // 2:
            self._filling = True
        if self._filling and len(self._held) < MAX_HELD and not self.stopped:
            self._room.set()
        else:
            self._room.clear()

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        if not task.cancelled():
            error = task.exception()
        else:  # at the end that has been told of; before, something in the job has done it
            error = None if self.stopped else asyncio.CancelledError()
        if error is not None:
            self._log_loss(error)
        self._pump()

    def _log_loss(self, error: BaseException) -> None:
        logger.error("A job of channel %r was lost", self.channel, exc_info=error)
