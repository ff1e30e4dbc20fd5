"""What a service manager is told: systemd's notification protocol.

See https://www.freedesktop.org/software/systemd/man/sd_notify.html. A message is a datagram of
assignments, one on each line, to a Unix socket that stands in the environment.
"""

import asyncio
import contextlib
import logging
import os
import socket
import time
from typing import Final

logger = logging.getLogger("fairway.server")

#: Seconds that a message may wait for a service manager that does not read.
SEND_TIMEOUT: Final = 1.0
#: Seconds between two messages that a step without an end of its own goes on, and for how long each
#: of them counts.
STEP: Final = 10.0
STEP_COUNTS: Final = 30.0


class Notify:
    """Tells a service manager how the service is; does nothing where none listens.

    All methods are for the thread of the event loop. None raises: that the manager cannot be
    reached is logged once.

    Args:
        address: Its socket: a path, or a name in the abstract namespace behind ``@``; empty for
            none.
        watchdog: Seconds without a sign of life after which it ends the service; 0 for never.
    """

    def __init__(self, address: str = "", watchdog: float = 0.0) -> None:
        self.watchdog = watchdog
        self._address = address
        self._stopping = False

    @classmethod
    def of_this_process(cls) -> "Notify":
        """That of this process's environment, from which it is taken.

        Processes that this one starts must not speak for the service.
        """
        address = os.environ.pop("NOTIFY_SOCKET", "")
        period = os.environ.pop("WATCHDOG_USEC", "")
        whose = os.environ.pop("WATCHDOG_PID", "")
        watched = period.isdecimal() and whose in ("", str(os.getpid()))
        if address and not address.startswith(("/", "@")):
            logger.warning("NOTIFY_SOCKET is %r, which is no Unix socket: nobody is told", address)
            address = ""
        return cls(address, int(period) / 1e6 if watched and address else 0.0)

    def ready(self, status: str) -> None:
        """The service serves, or serves again after :meth:`reloading`."""
        self._send("READY=1", f"STATUS={status}")

    def status(self, text: str) -> None:
        """What the service does, for people."""
        self._send(f"STATUS={text}")

    def reloading(self, status: str) -> None:
        """The service replaces its code or configuration, and will say when it is ready."""
        # The same clock as systemd's own, which so sees that this answers its signal.
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}", f"STATUS={status}")

    def stopping(self, status: str, seconds: float) -> None:
        """The service ends.

        Args:
            status: For people.
            seconds: How long that may take; 0 for as long as it likes.
        """
        self._send("STOPPING=1", f"STATUS={status}")
        self._stopping = True
        if seconds > 0:
            self.extend(seconds)
        else:
            self._go_on(asyncio.get_running_loop())

    def extend(self, seconds: float) -> None:
        """What the service does now may take so long, from now on, whatever its unit says."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def keep_alive(self) -> None:
        """Tell it twice in each of its periods, from the running event loop, that the loop runs."""
        if self.watchdog > 0:
            self._ping(asyncio.get_running_loop())

    def _ping(self, loop: asyncio.AbstractEventLoop) -> None:
        self._send("WATCHDOG=1")
        loop.call_later(self.watchdog / 2, self._ping, loop)

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        self.extend(STEP_COUNTS)
        if self._address:
            loop.call_later(STEP, self._go_on, loop)

    def _send(self, *assignments: str) -> None:
        if not self._address:
            return
        message = "\n".join(text.replace("\n", " ") for text in assignments)
        # "@" stands for the null byte with which names in the abstract namespace begin.
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
                sock.settimeout(SEND_TIMEOUT)
                sock.sendto(message.encode(), address)
        except OSError as error:
            logger.warning("Cannot tell the service manager at %s: %s", self._address, error)
            self._address = ""
