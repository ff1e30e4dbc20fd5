"""``channels_redis.core``: the layer, which is Fairway's, and what was beside it."""

import asyncio
import importlib
from collections import Counter
from typing import Any

from fairway.compat.absent import Absent
from fairway.exceptions import ChannelFull

__all__ = [  # noqa: F822
    "BoundedQueue",
    "ChannelFull",
    "ChannelLock",
    "RedisChannelLayer",
    "RedisLoopLayer",
]


def __getattr__(name: str) -> Any:
    """``RedisChannelLayer``: imported when it is wanted, as it wants redis-py.

    Raises:
        ImportError: ``fairway[redis]`` is not installed.
        AttributeError: There is no such name.
    """
    if name == "RedisChannelLayer":
        return importlib.import_module("fairway.layers.redis").RedisChannelLayer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class RedisLoopLayer(Absent):
    """The layer's connections in one event loop: Fairway's layer keeps them itself."""


class ChannelLock:
    """A lock for each channel that somebody holds one of."""

    def __init__(self) -> None:
        self.locks: dict[str, asyncio.Lock] = {}
        self.wait_counts: Counter[str] = Counter()

    async def acquire(self, channel: str) -> bool:
        """Take the lock of a channel, waiting for it if need be."""
        lock = self.locks.setdefault(channel, asyncio.Lock())
        self.wait_counts[channel] += 1
        try:
            return await lock.acquire()
        except BaseException:
            self._leave(channel)
            raise

    def locked(self, channel: str) -> bool:
        """Whether somebody holds the lock of a channel."""
        return channel in self.locks and self.locks[channel].locked()

    def release(self, channel: str) -> None:
        """Give the lock of a channel back.

        Raises:
            KeyError: Nobody holds it.
        """
        self.locks[channel].release()
        self._leave(channel)

    def _leave(self, channel: str) -> None:
        self.wait_counts[channel] -= 1
        if not self.wait_counts[channel]:
            del self.wait_counts[channel], self.locks[channel]


class BoundedQueue(asyncio.Queue[Any]):
    """A queue that drops its oldest entry when it is full."""

    def put_nowait(self, item: Any) -> None:
        """Put an entry into it, whatever is in it."""
        if self.full():
            self.get_nowait()
        super().put_nowait(item)
