"""The interface server: from listening sockets to a clean end."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from fairway._types import ASGIApplication
from fairway.server.access import AccessLog
from fairway.server.config import Config
from fairway.server.connection import Connection
from fairway.server.context import Context
from fairway.server.lifespan import Lifespan
from fairway.server.listener import display, open_sockets

logger = logging.getLogger("fairway.server")

#: Seconds that cancelled applications get for their last words.
LAST_WORDS: Final = 2.0
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Server:
    """Serves one ASGI application over HTTP/1.1 and WebSocket.

    Args:
        application: An ASGI 3 application.
        config: How to serve it.
        access_log: Told of each request and WebSocket, on the event loop's thread.
        ready: Called once when the server accepts connections; :attr:`addresses` is set by then.
        sockets: Bound sockets to listen on, instead of those that ``config`` names. The server
            closes them.

    Attributes:
        addresses: What it listens on, such as ``"http://127.0.0.1:8000"``; empty before the start.
    """

    def __init__(
        self,
        application: ASGIApplication,
        config: Config | None = None,
        *,
        access_log: AccessLog | None = None,
        ready: Callable[[], None] | None = None,
        sockets: Sequence[socket.socket] | None = None,
    ) -> None:
        self.addresses: list[str] = []
        self._application = application
        self._config = config or Config()
        self._access_log = access_log
        self.ready = ready
        self._sockets = sockets
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._hurry: asyncio.Event | None = None
        self._stops = 0

    def run(self) -> None:
        """Serve until stopped, on an event loop of its own; SIGINT and SIGTERM stop it.

        Signals are only listened to on the main thread, where Python delivers them.

        Raises:
            OSError: A socket cannot be bound.
            LifespanFailed: The application said that it cannot start.
        """
        debug = self._config.verbosity >= 3
        with asyncio.Runner(debug=debug, loop_factory=loop_factory(self._config.loop)) as runner:
            runner.run(self.serve())

    async def serve(self) -> None:
        """Serve until :meth:`stop` on the running event loop.

        Raises:
            OSError: A socket cannot be bound.
            LifespanFailed: The application said that it cannot start.
        """
        loop = self._loop = asyncio.get_running_loop()
        self._stop, self._hurry = asyncio.Event(), asyncio.Event()
        if self._stops:
            self._stop.set()
        sockets = list(self._sockets) if self._sockets is not None else open_sockets(self._config)
        context = Context(self._application, self._config, loop, self._access_log)
        lifespan = Lifespan(self._application, self._config.lifespan)
        try:
            await lifespan.startup()
            context.state = lifespan.state
            listeners = [
                await loop.create_server(
                    lambda: Connection(context), sock=sock, backlog=self._config.backlog
                )
                for sock in sockets
            ]
            self.addresses = [display(sock) for sock in sockets]
            with self._signals(loop):
                if self.ready is not None:
                    self.ready()
                await self._stop.wait()
                await self._drain(context, listeners)
            await lifespan.shutdown()
        finally:
            context.deadlines.close()
            context.threads.close()
            for sock in sockets:
                _close_socket(sock)

    def stop(self) -> None:
        """End gracefully; from any thread, a signal handler or the loop. Again: end at once."""
        self._stops += 1
        if self._loop is None or self._stop is None or self._hurry is None:
            return
        event = self._stop if self._stops == 1 else self._hurry
        with contextlib.suppress(RuntimeError):  # the loop has ended in the meantime
            self._loop.call_soon_threadsafe(event.set)

    @contextlib.contextmanager
    def _signals(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.getsignal(number) for number in SIGNALS}
        try:
            for number in SIGNALS:
                loop.add_signal_handler(number, self.stop)
        except NotImplementedError:  # Windows
            for number in SIGNALS:
                signal.signal(number, lambda *_: self.stop())
        try:
            yield
        finally:
            for number, handler in previous.items():
                with contextlib.suppress(NotImplementedError):
                    loop.remove_signal_handler(number)
                signal.signal(number, handler)

    async def _drain(self, context: Context, listeners: Sequence[asyncio.Server]) -> None:
        """Accept nobody new, let requests end, say goodbye to sockets, all within the deadline."""
        assert self._hurry is not None
        context.draining = True
        for listener in listeners:
            listener.close()
        for connection in tuple(context.connections):
            connection.shut_down()
        if not context.quiet:
            endings = [
                asyncio.ensure_future(context.wait_until_quiet()),
                asyncio.ensure_future(self._hurry.wait()),
            ]
            timeout = max(self._config.graceful_timeout, 0)
            await asyncio.wait(endings, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            for ending in endings:
                ending.cancel()
            await self._cut(context)

    async def _cut(self, context: Context) -> None:
        """End what did not end by itself, and say what it was."""
        for task in tuple(context.tasks):
            context.cancel(task, f"did not end within {self._config.graceful_timeout:g} s")
        if context.tasks:
            await asyncio.wait(context.tasks, timeout=LAST_WORDS)
        for label in context.tasks.values():
            logger.error("Application for %s did not end even when it was cancelled", label)
        for connection in tuple(context.connections):
            connection.abort()
        await asyncio.sleep(0)  # connection_lost() runs in the next turn of the loop


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes event loops: uvloop where it is wanted and there, else asyncio's.

    Args:
        name: ``"auto"``, ``"uvloop"`` or ``"asyncio"``.

    Raises:
        ModuleNotFoundError: uvloop was asked for by name and is not installed.
    """
    if name != "asyncio":
        try:
            import uvloop  # noqa: PLC0415  optional: there is none for Windows
        except ModuleNotFoundError:
            if name == "uvloop":
                raise
        else:
            factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
            return factory
    return asyncio.new_event_loop


def _close_socket(sock: socket.socket) -> None:
    path = sock.getsockname() if sock.fileno() >= 0 and sock.family == socket.AF_UNIX else ""
    sock.close()
    if path and isinstance(path, str):
        with contextlib.suppress(OSError):
            os.unlink(path)
