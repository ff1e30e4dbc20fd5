"""RedisChannelLayer: the contract of channel layers, on every arrangement of servers."""

import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, ClassVar

import pytest

from fairway.layers.redis import RedisChannelLayer
from fairway.testing.conformance import ProcessesConformance
from tests.layers.redis.peers import CONTRACT, OPTIONS, PEER, elapse
from tests.layers.redis.servers import RedisServer


class OnRedis(ProcessesConformance):
    """The conformance suite; a subclass says where."""

    peer = PEER
    options: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    def hosts(self) -> list[object]:
        raise NotImplementedError

    @pytest.fixture
    def servers(self) -> list[RedisServer]:
        raise NotImplementedError

    @pytest.fixture
    async def layer(
        self, hosts: list[object], prefix: str, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[RedisChannelLayer]:
        options = {"hosts": hosts, "prefix": prefix, **CONTRACT, **self.options}
        monkeypatch.setenv(OPTIONS, json.dumps(options))
        layer = RedisChannelLayer(**options)
        yield layer
        await layer.flush()
        await layer.close()

    @pytest.fixture
    def elapse(self, servers: list[RedisServer], prefix: str) -> Callable[[float], None]:
        return partial(elapse, servers, prefix)


class TestStandalone(OnRedis):
    @pytest.fixture
    def servers(self, shared: RedisServer) -> list[RedisServer]:
        return [shared]

    @pytest.fixture
    def hosts(self, shared: RedisServer) -> list[object]:
        return [f"redis://127.0.0.1:{shared.port}"]


class TestEncrypted(TestStandalone):
    options: ClassVar[dict[str, Any]] = {"symmetric_encryption_keys": ["new", "old"]}


class TestShards(OnRedis):
    @pytest.fixture
    def servers(self, shards: list[RedisServer]) -> list[RedisServer]:
        return shards

    @pytest.fixture
    def hosts(self, shards: list[RedisServer]) -> list[object]:
        return [("127.0.0.1", shard.port) for shard in shards]


class TestSentinel(OnRedis):
    @pytest.fixture
    def servers(
        self, shared_sentinel: tuple[RedisServer, RedisServer, RedisServer]
    ) -> list[RedisServer]:
        return [shared_sentinel[0]]

    @pytest.fixture
    def hosts(self, shared_sentinel: tuple[RedisServer, RedisServer, RedisServer]) -> list[object]:
        sentinel = shared_sentinel[2]
        return [{"sentinels": [("127.0.0.1", sentinel.port)], "master_name": "main"}]


class TestCluster(OnRedis):
    @pytest.fixture
    def servers(self, shared_cluster: list[RedisServer]) -> list[RedisServer]:
        return shared_cluster

    @pytest.fixture
    def hosts(self, shared_cluster: list[RedisServer]) -> list[object]:
        return [{"host": "127.0.0.1", "port": shared_cluster[0].port, "cluster": True}]
