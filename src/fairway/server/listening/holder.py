"""Who listens on an address already, as far as this machine tells us: Linux, and our own processes.

Asked only when an address is taken, for the message about it.
"""

import os
import socket
import sys
from collections.abc import Iterator
from typing import Final

# No Path: every server imports this module, and with pathlib starts 2 ms later.
_PROC: Final = "/proc"
#: The state of a socket that listens, in /proc/net/tcp.
_LISTENING: Final = "0A"
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  compared, not bound


def port_holder(host: str, port: int) -> str:
    """Who listens on a port, such as ``"process 123, nginx"``; "" if nobody can be named.

    Args:
        host: The address that somebody else wants to listen on.
        port: The port.
    """
    return _describe(set(_inodes_of_port(host, port)))


def path_holder(path: str) -> str:
    """The same for a Unix socket."""
    return _describe(set(_inodes_of_path(path)))


def _inodes_of_port(host: str, port: int) -> Iterator[str]:
    """See proc_net(5): the columns are number, local address, remote address, state, …, inode."""
    for name in ("tcp", "tcp6"):
        for fields in _table(name):
            if fields[3] != _LISTENING:
                continue
            address, _, number = fields[1].partition(":")
            theirs = _address(address)
            same = theirs == host or not _EVERYWHERE.isdisjoint({theirs, host})
            if int(number, 16) == port and same:
                yield fields[9]


def _inodes_of_path(path: str) -> Iterator[str]:
    for fields in _table("unix"):
        if len(fields) == 8 and fields[7] == path:
            yield fields[6]


def _table(name: str) -> list[list[str]]:
    try:
        text = _read("net", name)
    except OSError:  # no Linux, or no such family
        return []
    return [line.split() for line in text.splitlines()[1:]]


def _address(text: str) -> str:
    """Of hexadecimal digits: words of four bytes, each in the byte order of the machine."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def _describe(inodes: set[str]) -> str:
    """The process that has one of these sockets: of several, the one that was started first."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    if not wanted:
        return ""
    found: list[tuple[int, str]] = []
    for number in (entry for entry in os.listdir(_PROC) if entry.isdecimal()):
        try:
            with os.scandir(os.path.join(_PROC, number, "fd")) as descriptors:
                if any(os.readlink(entry.path) in wanted for entry in descriptors):
                    name = _read(number, "comm").strip()
                    found.append((_started(number), f"process {number}, {name}"))
        except OSError:  # it has ended, or is none of ours
            continue
    return min(found, default=(0, ""))[1]


def _started(number: str) -> int:
    """When a process was started, by the system's clock: proc_pid_stat(5), field 22.

    Numbers begin anew when they are used up, so a child's may be smaller than its parent's.
    """
    behind_name = _read(number, "stat").rpartition(")")[2]
    return int(behind_name.split()[19])


def _read(*parts: str) -> str:
    with open(os.path.join(_PROC, *parts)) as file:
        return file.read()
