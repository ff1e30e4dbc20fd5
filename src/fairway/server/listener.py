"""Sockets to listen on, made from the configuration."""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from fairway.server.config import Config

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8000

#: What ``bind()`` takes, which depends on the family.
_SocketAddress: TypeAlias = tuple[Any, ...]

#: What a machine says that lacks the address family of one of a name's addresses.
_NO_SUCH_FAMILY: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


def open_sockets(config: Config) -> list[socket.socket]:
    """Bind every socket that the configuration names: TCP, Unix, inherited.

    A host name may stand for several addresses (``localhost`` often does): all that the machine has
    are bound, to the same port. Whoever may enter its directory may connect to a Unix socket, as to
    a port of the machine; the proxy in front mostly runs as another user.

    Raises:
        OSError: One cannot be bound; the message says which and why, in one line.
    """
    sockets: list[socket.socket] = []
    try:
        if config.file_descriptor is not None:
            sockets.append(_inherit(config.file_descriptor))
        named = config.host is not None or config.port is not None
        if named or (config.unix_socket is None and not sockets):
            host = DEFAULT_HOST if config.host is None else config.host
            port = DEFAULT_PORT if config.port is None else config.port
            sockets.extend(_bind_tcp(host, port))
        if config.unix_socket is not None:  # last: nothing can fail behind it and leave its file
            sockets.append(_bind_unix(config.unix_socket))
    except OSError:
        close_sockets(sockets)
        raise
    return sockets


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
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
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


def _bind_tcp(host: str, port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, address in _addresses(host, port):
            if port == 0 and sockets:  # one free port for all addresses of a name
                address = (address[0], sockets[0].getsockname()[1], *address[2:])  # noqa: PLW2901
            try:
                sockets.append(_bind_address(family, address))
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


def _bind_address(family: int, address: _SocketAddress) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def _bind_unix(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        _remove_stale(path)
        sock.bind(path)
        os.chmod(path, 0o666)  # noqa: S103  see open_sockets()
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
