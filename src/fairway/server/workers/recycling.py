"""When a worker has done enough and is to be replaced by a new one."""

import os
import sys
from collections.abc import Callable
from typing import Final

from fairway.server.config import Config

MIB: Final = 1024 * 1024
#: Where Linux tells how much memory this process has, in pages; the second number is resident.
STATM: Final = "/proc/self/statm"


def resident_memory() -> int:
    """The bytes of this process that are in memory; where only that is known, the most so far."""
    try:
        with open(STATM, "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource  # noqa: PLC0415  there is none on Windows, which has no workers

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


class Recycling:
    """The limits of one worker's life.

    Args:
        config: The limits; 0 for none.
        part: From 0 to 1: how much of ``worker_jitter`` this worker gets. Each worker another, at
            random.
        memory: Tells how many bytes the process has.
    """

    def __init__(
        self, config: Config, part: float, memory: Callable[[], int] = resident_memory
    ) -> None:
        self._config = config
        more = part * config.worker_jitter / 100
        self._requests = config.worker_max_requests + int(config.worker_max_requests * more)
        self._age = config.worker_max_age + config.worker_max_age * more
        self._memory = memory

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        config = self._config
        return (
            config.worker_max_requests > 0
            or config.worker_max_age > 0
            or config.worker_max_memory > 0
        )

    def reason(self, served: int, age: float) -> str:
        """Why the worker is to be replaced; empty while it is not.

        Args:
            served: Requests and WebSockets so far.
            age: Seconds since it began to serve.
        """
        config = self._config
        if 0 < self._requests <= served:
            return (
                f"it has served {served} requests "
                f"(worker_max_requests: {config.worker_max_requests})"
            )
        if 0 < self._age <= age:
            return f"it is {age:.0f} s old (worker_max_age: {config.worker_max_age:g} s)"
        if config.worker_max_memory > 0:
            held = self._memory()
            if held >= config.worker_max_memory:
                return (
                    f"it holds {held / MIB:.0f} MiB of memory "
                    f"(worker_max_memory: {config.worker_max_memory / MIB:.0f} MiB)"
                )
        return ""
