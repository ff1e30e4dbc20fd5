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
from django.test import TransactionTestCase
from django.test.utils import modify_settings

from fairway._types import ASGIApplication, Receive, Scope, Send
from fairway.routing import get_default_application
from fairway.server import Config, Server
from fairway.server.server import loop_factory

#: Seconds that applications get to end in when the test case does.
GRACEFUL_TIMEOUT: Final = 2.0


class ChannelsLiveServerTestCase(TransactionTestCase):
    """A ``TransactionTestCase`` with the project's application served on a free port.

    For browsers and other real clients. The server is started once for each class and runs in this
    process, so ``override_settings``, the in-memory channel layer and in-memory SQLite databases
    (whose connections are shared, as in Django's ``LiveServerTestCase``) work as in other tests. It
    serves ``ASGI_APPLICATION`` with the options of the ``FAIRWAY`` setting.

    Attributes:
        host: Where to listen, and the host in the URLs; it is added to ``ALLOWED_HOSTS``.
        static_wrapper: What serves static files, made from the application; None for nothing.
        serve_static: Whether to use it.
    """

    host: ClassVar[str] = "localhost"
    static_wrapper: ClassVar[Callable[[Any], Any] | None] = ASGIStaticFilesHandler
    serve_static: ClassVar[bool] = True

    _server_thread: ClassVar["_ServerThread"]

    @property
    def live_server_url(self) -> str:
        """The address of the server, such as ``http://localhost:43210``."""
        return f"http://{self.host}:{self._server_thread.port}"

    @property
    def live_server_ws_url(self) -> str:
        """The same for WebSockets, such as ``ws://localhost:43210``."""
        return f"ws://{self.host}:{self._server_thread.port}"

    @classmethod
    def setUpClass(cls) -> None:
        """Start the server.

        Raises:
            OSError: It cannot listen on ``host``.
            ImproperlyConfigured: ``ASGI_APPLICATION`` leads to no application.
        """
        super().setUpClass()
        cls.enterClassContext(modify_settings(ALLOWED_HOSTS={"append": cls.host}))
        application = get_default_application()
        if cls.serve_static and cls.static_wrapper is not None:
            application = cls.static_wrapper(application)
        config = Config.from_mapping(
            {
                **(getattr(settings, "FAIRWAY", None) or {}),
                "host": cls.host,
                "port": 0,
                "unix_socket": None,
                "file_descriptor": None,
                "endpoints": (),
                "tls_certificate": None,
                "tls_key": None,
                "tls_key_password": None,
                "graceful_timeout": GRACEFUL_TIMEOUT,
            }
        )
        cls._server_thread = _ServerThread(application, config)
        cls._server_thread.start()
        cls.addClassCleanup(cls._server_thread.stop)
        cls._server_thread.wait_until_ready()


class _ServerThread(threading.Thread):
    """Runs a server until it is told to stop."""

    def __init__(self, application: ASGIApplication, config: Config) -> None:
        super().__init__(name="live-server", daemon=True)
        self._config = config
        self._shared = {
            connection.alias: connection
            for connection in connections.all()
            if _is_in_memory(connection)
        }
        self._application = _WithConnections(application, self._shared)
        self._server = Server(self._application, config, ready=self._on_ready)
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self.port = 0

    def start(self) -> None:
        for connection in self._shared.values():
            connection.inc_thread_sharing()
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
            connection.dec_thread_sharing()

    def _on_ready(self) -> None:
        self.port = int(self._server.addresses[0].rpartition(":")[2])
        self._ready.set()


class _WithConnections:
    """Runs the sync code of each connection in a thread that has the right database connections.

    They are the test's own where there is no other way to its data, and new ones elsewhere, which
    are closed with the thread: a test database that is still in use cannot be removed.
    """

    def __init__(
        self, application: ASGIApplication, shared: Mapping[str, BaseDatabaseWrapper]
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


def _is_in_memory(connection: BaseDatabaseWrapper) -> bool:
    # Only SQLite's wrapper has the method.
    return connection.vendor == "sqlite" and bool(connection.is_in_memory_db())  # type: ignore[attr-defined]


def _use(shared: Mapping[str, BaseDatabaseWrapper]) -> None:
    for alias, connection in shared.items():
        connections[alias] = connection


def _close(shared: Mapping[str, BaseDatabaseWrapper]) -> None:
    for connection in connections.all(initialized_only=True):
        if connection.alias not in shared:
            connection.close()
