"""What tests of sync code share."""

from collections.abc import Iterator

import pytest

from fairway.server.application.threads import ThreadPool
from tests.server.running import DEADLINE


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    """Two threads."""
    pool = ThreadPool(2)
    yield pool
    pool.close()
    for thread in pool._threads:
        thread.join(DEADLINE)
        assert not thread.is_alive()
