"""What a background worker runs: ``manage.py runworker jobs``, for as many jobs as ``BENCH_JOBS``.

It writes JSON objects as :mod:`project.roles` does: one when its first job has come, and one when
all of them have, each once.
"""

import os
import time
from typing import TypedDict

from project.roles import JOBS, WARM, say
from project.stack import AsyncConsumer, ChannelNameRouter, ProtocolTypeRouter


class JobDo(TypedDict):
    type: str
    number: int
    text: str


class Done:
    """The jobs that were done, whichever instance of the consumer did them."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.numbers: list[int] = []
        self.began = self.used = 0.0

    def add(self, number: int) -> None:
        """One more; says so when it is the first, and when it is the last."""
        if number == -WARM:
            say(ready=1)
        elif number == -1:
            self.began, self.used = time.perf_counter(), time.process_time()
        elif number >= 0:
            self.numbers.append(number)
            if len(self.numbers) == self.count:
                self.tell()

    def tell(self) -> None:
        seconds, used = time.perf_counter() - self.began, time.process_time() - self.used
        missing = self.count - len(set(self.numbers))
        assert not missing, f"{missing} jobs are missing, and as many came twice"
        say(
            seconds=seconds,
            per_second=self.count / seconds,
            worker_us=used * 1e6 / self.count,
        )


done = Done(int(os.environ["BENCH_JOBS"]))


class JobConsumer(AsyncConsumer):
    """Does jobs that are nothing to do."""

    async def job_do(self, message: JobDo) -> None:
        done.add(message["number"])


application = ProtocolTypeRouter({"channel": ChannelNameRouter({JOBS: JobConsumer.as_asgi()})})
