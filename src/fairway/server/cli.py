"""The command line: ``fairway [options] module:application``."""

import contextlib
import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn, TextIO

import fairway
from fairway._types import ASGIApplication
from fairway.server import collector, descriptors
from fairway.server.application.lifespan import LifespanFailed
from fairway.server.application.loading import (
    ApplicationNotFound,
    load_application,
    lonely_layers,
    project_options,
)
from fairway.server.arguments import read
from fairway.server.config import EARLY, MOST_WORKERS, Config, ConfigError
from fairway.server.early import prepare_process
from fairway.server.listening.listener import adopt_listeners
from fairway.server.observing.access import AccessLogStream
from fairway.server.observing.logfile import LogFile
from fairway.server.observing.logs import JSONFormatter
from fairway.server.observing.pipes import let_nobody_wait
from fairway.server.server import Server
from fairway.server.workers.assignment import Assignment, Line, Pulse
from fairway.server.workers.notify import Notify
from fairway.server.workers.processors import workers_in_environment
from fairway.server.workers.recycling import Recycling

logger = logging.getLogger("fairway.server")

#: Seconds that threads and exit handlers of the process have after the server has ended.
EXIT_TIMEOUT: Final = 5.0

_LEVELS: Final = {0: logging.WARNING, 1: logging.INFO}

#: The loggers that exist before the application is loaded.
_LOGGERS: Final = ("fairway.server", "fairway.delivery")

#: What decides how records are logged.
_OF_LOGS: Final = ("verbosity", "log_fmt", "log_format")

#: What the supervisor of workers has to know, which does not load the project.
_SUPERVISED: Final = {
    "metrics",
    *("host", "port", "ipv6_only", "file_descriptor", "endpoints"),
    *("unix_socket", "unix_socket_mode", "unix_socket_user", "unix_socket_group"),
}


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Serve what the command line names, until a signal ends it; then end the process.

    Exits with 0 after a clean end, 1 when the server cannot start, 2 for a wrong command line, 130
    after Ctrl-C while the application is imported; after SIGTERM then, 143 as process 1.
    """
    prepare_process()
    try:
        code = run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:  # nobody listens for signals yet
        code = 130
    threading.Thread(target=_exit_late, args=(code,), daemon=True).start()
    sys.exit(code)


def _exit_late(code: int) -> None:
    """End the process even if code in a thread never returns, which Python would wait for."""
    time.sleep(EXIT_TIMEOUT)
    logger.error("Code in a thread did not end; it was cut off")
    logging.shutdown()
    os._exit(code)


def run(argv: Sequence[str]) -> int:
    """What :func:`main` does, returning the exit code."""
    assignment = Assignment.of_this_process()
    notify = Notify.of_this_process()
    try:
        path, arguments = read(argv)
        # What was typed is complained about at once; the project's settings are not known yet.
        typed = Config.from_mapping(arguments)
        _check_environment()
        _go_to_work(typed.chdir)
        if typed.drop_unread_output:
            let_nobody_wait()
        configure_logging(typed)
        raised = descriptors.prepare(typed)
        if typed.workers and assignment is None:
            return supervise(argv, typed, notify, raised)
        application = load_application(path)
        for name in _LOGGERS:
            # A project's LOGGING disables, unless it says otherwise, every logger that it does not
            # name and that exists by then: addresses and tracebacks would be lost without a trace.
            logging.getLogger(name).disabled = False
        config = _merge(project_options(), arguments, supervised=assignment is not None)
        if any(getattr(config, name) != getattr(typed, name) for name in _OF_LOGS):
            configure_logging(config)
        if assignment is None or assignment.place == 0:
            descriptors.advise(config)
        if assignment is not None and assignment.place == 0:
            _warn_of_lonely_layers(config)
    except (ApplicationNotFound, ConfigError) as error:
        return _complain(str(error))
    return _complain_if(lambda: serve(application, config, assignment, notify, raised))


def _warn_of_lonely_layers(config: Config) -> None:
    """Say which groups do not span the workers, of which this is the first one."""
    if config.workers > 1:
        for alias in lonely_layers():
            logger.warning(
                "CHANNEL_LAYERS[%r] is the in-memory layer, so a message reaches only the sockets "
                "of the worker that sends it, one of %d. Without this setting, all processes of "
                "this machine are reached.",
                alias,
                config.workers,
            )


def _check_environment() -> None:
    """Refuse numbers in the environment that cannot be used, instead of going on with another.

    Raises:
        ConfigError: One cannot.
    """
    for name, word in (("WEB_CONCURRENCY", "auto"), ("ASGI_THREADS", "")):
        text = os.environ.get(name, "")
        if text != word and text and not text.isdecimal():
            raise ConfigError(f"The environment variable {name} is {text!r}, which is no number.")
    if (workers_in_environment() or 0) > MOST_WORKERS:
        raise ConfigError(
            f"The environment variable WEB_CONCURRENCY is {os.environ['WEB_CONCURRENCY']!r}, and "
            f"workers must be at most {MOST_WORKERS}."
        )


def _go_to_work(directory: str | None) -> None:
    """Go where the project is, and look for modules there.

    Raises:
        ConfigError: There is no such directory, or not any more.
    """
    if directory is not None:
        try:
            os.chdir(directory)
        except OSError as error:
            raise ConfigError(f"Cannot work in {directory} (chdir): {error.strerror}.") from None
    try:
        os.getcwd()
    except FileNotFoundError:
        raise ConfigError(
            "The directory in which this process was started is gone. Where it is a link that "
            "leads to another one with each release, name that: --chdir /srv/mysite/current"
        ) from None
    sys.path.insert(0, ".")


def supervise(argv: Sequence[str], config: Config, notify: Notify, news: str = "") -> int:
    """Keep workers serving that are given the same command line; returns the exit code."""
    if not hasattr(signal, "SIGHUP"):  # Windows, where no process inherits a socket by its number
        return _complain("This system cannot run workers on one port (-w); start without.")
    # Not at the top: a server without workers starts without what keeps them.
    from fairway.server.workers.supervisor import Supervisor  # noqa: PLC0415

    supervisor = Supervisor(argv, config, config.workers, notify, news)
    return _complain_if(supervisor.run)


def _complain_if(run: Callable[[], int | None]) -> int:
    """The exit code of what runs a server; what it cannot do is said in one line."""
    try:
        return run() or 0
    except ConfigError as error:
        return _complain(str(error))
    except LifespanFailed as error:
        return _complain(f"The application cannot start: {error}")
    except OSError as error:
        return _complain(error.strerror or str(error))


def _complain(text: str) -> int:
    print(f"fairway: {text}", file=sys.stderr)  # noqa: T201
    return 1


def _merge(settings: Mapping[str, Any], typed: Mapping[str, Any], *, supervised: bool) -> Config:
    early = EARLY | (_SUPERVISED if supervised else set())
    for name in settings.keys() & early:
        raise ConfigError(
            f"In the setting FAIRWAY: {name!r} is needed before the project is loaded. "
            "Say it on the command line."
        )
    try:
        Config.from_mapping(settings)
    except ConfigError as error:
        raise ConfigError(f"In the setting FAIRWAY: {error}") from None
    return Config.from_mapping({**settings, **typed})


def serve(
    application: ASGIApplication,
    config: Config,
    assignment: Assignment | None = None,
    notify: Notify | None = None,
    news: str = "",
) -> None:
    """Run the server in the foreground until a signal ends it.

    Args:
        application: What to serve.
        config: How.
        assignment: What the supervisor has told this process, if it is a worker.
        notify: The service manager that is told how the server is.
        news: What the log says when the server serves, beside where.

    Raises:
        OSError: A socket cannot be bound.
        ConfigError: The configuration names something that does not exist.
        LifespanFailed: The application said that it cannot start.
    """
    with contextlib.ExitStack() as stack:
        stream = open_access_log(config)
        if stream is not None and stream is not sys.stdout:
            stack.callback(stream.close)
        log = AccessLogStream(stream, config.access_log_format) if stream else None
        if assignment is not None:
            listeners = adopt_listeners(config, assignment.sockets)
            name = f"Worker {os.getpid()}"
            server = Server(application, config, access_log=log, listeners=listeners, name=name)
            server.worker = assignment.place
            line = Line(assignment.line, server.stop, server.relieve)
            server.ready = _settled(server, _as_worker(server, config, line))
            stack.callback(lambda: _report(server, line))
        else:
            server = Server(application, config, access_log=log, notify=notify)
            server.ready = _settled(server, lambda: announce(server.addresses, news))
        server.run()


def _settled(server: Server, ready: Callable[[], None]) -> Callable[[], None]:
    """What a process that serves and nothing else does when it is ready."""

    def settle_first() -> None:
        collector.settle(lambda: len(server.connections))
        ready()

    return settle_first


def _as_worker(server: Server, config: Config, line: Line) -> Callable[[], None]:
    """What a worker does when it serves."""
    line.on_question = lambda: server.call(lambda: _report(server, line))
    part = random.random()  # noqa: S311  no secret: it parts the ends of workers
    pulse = Pulse(line, config, Recycling(config, part), lambda: server.served)

    def ready() -> None:
        line.ready(config)
        pulse.start()

    return ready


def _report(server: Server, line: Line) -> None:
    """Tell the supervisor what a worker has counted."""
    from fairway.server.observing.merged import to_json  # noqa: PLC0415  only workers need it

    line.report(to_json(server.figures()))


def announce(addresses: Sequence[str], news: str = "") -> None:
    """Log where the server can be reached, and what else there is to know."""
    if news:
        logger.info("%s", news)
    for address in addresses:
        logger.info("Fairway %s serves %s", fairway.__version__, address)


def configure_logging(config: Config) -> None:
    """Records to standard error, in the format and detail that were asked for."""
    level = _LEVELS.get(config.verbosity, logging.DEBUG)
    logging.basicConfig(level=level, format=config.log_fmt, force=True)
    if config.log_format == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JSONFormatter())
    logging.getLogger("asyncio").setLevel(
        logging.DEBUG if config.verbosity >= 3 else logging.WARNING
    )


def open_access_log(config: Config) -> TextIO | LogFile | None:
    """Where the access log goes, or None for nowhere.

    Raises:
        ConfigError: The file cannot be written.
    """
    if config.access_log is None:
        return sys.stdout if config.verbosity >= 1 else None
    if config.access_log == "-":
        return sys.stdout
    try:
        return LogFile(config.access_log)
    except OSError as error:
        raise ConfigError(
            f"Cannot write the access log {config.access_log}: {error.strerror}."
        ) from None
