"""A real server for the length of a test case, in a thread of the test process."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, ClassVar, Final

from asgiref.sync import ThreadSensitiveContext
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.creation import TEST_DATABASE_PREFIX
from django.test import TransactionTestCase
from django.test.utils import modify_settings

from fairway._types import ASGIApplication, Receive, Scope, Send
from fairway.routing import get_default_application
from fairway.server import Config, Server
from fairway.server.server import loop_factory
from fairway.testing.sharing import SharedConnection

#: Seconds that applications get to end in when the test case does.
GRACEFUL_TIMEOUT: Final = 2.0

#: Options of the ``FAIRWAY`` setting that say where a deployed server listens, and how.
NOT_FOR_TESTS: Final = frozenset(
    {
        "endpoints",
        "file_descriptor",
        "graceful_timeout",
        "host",
        "port",
        "tls_certificate",
        "tls_key",
        "tls_key_password",
        "unix_socket",
    }
)


class LiveServer:
    """A server in a thread of this process, for tests with browsers and other real clients.

    It serves with the options of the ``FAIRWAY`` setting. Its sync code uses the test databases:
    the very connections of the calling thread where a database is in memory, with transactions of
    its own and in turns, and connections of its own elsewhere, which end with it.

    Args:
        application: The ASGI application; ``ASGI_APPLICATION`` if None.
        host: Where to listen, and the host in the addresses.
        port: The port; 0 for a free one.
        static_wrapper: What serves static files, made from the application; None for nothing. It is
            left out of projects without ``STATIC_URL``.

    Attributes:
        host: The given host.
        port: The port that it listens on; 0 before the start.
    """

    def __init__(
        self,
        application: ASGIApplication | None = None,
        host: str = "localhost",
        port: int = 0,
        static_wrapper: Callable[[Any], Any] | None = ASGIStaticFilesHandler,
    ) -> None:
        self.host = host
        served = make_application(static_wrapper=static_wrapper, application=application)
        options = getattr(settings, "FAIRWAY", None) or {}
        kept = {name: value for name, value in options.items() if name not in NOT_FOR_TESTS}
        config = Config.from_mapping(
            {**kept, "host": host, "port": port, "graceful_timeout": GRACEFUL_TIMEOUT}
        )
        self._thread = _ServerThread(served, config)

    @property
    def port(self) -> int:
        """The port that it listens on; 0 before the start."""
        return self._thread.port

    @property
    def url(self) -> str:
        """The address, such as ``http://localhost:43210``."""
        return f"http://{self.host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """The same for WebSockets, such as ``ws://localhost:43210``."""
        return f"ws://{self.host}:{self.port}"

    def start(self) -> None:
        """Serve from now on; returns when it does.

        Raises:
            OSError: It cannot listen on its host.
            fairway.server.application.lifespan.LifespanFailed: The application says that it
                cannot start.
        """
        self._thread.start()
        try:
            self._thread.wait_until_ready()
        except BaseException:
            self._thread.stop()
            raise

    def stop(self) -> None:
        """Close what is open, let applications end, and wait for the thread.

        Open sockets are closed with 1012; an application gets two seconds to end in.
        """
        self._thread.stop()

    def __str__(self) -> str:
        return self.url

    def __add__(self, path: str) -> str:
        return f"{self.url}{path}"

    def __repr__(self) -> str:
        return f"<LiveServer listening at {self.url}>"


class ChannelsLiveServerTestCase(TransactionTestCase):
    """A ``TransactionTestCase`` with the project's application served on a free port.

    For browsers and other real clients. The server is started once for each class and runs in this
    process, so ``override_settings``, the in-memory channel layer and in-memory SQLite databases
    work as in other tests, on every alias in ``databases``: see :class:`LiveServer`. It serves
    ``ASGI_APPLICATION`` with the options of the ``FAIRWAY`` setting.

    Attributes:
        host: Where to listen, and the host in the URLs; it is added to ``ALLOWED_HOSTS``.
        static_wrapper: What serves static files, made from the application; None for nothing.
        serve_static: Whether to use it.
        ProtocolServerProcess: Ignored. Channels starts this class as a process of its own; here
            the server is a thread, and code that sets the attribute keeps working. So does a
            ``setUpClass`` that starts the process itself and sets ``_port``.
    """

    host: ClassVar[str] = "localhost"
    static_wrapper: ClassVar[Callable[[Any], Any] | None] = ASGIStaticFilesHandler
    serve_static: ClassVar[bool] = True
    ProtocolServerProcess: ClassVar[Any] = None

    _port: ClassVar[int]

    @property
    def live_server_url(self) -> str:
        """The address of the server, such as ``http://localhost:43210``."""
        return f"http://{self.host}:{self._port}"

    @property
    def live_server_ws_url(self) -> str:
        """The same for WebSockets, such as ``ws://localhost:43210``."""
        return f"ws://{self.host}:{self._port}"

    @classmethod
    def setUpClass(cls) -> None:
        """Start the server.

        Raises:
            OSError: It cannot listen on ``host``.
            ImproperlyConfigured: ``ASGI_APPLICATION`` leads to no application.
        """
        super().setUpClass()
        cls.enterClassContext(modify_settings(ALLOWED_HOSTS={"append": cls.host}))
        server = LiveServer(
            host=cls.host, static_wrapper=cls.static_wrapper if cls.serve_static else None
        )
        server.start()
        cls.addClassCleanup(server.stop)
        cls._port = server.port

    @classmethod
    def _is_in_memory_db(cls, connection: BaseDatabaseWrapper) -> bool:
        """For a ``setUpClass`` that was written for Channels, and refuses such databases."""
        return is_in_memory(connection)


def make_application(
    *,
    static_wrapper: Callable[[Any], Any] | None,
    application: ASGIApplication | None = None,
) -> ASGIApplication:
    """What a server for tests serves.

    A function of the module, so that a server in a process of its own can be told to call it.

    Args:
        static_wrapper: What serves static files, made from the application; None for nothing. It is
            left out of projects without ``STATIC_URL``.
        application: The ASGI application; ``ASGI_APPLICATION`` if None.

    Raises:
        ImproperlyConfigured: ``ASGI_APPLICATION`` leads to no application.
    """
    served = get_default_application() if application is None else application
    if static_wrapper is not None and settings.STATIC_URL:
        served = static_wrapper(served)
    return served


def set_database_connection() -> None:
    """Use the test databases in a process that a test has started, as ``setup`` of its server.

    A SQLite database without a ``TEST`` name is in memory, and in no other process than the test's.
    Where the process is a fork of the test's it has all names already.
    """
    for connection in connections.all():
        names = connection.settings_dict
        if names["TEST"]["NAME"]:
            names["NAME"] = names["TEST"]["NAME"]
        elif connection.vendor != "sqlite" and not names["NAME"].startswith(TEST_DATABASE_PREFIX):
            names["NAME"] = TEST_DATABASE_PREFIX + names["NAME"]


class _ServerThread(threading.Thread):
    """Runs a server until it is told to stop."""

    def __init__(self, application: ASGIApplication, config: Config) -> None:
        super().__init__(name="live-server", daemon=True)
        self._config = config
        self._shared = {
            connection.alias: SharedConnection(connection)
            for connection in connections.all()
            if is_in_memory(connection)
        }
        self._application = _WithConnections(application, self._shared)
        self._server = Server(self._application, config, ready=self._on_ready, signals=False)
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self.port = 0

    def start(self) -> None:
        for connection in self._shared.values():
            connection.open()
        super().start()

    def run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=loop_factory(self._config.loop)) as runner:
                # Code that is not thread-sensitive runs in the loop's own threads.
                threads = ThreadPoolExecutor(initializer=_use, initargs=(self._shared,))
                runner.get_loop().set_default_executor(threads)
                runner.run(self._server.serve())
        except BaseException as error:  # noqa: BLE001  the test's thread raises it
            self._error = error
        finally:
            self._ready.set()

    def wait_until_ready(self) -> None:
        self._ready.wait()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        self._server.stop()
        self.join()
        self._application.wait_for_threads()
        for connection in self._shared.values():
            connection.close()

    def _on_ready(self) -> None:
        self.port = int(self._server.addresses[0].rpartition(":")[2])
        self._ready.set()


class _WithConnections:
    """Runs the sync code of each connection in a thread that has the right database connections.

    They are the test's own where there is no other way to its data, and new ones elsewhere, which
    are closed with the thread: a test database that is still in use cannot be removed.
    """

    def __init__(
        self, application: ASGIApplication, shared: Mapping[str, SharedConnection]
    ) -> None:
        self._application = application
        self._shared = shared
        self._ending: set[Future[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        thread = ThreadPoolExecutor(1, "live-server", initializer=_use, initargs=(self._shared,))
        try:
            async with ThreadSensitiveContext(executor=thread):
                await self._application(scope, receive, send)
        finally:
            ended = thread.submit(_close, self._shared)
            self._ending.add(ended)
            ended.add_done_callback(self._ending.discard)
            thread.shutdown(wait=False)

    def wait_for_threads(self) -> None:
        """Wait for threads that close their connections, but not for ever for one that hangs."""
        wait(tuple(self._ending), timeout=GRACEFUL_TIMEOUT)


def is_in_memory(connection: BaseDatabaseWrapper) -> bool:
    """Whether a database is gone with its connection, and can only be shared through it."""
    # Only SQLite's wrapper has the method.
    return connection.vendor == "sqlite" and bool(connection.is_in_memory_db())  # type: ignore[attr-defined]


def _use(shared: Mapping[str, SharedConnection]) -> None:
    for alias, connection in shared.items():
        connections[alias] = connection.for_this_thread()


def _close(shared: Mapping[str, SharedConnection]) -> None:
    for connection in connections.all(initialized_only=True):
        if connection.alias not in shared:
            connection.close()
