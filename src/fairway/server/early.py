"""What has to be right in a process before anything else happens in it."""

import contextlib
import faulthandler
import os
import signal
from types import FrameType
from typing import Final

#: The number of the process that the system starts first, in a container: the server itself, often.
FIRST: Final = 1


def prepare_process() -> None:
    """Let the process be one that can be ended, and whose descriptors are what they seem."""
    fill_standard_descriptors()
    # A crash, and SIGABRT, with which hung processes are ended, show where each thread was.
    with contextlib.suppress(OSError, ValueError, RuntimeError):  # without a standard error
        faulthandler.enable()
    hear_of_the_end()
    if hasattr(signal, "SIGUSR1"):  # not on Windows
        # Whoever rotates logs sends it, as other servers want it; unheard, it ends a process. Not
        # SIG_IGN, which programs that are started would inherit.
        signal.signal(signal.SIGUSR1, _nothing)


def hear_of_the_end() -> None:
    """Let the first process of a container end with SIGTERM while it starts, as others do.

    The system keeps signals that would end it from this process unless it handles them; until what
    runs in it does, a slow start could not be called off.
    """
    if os.getpid() == FIRST:
        signal.signal(signal.SIGTERM, _end)


def fill_standard_descriptors() -> None:
    """Open the descriptors 0 to 2 where they are closed, for nothing.

    Else what is opened next gets their numbers: tracebacks would go to a client, say, and uvloop
    ends the process when it is to close one of them.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)


def _nothing(number: int, frame: FrameType | None) -> None:
    """Log files are opened anew without being told."""


def _end(number: int, frame: FrameType | None) -> None:
    """End as the signal would have ended any other process: at once, and with the same status."""
    os._exit(128 + number)
