"""Every layer keeps its contract where tasks begin within ``create_task()``."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from fairway.layers import InMemoryChannelLayer, LocalChannelLayer
from fairway.layers.redis import RedisChannelLayer
from fairway.testing.conformance import ChannelLayerConformance, ProcessesConformance
from tests.layers.redis.servers import RedisServer

PATH = "FAIRWAY_TEST_MESH"


def make_layer() -> LocalChannelLayer:
    """The layer of another process, whose tasks are as ever."""
    return LocalChannelLayer(path=os.environ[PATH], capacity=5, group_expiry=600)


class TestMemory(ChannelLayerConformance):
    @pytest.fixture
    async def layer(self) -> AsyncIterator[InMemoryChannelLayer]:
        layer = InMemoryChannelLayer(capacity=5, group_expiry=600)
        yield layer
        await layer.close()


class TestLocal(ProcessesConformance):
    peer = f"{__name__}:make_layer"

    @pytest.fixture
    async def layer(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[LocalChannelLayer]:
        monkeypatch.setenv(PATH, str(tmp_path / "mesh"))
        layer = LocalChannelLayer(path=tmp_path / "mesh", capacity=5, group_expiry=600)
        yield layer
        await layer.flush()
        await layer.close()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A server to which nothing happens."""
    with RedisServer() as server:
        yield server


class TestRedis(ChannelLayerConformance):
    @pytest.fixture
    async def layer(self, server: RedisServer) -> AsyncIterator[RedisChannelLayer]:
        layer = RedisChannelLayer([("127.0.0.1", server.port)], capacity=5, group_expiry=600)
        yield layer
        await layer.flush()
        await layer.close()
