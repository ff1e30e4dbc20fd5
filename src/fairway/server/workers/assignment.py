"""The worker's side: what it is told when it starts, and what it tells its supervisor."""

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from fairway.server.config import Config
from fairway.server.observing.logs import time_zone
from fairway.server.workers.process import QUESTION, RELIEF
from fairway.server.workers.recycling import Recycling

logger = logging.getLogger("fairway.server")

#: The environment variable that tells a process that it is a worker, and with which sockets.
VARIABLE: Final = "FAIRWAY_WORKER"
#: Seconds between two signs of life, at most; and how many of them fit into ``worker_timeout``.
BEAT: Final = 1.0
BEATS: Final = 8
#: Seconds that a worker has to end beyond its drain, before it is killed.
PATIENCE: Final = 10.0


def patience(config: Config) -> float:
    """Seconds that a worker has to end once it was told to; 0 for as long as it likes."""
    if config.graceful_timeout <= 0:
        return 0.0
    return max(config.drain_delay, 0.0) + config.graceful_timeout + PATIENCE


@dataclasses.dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker is told when it starts.

    Attributes:
        place: Its number among the workers, from 0.
        line: The descriptor of its connection with the supervisor.
        sockets: The descriptors to listen on, and which of the configuration's endpoints each is.
    """

    place: int
    line: int
    sockets: tuple[tuple[int, int], ...]

    @classmethod
    def of_this_process(cls) -> "Assignment | None":
        """That of this process; None if it is no worker. Processes that it starts are none."""
        text = os.environ.pop(VARIABLE, None)
        if text is None:
            return None
        told = json.loads(text)
        return cls(told["place"], told["line"], tuple(map(tuple, told["sockets"])))

    def environment(self, base: Mapping[str, str]) -> Mapping[str, str]:
        """The environment of the worker.

        Args:
            base: What else is in it.
        """
        return {**base, VARIABLE: json.dumps(dataclasses.asdict(self))}


class Line:
    """A worker's connection with its supervisor: a line of JSON for each thing to say.

    Nothing here waits: a supervisor that does not listen holds no worker up.

    Args:
        descriptor: Its descriptor.
        stop: Called when the supervisor is gone, on a thread of its own.
        relieve: Called on that thread when the supervisor says that another worker serves.

    Attributes:
        on_question: Called when the supervisor asks for figures, on that thread; :meth:`report` is
            the answer.
    """

    def __init__(
        self, descriptor: int, stop: Callable[[], None], relieve: Callable[[], None]
    ) -> None:
        self.on_question: Callable[[], None] | None = None
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(True)  # for the thread that watches
        self._stop = stop
        self._relieve = relieve
        self._unsent = b""

    def ready(self, config: Config) -> None:
        """Tell the supervisor that this worker serves, and watch whether it is still there.

        The supervisor does not know what the project's settings say: it is told what it has to.
        """
        self._tell(
            {
                "say": "ready",
                "patience": patience(config),
                "timeout": max(config.worker_timeout, 0.0),
                "zone": time_zone(),
            }
        )
        threading.Thread(target=self._watch, name="fairway-supervisor", daemon=True).start()

    def beat(self) -> None:
        """Tell it that the event loop runs."""
        if not self._unsent:
            self._tell({"say": "beat"})

    def report(self, figures: Sequence[object]) -> None:
        """Tell it what was counted and how things are, as JSON can say it."""
        if not self._unsent:
            self._tell({"say": "figures", "figures": figures})

    def ask_for_successor(self, why: str) -> None:
        """Ask it to replace this worker.

        Args:
            why: For the log: a sentence's rest, such as ``"it is 3600 s old"``.
        """
        if not self._unsent:
            self._tell({"say": "replace", "why": why})

    def _tell(self, message: dict[str, Any]) -> None:
        self._unsent += json.dumps(message).encode() + b"\n"
        with contextlib.suppress(OSError):  # it does not listen now, or is gone, which is noticed
            sent = self._socket.send(self._unsent, socket.MSG_DONTWAIT)
            self._unsent = self._unsent[sent:]

    def _watch(self) -> None:
        with contextlib.suppress(OSError):  # reset is as good as closed
            while said := self._socket.recv(64):
                if QUESTION in said and self.on_question is not None:
                    self.on_question()
                if RELIEF in said:
                    self._relieve()
        logger.error("The supervisor is gone: this worker ends, too")
        self._stop()


class Pulse:
    """What a worker does about itself, again and again, on its event loop.

    Args:
        line: Whom it tells that the loop runs, and when it is to be replaced.
        config: Whether it has to.
        recycling: The limits of its life.
        served: Tells how many requests it has had so far.
    """

    def __init__(
        self, line: Line, config: Config, recycling: Recycling, served: Callable[[], int]
    ) -> None:
        self._line = line
        self._beats = config.worker_timeout > 0
        self._recycling: Recycling | None = recycling if recycling.limited else None
        self._served = served
        self._interval = min(BEAT, config.worker_timeout / BEATS) if self._beats else BEAT
        self._began = 0.0

    def start(self) -> None:
        """Begin, on the running event loop, for as long as that runs."""
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        if self._beats or self._recycling is not None:
            loop.call_later(self._interval, self._beat, loop)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(self._interval, self._beat, loop)
        if self._beats:
            self._line.beat()
        if self._recycling is not None:
            why = self._recycling.reason(self._served(), loop.time() - self._began)
            if why:  # again and again: the supervisor may have had other things to do
                self._line.ask_for_successor(why)
