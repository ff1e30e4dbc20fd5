"""Bound sockets: TCP, Unix, inherited, from systemd; and what is said when one cannot be had."""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from fairway.server.listening.endpoints import SystemdEndpoint, UnixEndpoint
from fairway.server.listening.holder import path_holder, port_holder

#: The descriptor of the first socket that systemd passes.
FIRST_PASSED: Final = 3

#: What ``bind()`` takes, which depends on the family.
SocketAddress: TypeAlias = tuple[Any, ...]

#: What a machine says that lacks the address family of one of a name's addresses.
_NO_SUCH_FAMILY: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
#: Ports below this one take privileges.
_PRIVILEGED: Final = 1024


def is_unix(sock: socket.socket) -> bool:
    """Whether it is a Unix socket, whose peers have no addresses."""
    return sock.family not in (socket.AF_INET, socket.AF_INET6)


def close_all(sockets: Sequence[socket.socket]) -> None:
    """Close several."""
    for sock in sockets:
        sock.close()


# ---------------------------------------------------------------------- TCP


def bind_tcp(
    host: str, port: int, *, shared: bool = False, ipv6_only: bool = False
) -> list[socket.socket]:
    """A socket for each address that a host name stands for and the machine has.

    Args:
        host: Address or name; ``::`` is every address of IPv6 and IPv4, an empty one too.
        port: Port; 0 for any free one, the same for all addresses.
        shared: Whether :func:`bind_again` is to bind more for the same port.
        ipv6_only: Whether ``::`` is those of IPv6 only.

    Raises:
        OSError: One cannot be bound; the message says which and why, in one line.
    """
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    bare = host.removeprefix("[").removesuffix("]")
    v6_only = bare != "::" or ipv6_only
    try:
        for family, address in _addresses(bare, port):
            if port == 0 and sockets:  # one free port for all addresses of a name
                address = (address[0], sockets[0].getsockname()[1], *address[2:])  # noqa: PLW2901
            try:
                if shared:
                    # Else two servers that are started by mistake would share the port, too.
                    _bind(family, address, v6_only=v6_only).close()
                sockets.append(_bind(family, address, shared=shared, v6_only=v6_only))
            except OSError as error:
                if error.errno not in _NO_SUCH_FAMILY:
                    raise
                missing = error
        if missing is not None and not sockets:
            raise missing
    except OSError as error:
        close_all(sockets)
        raise OSError(error.errno, _why_not_port(host, port, error)) from None
    return sockets


def bind_again(sock: socket.socket) -> socket.socket:
    """Another socket for the same port, which was bound as one to be shared.

    Raises:
        OSError: The system does not let this user share it.
    """
    v6_only = True
    if sock.family == socket.AF_INET6:
        v6_only = bool(sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
    return _bind(sock.family, sock.getsockname(), shared=True, v6_only=v6_only)


def listen(sock: socket.socket, backlog: int) -> None:
    """Let clients connect to a bound socket.

    Several may have bound one port as long as none of them listens there.

    Raises:
        OSError: Somebody else listens; the message says where and who, in one line.
    """
    try:
        sock.listen(backlog)
    except OSError as error:
        name = sock.getsockname()
        if is_unix(sock):
            raise OSError(error.errno, _why_not_path(name, error)) from None
        raise OSError(error.errno, _why_not_port(name[0], name[1], error)) from None


def _addresses(host: str, port: int) -> list[tuple[int, SocketAddress]]:
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except UnicodeError:  # a label of more than 63 characters, say
        raise OSError(None, "that is no host name") from None
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _bind(
    family: int, address: SocketAddress, *, shared: bool = False, v6_only: bool = True
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # Said in any case: what the system does without it can be configured.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6_only)
        sock.setblocking(False)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


# ---------------------------------------------------------------------- Unix sockets


def bind_unix(endpoint: UnixEndpoint) -> socket.socket:
    """A Unix socket; the file that a killed server left behind is replaced.

    Nobody can connect before its permissions are as they shall be.

    Raises:
        OSError: It cannot be had, or not given to that owner; the message says why, in one line.
    """
    path = endpoint.path
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    bound = False
    try:
        owner = _owner(endpoint)
        _remove_stale(path)
        with contextlib.suppress(
            OSError
        ):  # Linux makes the file with the permissions of the socket
            os.fchmod(sock.fileno(), 0o600)
        sock.bind(path)
        bound = True
        if owner != (-1, -1):
            _give(path, owner, endpoint)
        os.chmod(path, endpoint.mode)
    except OSError as error:
        sock.close()
        if bound:
            with contextlib.suppress(OSError):
                os.unlink(path)
        raise OSError(error.errno, _why_not_path(path, error)) from None
    return sock


def _owner(endpoint: UnixEndpoint) -> tuple[int, int]:
    """The numbers of user and group; -1 for the one that is to stay."""
    if endpoint.user is None and endpoint.group is None:
        return -1, -1
    import grp  # noqa: PLC0415  there is none on Windows
    import pwd  # noqa: PLC0415  as above

    uid = gid = -1
    name = endpoint.user or "", "user"
    try:
        if endpoint.user is not None:
            uid = int(endpoint.user) if endpoint.user.isdecimal() else pwd.getpwnam(name[0]).pw_uid
        name = endpoint.group or "", "group"
        if endpoint.group is not None:
            gid = (
                int(endpoint.group) if endpoint.group.isdecimal() else grp.getgrnam(name[0]).gr_gid
            )
    except KeyError:
        raise OSError(None, f"there is no {name[1]} {name[0]!r}") from None
    return uid, gid


def _give(path: str, owner: tuple[int, int], endpoint: UnixEndpoint) -> None:
    try:
        os.chown(path, *owner)
    except PermissionError:
        whom = ":".join(filter(None, (endpoint.user, endpoint.group)))
        raise OSError(
            None,
            f"you may not give it to {whom}; only root may, or a member of the group for a group",
        ) from None


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


# ---------------------------------------------------------------------- inherited ones


def inherit(descriptor: int) -> socket.socket:
    """The socket that was inherited as a descriptor; programs that are started do not get it.

    Raises:
        OSError: It is none, or carries no streams; the message says so, in one line.
    """
    where = f"file descriptor {descriptor}"
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        reason = _DESCRIPTOR_REASONS.get(error.errno or 0) or _text(error)
        raise OSError(error.errno, f"Cannot listen on {where}: {reason}.") from None
    if sock.type != socket.SOCK_STREAM:
        sock.close()
        raise OSError(errno.EPROTOTYPE, f"Cannot listen on {where}: it is not a stream socket.")
    sock.setblocking(False)
    sock.set_inheritable(False)
    return sock


def passed_by_systemd(endpoint: SystemdEndpoint) -> list[int]:
    """The descriptors of the sockets that systemd has passed to this process.

    See https://www.freedesktop.org/software/systemd/man/sd_listen_fds.html: they begin at 3, and
    all sockets of a unit have one name.

    Raises:
        OSError: It has passed none, or not these; the message says what it has.
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
        return [FIRST_PASSED + index]
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")[: int(count)]
    found = [FIRST_PASSED + index for index, name in enumerate(names) if name == endpoint.name]
    if not found:
        raise OSError(
            errno.EBADF,
            f"Cannot listen on socket {endpoint.name!r} of systemd: it has passed "
            f"{', '.join(map(repr, names))}.",
        )
    return found


# ---------------------------------------------------------------------- reasons


#: How endpoints begin that people know from other servers' options for addresses.
_ENDPOINTS: Final = ("fd:", "ssl:", "systemd:", "tcp6:", "tcp:", "unix:")
_DESCRIPTOR_REASONS: Final = {
    errno.ENOTSOCK: "it is not a socket",
    errno.EBADF: "it is not open",
}
_UNIX_REASONS: Final = {
    errno.EACCES: "you may not write there",
    errno.EEXIST: "there is a file that is no socket",
    errno.ENOENT: "its directory does not exist",
    errno.ENOTDIR: "its directory is a file",
}


def _why_not_port(host: str, port: int, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            reason = f"another program listens there{_named(port_holder(host, port))}; "
            reason += "stop it or choose another port"
        case errno.EACCES if port < _PRIVILEGED:
            reason = (
                "you may not; ports below 1024 need privileges. Let systemd open it "
                "(-e systemd:index=0), grant CAP_NET_BIND_SERVICE, or put a proxy in front"
            )
        case errno.EACCES:
            reason = "the system does not allow it"
        case errno.EAFNOSUPPORT if ":" in host:
            reason = "this machine has no IPv6; 0.0.0.0 is every address of IPv4"
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            reason = "this machine has no such address"
        case _ if isinstance(error, socket.gaierror) and (advice := _misplaced(host)):
            return f"Cannot listen on {host!r}: {advice}."
        case _:
            reason = _text(error)
    return f"Cannot listen on {host}:{port}: {reason}."


def _misplaced(host: str) -> str:
    """What to write for an address as other servers take it; empty for what looks like a name."""
    if host.startswith(_ENDPOINTS):
        return f"that is an endpoint; write -e {host}"
    bare = host.rpartition("://")[2].rstrip("/")
    name, colon, port = bare.rpartition(":")
    if colon and port.isdecimal():
        return f"the port has an option of its own; write -b {name} -p {port}"
    return f"that is no address; write -b {bare}" if bare != host else ""


def _why_not_path(path: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        reason = f"another program listens there{_named(path_holder(path))}; "
        reason += "stop it or choose another path"
    else:
        reason = _UNIX_REASONS.get(error.errno or 0) or _text(error)
    return f"Cannot listen on {path}: {reason}."


def _named(holder: str) -> str:
    return f" ({holder})" if holder else ""


def _text(error: OSError) -> str:
    """A reason of ours as it is; one of the system as a part of a sentence."""
    if error.errno is None and error.strerror:
        return error.strerror
    return (error.strerror or str(error)).lower()
