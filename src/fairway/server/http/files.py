"""Files as parts of responses: opened, read and sent without making the event loop wait.

A disk can take long, so everything that touches a file runs in threads of its own. Where socket
and system allow, the system copies from the file to the socket (``sendfile``).
"""

import asyncio
import functools
import os
import stat
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from fairway._types import Event
from fairway.exceptions import ClientDisconnected
from fairway.server.application.threads import ThreadPool
from fairway.wire.http1 import LocalProtocolError

T = TypeVar("T")

#: The events that send files.
PATHSEND: Final = "http.response.pathsend"
ZEROCOPYSEND: Final = "http.response.zerocopysend"
FILES: Final = frozenset({PATHSEND, ZEROCOPYSEND})

#: Files up to so many bytes are read at once and sent like any other body: it costs less.
SMALL: Final = 64 * 1024
#: Bytes that are read at once where the system cannot copy.
PIECE: Final = 256 * 1024
#: Bytes that are copied before the event loop hears of it.
MAX_COPY: Final = 4 * 1024 * 1024


class Part:
    """A part of a file that is to be sent, with a descriptor of its own.

    Args:
        descriptor: Of a regular file; :meth:`close` closes it.
        offset: Where the part begins, in bytes.
        count: Bytes in it; None for all up to the end of the file.

    Attributes:
        count: Bytes in it.
        data: All of it, if it is small and was read already.
        descriptor: As above.
        offset: As above.

    Raises:
        ValueError: The descriptor is of something else, or the part begins behind the file's end.
    """

    __slots__ = ("count", "data", "descriptor", "offset")

    def __init__(self, descriptor: int, offset: int, count: int | None) -> None:
        self.descriptor = descriptor
        self.offset = offset
        self.data: bytes | None = None
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no regular file")
        left = found.st_size - offset
        if left < 0 or (count is not None and count > left):
            raise ValueError(f"it has only {found.st_size} bytes")
        self.count = left if count is None else count

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the part, from ``offset`` in it on.

        Raises:
            LocalProtocolError: The file has become shorter.
        """
        data = b""
        while len(data) < size:
            found = os.pread(self.descriptor, size - len(data), self.offset + offset + len(data))
            if not found:
                raise shorter(self.count)
            data += found
        return data

    def close(self) -> None:
        """Close the descriptor."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def open_path(path: object) -> Part:
    """The whole file that ``http.response.pathsend`` names; one that is small has been read.

    Raises:
        TypeError: The path is no text.
        ValueError: It is not absolute, or there is no regular file that can be read.
    """
    if not isinstance(path, str):
        raise TypeError(f"http.response.pathsend needs a path that is a str, not {path!r}.")
    if not os.path.isabs(path):
        raise ValueError(f"http.response.pathsend needs an absolute path, not {path!r}.")
    try:
        # A FIFO without a writer would keep open() waiting.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        # Not an OSError: for an ASGI application that would mean that the client has gone.
        why = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"http.response.pathsend cannot send {path!r}: {why}.") from error
    return _part("pathsend", repr(path), descriptor, 0, None)


def duplicate(event: Event) -> tuple[Part, Callable[[], object]]:
    """The part of a file that ``http.response.zerocopysend`` describes.

    Its descriptor is another than the application's, which may close its own at any time.

    Returns:
        The part, and what to call when it was sent: where the event names no offset, the file's
        own position has moved.

    Raises:
        TypeError: A value has the wrong type.
        ValueError: The file is none that can be sent, or has not that many bytes.
    """
    file, offset, count = event.get("file"), event.get("offset"), event.get("count")
    for name, value in (("offset", offset), ("count", count)):
        if value is not None and (not isinstance(value, int) or value < 0):
            raise TypeError(
                f"http.response.zerocopysend needs {name} to be a number of bytes, not {value!r}."
            )
    try:
        number = file if isinstance(file, int) else file.fileno()  # type: ignore[union-attr]  # if it has none, that is the error
        start = offset if offset is not None else _position(file)
        descriptor = os.dup(number)
    except (AttributeError, OSError, TypeError) as error:
        raise TypeError(
            "http.response.zerocopysend needs a file that is open and has a descriptor, "
            f"not {file!r}."
        ) from error
    part = _part("zerocopysend", repr(file), descriptor, start, count)
    if offset is not None:
        return part, _nothing
    end = start + part.count
    return part, lambda: _seek(file, end)


async def open_part(
    threads: "FileThreads", kind: str, event: Event
) -> tuple[Part, bool, Callable[[], object]]:
    """What an event of :data:`FILES` says is to be sent.

    Returns:
        The part, to be closed; whether more of the body follows; and what to call when it was sent.

    Raises:
        TypeError: As in :func:`open_path` and :func:`duplicate`.
        ValueError: The same.
    """
    if kind == PATHSEND:
        part = await threads.call(functools.partial(open_path, event.get("path")), Part.close)
        return part, False, _nothing
    part, sent = await threads.call(
        functools.partial(duplicate, event), lambda found: found[0].close()
    )
    return part, bool(event.get("more_body", False)), sent


def shorter(count: int) -> LocalProtocolError:
    """What is raised for a file that has become shorter than what was promised of it."""
    return LocalProtocolError(f"The file became shorter while {count} bytes of it were being sent.")


class FileThreads:
    """Runs what touches files.

    Args:
        loop: The event loop that waits for it.
        pool: The threads.
    """

    __slots__ = ("_loop", "_pool")

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: ThreadPool) -> None:
        self._loop = loop
        self._pool = pool

    async def call(self, function: Callable[[], T], late: Callable[[T], object] = lambda _: 0) -> T:
        """Call a function in a thread.

        Args:
            function: What to call.
            late: Gets its result if nobody waits for it any more.

        Raises:
            Exception: What it raises.
        """
        future: asyncio.Future[T] = self._loop.create_future()

        def job() -> None:
            result: Any = None
            error: BaseException | None = None
            try:
                result = function()
            except BaseException as found:  # noqa: BLE001  it is handed on, whatever it is
                error = found
            try:
                self._loop.call_soon_threadsafe(settle, result, error)
            except RuntimeError:  # the loop has ended in the meantime
                if error is None:
                    late(result)

        def settle(result: T, error: BaseException | None) -> None:
            if future.done():
                if error is None:
                    late(result)
            elif error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

        self._pool.run(job)
        return await future


class Copier:
    """Lets the system copy a part of a file into a socket (``sendfile``).

    Args:
        loop: The event loop of the socket.
        threads: Where it is copied.
        sock: The descriptor of a socket that does not block, and to which nobody else writes
            meanwhile.
        part: What to copy.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, threads: FileThreads, sock: int, part: Part
    ) -> None:
        self._loop = loop
        self._threads = threads
        self._part = part
        self._done = 0
        # Of our own: event loops let nobody wait for a descriptor that is a transport's, and
        # close that one while a thread may be using it.
        self._sock = os.dup(sock)
        self._file = os.dup(part.descriptor)
        self._lock = threading.Lock()
        self._copying = False
        self._ended = False
        self._writable: asyncio.Future[None] | None = None

    async def run(self, progress: Callable[[int], object]) -> None:
        """Copy all of it.

        Args:
            progress: Told how many bytes the socket has taken, again and again.

        Raises:
            ClientDisconnected: The client has gone, or :meth:`stop` was called.
            LocalProtocolError: The file has become shorter.
        """
        try:
            while self._done < self._part.count:
                before = self._done
                await self._threads.call(self._copy)
                progress(self._done - before)
                if self._ended:
                    raise ClientDisconnected("The client went while a file was being sent.")
                if self._done < self._part.count:
                    await self._wait_until_writable()
        finally:
            self.stop()

    def stop(self) -> None:
        """Copy no more; :meth:`run` raises if it was not done. Idempotent."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            copying = self._copying
        if self._writable is not None:
            self._loop.remove_writer(self._sock)
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None
        if not copying:
            self._close()

    def _copy(self) -> None:
        """Copy as much as the socket takes; in a thread."""
        with self._lock:
            if self._ended:
                return
            self._copying = True
        try:
            part, until = self._part, min(self._done + MAX_COPY, self._part.count)
            while self._done < until and not self._ended:
                sent = os.sendfile(
                    self._sock, self._file, part.offset + self._done, until - self._done
                )
                if not sent:
                    raise shorter(part.count)
                self._done += sent
        except BlockingIOError:
            return
        except ConnectionError as error:
            raise ClientDisconnected("The client went while a file was being sent.") from error
        finally:
            self._finish_copy()

    def _finish_copy(self) -> None:
        with self._lock:
            self._copying = False
            if self._ended:  # stop() has left it to this thread
                self._close()

    def _close(self) -> None:
        os.close(self._sock)
        os.close(self._file)

    async def _wait_until_writable(self) -> None:
        writable = self._writable = self._loop.create_future()
        self._loop.add_writer(self._sock, self._set_writable)
        await writable
        if self._ended:
            raise ClientDisconnected("The client went while a file was being sent.")

    def _set_writable(self) -> None:
        self._loop.remove_writer(self._sock)
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)


def _part(kind: str, name: str, descriptor: int, offset: int, count: int | None) -> Part:
    try:
        part = Part(descriptor, offset, count)
        if part.count <= SMALL:
            part.data = part.read(0, part.count)
    except (OSError, ValueError, LocalProtocolError) as error:
        os.close(descriptor)
        why = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"http.response.{kind} cannot send {name}: {why}.") from error
    return part


def _position(file: Any) -> int:
    return os.lseek(file, 0, os.SEEK_CUR) if isinstance(file, int) else int(file.tell())


def _seek(file: Any, position: int) -> None:
    if isinstance(file, int):
        os.lseek(file, position, os.SEEK_SET)
    else:
        file.seek(position)


def _nothing() -> None:
    """The file's position stays where it is."""
