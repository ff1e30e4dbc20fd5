"""``manage.py runserver`` on Fairway's server: HTTP and WebSockets on one port."""

import asyncio
import errno
import importlib
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands.runserver import Command as RunserverCommand
from django.db import connections
from django.utils import autoreload

from fairway import __version__
from fairway._types import ASGIApplication
from fairway.http import StaticFilesHandler
from fairway.routing import get_default_application
from fairway.server import AccessRecord, Config, ConfigError, Server
from fairway.server.listening.listener import open_sockets
from fairway.server.observing.access import format_django
from fairway.server.observing.actions import details_of, record_of
from fairway.server.observing.stuck import LoopWatch

if apps.is_installed("django.contrib.staticfiles"):
    from django.contrib.staticfiles.management.commands.runserver import Command as RunserverCommand

logger = logging.getLogger("django.channels.server")

#: Seconds that applications get to end in. The autoreloader's parent kills its child 0.25 s after
#: Ctrl-C; a reload, or the end without the autoreloader, should not keep anybody waiting either.
GRACEFUL_TIMEOUT: Final = 1.0

#: Seconds between two looks at the files of a project, at least. Django's own are one second apart.
LOOK_AFTER: Final = 0.15
#: How much of a processor looking may take: a project of 20,000 files is looked at less often.
LOOKING: Final = 0.1

_BIND_ERRORS: Final = {
    errno.EACCES: "You don't have permission to access that port.",
    errno.EADDRINUSE: "That port is already in use.",
    errno.EADDRNOTAVAIL: "That IP address can't be assigned to.",
}


class Reloader(autoreload.StatReloader):
    """Django's autoreloader with shorter breaks: what was saved is served within a second."""

    #: Seconds of processor time that the last look has taken; of the first, which finds out where
    #: everything is while the project is still being imported, it says nothing.
    _took: float | None = None

    @property
    def SLEEP_TIME(self) -> float:  # type: ignore[override]  # noqa: N802  Django's name
        """Seconds until the next look."""
        return max(LOOK_AFTER, (self._took or 0.0) / LOOKING)

    def snapshot_files(self) -> Iterator[tuple[Path, float]]:
        """Each file with the time of its last change."""
        began = time.thread_time()  # the server's thread is importing the project meanwhile
        yield from super().snapshot_files()
        took = time.thread_time() - began
        self._took = 0.0 if self._took is None else took


class Command(RunserverCommand):
    help = "Starts a development server for HTTP and WebSockets."

    # What Django's handle() finds out from the arguments.
    addr: str
    port: str
    use_ipv6: bool
    _raw_ipv6: bool

    # Made in the autoreloader's thread if there is one; stopped from the main thread.
    _server: Server | None = None
    _watch: LoopWatch | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ended = threading.Event()

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--noasgi",
            action="store_false",
            dest="use_asgi",
            help="Run Django's own server, which speaks WSGI and serves no WebSockets.",
        )
        parser.add_argument(
            "--http_timeout",
            type=float,
            help="Seconds that the application may take for a response (default: no limit).",
        )
        parser.add_argument(
            "--websocket_handshake_timeout",
            type=float,
            help="Seconds that the application may take to accept a WebSocket (default: 5).",
        )
        parser.add_argument(
            "--websocket-max-message-size",
            type=int,
            help="Bytes that a WebSocket message may have, 0 for no limit (default: 1 MiB).",
        )
        parser.add_argument(
            "--websocket-max-frame-size",
            type=int,
            help="Bytes that a WebSocket frame may have, 0 for no limit (default: 1 MiB).",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["use_asgi"] and not getattr(settings, "ASGI_APPLICATION", None):
            raise CommandError(
                "You have not set ASGI_APPLICATION, which is needed to run the server. Write "
                'ASGI_APPLICATION = "mysite.asgi.application" into your settings, with the name '
                "of your project, or start with --noasgi."
            )
        super().handle(*args, **options)

    def run(self, **options: Any) -> None:
        """Serve until Ctrl-C, SIGTERM or a changed file, and then say goodbye to every client."""
        autoreload.StatReloader = Reloader  # type: ignore[misc]  # where Watchman is not installed
        try:
            super().run(**options)
        finally:
            # With the autoreloader this is the main thread, and the server's thread would be cut
            # off in the middle of what it does when the process ends.
            if self._server is not None:
                self._server.stop()
                self._ended.wait(2 * GRACEFUL_TIMEOUT)

    def inner_run(self, *args: Any, **options: Any) -> None:
        """Check the project and serve it."""
        if not options["use_asgi"]:
            super().inner_run(*args, **options)
            return
        autoreload.raise_last_exception()
        _import_application()
        if not options["skip_checks"]:
            self.stdout.write("Performing system checks...\n\n")
            self.check(display_num_errors=True)
        self.check_migrations()
        for connection in connections.all(initialized_only=True):
            connection.close()
        self._serve(self.get_application(options), options)
        if message := options.get("shutdown_message", ""):
            self.stdout.write(message)

    def get_application(self, options: dict[str, Any]) -> ASGIApplication:
        """Return what is served: the project's application, within the one for static files."""
        application = get_default_application()
        if options.get("use_static_handler") and (settings.DEBUG or options["insecure_serving"]):
            return StaticFilesHandler(application)
        return application

    def get_config(self, options: dict[str, Any]) -> Config:
        """Return how it is served: flags first, then ``FAIRWAY``, then what Daphne was told."""
        flags = {
            "http_timeout": options["http_timeout"],
            "websocket_connect_timeout": options["websocket_handshake_timeout"],
            "websocket_max_message_size": options["websocket_max_message_size"],
            "websocket_max_frame_size": options["websocket_max_frame_size"],
        }
        daphne = {
            name: getattr(settings, f"DAPHNE_{name.upper()}", None)
            for name in ("websocket_max_message_size", "websocket_max_frame_size")
        }
        try:
            return Config.from_mapping(
                {
                    "root_path": settings.FORCE_SCRIPT_NAME or "",
                    "websocket_retry_window": 0.0,  # one page comes back, and somebody is waiting
                    **_given(daphne),
                    **(getattr(settings, "FAIRWAY", None) or {}),
                    **_given(flags),
                    "host": self._host(),
                    "port": int(self.port),
                    "unix_socket": None,
                    "file_descriptor": None,
                    "endpoints": (),
                    "tls_certificate": None,
                    "tls_key": None,
                    "tls_key_password": None,
                    "proxy_protocol": False,
                    "drain_delay": 0.0,
                    "drain_window": 0.0,
                    "graceful_timeout": GRACEFUL_TIMEOUT,
                }
            )
        except ConfigError as error:
            raise CommandError(f"In the flags or the setting FAIRWAY: {error}") from None

    def log_action(self, protocol: str, action: str, details: Mapping[str, Any]) -> None:
        """Log one request, or one step of a WebSocket, in the manner of Django's ``runserver``.

        Projects override it, as they do with Daphne's command, to leave something out.

        Args:
            protocol: ``"http"`` or ``"websocket"``.
            action: As in :class:`~fairway.server.AccessRecord`.
            details: See :func:`~fairway.server.observing.actions.details_of`.
        """
        text = format_django(record_of(protocol, action, details))
        level = logging.INFO
        if protocol == "http":
            style, level = _style_of(details["status"])
            text = getattr(self.style, style)(text)
        logger.log(level, "%s", text)

    def _log(self, record: AccessRecord) -> None:
        self.log_action(record.protocol, record.action, details_of(record))

    def _serve(self, application: ASGIApplication, options: dict[str, Any]) -> None:
        try:
            config = self.get_config(options)
            sockets = open_sockets(config)
        except OSError as error:
            self.stderr.write(f"Error: {_BIND_ERRORS.get(error.errno or 0, error)}")
            self.stdout.flush()
            # sys.exit() would end the autoreloader's thread only, and leave its watch running.
            os._exit(1)
        port = sockets[0].getsockname()[1]
        self._server = Server(
            application,
            config,
            access_log=self._log,
            ready=lambda: self._begin(port),
            sockets=sockets,
        )
        try:
            self._server.run()
        finally:
            if self._watch is not None:
                self._watch.stop()
            self._ended.set()

    def _begin(self, port: int) -> None:
        """The server is ready: say where, and watch its event loop, which nobody should hold up."""
        self._announce(port)
        self._watch = LoopWatch(asyncio.get_running_loop())

    def _host(self) -> str:
        """The address to listen on; with ``-6``, a name means its IPv6 address."""
        if not self.use_ipv6 or self._raw_ipv6:
            return self.addr
        found = socket.getaddrinfo(self.addr, None, socket.AF_INET6, socket.SOCK_STREAM)
        return str(found[0][4][0])

    def _announce(self, port: int) -> None:
        """Print where to click."""
        quit_command = "CTRL-BREAK" if sys.platform == "win32" else "CONTROL-C"
        address = f"[{self.addr}]" if self._raw_ipv6 else self.addr
        if address == "0":
            address = "0.0.0.0"  # noqa: S104  shown, not bound
        now = datetime.now().strftime("%B %d, %Y - %X")  # noqa: DTZ005  the clock on the wall
        self.stdout.write(
            f"{now}\n"
            f"Django version {self.get_version()}, using settings {settings.SETTINGS_MODULE!r}\n"
            f"Starting ASGI/Fairway version {__version__} development server "
            f"at {self.protocol}://{address}:{port}/\n"
            f"Quit the server with {quit_command}.\n"
        )


def _import_application() -> None:
    """Import the module of ``ASGI_APPLICATION``, so that an exception in it shows its traceback.

    The autoreloader then also watches the file that raised it, and tries again when it is saved.
    That there is no such module is left to the system checks, which say what to write.
    """
    module_name = str(settings.ASGI_APPLICATION).rpartition(".")[0]
    try:
        importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise
    except ValueError:
        # The module's name is empty.
        pass


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _style_of(status: int) -> tuple[str, int]:
    """The name of Django's style for a status, and the level to log it at."""
    if status == HTTPStatus.NOT_MODIFIED:
        return "HTTP_NOT_MODIFIED", logging.INFO
    if status == HTTPStatus.NOT_FOUND:
        return "HTTP_NOT_FOUND", logging.WARNING
    return {
        1: ("HTTP_INFO", logging.INFO),
        2: ("HTTP_SUCCESS", logging.INFO),
        3: ("HTTP_REDIRECT", logging.INFO),
        4: ("HTTP_BAD_REQUEST", logging.WARNING),
    }.get(status // 100, ("HTTP_SERVER_ERROR", logging.ERROR))
