"""Connections on both ways, and a channel layer for each test."""

import functools
from collections.abc import AsyncIterator

import pytest

from fairway.layers import InMemoryChannelLayer, channel_layers
from tests.consumers.connections import Connect, connected


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
