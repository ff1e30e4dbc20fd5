"""The door of a process: the socket in the directory by which the others come to it.

Its own side is :class:`Door`, that of the others :func:`knock`.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from pathlib import Path

from fairway import native
from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.io import let_go
from fairway.layers.local.directory import Directory

logger = logging.getLogger("fairway.layers.local")


class Door:
    """A socket that listens in a directory, and is made again when it was removed.

    It belongs to the thread of :data:`~fairway.layers.io.io`.

    Args:
        directory: Where the processes meet.
        admit: Takes the connection of another process, which may speak here.
        returned: Called when the socket was made again: who has come meanwhile did not find it.

    Attributes:
        name: The name of this process, by its socket; empty until it is opened.
    """

    def __init__(
        self,
        directory: Directory,
        admit: Callable[[socket.socket], None],
        returned: Callable[[], None],
    ) -> None:
        self.name = ""
        self._directory = directory
        self._admit = admit
        self._returned = returned
        self._listener: socket.socket | None = None
        self._path: Path | None = None

    def open(self) -> None:
        """Listen, under a new name.

        Raises:
            ChannelLayerUnavailable: There is no place to meet.
        """
        self._directory.prepare()
        self._listen()

    def look_after(self) -> None:
        """See that processes which start now can find this one: what is in /tmp may be removed."""
        if self._path is not None and self._directory.is_socket(self._path):
            return
        try:
            self._directory.prepare()
            self._listen_no_more()
            self._listen(self.name)
        except ChannelLayerUnavailable as error:
            logger.error("%s Processes that start now do not find this one.", error)
            return
        logger.warning(
            "The directory %s of the local channel layer was removed while it was in use, and made "
            "again.",
            self._directory.path,
        )
        self._returned()

    def close(self) -> None:
        """Listen no more, and take the socket out of the directory."""
        self._listen_no_more()
        if self._path is not None:
            self._directory.remove(self._path)
            self._directory.leave()
            self._path = None

    def drop(self) -> None:
        """Let go of it in a forked child: the socket, and who waits at it, are the parent's."""
        if self._listener is not None:
            let_go(self._listener)

    def _listen(self, name: str | None = None) -> None:
        self._listener, self._path = self._directory.new_socket(name)
        self.name = self._path.stem
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _listen_no_more(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                logger.error("Another process cannot connect: %s", error)
                return
            connection.setblocking(False)
            if self._directory.may_speak(connection):
                self._admit(connection)
            else:
                connection.close()


async def knock(directory: Directory, path: Path, patience: float) -> socket.socket:
    """Connect with the process that listens at another door of the same directory.

    Args:
        directory: Where the processes meet.
        path: The socket of that process.
        patience: Seconds in which it has to accept.

    Raises:
        TimeoutError: It does not.
        PermissionError: It belongs to a user who may not speak here.
        OSError: It is not there, or no more.
    """
    connection: socket.socket = native.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        await _connect(connection, path, patience)
        if not directory.may_speak(connection):
            raise PermissionError(errno.EPERM, "it belongs to another user")
    except BaseException:
        connection.close()
        raise
    return connection


async def _connect(connection: socket.socket, path: Path, patience: float) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    while True:
        try:
            connection.connect(str(path))
        except BlockingIOError:  # its backlog is full, and nothing tells when it is not
            if loop.time() > end:
                raise TimeoutError("it accepts no connection") from None
            await asyncio.sleep(0.01)
        else:
            return
