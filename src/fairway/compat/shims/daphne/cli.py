"""``daphne.cli``: the command line of Daphne, over Fairway's server."""

import argparse
import logging
import sys
from argparse import ArgumentError, ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from typing import Any, Final, TextIO

from asgiref.compatibility import guarantee_single_callable

from fairway._types import ASGIApplication
from fairway.compat.shims.daphne.access import AccessLogGenerator
from fairway.compat.shims.daphne.endpoints import build_endpoint_description_strings
from fairway.compat.shims.daphne.server import Server
from fairway.compat.shims.daphne.utils import import_by_path

logger = logging.getLogger("daphne.cli")

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8000

_MIB: Final = 1024 * 1024
_LEVELS: Final = {0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG, 3: logging.DEBUG}

#: Of most flags: how they are spelt, what their value is, the default and the help.
_FLAGS: Final[Sequence[tuple[tuple[str, ...], type, object, str]]] = (
    (("-p", "--port"), int, None, "Port to listen on"),
    (("-b", "--bind"), str, None, "Address to listen on"),
    (("-u", "--unix-socket"), str, None, "Path of a Unix socket to listen on"),
    (("--fd",), int, None, "Inherited file descriptor to listen on"),
    (("--websocket_timeout",), int, 86400, "Seconds that a WebSocket may last; -1 for ever"),
    (
        ("--websocket_connect_timeout",),
        int,
        5,
        "Seconds until a WebSocket must be accepted; -1 for ever",
    ),
    (("-t", "--http-timeout"), int, None, "Seconds until a response must be complete"),
    (("--access-log",), str, None, "File for the access log; - for standard output"),
    (("--log-fmt",), str, "%(asctime)-15s %(levelname)-8s %(message)s", "Format of log records"),
    (("--ping-interval",), int, 20, "Seconds of silence before a WebSocket is pinged"),
    (("--ping-timeout",), int, 30, "Seconds until it must answer a ping"),
    (("--websocket-max-message-size",), int, _MIB, "Bytes in a message; 0 for no limit"),
    (("--websocket-max-frame-size",), int, _MIB, "Bytes in a frame; 0 for no limit"),
    (("--application-close-timeout",), int, 10, "Seconds to go on after the client has gone"),
    (("--root-path",), str, "", "ASGI root_path"),
    (("-s", "--server-name"), str, "daphne", "Value of the Server header"),
)


class CommandLineInterface:
    """Reads a command line and runs a server.

    Attributes:
        description: What ``--help`` says.
        server_class: What serves; a subclass may name its own.
        server: What serves, once :meth:`run` has made it.
    """

    description = "Django HTTP/WebSocket server"
    server_class: Callable[..., Server] = Server

    def __init__(self) -> None:
        self.server: Server | None = None
        self.parser = ArgumentParser(description=self.description)
        for flags, kind, default, text in _FLAGS:
            self.parser.add_argument(*flags, type=kind, default=default, help=text)
        self._add_special_flags(self.parser)

    def _add_special_flags(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "-e",
            "--endpoint",
            dest="socket_strings",
            action="append",
            default=[],
            help="Endpoint string to listen on, such as ssl:443:privateKey=k.pem:certKey=c.pem",
        )
        parser.add_argument(
            "-v", "--verbosity", type=int, choices=_LEVELS, default=1, help="How much is logged"
        )
        parser.add_argument(
            "--proxy-headers",
            action="store_true",
            help="Take address and scheme of clients from a proxy's headers",
        )
        self.arg_proxy_host = parser.add_argument(
            "--proxy-headers-host", help="Header with the address (default: X-Forwarded-For)"
        )
        self.arg_proxy_port = parser.add_argument(
            "--proxy-headers-port", help="Header with the port (default: X-Forwarded-Port)"
        )
        parser.add_argument(
            "--no-server-name",
            dest="server_name",
            action="store_const",
            const="",
            help="Send no Server header",
        )
        parser.add_argument("application", help="What to serve, as module.path:object.path")

    @classmethod
    def entrypoint(cls) -> None:
        """What the script ``daphne`` calls."""
        try:
            cls().run(sys.argv[1:])
        except KeyboardInterrupt:  # before the server listens for it, or once more at its end
            sys.exit(130)

    def load_asgi_app(self, asgi_app_path: str) -> ASGIApplication:
        """The application that ``module:object`` names; one of ASGI 2 is wrapped."""
        application: ASGIApplication = guarantee_single_callable(  # type: ignore[no-untyped-call]
            import_by_path(asgi_app_path)
        )  # asgiref has no types for it
        return application

    def run(self, args: Sequence[str]) -> None:
        """Serve what the arguments say, until a signal ends it.

        Raises:
            SystemExit: It cannot listen (1), or the arguments are wrong (2).
            ArgumentError: A proxy's header is named without ``--proxy-headers``.
        """
        options = self.parser.parse_args(args)
        logging.basicConfig(level=_LEVELS[options.verbosity], format=options.log_fmt)
        forwarded = self._forwarded(options)
        log = _access_log(options)
        sys.path.insert(0, ".")
        application = self.load_asgi_app(options.application)
        endpoints = sorted([*options.socket_strings, *_endpoints(options)])
        logger.info("Starting server at %s", ", ".join(endpoints))
        self.server = self.server_class(
            application=application,
            endpoints=endpoints,
            http_timeout=options.http_timeout,
            ping_interval=options.ping_interval,
            ping_timeout=options.ping_timeout,
            websocket_timeout=options.websocket_timeout,
            websocket_connect_timeout=options.websocket_connect_timeout,
            websocket_handshake_timeout=options.websocket_connect_timeout,
            websocket_max_message_size=options.websocket_max_message_size,
            websocket_max_frame_size=options.websocket_max_frame_size,
            application_close_timeout=options.application_close_timeout,
            action_logger=AccessLogGenerator(log) if log is not None else None,
            root_path=options.root_path,
            verbosity=options.verbosity,
            server_name=options.server_name,
            **forwarded,
        )
        self.server.run()
        # Daphne 4.1 did not ask for it: a project's server_class may not have it.
        if getattr(self.server, "abort_start", False):
            sys.exit(1)

    def _forwarded(self, options: Namespace) -> dict[str, Any]:
        """What proxies are believed."""
        named = (
            (self.arg_proxy_host, options.proxy_headers_host),
            (self.arg_proxy_port, options.proxy_headers_port),
        )
        if not options.proxy_headers:
            for argument, value in named:
                if value is not None:
                    raise ArgumentError(
                        argument, "--proxy-headers has to be passed for this parameter."
                    )
            return dict.fromkeys(
                (
                    "proxy_forwarded_address_header",
                    "proxy_forwarded_port_header",
                    "proxy_forwarded_proto_header",
                )
            )
        return {
            "proxy_forwarded_address_header": options.proxy_headers_host or "X-Forwarded-For",
            "proxy_forwarded_port_header": options.proxy_headers_port or "X-Forwarded-Port",
            "proxy_forwarded_proto_header": "X-Forwarded-Proto",
        }


def _endpoints(options: Namespace) -> list[str]:
    """The endpoints of the flags that are none themselves."""
    host, port = options.bind, options.port
    elsewhere = options.unix_socket, options.fd, options.socket_strings or None
    if host is not None or port is not None or elsewhere == (None, None, None):
        host = DEFAULT_HOST if host is None else host
        port = DEFAULT_PORT if port is None else port
    return build_endpoint_description_strings(
        host=host, port=port, unix_socket=options.unix_socket, file_descriptor=options.fd
    )


def _access_log(options: argparse.Namespace) -> TextIO | None:
    if options.access_log is None:
        return sys.stdout if options.verbosity >= 1 else None
    if options.access_log == "-":
        return sys.stdout
    return open(options.access_log, "a", 1, encoding="utf-8")
