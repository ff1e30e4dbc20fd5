"""The interface server: from listening sockets to a clean end."""

import asyncio
import contextlib
import functools
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from fairway._types import ASGIApplication
from fairway.server.application.lifespan import LAST_WORDS, Lifespan
from fairway.server.config import Config, ConfigError
from fairway.server.context import Client, Context
from fairway.server.drain import Drain, first_of
from fairway.server.http.http2_choice import connector
from fairway.server.listening.acceptor import Acceptor
from fairway.server.listening.greeting import greet
from fairway.server.listening.listener import Listener, SocketFile, adopt_sockets, open_listeners
from fairway.server.listening.renewal import has_terminal, reload_certificates
from fairway.server.observing.access import AccessLog
from fairway.server.observing.collecting import collect
from fairway.server.observing.figures import Family
from fairway.server.observing.lost_writes import unmentioned
from fairway.server.observing.serving import observed
from fairway.server.workers.assignment import PATIENCE, patience
from fairway.server.workers.notify import Notify

logger = logging.getLogger("fairway.server")

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Server:
    """Serves one ASGI application over HTTP/1.1, HTTP/2 and WebSocket.

    Args:
        application: An ASGI 3 application.
        config: How to serve it.
        access_log: Told of each request and WebSocket, on the event loop's thread.
        ready: Called once when the server accepts connections; :attr:`addresses` is set by then.
        sockets: Bound sockets to listen on, instead of those that ``config`` names; with its TLS,
            but for Unix sockets. The server closes them.
        listeners: The same, with what their clients are greeted with.
        signals: Whether :meth:`run` and :meth:`serve` let SIGINT and SIGTERM stop it.
        notify: The service manager that is told how the server is.
        name: What the log calls it when it stops.

    Attributes:
        addresses: What it listens on, such as ``"http://127.0.0.1:8000"``; empty before the start.
        worker: Its number, if it is one of several workers, whose supervisor serves the metrics.
    """

    def __init__(
        self,
        application: ASGIApplication,
        config: Config | None = None,
        *,
        access_log: AccessLog | None = None,
        ready: Callable[[], None] | None = None,
        sockets: Sequence[socket.socket] | None = None,
        listeners: Sequence[Listener] | None = None,
        signals: bool = True,
        notify: Notify | None = None,
        name: str = "Fairway",
    ) -> None:
        self.addresses: list[str] = []
        self.worker: int | None = None
        self._application = application
        self._config = config or Config()
        self._access_log = access_log
        self.ready = ready
        self._sockets = sockets
        self._listeners = listeners
        self._served_on: Sequence[Listener] = ()
        self._takes_signals = signals
        self._notify = notify or Notify()
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: Context | None = None
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._stops = 0
        self._relieved = False

    def run(self) -> None:
        """Serve until stopped, on an event loop of its own; SIGINT and SIGTERM stop it.

        SIGHUP makes it read certificates again.

        Signals are only listened to on the main thread, where Python delivers them.

        Raises:
            OSError: A socket cannot be bound.
            ConfigError: The configuration names something that does not exist.
            LifespanFailed: The application said that it cannot start.
        """
        loop = loop_factory(self._config.loop)()
        loop.set_debug(self._config.verbosity >= 3)
        try:
            loop.run_until_complete(self.serve())
        finally:
            # Not asyncio.Runner: it waits for every task and thread, and sync code that hangs
            # would keep the server from ending.
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks, timeout=LAST_WORDS))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    async def serve(self) -> None:
        """Serve until :meth:`stop` on the running event loop. Cancelled, it ends at once.

        Raises:
            OSError: A socket cannot be bound.
            ConfigError: The configuration names something that does not exist.
            LifespanFailed: The application said that it cannot start.
        """
        loop = self._loop = asyncio.get_running_loop()
        for event in (self._stop, self._hurry)[: self._stops]:
            event.set()
        context = self._context = Context(self._application, self._config, loop, self._access_log)
        context.worker = self.worker or 0
        listeners: Sequence[Listener]
        if self._listeners is not None:
            listeners = self._listeners
        elif self._sockets is None:
            listeners = open_listeners(self._config)
        else:
            listeners = adopt_sockets(self._sockets, self._config)
        self._served_on = listeners
        files = [SocketFile(listener.path) for listener in listeners]
        try:
            with self._signals(loop), unmentioned():
                async with observed(context, make_pages_server, alone=self.worker is None):
                    await self._live(context, listeners, files)
        finally:
            context.close()
            for listener in listeners:
                listener.sock.close()
            for file in files:
                file.remove()

    async def _live(
        self, context: Context, listeners: Sequence[Listener], files: Sequence[SocketFile]
    ) -> None:
        """Start the application, serve until told to stop, and end it."""
        lifespan = Lifespan(self._application, self._config.lifespan)
        drain = Drain(context, self._hurry, self._name)
        servers: list[Acceptor | asyncio.Server] = []
        try:
            self._notify.keep_alive()
            if not await self._start(lifespan):
                return
            context.state = lifespan.state
            for listener in listeners:
                servers.append(await _listen(context, listener))  # noqa: PERF401  one may fail
            self._begin(context, listeners)
            await self._stop.wait()
        except asyncio.CancelledError:
            self._hurry.set()
            raise
        finally:
            began = context.ready
            self._notify.stopping("Stopping", patience(self._config) if began else PATIENCE)
            if began:
                drain.begin()
                await drain.wait()
            context.draining = True
            for server in servers:
                if isinstance(server, Acceptor) and not self._relieved:
                    server.let_in()
                server.close()
            for file in files:
                file.remove()
            acceptors = [each for each in servers if isinstance(each, Acceptor)]
            await drain.finish([task for each in acceptors for task in each.greeting])
            await self._end(lifespan, drain.until)
            if began:
                drain.conclude()

    def _begin(self, context: Context, listeners: Sequence[Listener]) -> None:
        """The server listens: tell everyone."""
        self.addresses = [listener.address for listener in listeners]
        context.ready = True
        if self.ready is not None:
            self.ready()
        self._notify.ready(self._status)

    @property
    def _status(self) -> str:
        return f"Serving {', '.join(self.addresses)}"

    async def _start(self, lifespan: Lifespan) -> bool:
        """Start the application; says whether it has, before the server was told to stop."""
        if self._stop.is_set():
            return False
        starting = asyncio.ensure_future(lifespan.startup())
        try:
            await first_of(starting, self._stop.wait(), None)
            if starting.done():
                starting.result()
                return True
            return False
        finally:
            if not starting.done():
                starting.cancel()
                await lifespan.abandon("was still starting when the server was told to end")

    def stop(self) -> None:
        """End gracefully; from any thread, a signal handler or the loop. Again: end at once."""
        self._stops += 1
        if self._loop is None:
            return
        event = self._stop if self._stops == 1 else self._hurry
        with contextlib.suppress(RuntimeError):  # the loop has ended in the meantime
            self._loop.call_soon_threadsafe(event.set)

    def relieve(self) -> None:
        """The same where somebody else serves on these sockets: who waits there is left to them."""
        self._relieved = True
        self.stop()

    def figures(self) -> list[Family]:
        """What it has counted, and how it is: what the page with the metrics shows."""
        return [] if self._context is None else collect(self._context)

    def call(self, function: Callable[[], None]) -> None:
        """Call something on the event loop of the server; from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(function)

    @property
    def served(self) -> int:
        """Requests and WebSockets so far for which the application was called."""
        return 0 if self._context is None else self._context.served

    @property
    def connections(self) -> frozenset[Client]:
        """Every open HTTP connection and WebSocket."""
        return frozenset() if self._context is None else frozenset(self._context.connections)

    @contextlib.contextmanager
    def _signals(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        if not self._takes_signals or threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers = dict.fromkeys(SIGNALS, self.stop)
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
            handlers[signal.SIGHUP] = functools.partial(self._hang_up, has_terminal())
        previous = {number: signal.getsignal(number) for number in handlers}
        try:
            for number, handle in handlers.items():
                loop.add_signal_handler(number, handle)
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

    def reload_certificates(self) -> bool:
        """Read certificates and keys again, for new connections; on the event loop's thread.

        What is wrong with a file is logged, and the certificate before it stays in force.

        Returns:
            Whether all files could be used.
        """
        return reload_certificates(self._served_on)

    def _hang_up(self, had_terminal: bool) -> None:
        """SIGHUP: new certificates, unless it says that the terminal was closed."""
        if had_terminal and not has_terminal():
            self.stop()
        else:
            self._notify.reloading("Reading certificates again")
            self.reload_certificates()
            self._notify.ready(self._status)

    async def _end(self, lifespan: Lifespan, until: float | None) -> None:
        """End the application's lifespan, within the deadline."""
        ending = asyncio.ensure_future(lifespan.shutdown())
        await first_of(ending, self._hurry.wait(), until)
        await asyncio.wait([ending], timeout=LAST_WORDS)
        if not ending.done():
            ending.cancel()
            await lifespan.abandon("did not end in time")


async def _listen(context: Context, listener: Listener) -> Acceptor | asyncio.Server:
    acceptor = Acceptor(context, listener, greet(context, listener, connector(context, listener)))
    try:
        acceptor.start()
    except NotImplementedError:
        # Windows' own loop takes connections by itself only, and with them all that come.
        backlog = listener.backlog or context.config.backlog
        return await context.loop.create_server(
            acceptor.factory, sock=listener.sock, backlog=backlog
        )
    return acceptor


def make_pages_server(application: ASGIApplication, config: Config) -> Server:
    """A server beside another, or beside a supervisor, that only shows how that is."""
    return Server(application, config, signals=False, name="")


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes event loops: uvloop where it is wanted and there, else asyncio's.

    Args:
        name: ``"auto"``, ``"uvloop"`` or ``"asyncio"``.

    Raises:
        ConfigError: uvloop was asked for by name and is not installed, or cannot be loaded.
    """
    if name != "asyncio":
        try:
            import uvloop  # noqa: PLC0415  optional: there is none for Windows
        except ImportError as error:
            if name == "uvloop":
                missing = isinstance(error, ModuleNotFoundError)
                why = "is not installed" if missing else f"cannot be loaded: {error}"
                raise ConfigError(f"loop is 'uvloop', which {why}.") from None
        else:
            factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
            return factory
    return asyncio.new_event_loop
