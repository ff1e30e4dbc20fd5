"""The supervisor's side of one worker: its process, and what it says."""

import asyncio
import contextlib
import json
import logging
import signal
import socket
from collections.abc import Callable
from typing import Any, Final

from fairway.server.observing.logs import time_zone, use_time_zone

logger = logging.getLogger("fairway.server")

#: What a worker is asked for its figures with.
QUESTION: Final = b"?"
#: What it is told to end with, when another one serves in its place.
RELIEF: Final = b"!"
#: Bytes of the longest line that a worker says.
LONGEST_LINE: Final = 4 * 1024 * 1024
#: Seconds in which the line of a worker that has ended is read to its end.
LAST_WORDS: Final = 1.0
#: Seconds after which a worker that does not serve yet is mentioned, and again each time.
SLOW_START: Final = 30.0
#: Seconds that a worker has to write down where it hangs, before it is killed.
STACKS_TIMEOUT: Final = 5.0
#: Silence is measured in parts: if the machine sleeps, or this process is stopped, only one of them
#: passes, however long that was.
PARTS: Final = 4


class WorkerProcess:
    """One worker process, from its start to its end.

    Args:
        process: It.
        line: Our end of the connection with it; closed here.
        patience: Seconds that it has to end, until it says itself how long; 0 for any.
        on_request: Called with it and the reason when it asks for a successor.

    Attributes:
        pid: The number of the process.
        ended: Done when it has ended; its result is the exit code, negative for a signal.
        patience: As above.
        on_figures: Called with what it says when it was asked with :meth:`ask`, and at its end.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        line: socket.socket,
        patience: float,
        on_request: Callable[["WorkerProcess", str], None],
    ) -> None:
        self.pid = process.pid
        self.patience = patience
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._on_request = on_request
        self._timeout = 0.0
        self._ending = False
        self.on_figures: Callable[[list[Any]], None] | None = None
        self._asking: list[asyncio.Future[None]] = []
        self._writer: asyncio.StreamWriter | None = None
        self._serves = asyncio.Event()
        self._listening = asyncio.create_task(self._listen(line))
        self.ended = asyncio.create_task(self._wait())

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return self._loop.time() - self._began

    async def ready(self) -> bool:
        """Wait until it serves; False if it has ended before."""
        serving = asyncio.create_task(self._serves.wait())
        try:
            while not (serving.done() or self.ended.done()):
                done, _ = await asyncio.wait(
                    [serving, self.ended],
                    timeout=SLOW_START,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not done:
                    logger.warning("Worker %d does not serve yet, after %.0f s", self.pid, self.age)
            return serving.done()
        finally:
            serving.cancel()

    def ask(self) -> "asyncio.Future[None]":
        """Ask for its figures; done when it has said them, or ends."""
        answer: asyncio.Future[None] = self._loop.create_future()
        if self._writer is None or not self._serves.is_set():
            answer.set_result(None)  # it does not serve, so it has none
        else:
            self._asking.append(answer)
            self._writer.write(QUESTION)
        return answer

    def _answered(self) -> None:
        asking, self._asking = self._asking, []
        for answer in asking:
            if not answer.done():
                answer.set_result(None)

    def send(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def end(self, *, relieved: bool = False) -> None:
        """Let it end gracefully; kill it if it does not within its patience.

        Args:
            relieved: Another one serves on its sockets, who waits there is left to that one.
        """
        self._ending = True
        if relieved and self._writer is not None and self._serves.is_set():
            self._writer.write(RELIEF)
        else:
            self.send(signal.SIGTERM)
        await asyncio.wait([self.ended], timeout=self.patience if self.patience > 0 else None)
        if not self.ended.done():
            logger.error("Worker %d did not end within %g s and is killed", self.pid, self.patience)
            await self._kill()

    async def _kill(self) -> None:
        """End it at once; what it is doing is written to standard error (see faulthandler)."""
        self.send(signal.SIGABRT)
        await asyncio.wait([self.ended], timeout=STACKS_TIMEOUT)
        self.send(signal.SIGKILL)
        await asyncio.shield(self.ended)

    async def _wait(self) -> int:
        code = await self._process.wait()
        # Its last words, which are here already, are still heard.
        await asyncio.wait([self._listening], timeout=LAST_WORDS)
        self._listening.cancel()
        await asyncio.wait([self._listening])
        return code

    async def _listen(self, line: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=line, limit=LONGEST_LINE)
        self._writer = writer
        reading = asyncio.ensure_future(reader.readline())
        silent = 0
        try:
            while True:
                watched = self._timeout > 0 and not self._ending
                part = self._timeout / PARTS if watched else None
                await asyncio.wait([reading], timeout=part)
                if not reading.done():
                    silent += 1
                    if silent >= PARTS and not self._ending:
                        await self._end_hung()
                    continue
                text = reading.result()
                if not text:
                    return  # it ends
                silent = 0
                reading = asyncio.ensure_future(reader.readline())
                self._hear(json.loads(text))
        except ConnectionError:  # as good as closed
            return
        finally:
            writer.close()  # before anything is awaited, as the process may end meanwhile
            self._writer = None
            self._answered()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            with contextlib.suppress(OSError):
                await writer.wait_closed()  # else it would outlive the event loop

    def _hear(self, message: dict[str, Any]) -> None:
        match message["say"]:
            case "ready":
                self.patience = message["patience"]
                self._timeout = message["timeout"]
                # One log, one time zone. (Code of another version does not say it.)
                use_time_zone(message.get("zone", time_zone()))
                self._serves.set()
            case "replace":
                self._on_request(self, message["why"])
            case "figures":
                if self.on_figures is not None:
                    self.on_figures(message["figures"])
                self._answered()

    async def _end_hung(self) -> None:
        logger.error(
            "Worker %d hangs: its event loop has not run for %g s (worker_timeout). It is ended; "
            "this is what its threads were doing:",
            self.pid,
            self._timeout,
        )
        self._ending = True
        await self._kill()


def describe_exit(code: int) -> str:
    """How a process ended, for people."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"
