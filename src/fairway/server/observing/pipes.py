"""Standard output and standard error that hold nobody up.

A pipe holds 64 KiB on Linux. When whoever reads it has stopped, as ``| less`` does after a page, or
a log collector that hangs, the next line would wait for ever, and with it the event loop and every
client. Here it waits for a moment. Then lines are dropped and counted until somebody reads again,
who is told how many there were.

A terminal is left as it is: who stops it, with Ctrl-S, means to. A file never waits.
"""

import atexit
import contextlib
import io
import os
import select
import stat
import sys
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: Seconds that a line waits for somebody who reads slowly.
PATIENCE: Final = 1.0
#: Bytes that a pipe has room for if poll() says that it can be written to.
ROOM: Final = getattr(select, "PIPE_BUF", 512)


class PatientFile(io.FileIO):
    """A pipe, or a socket, that nobody waits for again and again.

    Args:
        descriptor: Its descriptor, which stays open when this is closed.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        #: As it is now: gevent, which may come with the application, puts its own in its place.
        self._make_poll = select.poll
        self._patient = True
        #: Whether something is missing, and how many ends of lines in it.
        self._gap = False
        self._lost = 0
        #: Whether what was written last ended a line.
        self._whole = True

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write what there is room for, and drop the rest; all of it counts as written.

        Raises:
            OSError: There is nobody any more who could read it.
        """
        view = memoryview(data).cast("B")
        size = len(view)
        if not self._gap or self._tell():
            while view and self._has_room() and (count := self._put(view[:ROOM])):
                view = view[count:]
        if view:
            self._gap = True
            self._lost += bytes(view).count(b"\n")
        return size

    def conclude(self) -> None:
        """Say at the end of the process what is missing, if anybody hears it within a moment."""
        self._patient = True
        if self._gap:
            with contextlib.suppress(OSError):
                self._tell()

    def _tell(self) -> bool:
        """Say how much is missing; False if there is no room for that yet."""
        if not self._has_room():
            return False
        lines = "1 line is" if self._lost <= 1 else f"{self._lost} lines are"
        text = f"fairway: {lines} missing here: nobody has read on\n"
        self._put((text if self._whole else f"\n{text}").encode())
        self._gap, self._lost = False, 0
        return True

    def _has_room(self) -> bool:
        # One for each time: threads cannot share it, and without a buffer they come at once.
        poll = self._make_poll()
        poll.register(self.fileno(), select.POLLOUT)
        if poll.poll(0):
            self._patient = True
        elif self._patient:
            self._patient = bool(poll.poll(PATIENCE * 1000))
        return self._patient

    def _put(self, data: "ReadableBuffer") -> int:
        count = super().write(data) or 0  # None if somebody has made it one that never waits
        self._whole = bytes(data)[:count].endswith(b"\n")
        return count


def let_nobody_wait() -> None:
    """Have both standard streams hold nobody up, where they lead to pipes or sockets."""
    if not hasattr(select, "poll"):  # Windows
        return
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        # What somebody has put in its place is theirs.
        if stream is not None and stream is getattr(sys, f"__{name}__") and _waits(stream):
            setattr(sys, name, _patient(stream))


def _waits(stream: TextIO) -> bool:
    mode = os.fstat(stream.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _patient(stream: TextIO) -> TextIO:
    """The same stream on the same descriptor."""
    assert isinstance(stream, io.TextIOWrapper)
    stream.flush()
    file = PatientFile(stream.fileno())
    atexit.register(file.conclude)
    return io.TextIOWrapper(
        # With PYTHONUNBUFFERED there is no buffer, as in Python itself.
        file if stream.write_through else io.BufferedWriter(file),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
