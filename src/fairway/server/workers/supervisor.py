"""Several worker processes on one port, started, replaced and ended by one that serves nothing.

The supervisor binds the sockets and never imports the application, so new workers always run the
code that is on the disk, and what is wrong in it cannot end the supervisor. Where the system
spreads connections over them, each worker has sockets of its own for the same address
(``SO_REUSEPORT``); elsewhere all share one. They stay open here, so that the next worker in a
place finds what waits to be accepted, until all of them are to end.
"""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Coroutine, Sequence
from typing import Any, Final

import fairway
from fairway.server.config import Config
from fairway.server.listening.listener import (
    Listener,
    SocketFile,
    open_listeners,
    open_more_listeners,
)
from fairway.server.listening.renewal import has_terminal
from fairway.server.observing.serving import serving_pages
from fairway.server.server import make_pages_server
from fairway.server.workers.assignment import Assignment, patience
from fairway.server.workers.figures import WorkerFigures
from fairway.server.workers.notify import Notify
from fairway.server.workers.orphans import Orphans
from fairway.server.workers.process import SLOW_START, WorkerProcess, describe_exit

logger = logging.getLogger("fairway.server")

#: Whether several sockets for one port each get their part of its connections. Other systems have
#: the option, too, but give all connections to one of the sockets.
SPREADS: Final = sys.platform == "linux"
#: A worker that lived shorter than this, in seconds, counts as a crash on its start.
SHORT_LIFE: Final = 10.0
#: Seconds before a worker that crashed on its start is started again: the first time, at most.
FIRST_DELAY: Final = 0.5
MAX_DELAY: Final = 30.0
#: Seconds that a service manager is to wait for beyond what workers have to end.
MARGIN: Final = 10.0


class _Place:
    """One of the places for workers: its sockets, and who serves on them now."""

    def __init__(self, number: int, listeners: Sequence[Listener]) -> None:
        self.number = number
        self.listeners = listeners
        self.worker: WorkerProcess | None = None
        self.crashes = 0
        #: Held while a worker is started for it.
        self.starting = asyncio.Lock()


class Supervisor:
    """Keeps workers serving until a signal ends it.

    SIGTERM and SIGINT end the workers gracefully, a second one at once. SIGHUP replaces them one
    after the other, each when its successor serves. A worker that dies or hangs is replaced at
    once, one that has reached a limit of its life when its successor serves.

    Args:
        arguments: The command line of the workers, without the program's name.
        config: Where to listen, and how long to wait. (What the project's settings say beside it,
            only the workers know.)
        count: How many workers.
        notify: Who is told of it.
        news: What the log says when all of them serve, beside where.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        config: Config,
        count: int,
        notify: Notify | None = None,
        news: str = "",
    ) -> None:
        self._command = [
            sys.executable,
            *subprocess._args_from_interpreter_flags(),  # type: ignore[attr-defined]  # noqa: SLF001  as multiprocessing does
            "-m",
            "fairway",
            *arguments,
        ]
        # Of the supervisor's own, the time zone changes: it is the workers'.
        self._environment = dict(os.environ)
        self._config = config
        self._count = count
        self._notify = notify or Notify()
        self._news = news
        self._places: list[_Place] = []
        self._figures = WorkerFigures()
        self._orphans = Orphans()
        self._stops = 0
        self._code = 0
        self._serving = False
        self._restart_wanted = False
        self._restarting: asyncio.Task[None] | None = None
        #: What goes on beside: workers are brought back and replaced; those without a place end.
        self._tasks: set[asyncio.Task[None]] = set()
        self._recycling: dict[WorkerProcess, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    def run(self) -> int:
        """Serve until a signal; returns the exit code.

        Raises:
            OSError: A socket cannot be bound.
            ConfigError: The configuration names something that does not exist.
        """
        first = open_listeners(self._config, shared=SPREADS)
        files = [SocketFile(listener.path) for listener in first]
        try:
            self._places = [_Place(0, first)]
            for number in range(1, self._count):
                more = open_more_listeners(first) if SPREADS else first
                self._places.append(_Place(number, more))
            asyncio.run(self._observed())
        finally:
            self._let_go_of_sockets()
            for file in files:
                file.remove()
        return self._code

    # ------------------------------------------------------------------ start and end

    async def _observed(self) -> None:
        """Supervise, and show the figures of all workers where ``metrics`` says."""
        address, figures = self._config.metrics, self._figures.collect
        async with serving_pages(address, figures, lambda: self._serving, make_pages_server):
            await self._supervise()

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        #: Held by whoever replaces a worker that serves: one worker after the other.
        self._turn = asyncio.Lock()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        # With nohup, the end of the terminal is none of our business.
        has_one = signal.getsignal(signal.SIGHUP) == signal.SIG_DFL and has_terminal()
        loop.add_signal_handler(signal.SIGHUP, self._hang_up, has_one)
        self._notify.keep_alive()
        self._orphans.begin()
        stopped = asyncio.create_task(self._stopping.wait())
        starting = asyncio.gather(*(self._start(place) for place in self._places))
        either: list[asyncio.Future[Any]] = [starting, stopped]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if starting.done() and all(starting.result()):
                self._begin()
                await stopped
            elif starting.done():
                # What is wrong at the very start is wrong with the command or the code.
                ended = [w.ended.result() for w in self._workers() if w.ended.done()]
                self._code = next((code for code in ended if code > 0), 1)
        finally:
            await self._end(starting, stopped)

    def _begin(self) -> None:
        """All workers serve for the first time."""
        self._serving = True
        if self._news:
            logger.info("%s", self._news)
        for listener in self._places[0].listeners:
            logger.info(
                "Fairway %s serves %s with %d workers",
                fairway.__version__,
                listener.address,
                self._count,
            )
        self._notify.ready(f"{self._count} workers serve")
        for place in self._places:
            if place.worker is not None and place.worker.ended.done():
                self._on_end(place, place.worker)
        if self._restart_wanted:
            self._restart_soon()

    async def _end(self, *waiting: "asyncio.Future[Any]") -> None:
        """Let all workers end, at the same time."""
        began = asyncio.get_running_loop().time()
        self._serving = False
        patient = [worker.patience + MARGIN for worker in self._workers() if worker.patience]
        bounded = len(patient) == len(self._workers())
        if self._stops:
            logger.info("Stopping %d workers", self._count)
        self._notify.stopping(
            f"Stopping {self._count} workers", max(patient, default=MARGIN) if bounded else 0
        )
        tasks = [*self._tasks, *waiting]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._let_go_of_sockets()  # so that with the workers' the ports are closed
        await asyncio.gather(*(worker.end() for worker in self._workers()), *self._leaving)
        if self._stops:
            seconds = asyncio.get_running_loop().time() - began
            logger.info("Stopped %d workers after %.1f s", self._count, seconds)

    def _let_go_of_sockets(self) -> None:
        for place in self._places:
            for listener in place.listeners:
                listener.sock.close()

    def _workers(self) -> list[WorkerProcess]:
        return [place.worker for place in self._places if place.worker is not None]

    def _stop(self) -> None:
        self._stops += 1
        self._stopping.set()
        if self._stops > 1:
            for worker in self._workers():
                worker.send(signal.SIGTERM)  # again means: at once

    # ------------------------------------------------------------------ one worker

    async def _start(self, place: _Place) -> bool:
        """Start a worker in a place that has none; says whether it serves."""
        place.worker = await self._spawn(place)
        return await place.worker.ready()

    async def _spawn(self, place: _Place) -> WorkerProcess:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        sockets = tuple((listener.sock.fileno(), listener.index) for listener in place.listeners)
        assignment = Assignment(place.number, theirs.fileno(), sockets)
        with theirs, self._orphans.left_alone():
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    cwd=self._config.chdir,  # if it is a link, where it leads to now
                    env=assignment.environment(self._environment),
                    pass_fds=(*(number for number, _ in sockets), theirs.fileno()),
                    process_group=0,  # a terminal's Ctrl-C is the supervisor's to pass on
                )
            except BaseException:
                ours.close()
                raise
            self._orphans.leave_alone(process.pid)

        def request(worker: WorkerProcess, why: str) -> None:
            if self._serving and place.worker is worker and worker not in self._recycling:
                task = self._beside(self._recycle(place, worker, why))
                self._recycling[worker] = task
                task.add_done_callback(lambda _: self._recycling.pop(worker, None))

        worker = WorkerProcess(process, ours, patience(self._config), request)
        worker.ended.add_done_callback(lambda _: self._orphans.forget(worker.pid))
        worker.ended.add_done_callback(lambda _: self._on_end(place, worker))
        self._figures.watch(worker, place.number)
        return worker

    def _on_end(self, place: _Place, worker: WorkerProcess) -> None:
        if self._serving and place.worker is worker:
            self._beside(self._bring_back(place, worker))

    async def _bring_back(self, place: _Place, worker: WorkerProcess) -> None:
        """Start another worker for one that has ended unasked, later each time that it crashes."""
        delay = 0.0
        if worker.age < SHORT_LIFE:
            delay = min(FIRST_DELAY * 2**place.crashes, MAX_DELAY)
            place.crashes += 1
        else:
            place.crashes = 0
        logger.error(
            "Worker %d %s after %.0f s; %s",
            worker.pid,
            describe_exit(worker.ended.result()),
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

    async def _recycle(self, place: _Place, worker: WorkerProcess, why: str) -> None:
        """Replace a worker that has reached a limit of its life, however often that takes."""
        logger.info("Worker %d is to be replaced: %s", worker.pid, why)
        while place.worker is worker and not worker.ended.done():
            if await self._replace(place, worker):
                break
            await asyncio.sleep(MAX_DELAY)

    async def _replace(self, place: _Place, only: WorkerProcess | None = None) -> bool:
        """Let a new worker serve in a place, then the old one end; False if it never serves.

        Args:
            place: Where.
            only: The one to replace; if it is there no more, there is nothing to do.
        """
        async with self._turn:
            async with place.starting:
                old = place.worker
                assert old is not None
                if only is not None and only is not old:
                    return True
                if not await self._succeed(place):
                    return False
            await asyncio.shield(self._dismiss(old, relieved=True))
        return True

    async def _succeed(self, place: _Place) -> bool:
        """Put a new worker into a place once it serves; False if it never does."""
        try:
            new = await self._spawn(place)
        except OSError as error:
            logger.error("Cannot start a worker: %s; the old ones go on", error)
            return False
        try:
            serves = await new.ready()
        except asyncio.CancelledError:
            self._dismiss(new, relieved=False)
            raise
        if not serves:
            logger.error(
                "The new worker %d %s before it served; the old ones go on",
                new.pid,
                describe_exit(await new.ended),
            )
            return False
        place.worker, place.crashes = new, 0
        if new.ended.done():
            self._on_end(place, new)
        return True

    def _dismiss(self, worker: WorkerProcess, *, relieved: bool) -> "asyncio.Task[None]":
        """Let a worker end that has no place any more, whatever else happens meanwhile."""
        task = asyncio.create_task(worker.end(relieved=relieved))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        return task

    # ------------------------------------------------------------------ all workers

    def _hang_up(self, had_terminal: bool) -> None:
        """SIGHUP: new code, unless it says that the terminal was closed."""
        if had_terminal and not has_terminal():
            self._stop()
        else:
            self._restart_soon()

    def _restart_soon(self) -> None:
        if not self._serving:
            self._restart_wanted = True  # what starts now may have read the code before
            return
        # A newer one ends an attempt that is still going on: it may bring what that one lacks.
        attempt = self._restarting
        for task in (attempt, *self._recycling.values()):
            if task is not None:
                task.cancel()
        self._restarting = self._beside(self._restart(attempt))

    async def _restart(self, attempt: "asyncio.Task[None] | None") -> None:
        """Replace every worker by one that runs what is on the disk now, one after the other."""
        self._notify.reloading(f"Replacing {self._count} workers")
        if attempt is not None:
            await asyncio.wait([attempt])
        logger.info("Replacing %d workers", self._count)
        for number, place in enumerate(self._places):
            self._notify.status(f"Replacing {self._count} workers: {number} are replaced")
            longest = place.worker.patience if place.worker is not None else 0.0
            self._notify.extend(2 * SLOW_START + longest)
            if not await self._replace(place):
                self._notify.ready(f"{self._count} workers serve; not all were replaced")
                return
        logger.info("Replaced %d workers", self._count)
        self._notify.ready(f"{self._count} workers serve")

    def _beside(self, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
