"""Sockets to listen on, made from the configuration."""

import contextlib
import dataclasses
import errno
import os
import socket
import ssl
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias, assert_never

from fairway.server.config import Config, ConfigError
from fairway.server.listening.endpoints import (
    DescriptorEndpoint,
    Endpoint,
    SystemdEndpoint,
    TCPEndpoint,
    UnixEndpoint,
    parse_endpoint,
)
from fairway.server.listening.tls import Certificate, TLSError, make_context

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8000

#: The descriptor of the first socket that systemd passes.
_FIRST_PASSED: Final = 3

#: What ``bind()`` takes, which depends on the family.
_SocketAddress: TypeAlias = tuple[Any, ...]

#: What a machine says that lacks the address family of one of a name's addresses.
_NO_SUCH_FAMILY: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


@dataclasses.dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket and how it is served.

    Attributes:
        sock: The socket.
        tls: What its clients are greeted with; None for plain connections.
        backlog: Connections that may wait to be accepted; None for the configuration's number.
        path: The file that it has made, for a Unix socket; else None.
        index: Which of the configuration's endpoints it is.
    """

    sock: socket.socket
    tls: ssl.SSLContext | None = None
    backlog: int | None = None
    path: str | None = None
    index: int = 0

    @property
    def address(self) -> str:
        """Where it listens, as something to click, or a path."""
        return display(self.sock, "http" if self.tls is None else "https")


def open_listeners(config: Config, *, shared: bool = False) -> list[Listener]:
    """Bind every socket that the configuration names: inherited, TCP, endpoints, Unix.

    A host name may stand for several addresses (``localhost`` often does): all that the machine has
    are bound, to the same port. Whoever may enter its directory may connect to a Unix socket, as to
    a port of the machine; the proxy in front mostly runs as another user.

    Args:
        config: What to listen on.
        shared: Whether :func:`open_more_listeners` is to bind more for the same ports.

    Raises:
        OSError: One cannot be bound; the message says which and why, in one line.
        ConfigError: A certificate cannot be used.
    """
    listeners: list[Listener] = []
    try:
        for index, (endpoint, tls) in enumerate(_plan(config)):
            for listener in _open(endpoint, tls, shared=shared):
                listeners.append(dataclasses.replace(listener, index=index))  # noqa: PERF401  one may fail
    except (OSError, ConfigError):
        for listener in listeners:
            listener.sock.close()
            SocketFile(listener.path).remove()
        raise
    return listeners


def _plan(config: Config) -> list[tuple[Endpoint, ssl.SSLContext | None]]:
    """What to listen on, in order, with what greets clients where the endpoint itself names none.

    What --bind, --port and --fd name is encrypted as the options say, what an endpoint string names
    as that does.
    """
    tls = _context(_certificate(config))
    found: list[tuple[Endpoint, ssl.SSLContext | None]] = []
    found += [(endpoint, tls) for endpoint in _endpoints(config)]
    found += [(parse_endpoint(text), None) for text in config.endpoints]
    if config.unix_socket is not None:
        found.append((UnixEndpoint(path=config.unix_socket), None))
    return found


def open_more_listeners(listeners: Sequence[Listener]) -> list[Listener]:
    """The same for another process: more sockets for the same ports, where that is possible.

    Unix sockets are shared, and so is a port that another user's process has bound, such as one
    that systemd passes: the system would not let this one share it by itself.
    """
    more: list[Listener] = []
    for listener in listeners:
        sock = listener.sock
        if not _is_unix(sock) and sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT):
            with contextlib.suppress(OSError):
                sock = _bind_address(sock.family, sock.getsockname(), shared=True)
        more.append(dataclasses.replace(listener, sock=sock))
    return more


def adopt_listeners(config: Config, sockets: Iterable[tuple[int, int]]) -> list[Listener]:
    """Sockets that another process has bound for this configuration.

    Args:
        config: The same as there, but for what the project's settings say beside it.
        sockets: Their descriptors, and which of the endpoints each is.

    Raises:
        ConfigError: A certificate cannot be used.
    """
    plan = _plan(config)
    found = []
    for descriptor, index in sockets:
        endpoint, tls = plan[index]
        certificate = endpoint.certificate if isinstance(endpoint, TCPEndpoint) else None
        sock = _inherit(descriptor)
        found.append(
            Listener(
                sock,
                None if _is_unix(sock) else _context(certificate) or tls,
                getattr(endpoint, "backlog", None),
                index=index,
            )
        )
    return found


def adopt_sockets(sockets: Sequence[socket.socket], config: Config) -> list[Listener]:
    """Sockets that were bound elsewhere, with the TLS of the configuration but for Unix sockets.

    Raises:
        ConfigError: The certificate cannot be used.
    """
    tls = _context(_certificate(config))
    return [Listener(sock, None if _is_unix(sock) else tls) for sock in sockets]


def open_sockets(config: Config) -> list[socket.socket]:
    """The sockets alone of :func:`open_listeners`, for a server that is told how to serve them.

    Raises:
        OSError: As there.
        ConfigError: As there.
    """
    return [listener.sock for listener in open_listeners(config)]


def close_sockets(sockets: Sequence[socket.socket]) -> None:
    """Close sockets of :func:`open_sockets`."""
    for sock in sockets:
        sock.close()


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
    if _is_unix(sock):
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


def _endpoints(config: Config) -> Iterator[DescriptorEndpoint | TCPEndpoint]:
    """What is listened on beside the endpoints that are named as such."""
    if config.file_descriptor is not None:
        yield DescriptorEndpoint(descriptor=config.file_descriptor)
    named = config.host is not None or config.port is not None
    elsewhere = (config.unix_socket, config.file_descriptor, config.endpoints or None)
    if named or elsewhere == (None, None, None):
        yield TCPEndpoint(
            host=DEFAULT_HOST if config.host is None else config.host,
            port=DEFAULT_PORT if config.port is None else config.port,
        )


def _open(endpoint: Endpoint, tls: ssl.SSLContext | None, *, shared: bool) -> Iterator[Listener]:
    match endpoint:
        case TCPEndpoint(host=host, port=port, certificate=certificate, backlog=backlog):
            tls = _context(certificate) or tls
            for sock in _bind_tcp(host, port, shared=shared):
                yield Listener(sock, tls, backlog)
        case UnixEndpoint(path=path, mode=mode, backlog=backlog):
            yield Listener(_bind_unix(path, mode), None, backlog, path)
        case DescriptorEndpoint(descriptor=descriptor):
            sock = _inherit(descriptor)
            yield Listener(sock, None if _is_unix(sock) else tls)
        case SystemdEndpoint():
            yield Listener(_inherit(_passed_by_systemd(endpoint)))
        case _ as unreachable:
            assert_never(unreachable)


def _certificate(config: Config) -> Certificate | None:
    if config.tls_certificate is None:
        for name in ("tls_key", "tls_key_password"):
            if getattr(config, name) is not None:
                raise ConfigError(f"{name} needs tls_certificate beside it.")
        return None
    return Certificate(
        certificate=config.tls_certificate,
        key=config.tls_key,
        password=config.tls_key_password,
    )


def _context(certificate: Certificate | None) -> ssl.SSLContext | None:
    try:
        return make_context(certificate) if certificate is not None else None
    except TLSError as error:
        raise ConfigError(str(error)) from None


def _passed_by_systemd(endpoint: SystemdEndpoint) -> int:
    """The descriptor of a socket that systemd has passed to this process.

    See https://www.freedesktop.org/software/systemd/man/sd_listen_fds.html: they begin at 3.
    """
    count = os.environ.get("LISTEN_FDS", "")
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal():
        raise OSError(
            errno.EBADF,
            "Cannot listen on a socket of systemd: it has passed none to this process. "
            "Is it started by a service that has a .socket unit?",
        )
    if endpoint.name is None:
        index = endpoint.index or 0
        if index >= int(count):
            raise OSError(
                errno.EBADF,
                f"Cannot listen on socket {index} of systemd: it has passed {count}, from 0 on.",
            )
        return _FIRST_PASSED + index
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    if endpoint.name not in names[: int(count)]:
        raise OSError(
            errno.EBADF,
            f"Cannot listen on socket {endpoint.name!r} of systemd: it has passed "
            f"{', '.join(map(repr, names))}.",
        )
    return _FIRST_PASSED + names.index(endpoint.name)


def _is_unix(sock: socket.socket) -> bool:
    return sock.family not in (socket.AF_INET, socket.AF_INET6)


def _bind_tcp(host: str, port: int, *, shared: bool) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, address in _addresses(host, port):
            if port == 0 and sockets:  # one free port for all addresses of a name
                address = (address[0], sockets[0].getsockname()[1], *address[2:])  # noqa: PLW2901
            try:
                if shared:
                    # Else two servers that are started by mistake would share the port, too.
                    _bind_address(family, address).close()
                sockets.append(_bind_address(family, address, shared=shared))
            except OSError as error:
                if error.errno not in _NO_SUCH_FAMILY:
                    raise
                missing = error
        if missing is not None and not sockets:
            raise missing
    except OSError as error:
        close_sockets(sockets)
        raise OSError(error.errno, _why(f"{host}:{port}", error)) from None
    return sockets


def _addresses(host: str, port: int) -> list[tuple[int, _SocketAddress]]:
    bare = host.removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(
            bare or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except UnicodeError:  # a label of more than 63 characters, say
        raise OSError(None, "that is no host name") from None
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _bind_address(family: int, address: _SocketAddress, *, shared: bool = False) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def _bind_unix(path: str, mode: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        _remove_stale(path)
        sock.bind(path)
        os.chmod(path, mode)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, _why(path, error, _UNIX_REASONS)) from None
    return sock


def _remove_stale(path: str) -> None:
    """Remove the socket that a killed server left behind; never one that somebody listens on."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a queue that is full belongs to somebody, too
        if probe.connect_ex(path) == errno.ECONNREFUSED:
            os.unlink(path)


def _inherit(descriptor: int) -> socket.socket:
    where = f"file descriptor {descriptor}"
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise OSError(error.errno, _why(where, error)) from None
    if sock.type != socket.SOCK_STREAM:
        sock.close()
        raise OSError(errno.EPROTOTYPE, f"Cannot listen on {where}: it is not a stream socket.")
    sock.setblocking(False)
    return sock


_REASONS: Final = {
    errno.EADDRINUSE: "another program listens there; stop it or choose another port",
    errno.EACCES: "you may not; ports below 1024 need privileges",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.ENOTSOCK: "it is not a socket",
    errno.EBADF: "it is not open",
}
_UNIX_REASONS: Final = {
    errno.EADDRINUSE: "another program listens there; stop it or choose another path",
    errno.EACCES: "you may not write there",
    errno.EEXIST: "there is a file that is no socket",
    errno.ENOENT: "its directory does not exist",
    errno.ENOTDIR: "its directory is a file",
}


def _why(where: str, error: OSError, reasons: dict[int, str] = _REASONS) -> str:
    reason = reasons.get(error.errno or 0, (error.strerror or str(error)).lower())
    return f"Cannot listen on {where}: {reason}."
