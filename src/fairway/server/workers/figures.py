"""The supervisor's side of metrics: asks the workers, and adds up what they say."""

import asyncio
import itertools
from typing import Final

from fairway.server.observing.figures import Family, single
from fairway.server.observing.merged import Merged, from_json
from fairway.server.workers.process import WorkerProcess

#: Seconds in which a worker has to answer; what it has said before is shown for one that does not.
ANSWER_TIMEOUT: Final = 1.0


class WorkerFigures:
    """What all workers count together, and the state of each."""

    def __init__(self) -> None:
        self._merged = Merged()
        self._numbers = itertools.count()
        self._workers: set[WorkerProcess] = set()
        self._started = 0

    def watch(self, worker: WorkerProcess, place: int) -> None:
        """Add up what a new worker says, from now on and when it has ended, too.

        Args:
            worker: It.
            place: The number of its place.
        """
        number = next(self._numbers)
        self._workers.add(worker)
        self._started += 1
        worker.on_figures = lambda data: self._merged.report(number, place, from_json(data))

        def forget(_: object) -> None:
            self._workers.discard(worker)
            self._merged.end(number)

        worker.ended.add_done_callback(forget)

    async def collect(self) -> list[Family]:
        """Ask every worker, and say what comes of it."""
        answers = [worker.ask() for worker in self._workers]
        if answers:
            await asyncio.wait(answers, timeout=ANSWER_TIMEOUT)
        return [
            single("fairway_workers", "gauge", "Worker processes.", len(self._workers)),
            single(
                "fairway_workers_started",
                "counter",
                "Worker processes that were started, the first ones among them.",
                self._started,
            ),
            *self._merged.families(),
        ]
