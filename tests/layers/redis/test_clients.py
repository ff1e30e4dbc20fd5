"""Clients of redis-py at the servers of a layer."""

import asyncio
import re
from typing import Any

import pytest

from fairway.layers.redis import RedisChannelLayer
from tests.layers.redis.conftest import MakeLayer
from tests.layers.redis.servers import RedisServer


async def test_commands_of_a_project(
    make_layer: MakeLayer, shared: RedisServer, prefix: str
) -> None:
    """It is a client like any other, with the names as they are given."""
    layer = make_layer(shared)
    client = layer.connection(0)
    assert await client.sadd(prefix, "ann") == 1
    async with layer.connection(0) as same:
        assert same is client
        assert await same.smembers(prefix) == {b"ann"}
    assert await client.delete(prefix) == 1
    await layer.close_pools()


async def test_closed_with_its_loop(make_layer: MakeLayer, shared: RedisServer) -> None:
    """``close_pools()`` ends those of the running loop, and the next one is another."""
    layer = make_layer(shared)
    client = layer.connection(0)
    assert await client.ping()
    await layer.close_pools()
    assert layer.connection(0) is not client
    await layer.close_pools()


def test_each_loop_has_its_own(shared: RedisServer) -> None:
    """A client never serves another event loop than the one that it was asked for in."""
    layer = RedisChannelLayer(hosts=[("127.0.0.1", shared.port)])

    async def ask() -> Any:
        client = layer.connection(0)
        assert await client.ping()
        await layer.close_pools()
        return client

    assert asyncio.run(ask()) is not asyncio.run(ask())


async def test_one_of_several(make_layer: MakeLayer, shards: list[RedisServer]) -> None:
    """Each server has its number, and a name belongs to one of them."""
    layer = make_layer(*shards)
    ports = [(await layer.connection(n).info("server"))["tcp_port"] for n in (0, 1)]
    assert ports == [server.port for server in shards]
    assert layer.consistent_hash("specific.a!b") == layer.consistent_hash(b"specific.a!b") == 1
    assert layer.consistent_hash("a") == 1
    with pytest.raises(ValueError, match=r"^There are only 2 hosts - you asked for 2!$"):
        layer.connection(2)
    await layer.close_pools()


async def test_cluster() -> None:
    """Where every key has a node of its own, no single one is right."""
    layer = RedisChannelLayer(hosts=[{"host": "127.0.0.1", "port": 1, "cluster": True}])
    text = "No single server has a cluster's keys: use a redis.asyncio.RedisCluster of your own."
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        layer.connection(0)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("redis://a:5/3", {"host": "a", "port": 5, "db": 3}),
        (b"redis://a", {"host": "a"}),
        (["a", 5], {"host": "a", "port": 5}),
        ({"address": "redis://a", "db": 1}, {"host": "a", "db": 1}),
        ({"unix_socket_path": "/run/redis"}, {"path": "/run/redis"}),
    ],
)
async def test_forms_of_hosts(host: Any, expected: dict[str, Any]) -> None:
    """Every form of a host means for a client what it means for the layer."""
    pool = RedisChannelLayer(hosts=[host]).connection(0).connection_pool
    assert {name: pool.connection_kwargs[name] for name in expected} == expected


async def test_sentinels(make_layer: MakeLayer, shared_sentinel: tuple[RedisServer, ...]) -> None:
    """Sentinels are asked for the master."""
    master, _, sentinel = shared_sentinel
    layer = make_layer({"sentinels": [("127.0.0.1", sentinel.port)], "master_name": "main"})
    assert (await layer.connection(0).info("server"))["tcp_port"] == master.port
    await layer.close_pools()
