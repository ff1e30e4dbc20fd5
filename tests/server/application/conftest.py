"""What tests of sync code share."""

from collections.abc import AsyncIterator, Iterator

import pytest

from fairway.server.application.loans import ThreadLoan
from fairway.server.application.threads import LentThread, ThreadPool
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


@pytest.fixture
async def lent(pool: ThreadPool) -> AsyncIterator[LentThread]:
    """A thread that is lent to the test."""
    lent = LentThread(pool)
    loan = ThreadLoan(lent)
    with loan:
        yield lent
