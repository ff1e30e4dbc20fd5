"""The watch for an event loop that is stuck."""

import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest

from fairway.server.observing.stuck import LoopWatch
from tests.server.running import Logs


class Release(logging.Handler):
    """Ends what the event loop is stuck in, once that was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.released.set()

    def block(self) -> None:
        """Hold the event loop up until somebody has told of it."""
        self.released.clear()
        self.released.wait()


@pytest.fixture
def release(logs: Logs) -> Iterator[Release]:
    """Behind ``logs``, so that a message is there when the loop goes on."""
    handler = Release()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


async def test_stuck(release: Release, logs: Logs) -> None:
    """It is logged once, while the loop is stuck, with the call that it waits for."""
    watch = LoopWatch(asyncio.get_running_loop(), patience=0.02)
    release.block()
    watch.stop()
    (message,) = logs.take()
    first, _, stack = message.partition("\n")
    assert first == (
        "WARNING Nobody has been served for 0.02 s, as the event loop waits for the call below. "
        "Await what takes time, or leave it to a thread (sync_to_async)."
    )
    assert "in test_stuck\n    release.block()\n" in stack
    assert "in block\n    self.released.wait()\n" in stack


async def test_stuck_twice(release: Release, logs: Logs) -> None:
    """Each time is told of; between them the loop was well."""
    watch = LoopWatch(asyncio.get_running_loop(), patience=0.02)
    for _ in range(2):
        release.block()
        assert logs.take() != []
        await asyncio.to_thread(asked_again, watch)
    watch.stop()
    logs.take()  # a machine that is busy may have been slow to answer


def asked_again(watch: LoopWatch) -> None:
    """Wait until the loop has answered the question that was overdue."""
    assert watch._turn.wait(10)


async def test_stop() -> None:
    """Nothing is left behind, and a loop that is closed is not asked."""
    watch = LoopWatch(asyncio.get_running_loop(), patience=60)
    watch.stop()
    assert not watch._thread.is_alive()


def test_closed_loop() -> None:
    """A loop that has ended ends the watch."""

    async def start() -> LoopWatch:
        return LoopWatch(asyncio.get_running_loop(), patience=0.02)

    watch = asyncio.run(start())
    watch._thread.join(10)
    assert not watch._thread.is_alive()
