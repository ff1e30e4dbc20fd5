"""The pytest plugin: ``db`` covers asynchronous tests and the applications that they run."""

import threading

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection

from fairway.testing import ApplicationCommunicator
from tests.testing.test_database import async_orm, sync_orm


@pytest.fixture
def from_fixture(db: None) -> User:
    return User.objects.create(username="fixture")


@pytest_asyncio.fixture
async def from_async_fixture(db: None) -> User:
    return await User.objects.acreate(username="async")


@pytest.mark.parametrize("application", [sync_orm, async_orm])
async def test_applications_see_what_fixtures_have_not_committed(
    application: object, from_fixture: User, from_async_fixture: User
) -> None:
    """Test, fixtures and application share one transaction, whether their code is sync or async."""
    await User.objects.acreate(username="test")
    communicator = ApplicationCommunicator(application, {"type": "test"})  # type: ignore[arg-type] # both are applications
    await communicator.send_input({"type": "test", "name": "app"})
    event = await communicator.receive_output(timeout=10)
    assert event["names"] == ["app", "async", "fixture", "test"]
    assert await User.objects.filter(username="app").aexists()
    communicator.stop()


@pytest.mark.django_db
async def test_what_asynchronous_tests_add_is_rolled_back() -> None:
    """Nothing of the tests before is left, and the marker is as good as the fixture."""
    assert await User.objects.acount() == 0
    await User.objects.acreate(username="left")


@pytest.mark.django_db
def test_sync_tests_find_nothing_either() -> None:
    """What an asynchronous test added is rolled back for all."""
    assert User.objects.count() == 0


@pytest.mark.django_db
async def test_the_thread_of_asynchronous_code_uses_the_tests_connection() -> None:
    """It is the same connection, although it is another thread."""

    def here() -> tuple[bool, bool]:
        return connection.in_atomic_block, threading.current_thread() is threading.main_thread()

    assert await sync_to_async(here)() == (True, False)


async def test_nothing_is_shared_without_the_database() -> None:
    """A test without ``db`` finds the thread's own state."""
    assert await sync_to_async(lambda: connection.in_atomic_block)() is False


@pytest.mark.django_db(transaction=True)
async def test_transactional_tests_have_nothing_to_share() -> None:
    """A test that commits needs no shared connection."""
    await User.objects.acreate(username="committed")
    assert await sync_to_async(lambda: connection.in_atomic_block)() is False
