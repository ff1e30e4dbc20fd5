"""A log file that may be moved away while it is written to, and whose disk may be full."""

import contextlib
import logging
import os
import time
from typing import Final

logger = logging.getLogger("fairway.server")

#: Seconds after which it is looked whether the file has been moved.
LOOK: Final = 1.0

#: Programs that are started do not get it, and line ends stay as they are.
_OF_OURS: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class LogFile:
    """Adds lines to a file, each at once and in one piece, whoever else writes to it.

    Programs such as logrotate move a log file away and expect the next line in a new one. Others
    are sent a signal for that; here it is looked for, once in a second at most.

    Args:
        path: Of the file; made if there is none.

    Raises:
        OSError: It cannot be written to.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)  # the application may work elsewhere later
        self._told = False
        self._descriptor = self._open()
        self._look_at = time.monotonic() + LOOK

    def write(self, text: str) -> None:
        """Add a text, in UTF-8.

        Raises:
            OSError: There is no room for all of it; the next one may be tried.
        """
        if time.monotonic() >= self._look_at:
            self._look()
        data = memoryview(text.encode(errors="backslashreplace"))
        while data:
            data = data[os.write(self._descriptor, data) :]

    def flush(self) -> None:
        """Nothing waits to be written."""

    def close(self) -> None:
        """Write no more."""
        os.close(self._descriptor)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _OF_OURS, 0o666)

    def _look(self) -> None:
        """Go on in a new file if there is another one under this path, or none."""
        self._look_at = time.monotonic() + LOOK
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(self._path), os.fstat(self._descriptor)):
                return
        try:
            new = self._open()
        except OSError as error:
            if not self._told:
                logger.warning(
                    "%s was moved, and cannot be made anew (%s): what was moved is written on",
                    self._path,
                    error.strerror,
                )
            self._told = True
            return
        os.close(self._descriptor)
        self._descriptor, self._told = new, False
