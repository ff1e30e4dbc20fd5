"""Clients of redis-py at the servers of a layer, for a project's own keys and commands.

The layer itself speaks with Redis in its own way; see :mod:`fairway.layers.redis.connection`.
"""

import asyncio
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import redis.asyncio as redis_py
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool

from fairway.layers.redis import hosts


class Clients:
    """Clients of redis-py, made when they are asked for.

    A connection of redis-py belongs to an event loop, so each loop has clients of its own. They go
    with it, but warn of their open connections unless :meth:`close` was awaited before.

    Args:
        given: The ``hosts`` of a layer, which has looked at them.
    """

    def __init__(self, given: object) -> None:
        entries: Any = given or hosts.DEFAULT_HOSTS
        self._hosts = [hosts.arguments_of("hosts", entry) for entry in entries]
        self._made: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, Any]]
        self._made = WeakKeyDictionary()

    def at(self, index: int) -> Any:
        """The client of the running event loop at a server.

        Raises:
            ValueError: There are fewer servers, or they are a cluster.
        """
        if not 0 <= index < len(self._hosts):
            raise ValueError(f"There are only {len(self._hosts)} hosts - you asked for {index}!")
        if self._hosts[index].get("cluster"):
            raise ValueError(
                "No single server has a cluster's keys: use a redis.asyncio.RedisCluster of your "
                "own."
            )
        made = self._made.setdefault(asyncio.get_running_loop(), {})
        if index not in made:
            made[index] = redis_py.Redis(connection_pool=make_pool(self._hosts[index]))
        return made[index]

    async def close(self) -> None:
        """Close those of the running event loop."""
        for client in self._made.pop(asyncio.get_running_loop(), {}).values():
            await client.aclose(close_connection_pool=True)
            if isinstance(client.connection_pool, SentinelConnectionPool):
                # The pool leaves open what it has asked.
                for sentinel in client.connection_pool.sentinel_manager.sentinels:
                    await sentinel.aclose()


def make_pool(host: Mapping[str, Any]) -> Any:
    """A connection pool of redis-py.

    Args:
        host: ``address`` and further arguments, or arguments alone, or ``sentinels`` with
            ``master_name`` and, if need be, ``sentinel_kwargs``.
    """
    if "sentinels" not in host:
        return hosts.make_pool(host)
    arguments = dict(host)
    name, sentinels = arguments.pop("master_name"), arguments.pop("sentinels")
    untyped: Any = Sentinel
    client = untyped(sentinels, sentinel_kwargs=arguments.pop("sentinel_kwargs", None))
    untyped = SentinelConnectionPool
    return untyped(name, client, **arguments)
