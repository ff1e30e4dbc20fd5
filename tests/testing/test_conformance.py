"""The contract of channel layers, on the layer that is its reference."""

from collections.abc import Callable

import pytest

from fairway.layers import InMemoryChannelLayer
from fairway.testing.conformance import ChannelLayerConformance
from tests.clock import Clock


class TestInMemory(ChannelLayerConformance):
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    async def layer(self, clock: Clock) -> InMemoryChannelLayer:
        return InMemoryChannelLayer(capacity=5, group_expiry=600, clock=clock)

    @pytest.fixture
    def elapse(self, clock: Clock) -> Callable[[float], None]:
        def elapse(seconds: float) -> None:
            clock.now += seconds

        return elapse
