"""A pytest plugin: asynchronous tests see and roll back what pytest-django's ``db`` fixture covers.

pytest-django begins the test's transaction in the main thread. In an asynchronous test the ORM runs
in a thread of asgiref's, which has database connections of its own: it sees nothing that fixtures
have not committed, waits for their locks, and what it writes stays after the test. With this plugin
that thread borrows the test's connections, so ``db`` (and ``@pytest.mark.django_db`` without
``transaction=True``) means in an asynchronous test what it means in any other, for the test itself,
its fixtures, and the applications that it runs through communicators.

Put ``pytest_plugins = ["fairway.testing.plugin"]`` into the top-level ``conftest.py``. Django's own
``TestCase`` needs none of this: it runs an asynchronous test so that the ORM stays in its thread.
"""

from collections.abc import Iterator

import pytest
from asgiref.sync import SyncToAsync
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper


@pytest.fixture(autouse=True)
def fairway_shared_connections(request: pytest.FixtureRequest) -> Iterator[None]:
    """Lend the connections in the test's transaction to the thread of asynchronous code."""
    if not {"db", "transactional_db"} & set(request.fixturenames) and (
        request.node.get_closest_marker("django_db") is None
    ):
        yield
        return
    # The transaction has to begin first, and asynchronous fixtures have to come after this one.
    request.getfixturevalue("db")
    borrowed = [c for c in connections.all(initialized_only=True) if c.in_atomic_block]
    for connection in borrowed:
        connection.inc_thread_sharing()
    # This is where asgiref runs thread-sensitive code unless something above chose another thread.
    thread = SyncToAsync.single_thread_executor
    own = thread.submit(_borrow, borrowed).result()
    yield
    thread.submit(_give_back, borrowed, own).result()
    for connection in borrowed:
        connection.dec_thread_sharing()


def _borrow(borrowed: list[BaseDatabaseWrapper]) -> dict[str, BaseDatabaseWrapper]:
    """Use the given connections in this thread; return its own."""
    own = {connection.alias: connection for connection in connections.all(initialized_only=True)}
    for connection in borrowed:
        connections[connection.alias] = connection
    return own


def _give_back(borrowed: list[BaseDatabaseWrapper], own: dict[str, BaseDatabaseWrapper]) -> None:
    for connection in borrowed:
        if connection.alias in own:
            connections[connection.alias] = own[connection.alias]
        else:
            del connections[connection.alias]
