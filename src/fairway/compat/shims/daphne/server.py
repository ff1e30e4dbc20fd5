"""``daphne.server``: a server with Daphne's arguments, which is Fairway's inside."""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from fairway._types import ASGIApplication
from fairway.server import AccessRecord, Config, ConfigError
from fairway.server import Server as FairwayServer
from fairway.server.observing.actions import details_of

logger = logging.getLogger("daphne.server")

#: Takes a protocol, an action and its details.
ActionLogger = Callable[[str, str, Mapping[str, Any]], None]

_MIB: Final = 1024 * 1024


class Server:
    """Serves one ASGI 3 application. It does not run the lifespan protocol, as Daphne does not.

    Durations are seconds; None, 0 and -1 mean that there is no limit.

    Args:
        application: What answers.
        endpoints: Endpoint strings, as ``--endpoint`` takes them.
        signal_handlers: Whether SIGINT and SIGTERM end it.
        action_logger: Told of each request and step of a WebSocket.
        http_timeout: How long the application may take for a response.
        request_buffer_size: Has no effect: bodies reach the application as they come.
        websocket_timeout: How long a WebSocket may stay open.
        websocket_connect_timeout: How long the application may take to accept one.
        ping_interval: How long a WebSocket may be silent before it is pinged.
        ping_timeout: How long it may take to answer that.
        root_path: Where the application is mounted.
        proxy_forwarded_address_header: The header with the client's address, which is believed
            where it comes from this machine; None to believe no header.
        proxy_forwarded_port_header: The header with its port; None for port 0.
        proxy_forwarded_proto_header: The header with its scheme; None to read none.
        verbosity: From 3 on, the event loop is in debug mode.
        websocket_handshake_timeout: As ``websocket_connect_timeout``; the shorter one counts.
        websocket_max_message_size: Bytes; 0 for no limit.
        websocket_max_frame_size: Bytes; 0 for no limit.
        application_close_timeout: How long the application may go on after its client has gone.
        ready_callable: Called once it accepts connections.
        server_name: For the ``Server`` header.

    Attributes:
        listening_addresses: The address and port of each TCP socket, once it is ready.
        abort_start: Set when it could not listen.
    """

    def __init__(
        self,
        application: ASGIApplication,
        endpoints: Sequence[str] | None = None,
        signal_handlers: bool = True,
        action_logger: ActionLogger | None = None,
        http_timeout: float | None = None,
        request_buffer_size: int = 8192,
        websocket_timeout: float | None = 86400,
        websocket_connect_timeout: float | None = 20,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 30,
        root_path: str = "",
        proxy_forwarded_address_header: str | None = None,
        proxy_forwarded_port_header: str | None = None,
        proxy_forwarded_proto_header: str | None = None,
        verbosity: int = 1,
        websocket_handshake_timeout: float | None = 5,
        websocket_max_message_size: int = _MIB,
        websocket_max_frame_size: int = _MIB,
        application_close_timeout: float | None = 10,
        ready_callable: Callable[[], None] | None = None,
        server_name: str = "daphne",
    ) -> None:
        self.application = application
        self.endpoints = list(endpoints or ())
        self.signal_handlers = signal_handlers
        self.action_logger = action_logger
        self.http_timeout = http_timeout
        self.request_buffer_size = request_buffer_size
        self.websocket_timeout = websocket_timeout
        self.websocket_connect_timeout = websocket_connect_timeout
        self.ping_interval = ping_interval
        self.ping_timeout = ping_timeout
        self.root_path = root_path
        self.proxy_forwarded_address_header = proxy_forwarded_address_header
        self.proxy_forwarded_port_header = proxy_forwarded_port_header
        self.proxy_forwarded_proto_header = proxy_forwarded_proto_header
        self.verbosity = verbosity
        self.websocket_handshake_timeout = websocket_handshake_timeout
        self.websocket_max_message_size = websocket_max_message_size
        self.websocket_max_frame_size = websocket_max_frame_size
        self.application_close_timeout = application_close_timeout
        self.ready_callable = ready_callable
        self.server_name = server_name
        self.listening_addresses: list[tuple[str, int]] = []
        self.abort_start = False
        self._server: FairwayServer | None = None

    @property
    def connections(self) -> frozenset[object]:
        """Every open HTTP connection and WebSocket."""
        return frozenset() if self._server is None else self._server.connections

    def run(self) -> None:
        """Serve until :meth:`stop`, or until a signal if ``signal_handlers`` say so.

        A socket that cannot be bound is logged, and sets :attr:`abort_start`.

        Raises:
            SystemExit: There are no endpoints.
        """
        if not self.endpoints:
            logger.error("No endpoints. This server will not listen on anything.")
            sys.exit(1)
        try:
            self._server = FairwayServer(
                self.application,
                self.get_config(),
                access_log=self._log,
                ready=self._on_ready,
                signals=self.signal_handlers,
            )
            self._server.run()
        except (ConfigError, OSError) as error:
            self.abort_start = True
            logger.critical("Listen failure: %s", getattr(error, "strerror", None) or error)

    def stop(self) -> None:
        """End gracefully; from any thread. Again: end at once."""
        if self._server is not None:
            self._server.stop()

    def get_config(self) -> Config:
        """The same in the words of Fairway.

        Raises:
            ConfigError: A value cannot be used.
        """
        limits = (self.websocket_connect_timeout, self.websocket_handshake_timeout)
        return Config(
            endpoints=tuple(self.endpoints),
            require_host=False,
            http_timeout=self.http_timeout,
            websocket_timeout=self.websocket_timeout or 0,
            websocket_connect_timeout=min((n for n in limits if n and n > 0), default=0),
            ping_interval=self.ping_interval or 0,
            ping_timeout=self.ping_timeout or 0,
            root_path=self.root_path,
            proxy_headers=self.proxy_forwarded_address_header is not None,
            proxy_headers_host=self.proxy_forwarded_address_header or "",
            proxy_headers_port=self.proxy_forwarded_port_header or "",
            proxy_headers_scheme=self.proxy_forwarded_proto_header or "",
            verbosity=self.verbosity,
            websocket_max_message_size=self.websocket_max_message_size,
            websocket_max_frame_size=self.websocket_max_frame_size,
            application_close_timeout=self.application_close_timeout or 0,
            server_name=self.server_name,
            lifespan="off",
        )

    def log_action(self, protocol: str, action: str, details: Mapping[str, Any]) -> None:
        """Tell the action logger, if there is one."""
        if self.action_logger is not None:
            self.action_logger(protocol, action, details)

    def _log(self, record: AccessRecord) -> None:
        self.log_action(record.protocol, record.action, details_of(record))

    def _on_ready(self) -> None:
        assert self._server is not None
        for address in self._server.addresses:
            url = urlsplit(address)
            if url.hostname is not None and url.port is not None:
                self.listening_addresses.append((url.hostname, url.port))
                logger.info("Listening on TCP address %s:%s", url.hostname, url.port)
            else:
                logger.info("Listening on %s", address)
        if self.ready_callable is not None:
            self.ready_callable()
