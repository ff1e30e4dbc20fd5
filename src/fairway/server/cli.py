"""The command line: ``fairway [options] module:application``."""

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn, TextIO

import fairway
from fairway._types import ASGIApplication
from fairway.server.access import AccessLogStream
from fairway.server.config import Config, ConfigError, Option, options
from fairway.server.lifespan import LifespanFailed
from fairway.server.server import Server

logger = logging.getLogger("fairway.server")

_LEVELS: Final = {0: logging.WARNING, 1: logging.INFO}

_EPILOG: Final = """\
examples:
  fairway mysite.asgi:application
  fairway -b 0.0.0.0 -p 8001 mysite.asgi:application
  fairway -u /run/mysite.sock --proxy-headers mysite.asgi:application

Every option is also a key of the Django setting FAIRWAY, such as
FAIRWAY = {"ping_interval": 25}; what the command line says wins.
"""


class ApplicationNotFound(Exception):
    """What was named on the command line cannot be served; the message says why and what to do."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Serve what the command line names, until a signal ends it.

    Exits with 0 after a clean end, 1 when the server cannot start, 2 for a wrong command line.
    """
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """What :func:`main` does, returning the exit code."""
    parser = make_parser()
    arguments = vars(parser.parse_args(argv))
    path = arguments.pop("application")
    if arguments.pop("no_server_name"):
        arguments["server_name"] = ""
    sys.path.insert(0, ".")
    try:
        # Only to complain early about what was typed; the project's settings are not known yet.
        config = Config.from_mapping(arguments)
        configure_logging(config)
        application = load_application(path)
        config = Config.from_mapping({**project_options(), **arguments})
    except (ApplicationNotFound, ConfigError) as error:
        print(f"fairway: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return serve(application, config)


def serve(application: ASGIApplication, config: Config) -> int:
    """Run the server in the foreground; returns the exit code."""
    stream = open_access_log(config)
    log = AccessLogStream(stream, config.access_log_format) if stream else None
    server = Server(application, config, access_log=log)

    def announce() -> None:
        for address in server.addresses:
            logger.info("Fairway %s serves %s", fairway.__version__, address)

    server.ready = announce
    try:
        server.run()
    except (OSError, LifespanFailed) as error:
        what = "The application cannot start: " if isinstance(error, LifespanFailed) else ""
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        print(f"fairway: {what}{text}", file=sys.stderr)  # noqa: T201
        return 1
    finally:
        if stream not in (None, sys.stdout):
            stream.close()
    return 0


def load_application(path: str) -> ASGIApplication:
    """The object that ``module:attribute.attribute`` names.

    Raises:
        ApplicationNotFound: In one line, what is missing. An exception inside the module itself is
            not caught: its traceback shows the way.
    """
    module_name, colon, attributes = path.partition(":")
    if not module_name or not colon or not attributes:
        raise ApplicationNotFound(
            f"{path!r} does not name an application: write module:object, "
            "such as mysite.asgi:application."
        )
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise ApplicationNotFound(
            f"There is no module {error.name!r} here or on the Python path "
            f"(looking for {path!r} from {os.getcwd()})."
        ) from None
    for name in attributes.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise ApplicationNotFound(
                f"Module {module_name!r} has no {attributes!r}. Is the name right?"
            ) from None
    if not callable(found):
        raise ApplicationNotFound(
            f"{path!r} is {type(found).__name__}, which is not an ASGI application."
        )
    application: ASGIApplication = found
    return application


def project_options() -> Mapping[str, Any]:
    """The ``FAIRWAY`` setting, if the application that was loaded is a Django project.

    The server does not import Django: whoever serves something else does not need it.
    """
    django_conf = sys.modules.get("django.conf")
    if django_conf is None or not django_conf.settings.configured:
        return {}
    found: Mapping[str, Any] = getattr(django_conf.settings, "FAIRWAY", {})
    return found


def configure_logging(config: Config) -> None:
    """Records to standard error, in the format and detail that were asked for."""
    logging.basicConfig(
        level=_LEVELS.get(config.verbosity, logging.DEBUG), format=config.log_fmt, force=True
    )
    logging.getLogger("asyncio").setLevel(
        logging.DEBUG if config.verbosity >= 3 else logging.WARNING
    )


def open_access_log(config: Config) -> TextIO | None:
    """Where the access log goes, or None for nowhere.

    Raises:
        ConfigError: The file cannot be written.
    """
    if config.access_log is None:
        return sys.stdout if config.verbosity >= 1 else None
    if config.access_log == "-":
        return sys.stdout
    try:
        return open(config.access_log, "a", 1, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"Cannot write the access log {config.access_log}: {error.strerror}."
        ) from None


# ---------------------------------------------------------------------- the parser


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line, made from :func:`fairway.server.config.options`.

    Only what was typed appears in its result, so that settings can fill in the rest.
    """
    parser = argparse.ArgumentParser(
        prog="fairway",
        description="Serve an ASGI application over HTTP and WebSocket.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument(
        "application", help="what to serve, as module:object, such as mysite.asgi:application"
    )
    parser.add_argument("--version", action="version", version=f"fairway {fairway.__version__}")
    groups: dict[str, argparse._ArgumentGroup] = {}
    for option in options():
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(option.group)
        _add_option(groups[option.group], option)
    groups["HTTP"].add_argument(
        "--no-server-name", action="store_true", default=False, help="Send no Server header."
    )
    return parser


def _add_option(group: "argparse._ArgumentGroup", option: Option) -> None:
    text = option.help.replace("%", "%%")
    if option.type is bool:
        group.add_argument(*option.flags, dest=option.name, action="store_true", help=text)
        return
    default = ",".join(option.default) if option.type is tuple else option.default
    if default not in (None, ""):
        shown = str(default).replace("%", "%%")
        text += f" [{shown}{' ' + option.unit if option.unit else ''}]"
    kind: Any = option.type if option.type is not tuple else _split
    group.add_argument(
        *option.flags,
        dest=option.name,
        type=kind,
        choices=option.choices or None,
        metavar=option.metavar or option.unit.upper() or None,
        help=text,
    )


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
