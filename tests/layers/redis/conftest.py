"""Servers for the tests of this directory, and layers that are closed after each test."""

import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from fairway.layers.redis import RedisChannelLayer
from tests.layers.redis.servers import RedisServer, cluster, watched

MakeLayer = Callable[..., RedisChannelLayer]


@pytest.fixture(scope="session")
def shared() -> Iterator[RedisServer]:
    """A server to which nothing happens."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def shards(shared: RedisServer) -> Iterator[list[RedisServer]]:
    """Two servers that know nothing of each other."""
    with RedisServer() as server:
        yield [shared, server]


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[list[RedisServer]]:
    """A cluster to which nothing happens."""
    with cluster() as nodes:
        yield nodes


@pytest.fixture(scope="session")
def shared_sentinel() -> Iterator[tuple[RedisServer, RedisServer, RedisServer]]:
    """A master, its replica and their Sentinel, to which nothing happens."""
    with watched() as servers:
        yield servers


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server to which something may happen."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def prefix() -> str:
    """A prefix that no other test uses."""
    return f"test-{secrets.token_hex(4)}"


@pytest.fixture
async def make_layer(prefix: str) -> AsyncIterator[MakeLayer]:
    """Makes layers of a prefix that this test has for itself; as many processes, as it were."""
    async with contextlib.AsyncExitStack() as stack:

        def make(*hosts: object, **options: Any) -> RedisChannelLayer:
            layer = RedisChannelLayer(
                hosts=[_host(host) for host in hosts], **{"prefix": prefix, **options}
            )
            stack.push_async_callback(layer.close)
            return layer

        yield make


def _host(host: object) -> object:
    return ("127.0.0.1", host.port) if isinstance(host, RedisServer) else host
