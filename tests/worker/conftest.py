"""On which event loops the tests of workers run."""

from collections.abc import Mapping

import pytest

from tests.eager import LoopFactory, loops_of

#: Test modules that run on loops with eager tasks, too: they depend on when tasks begin.
ON_EAGER_LOOPS = {"test_jobs", "test_worker"}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, LoopFactory]:
    """The event loops on which a test runs."""
    return loops_of(item, eager_too=ON_EAGER_LOOPS)
