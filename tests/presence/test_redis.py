"""Presence across machines that reach the same Redis, whatever happens to it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest

from fairway.layers.redis import RedisChannelLayer
from tests.clock import Clock
from tests.layers.redis.servers import RedisServer, cluster, watched
from tests.presence.places import QUICK, Place

MakePlace = Callable[..., Coroutine[Any, Any, Place]]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server to which something may happen."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def make_place(server: RedisServer, clock: Clock) -> AsyncIterator[MakePlace]:
    async with contextlib.AsyncExitStack() as stack:

        async def make(**options: Any) -> Place:
            layer = RedisChannelLayer(hosts=[("127.0.0.1", server.port)], **options)
            place = Place(layer, clock, QUICK)
            stack.push_async_callback(place.end)
            await place.begin()
            return place

        yield make


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"serializer_format": "json"},
        {"symmetric_encryption_keys": ["secret"]},
        {"serializer_format": "json", "symmetric_encryption_keys": ["secret"]},
    ],
    ids=["msgpack", "json", "encrypted", "both"],
)
async def test_told(make_place: MakePlace, options: dict[str, Any]) -> None:
    """People are known on every machine, in whatever form they travel."""
    here = await make_place(**options)
    channel = await here.join("Zoë", '{"name":"Zoë","seats":[1,2.5,null,true]}', linger=0.0)
    there = await make_place(**options)
    assert await there.people() == ["Zoë"]
    await there.join("mei")
    await here.hears("Zoë", "mei")
    await here.layer.unbind(channel)
    await there.hears("Zoë", "mei", leaves=("Zoë",))


async def see_each_other(clock: Clock, *hosts: object) -> None:
    """Two processes on these servers know of each other's people."""
    async with contextlib.AsyncExitStack() as stack:
        places = []
        for _ in range(2):
            place = Place(RedisChannelLayer(hosts=hosts), clock, QUICK)
            stack.push_async_callback(place.end)
            await place.begin()
            places.append(place)
        here, there = places
        await here.join("ada")
        channel = await there.join("mei", linger=0.0)
        for place in places:
            await place.hears("ada", "mei")
        await there.layer.unbind(channel)
        for place in places:
            await place.hears(leaves=("mei",))


async def test_shards(server: RedisServer, clock: Clock) -> None:
    """Several servers that share the load are one place."""
    with RedisServer() as other:
        await see_each_other(clock, ("127.0.0.1", server.port), ("127.0.0.1", other.port))


async def test_cluster(clock: Clock) -> None:
    """So are the nodes of a cluster."""
    with cluster() as nodes:
        address = f"redis://127.0.0.1:{nodes[0].port}"
        await see_each_other(clock, {"address": address, "cluster": True})


async def test_server_restarts(make_place: MakePlace, server: RedisServer, clock: Clock) -> None:
    """While Redis is away nobody is missed; when it is back, what happened meanwhile is known."""
    here, there = await make_place(send_timeout=0.1), await make_place(send_timeout=0.1)
    channel = await there.join("ada", linger=0.0)
    await there.join("mei")
    for place in (here, there):
        await place.hears("ada", "mei")
    server.kill()
    await there.leave(channel)
    await there.join("kofi")
    for _ in range(3):
        clock.now += 10.0
        await there.speak()
        await here.speak()
        await here.hears_nothing()
    server.start()
    passing = asyncio.create_task(pass_time(clock))  # who was asked in vain is asked again
    await here.hears("kofi", leaves=("ada",))
    assert sorted(await here.people()) == ["kofi", "mei"]
    passing.cancel()


async def test_failover(clock: Clock) -> None:
    """The people are there when another server has become the master, and nobody was missed."""
    with watched() as (master, _, sentinel):
        host = {"sentinels": [("127.0.0.1", sentinel.port)], "master_name": "main"}
        async with contextlib.AsyncExitStack() as stack:
            here, there = [
                Place(RedisChannelLayer(hosts=[host], send_timeout=0.1), clock, QUICK)
                for _ in range(2)
            ]
            for place in (here, there):
                stack.push_async_callback(place.end)
                await place.begin()
            channel = await there.join("ada", linger=0.0)
            await there.join("mei")
            for place in (here, there):
                await place.hears("ada", "mei")
            master.kill()
            await there.leave(channel)
            await there.join("kofi")
            passing = asyncio.create_task(pass_time(clock))
            await here.hears("kofi", leaves=("ada",))
            passing.cancel()
            assert sorted(await here.people()) == ["kofi", "mei"]


async def pass_time(clock: Clock) -> None:
    """Let the time of the clock go by."""
    while True:
        await asyncio.sleep(0.1)
        clock.now += 0.1
