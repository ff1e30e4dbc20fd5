"""Inside a test of any kind, a communicator's application shares the test's transaction."""

import asyncio
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connections, transaction
from django.test import AsyncClient, TestCase, TransactionTestCase

import fairway.db
from fairway._types import Receive, Scope, Send
from fairway.auth import AuthMiddlewareStack
from fairway.db import aclose_old_connections, close_old_connections, database_sync_to_async
from fairway.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from fairway.testing import ApplicationCommunicator, WebsocketCommunicator
from tests.testing.projects import run


def add_user(name: str) -> list[str]:
    """Add a user; the names of all."""
    User.objects.create(username=name)
    return sorted(User.objects.values_list("username", flat=True))


async def sync_orm(scope: Scope, receive: Receive, send: Send) -> None:
    """Use the ORM in sync code, as ``SyncConsumer`` does."""
    while (event := await receive())["type"] != "end":
        await send(
            {"type": "names", "names": await database_sync_to_async(add_user)(event["name"])}
        )


async def async_orm(scope: Scope, receive: Receive, send: Send) -> None:
    """Use the asynchronous ORM, as ``AsyncConsumer`` does between two events."""
    while (event := await receive())["type"] != "end":
        await aclose_old_connections()
        await User.objects.acreate(username=event["name"])
        names = [name async for name in User.objects.values_list("username", flat=True)]
        await send({"type": "names", "names": sorted(names)})


class SyncRoom(JsonWebsocketConsumer):
    """Adds a user for each message, in sync code."""

    def connect(self) -> None:
        """Tell who is here."""
        self.accept()
        self.send_json(self.scope["user"].username)

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Answer with the names of all."""
        self.send_json(add_user(content))


class AsyncRoom(AsyncJsonWebsocketConsumer):
    """The same in asynchronous code."""

    async def connect(self) -> None:
        """Tell who is here."""
        await self.accept()
        await self.send_json(self.scope["user"].username)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Answer with the names of all."""
        await User.objects.acreate(username=content)
        found = [name async for name in User.objects.values_list("username", flat=True)]
        await self.send_json(sorted(found))


@pytest.mark.pain(12)
@pytest.mark.row("1.9 ApplicationCommunicator")
class TestInTestCase(TestCase):
    """The names under each: what a sync set-up and an async test have added, nothing committed."""

    @classmethod
    def setUpTestData(cls) -> None:
        User.objects.create(username="class")

    def setUp(self) -> None:
        User.objects.create(username="method")
        # Not `connection`, which is another one in the thread of the event loop.
        closing = mock.patch.object(
            connections["default"], "close", side_effect=AssertionError("closed")
        )
        closing.start()
        self.addCleanup(closing.stop)

    async def exchange(self, application: object) -> None:
        await User.objects.acreate(username="test")
        communicator = ApplicationCommunicator(application, {"type": "test"})  # type: ignore[arg-type] # both are applications
        await communicator.send_input({"type": "test", "name": "app"})
        event = await communicator.receive_output(timeout=10)
        assert event["names"] == ["app", "class", "method", "test"]
        assert await User.objects.filter(username="app").aexists()
        await communicator.send_input({"type": "end"})
        await communicator.wait(timeout=10)

    async def test_sync_code(self) -> None:
        """Sync code of an application sees uncommitted data, and the test sees what it adds."""
        await self.exchange(sync_orm)

    async def test_async_code(self) -> None:
        """So does the asynchronous ORM."""
        await self.exchange(async_orm)

    async def test_consumers(self) -> None:
        """So do consumers behind the middleware that loads sessions and users."""
        user = await User.objects.aget(username="method")
        client = AsyncClient()
        await client.aforce_login(user)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        headers = [(b"cookie", f"{settings.SESSION_COOKIE_NAME}={cookie}".encode())]
        for number, room in enumerate([SyncRoom.as_asgi(), AsyncRoom.as_asgi()]):
            application = AuthMiddlewareStack(room)
            communicator = WebsocketCommunicator(application, "/", headers)
            assert await communicator.connect(timeout=10) == (True, None)
            assert await communicator.receive_json_from(timeout=10) == "method"
            await communicator.send_json_to(f"app-{number}")
            names = await communicator.receive_json_from(timeout=10)
            assert names[-3:] == [f"app-{number}", "class", "method"]
            await communicator.disconnect(timeout=10)

    def test_a_sync_test(self) -> None:
        """So does an application that a sync test runs by ``async_to_sync``."""
        async_to_sync(self.exchange)(sync_orm)

    async def test_nothing_is_left(self) -> None:
        """What applications added in other tests is rolled back."""
        assert await User.objects.acount() == 2

    async def test_at_the_same_time(self) -> None:
        """Several applications may use the test's connection; they take turns."""
        communicators = [ApplicationCommunicator(sync_orm, {"type": "test"}) for _ in range(5)]
        for number, communicator in enumerate(communicators):
            await communicator.send_input({"type": "test", "name": f"app-{number}"})
        await asyncio.gather(*(c.receive_output(timeout=10) for c in communicators))
        assert await User.objects.filter(username__startswith="app-").acount() == 5
        for communicator in communicators:
            communicator.stop()


class TestClosing(TransactionTestCase):
    """When ``close_old_connections`` leaves a connection open, outside of a test's transaction."""

    def setUp(self) -> None:
        # Called where Django would look whether the connection has expired.
        patcher = mock.patch.object(connections["default"], "close_if_unusable_or_obsolete")
        self.look = patcher.start()
        self.addCleanup(patcher.stop)

    def test_it_closes_what_has_expired(self) -> None:
        """Without an application or a transaction it does what Django's function does."""
        close_old_connections()
        assert self.look.call_count == 1

    def test_a_transaction_is_left_alone(self) -> None:
        """A connection inside ``atomic`` is not closed under it."""
        with transaction.atomic():
            close_old_connections()
        assert self.look.call_count == 0

    def test_from_async_code_inside_a_transaction(self) -> None:
        """Not even by async code that sync code called inside it."""
        with transaction.atomic():
            names = async_to_sync(database_sync_to_async(add_user))("inside")
        assert names == ["inside"]

    async def test_not_while_an_application_runs(self) -> None:
        """From the start of an application to its end no connection is closed, whoever asks."""
        communicator = ApplicationCommunicator(async_orm, {"type": "test"})
        await communicator.send_input({"type": "test", "name": "app"})
        await communicator.receive_output(timeout=10)
        await sync_to_async(close_old_connections)()
        assert self.look.call_count == 0
        await communicator.send_input({"type": "end"})
        await communicator.wait(timeout=10)
        await sync_to_async(close_old_connections)()
        assert self.look.call_count == 1

    async def test_a_replacement_is_called(self) -> None:
        """A test that patches the function gets all its calls."""
        with mock.patch.object(fairway.db, "close_old_connections") as replacement:
            communicator = ApplicationCommunicator(sync_orm, {"type": "test"})
            await communicator.send_input({"type": "test", "name": "app"})
            await communicator.receive_output(timeout=10)
            communicator.stop()
        assert replacement.call_count == 2


EVERYWHERE = '''
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.db import connections
from django.test import TestCase, TransactionTestCase
from fairway.testing import AsyncClient

ALIASES = ["default", "other"]
ROOMS = ["/ws/sync/", "/ws/async/", "/ws/mixed/"]

def begin():
    for alias in ALIASES:
        User.objects.using(alias).create(username="test")

async def talk():
    """Every kind of consumer adds to every database, and sees what the test has added."""
    for alias in ALIASES:
        seen = ["test"]
        for number, room in enumerate(ROOMS):
            async with AsyncClient().websocket(room) as socket:
                await socket.send_json_to([f"app-{number}", alias])
                seen = sorted([*seen, f"app-{number}"])
                assert await socket.receive_json_from(timeout=20) == seen
        assert await User.objects.using(alias).acount() == 4

class InTestCase(TestCase):
    databases = ALIASES

    def setUp(self):
        begin()

    def test_sync(self):
        async_to_sync(talk)()
        assert User.objects.count() == 4

    async def test_async(self):
        await talk()

    async def test_nothing_is_left(self):
        assert await User.objects.using("other").acount() == 1

class InTransactionTestCase(TransactionTestCase):
    databases = ALIASES

    def setUp(self):
        begin()

    def test_sync(self):
        async_to_sync(talk)()

    async def test_async(self):
        await talk()

@pytest.fixture
def users(db):
    begin()

@pytest.mark.parametrize("turn", [1, 2])
@pytest.mark.django_db(databases=ALIASES)
def test_sync(users, turn):
    async_to_sync(talk)()
    assert User.objects.using("other").count() == 4

@pytest.mark.parametrize("turn", [1, 2])
@pytest.mark.django_db(databases=ALIASES)
async def test_async(users, turn):
    await talk()

@pytest.mark.parametrize("turn", [1, 2])
@pytest.mark.django_db(databases=ALIASES, transaction=True)
def test_transactional_sync(users, turn):
    async_to_sync(talk)()

@pytest.mark.parametrize("turn", [1, 2])
@pytest.mark.django_db(databases=ALIASES, transaction=True)
async def test_transactional_async(users, turn):
    await talk()

@pytest.mark.django_db
async def test_a_database_that_was_not_asked_for():
    with pytest.raises(Exception, match="to .other. are not allowed"):
        await User.objects.using("other").acount()

async def test_no_connection_is_left():
    def opened():
        return [c.alias for c in connections.all(initialized_only=True) if c.connection is not None]

    assert await sync_to_async(opened)() == []
'''

IN_FILES = """
from pathlib import Path

SECRET_KEY = "a-key-for-tests-only"
ROOT_URLCONF = "urls"
ASGI_APPLICATION = "asgi.application"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
DATABASES = {
    alias: {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(__file__).with_name(f"{alias}.sqlite3"),
        "TEST": {"NAME": Path(__file__).with_name(f"test-{alias}.sqlite3")},
    }
    for alias in ("default", "other")
}
USE_TZ = True
"""


@pytest.mark.pain(12)
@pytest.mark.row("1.9 ApplicationCommunicator")
@pytest.mark.parametrize("files", [{}, {"settings_py": IN_FILES}], ids=["memory", "files"])
def test_every_kind_of_test_and_consumer(tmp_path: Path, files: dict[str, str]) -> None:
    """No kind of test, code or database needs a setting, waits for a lock or leaves anything."""
    run(tmp_path, EVERYWHERE, passed=15, **files)
    assert not list(tmp_path.glob("*.sqlite3"))
