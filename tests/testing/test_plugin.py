"""The pytest plugin: its fixtures, and a ``db`` that covers asynchronous tests and applications."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from fairway._types import Receive, Scope, Send
from fairway.layers import BaseChannelLayer, InMemoryChannelLayer, get_channel_layer
from fairway.testing import ApplicationCommunicator, WebsocketRejected
from fairway.testing.plugin import WebsocketClient, seconds_of
from tests.commands import environment
from tests.testing.projects import run, run_pytest
from tests.testing.test_database import async_orm, sync_orm


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Accept, and send back every text."""
    await receive()
    subprotocol = next(iter(scope["subprotocols"]), None)
    await send({"type": "websocket.accept", "subprotocol": subprotocol})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event["text"]})


@pytest.fixture
def from_fixture(db: None) -> User:
    return User.objects.create(username="fixture")


@pytest_asyncio.fixture
async def from_async_fixture(db: None) -> User:
    return await User.objects.acreate(username="async")


@pytest.mark.pain(12)
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


@pytest.fixture
def of_the_main_thread(transactional_db: None) -> BaseDatabaseWrapper:
    return connections["default"]


@pytest.mark.pain(12)
async def test_transactional_tests_share_it_too(of_the_main_thread: BaseDatabaseWrapper) -> None:
    """A test that commits uses one connection as well: none waits for another, none is left."""
    await User.objects.acreate(username="committed")
    found = await sync_to_async(lambda: connections["default"])()
    assert found is of_the_main_thread
    assert not found.in_atomic_block


class TestWebsocketClient:
    async def test_it_connects(self, websocket_client: WebsocketClient) -> None:
        """Awaited, it gives an open socket to the application that it is given."""
        socket = await websocket_client("/room/", echo, subprotocols=["chat"])
        assert socket.subprotocol == "chat"
        await socket.send_to("hello")
        assert await socket.receive_from() == "hello"

    async def test_it_is_a_context_manager(self, websocket_client: WebsocketClient) -> None:
        """Entered, it closes the socket with the block."""
        async with websocket_client("/room/", echo) as socket:
            await socket.send_to("hello")
            assert await socket.receive_from() == "hello"
        assert socket.future.done()

    async def test_a_rejection_is_raised(self, websocket_client: WebsocketClient) -> None:
        """An application that does not accept fails the test by name."""

        async def closed(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "websocket.close", "code": 4003})

        with pytest.raises(WebsocketRejected, match="was rejected by closing with 4003"):
            await websocket_client("/room/", closed)

    @pytest.mark.django_db
    async def test_users_can_log_in(self, websocket_client: WebsocketClient) -> None:
        """It is Django's client, with its logins and its cookies."""
        await websocket_client.aforce_login(await User.objects.acreate(username="ada"))
        assert "sessionid" in websocket_client.cookies
        async with websocket_client("/room/", echo) as socket:
            (cookie,) = [value for name, value in socket.scope["headers"] if name == b"cookie"]
        assert cookie.startswith(b"sessionid=")


class TestChannelLayer:
    async def test_it_is_the_default_one(self, channel_layer: BaseChannelLayer) -> None:
        """The fixture's layer is what the code under test gets."""
        assert isinstance(channel_layer, InMemoryChannelLayer)
        assert get_channel_layer() is channel_layer
        await channel_layer.send("jobs", {"type": "job"})

    def test_it_is_new(self, channel_layer: BaseChannelLayer) -> None:
        """No other test has used it."""
        assert isinstance(channel_layer, InMemoryChannelLayer)
        assert channel_layer.channels == {}


class TestConfiguration:
    @pytest.mark.parametrize(("given", "seconds"), [("2.5", 2.5), ("10", 10.0), ("0", None)])
    def test_the_timeout(self, given: str, seconds: float | None) -> None:
        """``fairway_timeout`` is a number of seconds, and 0 is for ever."""
        assert seconds_of(given) == seconds

    @pytest.mark.parametrize("given", ["soon", "-1", "inf", "nan", ""])
    def test_a_timeout_that_is_none(self, given: str) -> None:
        """What is no number of seconds stops pytest with the option's name."""
        with pytest.raises(pytest.UsageError) as caught:
            seconds_of(given)
        assert str(caught.value) == f"fairway_timeout: {given!r} is no number of seconds."

    def test_options(self, tmp_path: Path) -> None:
        """The options hold, also in strict mode and where a ``conftest.py`` names the plugin."""
        tests = """
import pytest
from fairway.testing import WebsocketCommunicator

def test_timeout():
    assert WebsocketCommunicator.default_timeout == 2.5

def test_live_server_is_pytest_djangos(live_server):
    assert type(live_server).__module__ == "pytest_django.live_server_helper"

@pytest.mark.asyncio
async def test_strict_mode(websocket_client):
    socket = await websocket_client("/ws/mixed/")
    await socket.disconnect()
"""
        options = ["fairway_timeout=2.5", "fairway_live_server=false", "asyncio_mode=strict"]
        arguments = [word for option in options for word in ("-o", option)]
        conftest = 'pytest_plugins = ["fairway.testing.plugin"]\n'
        run(tmp_path, tests, *arguments, passed=3, conftest_py=conftest)

    def test_it_leaves_runs_without_django_alone(self, tmp_path: Path) -> None:
        """Without settings a test is a test, also where the package was imported before pytest.

        As ``FAIRWAY_COMPAT=1`` imports it.
        """
        tests = "def test_nothing(): pass\nasync def test_async(): pass\n"
        (tmp_path / "test_it.py").write_text(tests)
        options = "-q -W error -p no:django -p no:cacheprovider -o asyncio_mode=auto "
        options += "-o asyncio_default_fixture_loop_scope=function"
        script = f"import sys, fairway, pytest; sys.exit(pytest.main({options.split()}))"
        done = subprocess.run(
            [sys.executable, "-c", script],
            check=False,
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert "2 passed in" in done.stdout, done.stdout + done.stderr


def test_sockets_of_a_failing_test_are_closed(tmp_path: Path) -> None:
    """A test that fails with its socket open leaves no application running.

    (And what a ``conftest.py`` has assigned is not undone by an option that nobody gives.)
    """
    conftest = """
from fairway.testing import ApplicationCommunicator

ApplicationCommunicator.default_timeout = 7
"""
    tests = """
from fairway.testing import WebsocketCommunicator

async def test_fails(websocket_client):
    await websocket_client("/ws/mixed/")
    assert WebsocketCommunicator.default_timeout == 7
    assert "open" == "closed"
"""
    status, output = run_pytest(tmp_path, tests, conftest_py=conftest)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "AssertionError: assert 'open' == 'closed'" in output, output
    assert "1 failed in" in output
    assert "MixedRoom.disconnect 1000" in output
