"""Several worker processes on one port, started, replaced and ended by one that serves nothing.

The supervisor binds the sockets and never imports the application, so new workers always run the
code that is on the disk, and what is wrong in it cannot end the supervisor. Each worker has sockets
of its own for the same address (``SO_REUSEPORT``), so that the system spreads connections evenly;
they stay open here, so that the next worker in a place finds what waits to be accepted.
"""

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import fairway
from fairway.server.config import Config
from fairway.server.listening.listener import (
    Listener,
    SocketFile,
    open_listeners,
    open_more_listeners,
)

logger = logging.getLogger("fairway.server")

#: The environment variable that tells a process that it is a worker, and with which sockets.
VARIABLE: Final = "FAIRWAY_WORKER"
#: Seconds that a worker has to end beyond ``graceful_timeout``, before it is killed.
PATIENCE: Final = 10.0
#: A worker that lived shorter than this, in seconds, counts as a crash on its start.
SHORT_LIFE: Final = 10.0
#: Seconds after which a worker that does not serve yet is mentioned, and again each time.
SLOW_START: Final = 30.0
#: Seconds before a worker that crashed on its start is started again: the first time, at most.
FIRST_DELAY: Final = 0.5
MAX_DELAY: Final = 30.0


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

    def environment(self) -> Mapping[str, str]:
        """The environment of the worker."""
        return {**os.environ, VARIABLE: json.dumps(dataclasses.asdict(self))}


class Line:
    """A worker's connection with its supervisor.

    Args:
        descriptor: Its descriptor.
        stop: Called when the supervisor is gone, on a thread of its own.
    """

    def __init__(self, descriptor: int, stop: Callable[[], None]) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(True)
        self._stop = stop

    def ready(self) -> None:
        """Tell the supervisor that this worker serves, and watch whether it is still there."""
        self._socket.sendall(b"!")
        threading.Thread(target=self._watch, name="fairway-supervisor", daemon=True).start()

    def _watch(self) -> None:
        with contextlib.suppress(OSError):  # reset is as good as closed
            while self._socket.recv(1):
                pass
        logger.error("The supervisor is gone: this worker ends, too")
        self._stop()


class _Worker:
    """One worker process."""

    def __init__(self, process: asyncio.subprocess.Process, line: socket.socket) -> None:
        self.process = process
        self._line = line
        self._loop = asyncio.get_running_loop()
        self.began = self._loop.time()
        self.ended = asyncio.create_task(self._wait())

    @property
    def age(self) -> float:
        return self._loop.time() - self.began

    async def ready(self) -> bool:
        """Wait until it serves; False if it has ended before."""
        hearing = asyncio.create_task(self._loop.sock_recv(self._line, 1))
        try:
            while not (hearing.done() or self.ended.done()):
                done, _ = await asyncio.wait(
                    [hearing, self.ended],
                    timeout=SLOW_START,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not done:
                    logger.warning(
                        "Worker %d does not serve yet, after %.0f s", self.process.pid, self.age
                    )
            return hearing.done() and not hearing.exception() and hearing.result() == b"!"
        finally:
            hearing.cancel()

    def send(self, number: int) -> None:
        if self.process.returncode is None:
            self.process.send_signal(number)

    async def end(self, patience: float) -> None:
        """Let it end gracefully; kill it if it does not within ``patience`` seconds."""
        self.send(signal.SIGTERM)
        await asyncio.wait([self.ended], timeout=patience if patience > 0 else None)
        if not self.ended.done():
            logger.error("Worker %d did not end and is killed", self.process.pid)
            self.send(signal.SIGKILL)
            await self.ended

    async def _wait(self) -> int:
        code = await self.process.wait()
        self._line.close()
        return code


class _Place:
    """One of the places for workers: its sockets, and who serves on them now."""

    def __init__(self, number: int, listeners: Sequence[Listener]) -> None:
        self.number = number
        self.listeners = listeners
        self.worker: _Worker | None = None
        self.crashes = 0
        #: Held while a worker is started for it.
        self.starting = asyncio.Lock()


class Supervisor:
    """Keeps workers serving until a signal ends it.

    SIGTERM and SIGINT end the workers gracefully, a second one at once. SIGHUP replaces them one
    after the other, each when its successor serves.

    Args:
        arguments: The command line of the workers, without the program's name.
        config: Where to listen, and how long to wait. (What the project's settings say beside it,
            only the workers know.)
        count: How many workers.
    """

    def __init__(self, arguments: Sequence[str], config: Config, count: int) -> None:
        self._command = [
            sys.executable,
            *subprocess._args_from_interpreter_flags(),  # type: ignore[attr-defined]  # noqa: SLF001  as multiprocessing does
            "-m",
            "fairway",
            *arguments,
        ]
        self._config = config
        self._count = count
        self._places: list[_Place] = []
        self._stops = 0
        self._code = 0
        self._restarting: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    def run(self) -> int:
        """Serve until a signal; returns the exit code.

        Raises:
            OSError: A socket cannot be bound.
            ConfigError: The configuration names something that does not exist.
        """
        first = open_listeners(self._config, shared=True)
        files = [SocketFile(listener.path) for listener in first]
        try:
            self._places = [_Place(0, first)]
            for number in range(1, self._count):
                self._places.append(_Place(number, open_more_listeners(first)))
            asyncio.run(self._supervise())
        finally:
            for place in self._places:
                for listener in place.listeners:
                    listener.sock.close()
            for file in files:
                file.remove()
        return self._code

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._restart_soon)
        stopped = asyncio.create_task(self._stopping.wait())
        starting = asyncio.gather(*(self._start(place) for place in self._places))
        either: list[asyncio.Future[Any]] = [starting, stopped]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        keeping: list[asyncio.Task[None]] = []
        if not starting.done():
            starting.cancel()
        elif all(starting.result()):
            self._announce()
            keeping = [asyncio.create_task(self._keep(place)) for place in self._places]
            await stopped
        else:
            # What is wrong at the very start is wrong with the command or the code.
            ended = [w.ended.result() for w in self._workers() if w.ended.done()]
            self._code = next((code for code in ended if code > 0), 1)
        tasks = [*keeping, stopped] + ([self._restarting] if self._restarting else [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(starting, *tasks, return_exceptions=True)
        await asyncio.gather(*(w.end(self._patience) for w in self._workers()), *self._ending)

    def _announce(self) -> None:
        for listener in self._places[0].listeners:
            logger.info(
                "Fairway %s serves %s with %d workers",
                fairway.__version__,
                listener.address,
                self._count,
            )

    @property
    def _patience(self) -> float:
        """Seconds that a worker has to end; 0 for as long as it likes."""
        timeout = self._config.graceful_timeout
        return timeout + PATIENCE if timeout > 0 else 0.0

    def _workers(self) -> list[_Worker]:
        return [place.worker for place in self._places if place.worker is not None]

    def _stop(self) -> None:
        self._stops += 1
        self._stopping.set()
        if self._stops > 1:
            for worker in self._workers():
                worker.send(signal.SIGTERM)  # again means: at once

    async def _start(self, place: _Place) -> bool:
        """Start a worker in a place that has none; says whether it serves."""
        place.worker = await self._spawn(place)
        return await place.worker.ready()

    async def _spawn(self, place: _Place) -> _Worker:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        sockets = tuple((listener.sock.fileno(), listener.index) for listener in place.listeners)
        assignment = Assignment(place.number, theirs.fileno(), sockets)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                env=assignment.environment(),
                pass_fds=(*(number for number, _ in sockets), theirs.fileno()),
                process_group=0,  # a terminal's Ctrl-C is the supervisor's to pass on
            )
        return _Worker(process, ours)

    async def _keep(self, place: _Place) -> None:
        """Replace the worker of a place whenever it ends, later each time that it crashes."""
        while True:
            worker = place.worker
            assert worker is not None
            code = await asyncio.shield(worker.ended)
            if place.worker is not worker:
                continue  # it was replaced before it was ended
            delay = 0.0
            if worker.age < SHORT_LIFE:
                delay = min(FIRST_DELAY * 2**place.crashes, MAX_DELAY)
                place.crashes += 1
            else:
                place.crashes = 0
            logger.error(
                "Worker %d %s after %.0f s; %s",
                worker.process.pid,
                describe_exit(code),
                worker.age,
                f"starting another in {delay:g} s" if delay else "starting another",
            )
            await asyncio.sleep(delay)
            async with place.starting:
                while place.worker is worker:  # else SIGHUP has brought another
                    try:
                        await self._start(place)
                    except OSError as error:
                        logger.error("Cannot start a worker: %s", error)
                        await asyncio.sleep(MAX_DELAY)

    def _restart_soon(self) -> None:
        # A newer one ends an attempt that is still going on: it may bring what that one lacks.
        attempt = self._restarting
        if attempt is not None:
            attempt.cancel()
        self._restarting = asyncio.create_task(self._restart(attempt))

    async def _restart(self, attempt: "asyncio.Task[None] | None") -> None:
        """Replace every worker by one that runs what is on the disk now, one after the other."""
        if attempt is not None:
            await asyncio.wait([attempt])
        logger.info("Replacing %d workers", self._count)
        for place in self._places:
            async with place.starting:
                old = place.worker
                if not await self._replace(place):
                    return
            if old is not None:
                await asyncio.shield(self._end(old))
        logger.info("Replaced %d workers", self._count)

    async def _replace(self, place: _Place) -> bool:
        """Put a new worker in a place once it serves; False if it never does."""
        try:
            new = await self._spawn(place)
        except OSError as error:
            logger.error("Cannot start a worker: %s; the old ones go on", error)
            return False
        try:
            serves = await new.ready()
        except asyncio.CancelledError:
            self._end(new)
            raise
        if not serves:
            logger.error(
                "The new worker %d %s before it served; the old ones go on",
                new.process.pid,
                describe_exit(await new.ended),
            )
            return False
        place.worker, place.crashes = new, 0
        return True

    def _end(self, worker: _Worker) -> "asyncio.Task[None]":
        """Let a worker end that has no place any more, whatever else happens meanwhile."""
        task = asyncio.create_task(worker.end(self._patience))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task


def describe_exit(code: int) -> str:
    """How a process ended, for people."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"
