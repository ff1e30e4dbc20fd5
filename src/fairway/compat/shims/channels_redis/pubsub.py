"""``channels_redis.pubsub``: the one Redis layer of Fairway under its second name."""

import importlib
from typing import Any

from fairway.compat.absent import Absent

__all__ = [  # noqa: F822
    "RedisPubSubChannelLayer",
    "RedisPubSubLoopLayer",
    "RedisSingleShardConnection",
]


def __getattr__(name: str) -> Any:
    """``RedisPubSubChannelLayer``: imported when it is wanted, as it wants redis-py.

    Raises:
        ImportError: ``fairway[redis]`` is not installed.
        AttributeError: There is no such name.
    """
    if name == "RedisPubSubChannelLayer":
        return importlib.import_module("fairway.layers.redis").RedisChannelLayer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class RedisPubSubLoopLayer(Absent):
    """The layer's state in one event loop: Fairway's layer keeps it itself."""


class RedisSingleShardConnection(Absent):
    """The layer's connection to one server: Fairway's layer keeps it itself."""
