"""Fairway's server as a worker of Gunicorn: ``gunicorn -k fairway.server.gunicorn.FairwayWorker``.

Gunicorn then is the supervisor: it binds the sockets, starts, watches and replaces processes, and
writes the logs. What its settings say of the server applies here, too; everything else comes from
Fairway's own setting ``FAIRWAY``.
"""

import asyncio
import contextlib
import faulthandler
import io
import logging
import os
import signal
import socket
import sys
from types import FrameType
from typing import Any, Final, cast

from gunicorn import sock as gunicorn_sock
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config as GunicornConfig
from gunicorn.workers.base import Worker

from fairway._types import ASGIApplication
from fairway.server import collector
from fairway.server.application.lifespan import LifespanFailed
from fairway.server.application.loading import (
    ApplicationNotFound,
    check_application,
    project_options,
)
from fairway.server.config import EARLY, Config, ConfigError
from fairway.server.listening.listener import Listener
from fairway.server.listening.tls import TLS, Certificate, TLSError
from fairway.server.observing.access import AccessLogStream
from fairway.server.server import Server

__all__ = ["FairwayWorker"]

#: Seconds between two signs of life, and two looks at what Gunicorn wants.
BEAT: Final = 1.0
#: How much of Gunicorn's graceful timeout the drain gets: what has to be cut then is reported
#: before Gunicorn kills the process.
DRAIN_PART: Final = 0.8

#: Settings of Gunicorn that have a counterpart here, which they replace if they were set.
_COUNTERPARTS: Final = {
    "backlog": "backlog",
    "keepalive": "keep_alive_timeout",
    "limit_request_line": "max_request_line",
    "limit_request_fields": "max_header_count",
    "threads": "threads",
}
#: Options that Gunicorn's own take the place of.
_NOT_HERE: Final = EARLY | {"host", "port", "unix_socket", "file_descriptor", "endpoints"}


class FairwayWorker(Worker):
    """One of Gunicorn's worker processes, with Fairway's server in it.

    Gunicorn's ``max_requests``, ``timeout``, ``graceful_timeout``, ``reload``, its TLS settings,
    ``forwarded_allow_ips`` and its logs work as they do with its other workers. The access log has
    Fairway's lines, as WebSockets are none of Gunicorn's.
    """

    _server: Server | None = None
    _stops = 0

    def init_signals(self) -> None:
        """Take the signals that Gunicorn sends to its workers."""
        super().init_signals()
        # It interrupts nothing that the server does: the loop is woken by the server itself.
        signal.set_wakeup_fd(-1)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: end gracefully."""
        self.alive = False
        self._stop(1)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """SIGQUIT and SIGINT: end at once."""
        self.alive = False
        self.cfg.worker_int(self)
        self._stop(2)

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        """SIGABRT: Gunicorn has not heard of this worker for its ``timeout``; show where it is."""
        with contextlib.suppress(OSError, ValueError, io.UnsupportedOperation):
            faulthandler.dump_traceback(all_threads=True)
        self.alive = False
        self.cfg.worker_abort(self)
        # Not sys.exit(): a request that hangs would take it for an error of its own, and go on.
        logging.shutdown()
        os._exit(1)

    def run(self) -> None:
        """Serve until Gunicorn, or a limit of its settings, ends this worker."""
        try:
            check_application(self.wsgi, self.cfg.wsgi_app or "the application")
            config = self._config()
            self._log_to_gunicorn()
            # What Gunicorn calls so need not be for WSGI.
            application = cast("ASGIApplication", self.wsgi)
            self._server = Server(
                application,
                config,
                access_log=self._access_log(config),
                listeners=self._listeners(),
                ready=self._begin,
                signals=False,
                name=f"Worker {os.getpid()}",
            )
            if not self.alive:  # it was told to end while it was starting
                self._stop(1)
            self._server.run()
        except (ApplicationNotFound, ConfigError) as error:
            self._give_up(str(error))
        except LifespanFailed as error:
            self._give_up(f"The application cannot start: {error}")

    def _give_up(self, text: str) -> None:
        self.log.error(text)
        # With which Gunicorn itself ends, too, instead of trying for ever.
        sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def _stop(self, times: int) -> None:
        """See that the server is told so often to stop: once gracefully, twice at once."""
        if self._server is not None:
            while self._stops < times:
                self._stops += 1
                self._server.relieve()  # Gunicorn's other workers serve on the same socket

    # ------------------------------------------------------------------ while it serves

    def _begin(self) -> None:
        server = self._server
        assert server is not None
        collector.settle(lambda: len(server.connections))
        self._beat(asyncio.get_running_loop())

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell Gunicorn that this worker lives, and see whether it is to go on."""
        loop.call_later(min(BEAT, self.timeout / 4) if self.timeout else BEAT, self._beat, loop)
        self.notify()
        assert self._server is not None
        self.nr = self._server.served
        if self._stops:
            return
        if self.ppid != os.getppid():
            self.log.info("Parent changed, shutting down: %s", self)
            self.alive = False
        elif self.nr >= self.max_requests:
            self.log.info(
                "Worker %s is to be replaced: it has served %d requests (max_requests: %d)",
                os.getpid(),
                self.nr,
                self.cfg.max_requests,
            )
            self.alive = False
        if not self.alive:  # also because of --reload
            self._stop(1)

    # ------------------------------------------------------------------ what it is told

    def _config(self) -> Config:
        """Fairway's options: those of the project, and over them what was said to Gunicorn."""
        options = dict(project_options())
        for name in options.keys() & _NOT_HERE:
            raise ConfigError(
                f"In the setting FAIRWAY: {name!r} is Gunicorn's to decide. Say it there."
            )
        if options.get("metrics") is not None:
            raise ConfigError(
                "In the setting FAIRWAY: 'metrics' names one address, and each of Gunicorn's "
                "workers would want it for itself. Use 'opentelemetry', or 'fairway -w'."
            )
        for theirs, ours in _COUNTERPARTS.items():
            if self._was_set(theirs):
                options[ours] = _fitting(ours, self.cfg.settings[theirs].get())
        options["graceful_timeout"] = self._graceful_timeout(options)
        if self._was_set("forwarded_allow_ips") or "FORWARDED_ALLOW_IPS" in os.environ:
            options["proxy_headers"] = True
            options["trusted_proxies"] = self._forwarded_allow_ips()
        return Config.from_mapping(options)

    def _was_set(self, name: str) -> bool:
        # As a setting reads its default, which may be written otherwise.
        default = GunicornConfig().settings[name].get()
        return bool(self.cfg.settings[name].get() != default)

    def _graceful_timeout(self, options: dict[str, Any]) -> float:
        """As long as the project wants, but never longer than Gunicorn waits."""
        longest: float = self.cfg.graceful_timeout * DRAIN_PART
        wanted: float = options.get("graceful_timeout", Config().graceful_timeout)
        if self._was_set("graceful_timeout") or wanted <= 0:
            return longest
        return min(wanted, longest)

    def _forwarded_allow_ips(self) -> tuple[str, ...]:
        found = self.cfg.forwarded_allow_ips
        names = found.split(",") if isinstance(found, str) else found
        return tuple(str(name).strip() for name in names if str(name).strip())

    def _listeners(self) -> list[Listener]:
        """Gunicorn's sockets, with what it says of TLS."""
        tls = GunicornTLS(self.cfg) if self.cfg.is_ssl else None
        # Its type stubs take Gunicorn's wrappers for what is in them.
        sockets: list[socket.socket] = [getattr(each, "sock", each) for each in self.sockets]
        return [Listener(each, None if each.family == socket.AF_UNIX else tls) for each in sockets]

    # ------------------------------------------------------------------ logs

    def _log_to_gunicorn(self) -> None:
        """Let Gunicorn's error log have our records, unless the project has its own idea."""
        logger = logging.getLogger("fairway")
        for name in ("fairway", "fairway.server", "fairway.delivery"):
            logging.getLogger(name).disabled = False  # as a project's LOGGING may have done
        if not logger.hasHandlers():
            logger.handlers = list(self.log.error_log.handlers)
            logger.setLevel(self.log.error_log.level)

    def _access_log(self, config: Config) -> AccessLogStream | None:
        cfg = self.cfg
        if not (cfg.accesslog or cfg.logconfig or cfg.logconfig_dict or cfg.logconfig_json):
            return None
        return AccessLogStream(_LoggerStream(self.log.access_log), config.access_log_format)


class GunicornTLS(TLS):
    """What greets clients as Gunicorn's settings want it, its ``ssl_context`` hook too.

    Args:
        cfg: Gunicorn's settings.
    """

    def __init__(self, cfg: GunicornConfig) -> None:
        super().__init__(Certificate(certificate=cfg.certfile or "", key=cfg.keyfile))
        self._cfg = cfg

    def load(self) -> None:
        """Make the context.

        Raises:
            TLSError: A file cannot be used.
        """
        try:
            self._context = gunicorn_sock.ssl_context(self._cfg)
        except OSError as error:  # SSLError is one, too
            raise TLSError(f"Gunicorn's certificate cannot be used: {error}") from None


class _LoggerStream(io.StringIO):
    """A text stream whose lines are records of a logger."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self._logger = logger

    def write(self, text: str) -> int:
        """Log a line."""
        self._logger.info("%s", text.rstrip("\n"))
        return len(text)


def _fitting(name: str, value: Any) -> Any:
    """A value of Gunicorn's in the type of an option of ours."""
    return float(value) if name.endswith("_timeout") else value
