"""Connections on both ways, and a channel layer for each test."""

import functools
from collections.abc import AsyncIterator, Mapping

import pytest

from fairway.layers import InMemoryChannelLayer, channel_layers
from tests.consumers.connections import Connect, connected
from tests.eager import LoopFactory, loops_of

#: Test modules that run on loops with eager tasks, too: they depend on when tasks begin.
ON_EAGER_LOOPS = {
    "test_grace",
    "test_http",
    "test_parallel",
    "test_polling",
    "test_serving",
    "test_sse",
    "test_websocket",
}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, LoopFactory]:
    """The event loops on which a test runs."""
    return loops_of(item, eager_too=ON_EAGER_LOOPS)


@pytest.fixture(params=["ours", "foreign"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Connects a client to an application, under our server's objects or under plain functions."""
    return functools.partial(connected, ours=request.param == "ours")


@pytest.fixture
async def layer() -> AsyncIterator[InMemoryChannelLayer]:
    """The default channel layer, new for this test."""
    new = InMemoryChannelLayer()
    old = channel_layers.set("default", new)
    yield new
    await new.close()
    if old is None:
        del channel_layers.backends["default"]
    else:
        channel_layers.set("default", old)
