"""Connections without sockets, and a clock that the test moves."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

from fairway.auth import connections
from fairway.auth.connections import Connection, Watch
from fairway.auth.policy import Revalidation
from fairway.server.deadlines import Deadlines
from tests.server.clock import Clock


class Identity:
    """Somebody, whose checks find what the test says.

    Attributes:
        reason: What the next check finds; an exception is raised.
        checks: How many there have been.
        gate: What a check waits for.
    """

    def __init__(self) -> None:
        self.reason: str | Exception | None = None
        self.checks = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def check(self) -> str | None:
        """Find what the test says."""
        self.checks += 1
        await self.gate.wait()
        if isinstance(self.reason, Exception):
            raise self.reason
        return self.reason


class Ending:
    """Keeps with what reasons it was ended."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def end(self, reason: str) -> None:
        """Keep a reason."""
        self.reasons.append(reason)


class Watched:
    """A connection with all its parts."""

    def __init__(
        self,
        watch: Watch,
        policy: Revalidation | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.identity = Identity()
        self.ending = Ending()
        self.connection = Connection(watch, policy, self.identity, self.ending, clock)


def watch_with(clock: Clock) -> Watch:
    """A watch of the running loop, whose timer goes by the test's clock."""
    loop = asyncio.get_running_loop()
    # The clock stands for the part of a loop that timers need.
    watch = Watch(loop, Deadlines(cast("Any", clock)))
    watch.time = clock.time
    connections._watches[loop] = watch
    return watch
