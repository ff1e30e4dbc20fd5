"""Sockets to listen on, made from the configuration."""

import errno
import os
import socket
import stat
from typing import Final

from fairway.server.config import Config

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8000


def open_sockets(config: Config) -> list[socket.socket]:
    """Bind every socket that the configuration names: TCP, Unix, inherited.

    A host name may stand for several addresses (``localhost`` often does); all are bound.

    Raises:
        OSError: One cannot be bound; the message says which and why, in one line.
    """
    sockets: list[socket.socket] = []
    try:
        if config.file_descriptor is not None:
            sockets.append(_inherit(config.file_descriptor))
        if config.unix_socket is not None:
            sockets.append(_bind_unix(config.unix_socket))
        if config.host is not None or config.port is not None or not sockets:
            host = DEFAULT_HOST if config.host is None else config.host
            port = DEFAULT_PORT if config.port is None else config.port
            sockets.extend(_bind_tcp(host, port))
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def display(sock: socket.socket, scheme: str = "http") -> str:
    """The address of a listening socket as something to click, or a path."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return f"unix:{sock.getsockname()}"
    host, port = sock.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104  shown, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _bind_tcp(host: str, port: int) -> list[socket.socket]:
    bare = host.removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(
            bare or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        raise OSError(f"Cannot listen on {host}: {error.strerror}.") from None
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            sock = socket.socket(family, kind, protocol)
            sockets.append(sock)
            if os.name == "posix":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setblocking(False)
            if port == 0 and len(sockets) > 1:  # one free port for all addresses of a name
                address = (address[0], sockets[0].getsockname()[1], *address[2:])  # noqa: PLW2901
            sock.bind(address)
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise OSError(error.errno, _why(f"{host}:{port}", error)) from None
    return sockets


def _bind_unix(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        _remove_stale(path)
        sock.bind(path)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, _why(path, error)) from None
    return sock


def _remove_stale(path: str) -> None:
    """Remove the socket that a killed server left behind; never one that somebody listens on."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)


def _inherit(descriptor: int) -> socket.socket:
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise OSError(error.errno, _why(f"file descriptor {descriptor}", error)) from None
    sock.setblocking(False)
    return sock


def _why(where: str, error: OSError) -> str:
    reasons = {
        errno.EADDRINUSE: "another program listens there; stop it or choose another port",
        errno.EACCES: "you may not; ports below 1024 need privileges",
        errno.EADDRNOTAVAIL: "this machine has no such address",
        errno.ENOENT: "its directory does not exist",
        errno.ENOTSOCK: "it is not a socket",
        errno.EBADF: "it is not open",
    }
    reason = reasons.get(error.errno or 0, (error.strerror or str(error)).lower())
    return f"Cannot listen on {where}: {reason}."
