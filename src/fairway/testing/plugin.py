"""A pytest plugin: fixtures for sockets and channel layers, and a database that async tests share.

pytest finds it by itself where Fairway is installed (``-p no:fairway.testing.plugin`` keeps it
out); nothing has to be configured. In a run without Django settings it does nothing.

**For every test**

- In-memory channel layers hold nothing that another test has left
  (:func:`~fairway.testing.isolated_channel_layers`).
- pytest-django's ``db`` covers asynchronous tests. pytest-django begins a test's transaction in the
  main thread, and the ORM of an asynchronous test runs in a thread of asgiref's, which by itself
  has database connections of its own: it sees nothing that fixtures have not committed, waits for
  their locks, what it writes stays after the test, and its connections stay open when the test
  databases are removed. Here that thread borrows the test's connections, of every alias, so ``db``
  and ``@pytest.mark.django_db``, with and without ``transaction=True``, mean the same in every
  test: for the test itself, its fixtures, and the applications that it runs through communicators.
  (Django's own ``TestCase`` needs none of this.)

**On request**

- :func:`websocket_client` and :func:`channel_layer`.
- ``live_server``, which takes the place of pytest-django's and serves WebSockets as well (see
  :mod:`fairway.testing.live_plugin`).

**Configuration** (``pytest.ini``, or ``[tool.pytest.ini_options]``)

- ``fairway_timeout``: seconds that communicators wait for an application when no call says more
  (1 by default); ``0`` waits for ever, for debuggers.
- ``fairway_live_server = false`` leaves pytest-django's ``live_server`` in place.
"""

import inspect
import math
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

import pytest
from asgiref.sync import SyncToAsync
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from fairway._types import ASGIApplication
from fairway.layers import BaseChannelLayer
from fairway.testing import live_plugin
from fairway.testing.application import ApplicationCommunicator
from fairway.testing.client import SAME_ORIGIN, AsyncClient, ClientWebsocket
from fairway.testing.layers import isolated_channel_layers, use_channel_layer
from fairway.testing.live import is_in_memory

try:
    # In its strict mode it runs those fixtures only that are marked by this.
    from pytest_asyncio import fixture as _async_fixture
except ImportError:  # another plugin, such as AnyIO's, runs asynchronous fixtures
    _async_fixture = pytest.fixture  # type: ignore[assignment]  # the same, without a loop scope

#: Under these names a test asks pytest-django for the database.
_DATABASE_FIXTURES = {"db", "transactional_db", "live_server"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say what can be configured."""
    parser.addini(
        "fairway_timeout",
        "Seconds that Fairway's communicators wait for an application (1 if not given); "
        "0 waits for ever.",
        default="",
    )
    parser.addini(
        "fairway_live_server",
        "Whether live_server is Fairway's, which serves WebSockets as well.",
        type="bool",
        default=True,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Apply the options.

    Raises:
        pytest.UsageError: One of them cannot be used.
    """
    # Not given, it must not undo what a conftest.py has assigned, which is loaded before.
    if given := config.getini("fairway_timeout"):
        ApplicationCommunicator.default_timeout = seconds_of(given)
    # Registered last of all, it wins over pytest-django's fixture of the same name.
    if config.getini("fairway_live_server") and config.pluginmanager.hasplugin("django"):
        config.pluginmanager.register(live_plugin, live_plugin.__name__)


def seconds_of(given: str) -> float | None:
    """The value of ``fairway_timeout``: seconds, or None for ever.

    Raises:
        pytest.UsageError: It is no number of seconds.
    """
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise pytest.UsageError(f"fairway_timeout: {given!r} is no number of seconds.")
    return seconds or None


class WebsocketClient(AsyncClient):
    """What the fixture :func:`websocket_client` is: an ``AsyncClient`` that is called for sockets.

    ::

        async def test_chat(websocket_client):
            socket = await websocket_client("/ws/chat/")
            await socket.send_to("Ahoy")
            assert await socket.receive_from() == "Ahoy"
    """

    def __call__(
        self,
        path: str,
        application: ASGIApplication | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Iterable[str] = (),
        query_params: Mapping[str, Any] | None = None,
        secure: bool = False,
        origin: str | None = SAME_ORIGIN,
    ) -> ClientWebsocket:
        """A WebSocket, to await or to enter; see :meth:`AsyncClient.websocket`."""
        return self.websocket(
            path,
            application=application,
            headers=headers,
            subprotocols=subprotocols,
            query_params=query_params,
            secure=secure,
            origin=origin,
        )


@_async_fixture
async def websocket_client() -> AsyncIterator[WebsocketClient]:
    """A client for WebSockets and HTTP; its sockets are closed after the test, passed or failed.

    It connects in this process to ``ASGI_APPLICATION``, or to the application that it is given.
    ``await websocket_client.aforce_login(user)`` logs in.
    """
    client = WebsocketClient()
    try:
        yield client
    finally:
        await client.aclose_websockets()


@pytest.fixture
def channel_layer() -> Iterator[BaseChannelLayer]:
    """A new in-memory layer in the place of the default one, whatever the settings say."""
    with use_channel_layer() as layer:
        yield layer


@pytest.fixture(autouse=True)
def fairway_isolated_layers() -> Iterator[None]:
    """Let no message and no membership of one test reach another."""
    with isolated_channel_layers():
        yield


@pytest.fixture(autouse=True)
def fairway_shared_connections(request: pytest.FixtureRequest) -> Iterator[None]:
    """Lend the test's database connections to the thread of asynchronous code."""
    if not _DATABASE_FIXTURES & set(request.fixturenames) and (
        request.node.get_closest_marker("django_db") is None
    ):
        yield
        return
    # The transaction has to begin first, and asynchronous fixtures have to come after this one.
    request.getfixturevalue("db")
    waits = inspect.iscoroutinefunction(getattr(request, "function", None))
    borrowed = [each for each in connections.all() if waits or _has_no_other_way(each)]
    for connection in borrowed:
        connection.inc_thread_sharing()
    # This is where asgiref runs thread-sensitive code unless something above chose another thread.
    thread = SyncToAsync.single_thread_executor
    own = thread.submit(_borrow, borrowed).result()
    yield
    thread.submit(_give_back, borrowed, own).result()
    for connection in borrowed:
        connection.dec_thread_sharing()


def _has_no_other_way(connection: BaseDatabaseWrapper) -> bool:
    """Whether another connection would not see the test's data, or wait for this one's locks."""
    return connection.in_atomic_block or is_in_memory(connection)


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
