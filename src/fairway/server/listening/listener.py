"""Sockets to listen on and how they are served, made from the configuration."""

import contextlib
import dataclasses
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, assert_never

from fairway.server.config import Config, ConfigError
from fairway.server.listening.alpn import protocols, speaks_http2
from fairway.server.listening.conflicts import conflicts
from fairway.server.listening.endpoints import (
    DescriptorEndpoint,
    Endpoint,
    SystemdEndpoint,
    TCPEndpoint,
    UnixEndpoint,
    parse_endpoint,
)
from fairway.server.listening.sockets import (
    bind_again,
    bind_tcp,
    bind_unix,
    inherit,
    is_unix,
    passed_by_systemd,
)
from fairway.server.listening.tls import TLS, Certificate, PasswordError, Policy, TLSError

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8000


@dataclasses.dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket and how it is served.

    Attributes:
        sock: The socket.
        tls: What its clients are greeted with; None for plain connections.
        backlog: Connections that may wait to be accepted; None for the configuration's number.
        path: The file that it has made, for a Unix socket; else None.
        index: Which of the configuration's endpoints it is.
        proxy_protocol: Whether its connections begin with a header of the PROXY protocol.
    """

    sock: socket.socket
    tls: TLS | None = None
    backlog: int | None = None
    path: str | None = None
    index: int = 0
    proxy_protocol: bool = False

    @property
    def address(self) -> str:
        """Where it listens, as something to click, or a path."""
        return display(self.sock, "http" if self.tls is None else "https")


def open_listeners(config: Config, *, shared: bool = False) -> list[Listener]:
    """Bind every socket that the configuration names: inherited, TCP, endpoints, Unix.

    A host name may stand for several addresses (``localhost`` often does): all that the machine has
    are bound, to the same port. Whoever may enter its directory may connect to a Unix socket, as to
    a port of the machine, unless its mode says otherwise; the proxy in front mostly runs as another
    user.

    Args:
        config: What to listen on.
        shared: Whether :func:`open_more_listeners` is to bind more for the same ports, so that
            others serve, who also know the project's settings.

    Raises:
        OSError: One cannot be bound; the message says which and why, in one line.
        ConfigError: A certificate cannot be used, or options contradict each other.
    """
    listeners: list[Listener] = []
    try:
        for index, (endpoint, tls) in enumerate(_plan(config)):
            _load(tls, shared=shared)
            for listener in _open(endpoint, tls, shared=shared):
                listeners.append(dataclasses.replace(listener, index=index))  # noqa: PERF401  one may fail
    except (OSError, ConfigError):
        for listener in listeners:
            listener.sock.close()
            SocketFile(listener.path).remove()
        raise
    return listeners


def open_more_listeners(listeners: Sequence[Listener]) -> list[Listener]:
    """The same for another process: more sockets for the same ports, where that is possible.

    Unix sockets are shared, and so is a port that another user's process has bound, such as one
    that systemd passes: the system would not let this one share it by itself.
    """
    more: list[Listener] = []
    for listener in listeners:
        sock = listener.sock
        if not is_unix(sock) and sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT):
            with contextlib.suppress(OSError):
                sock = bind_again(sock)
        more.append(dataclasses.replace(listener, sock=sock))
    return more


def adopt_listeners(config: Config, sockets: Iterable[tuple[int, int]]) -> list[Listener]:
    """Sockets that another process has bound for this configuration.

    Args:
        config: The same as there, but for what the project's settings say beside it.
        sockets: Their descriptors, and which of the endpoints each is.

    Raises:
        ConfigError: A certificate cannot be used, or options contradict each other.
    """
    plan = _plan(config)
    found = []
    for descriptor, index in sockets:
        endpoint, tls = plan[index]
        _load(tls)
        found.append(_listener(inherit(descriptor), endpoint, tls, index=index))
    return found


def adopt_sockets(sockets: Sequence[socket.socket], config: Config) -> list[Listener]:
    """Sockets that were bound elsewhere, served as the options say; without TLS if Unix sockets.

    Raises:
        ConfigError: The certificate cannot be used.
    """
    tls = _tls_of_options(config)
    _load(tls)
    return [
        Listener(sock, None if is_unix(sock) else tls, proxy_protocol=config.proxy_protocol)
        for sock in sockets
    ]


def open_sockets(config: Config) -> list[socket.socket]:
    """The sockets alone of :func:`open_listeners`, for a server that is told how to serve them.

    Raises:
        OSError: As there.
        ConfigError: As there.
    """
    return [listener.sock for listener in open_listeners(config)]


class SocketFile:
    """The file of a Unix socket that this process has bound.

    Args:
        path: Where it is, or None for no file.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._identity = _identity(path) if path is not None else None

    def remove(self) -> None:
        """Remove it, unless another server has taken its place."""
        if self._path is not None and _identity(self._path) == self._identity:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            self._path = None


def display(sock: socket.socket, scheme: str = "http") -> str:
    """The address of a listening socket as something to click, or a path."""
    if is_unix(sock):
        return f"unix:{sock.getsockname()}"
    host, port = sock.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104  shown, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


# ---------------------------------------------------------------------- what there is to listen on


def _plan(config: Config) -> list[tuple[Endpoint, TLS | None]]:
    """What to listen on, in order, and what greets clients there, which is not loaded yet.

    What --bind, --port, --fd and --unix-socket name is served as the options say, what an endpoint
    string names as that does.
    """
    for conflict in conflicts(config):
        raise ConfigError(conflict)
    speaks_http2(config)  # raises if it cannot, though it is to
    tls = _tls_of_options(config)
    found: list[tuple[Endpoint, TLS | None]] = [(each, tls) for each in _endpoints(config)]
    for text in config.endpoints:
        endpoint = parse_endpoint(text)
        files = None if isinstance(endpoint, UnixEndpoint) else endpoint.certificate
        found.append((endpoint, TLS(files, _policy(config)) if files is not None else None))
    if config.unix_socket is not None:
        unix = UnixEndpoint(
            path=config.unix_socket,
            mode=int(config.unix_socket_mode, 8),
            user=config.unix_socket_user,
            group=config.unix_socket_group,
            proxy_protocol=config.proxy_protocol,
        )
        found.append((unix, None))
    return found


def _endpoints(config: Config) -> Iterator[DescriptorEndpoint | TCPEndpoint]:
    """What is listened on beside Unix sockets and the endpoints that are named as such."""
    if config.file_descriptor is not None:
        yield DescriptorEndpoint(
            descriptor=config.file_descriptor, proxy_protocol=config.proxy_protocol
        )
    named = config.host is not None or config.port is not None
    elsewhere = (config.unix_socket, config.file_descriptor, config.endpoints or None)
    if named or elsewhere == (None, None, None):
        yield TCPEndpoint(
            host=DEFAULT_HOST if config.host is None else config.host,
            port=DEFAULT_PORT if config.port is None else config.port,
            ipv6_only=config.ipv6_only,
            proxy_protocol=config.proxy_protocol,
        )


def _open(endpoint: Endpoint, tls: TLS | None, *, shared: bool) -> Iterator[Listener]:
    sockets: Iterable[socket.socket]
    match endpoint:
        case TCPEndpoint(host=host, port=port, ipv6_only=ipv6_only):
            sockets = bind_tcp(host, port, shared=shared, ipv6_only=ipv6_only)
        case UnixEndpoint():
            sockets = [bind_unix(endpoint)]
        case DescriptorEndpoint(descriptor=descriptor):
            sockets = [inherit(descriptor)]
        case SystemdEndpoint():
            sockets = map(inherit, passed_by_systemd(endpoint))
        case _ as unreachable:
            assert_never(unreachable)
    for sock in sockets:
        path = endpoint.path if isinstance(endpoint, UnixEndpoint) else None
        yield _listener(sock, endpoint, tls, path=path)


def _listener(
    sock: socket.socket,
    endpoint: Endpoint,
    tls: TLS | None,
    *,
    index: int = 0,
    path: str | None = None,
) -> Listener:
    return Listener(
        sock,
        None if is_unix(sock) else tls,
        getattr(endpoint, "backlog", None),
        path,
        index,
        endpoint.proxy_protocol,
    )


# ---------------------------------------------------------------------- TLS


def _tls_of_options(config: Config) -> TLS | None:
    if config.tls_certificate is None:
        return None
    files = Certificate(
        certificate=config.tls_certificate,
        key=config.tls_key,
        password=config.tls_key_password,
    )
    return TLS(files, _policy(config))


def _policy(config: Config) -> Policy:
    return Policy(
        minimum_version=config.tls_minimum_version,
        ciphers=config.tls_ciphers,
        client_ca=config.tls_client_ca,
        client_certificates=config.tls_client_certificates,
        protocols=protocols(config),
    )


def _load(tls: TLS | None, *, shared: bool = False) -> None:
    """Read the files now, so that what is wrong with them stops the start.

    Args:
        tls: What reads them; None for nothing.
        shared: Others will serve. They may know the password from the project's settings.
    """
    try:
        if tls is not None:
            tls.load()
    except PasswordError as error:
        if not shared:
            raise ConfigError(str(error)) from None
    except TLSError as error:
        raise ConfigError(str(error)) from None
