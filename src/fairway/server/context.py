"""What all connections of one server share."""

import asyncio
import contextvars
import logging
import random
import reprlib
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, Protocol

from fairway._types import ASGIApplication
from fairway.later import create_task_later
from fairway.server.application.loans import leave_bridges, lend_for_good
from fairway.server.application.stacks import format_stack, format_thread
from fairway.server.application.threads import LentThread, ThreadPool
from fairway.server.config import Config
from fairway.server.dates import http_date
from fairway.server.deadlines import Deadlines
from fairway.server.http.files import FileThreads
from fairway.server.listening.admission import Admission
from fairway.server.listening.proxy import Address, TrustedProxies
from fairway.server.observing.access import AccessLog, AccessRecord, path_of
from fairway.server.observing.counters import Counters
from fairway.server.observing.figures import Histogram
from fairway.server.observing.identifiers import RequestIds
from fairway.server.observing.lag import Lag
from fairway.server.observing.pages import Health
from fairway.server.observing.refusals import Refusals
from fairway.server.websocket.pace import Pace
from fairway.wire.deflate import Compression, CompressionOptions
from fairway.wire.frames import with_retry
from fairway.wire.http1 import HTTP1Limits, Request
from fairway.wire.repeated import RepeatedFields

if TYPE_CHECKING:  # an extra that need not be installed
    from fairway.server.observing.telemetry import Telemetry

logger = logging.getLogger("fairway.server")

#: Upper ends of the buckets in which the durations of requests are counted, in seconds.
DURATIONS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
#: From this verbosity on, the access log has the questions for the server's health, too.
LOGS_HEALTH: Final = 2
#: Seconds that a client has for closing the connection after we have said our last words.
LINGER: Final = 5.0
#: The same when the server ends.
LAST_LINGER: Final = 1.0
#: Threads that open, read and send files at once; they begin when they are needed.
FILE_THREADS: Final = 8
_GOLDEN_SECTION: Final = 0.618033988749895
_shown: Final = reprlib.Repr()
_shown.maxother = 10_000  # characters of an exception in one line


class Client(Protocol):
    """An open connection: one that speaks HTTP, or a WebSocket."""

    def shut_down(self) -> None:
        """The server ends: say goodbye, at once or after the running response."""

    def abort(self) -> None:
        """End now, whatever was still to be sent."""


class Context:
    """The application, the configuration and the registers of one running server.

    Attributes:
        application: What answers.
        config: How.
        loop: The event loop that all connections live on.
        time: Its clock, in seconds.
        deadlines: Their one timer.
        threads: Where their sync code runs.
        files: Where files are opened, read and sent.
        access_log: Told what happened, or None. Tell it through :meth:`log`.
        proxies: Whose headers are believed, or None without ``--proxy-headers``.
        state: What the lifespan left for every connection.
        counters: What is counted.
        refusals: Told whenever a limit refuses something.
        compression: For WebSockets, or None where it is switched off.
        repeated_fields: What the requests of open WebSockets have in common.
        pace: How fast the clients of WebSockets may send.
        admission: Asked whether a client, or a WebSocket, may come in.
        started_at: When it was made, by the loop's clock.
        durations: How long requests took; None if nobody wants to know, like the next.
        lag: How late the loop is; it is started by whoever starts the server.
        health: What answers for the application about the server itself, or None.
        request_ids: Gives each request its identifier, or None.
        telemetry: Traces what the application does, or None.
        worker: The number of this worker among the others.
        connections: Every open HTTP connection and WebSocket.
        tasks: Every application task with the executor of its sync code, which is labelled with
            what the task serves, such as ``"GET /"``.
        ready: Whether new clients are welcome: set while the server listens, until it is told to
            end. What a load balancer should be told.
        draining: Set when the server ends: no connection is kept for another request.
        served: Requests and WebSockets for which the application was called.

    Raises:
        ConfigError: ``trusted_proxies`` names something that is no network.
    """

    def __init__(
        self,
        application: ASGIApplication,
        config: Config,
        loop: asyncio.AbstractEventLoop,
        access_log: AccessLog | None,
    ) -> None:
        self.health: Health | None = None
        if config.health_path:
            self.health = Health(config.health_path.rstrip("/"), lambda: self.ready)
            application = self.health.before(application)
        self.request_ids = RequestIds(config) if config.request_ids != "off" else None
        if self.request_ids is not None:
            application = self.request_ids.before(application)
        self.telemetry: Telemetry | None = None
        self.application = application
        self.config = config
        self.loop = loop
        self.time = loop.time
        self.deadlines = Deadlines(loop)
        self.threads = ThreadPool(config.threads, config.stream_threads)
        self._file_pool = ThreadPool(FILE_THREADS)
        self.files = FileThreads(loop, self._file_pool)
        self.access_log = access_log
        self.proxies = TrustedProxies(config) if config.proxy_headers else None
        self.limits = HTTP1Limits(
            request_line=config.max_request_line,
            header_size=config.max_header_size,
            header_count=config.max_header_count,
            body_size=config.max_body_size or None,
            chunk_extensions=config.max_chunk_extensions,
            host_required=config.require_host,
        )
        self.server_header = config.server_name.encode("latin-1") or None
        self.state: dict[str, Any] = {}
        self.counters = Counters()
        self.refusals = Refusals(self.counters, loop.time)
        self.compression = _compression(config)
        self.repeated_fields = RepeatedFields()
        self.pace = Pace(config)
        self.admission = Admission(config, loop.time)
        self.started_at = loop.time()
        measured = config.metrics is not None or config.opentelemetry
        self.durations = Histogram(DURATIONS) if measured else None
        sampled = measured or config.max_event_loop_lag > 0
        self.lag = Lag(loop, self.admission.feel) if sampled else None
        self.connections: set[Client] = set()
        self.tasks: dict[asyncio.Task[None], LentThread] = {}
        self.worker = 0
        self.ready = False
        self.draining = False
        self.served = 0
        self._access_log_broken = False
        self._base = contextvars.copy_context()
        self._base.run(leave_bridges)
        self._on_end = self.forget  # one bound method for all tasks
        self._quiet = asyncio.Event()
        self._soon: list[Callable[[], None]] = []
        self._date = b""
        self._date_second = 0
        self._retry = random.random()  # noqa: S311  no secret

    def date(self) -> bytes:
        """The value of the ``Date`` header (RFC 9110 §6.6.1), made once a second."""
        now = time.time()
        if not self._date_second <= now < self._date_second + 1:  # a clock may be set back
            self._date_second = int(now)
            self._date = http_date(self._date_second)
        return self._date

    def soon(self, callback: Callable[[], None]) -> None:
        """Call something in the loop's next turn, together with what others want called then.

        Args:
            callback: Must not raise, and see for itself whether it is still wanted: it cannot be
                taken back. Takes 0.1 µs, where ``call_soon()`` and ``cancel()`` take 0.4.
        """
        if not self._soon:
            self.loop.call_soon(self._call, context=self._base)
        self._soon.append(callback)

    def _call(self) -> None:
        callbacks, self._soon = self._soon, []
        for callback in callbacks:
            callback()

    def ask_to_retry(self, reason: str) -> str:
        """A close reason with a moment to come back, another one for each client.

        They are spread evenly over ``websocket_retry_window``, however many clients there are.
        """
        window = self.config.websocket_retry_window
        if window <= 0:
            return reason
        # Steps of the golden section: each falls into the largest gap that those before have left.
        self._retry = (self._retry + _GOLDEN_SECTION) % 1.0
        return with_retry(reason, self._retry * window)

    def log(
        self,
        action: str,
        status: int,
        request: Request,
        client: Address | None,
        started_at: float,
        size: int = 0,
        received: int = 0,
    ) -> None:
        """Count, and tell the access log; that it cannot be written is logged once.

        Args:
            action: As in :class:`~fairway.server.observing.access.AccessRecord`, like the others.
            status: As there.
            request: What was asked.
            client: Who asked.
            started_at: When, by the loop's clock.
            size: As there.
            received: As there.
        """
        counters = self.counters
        counters.count(action, request.method, status)
        if action == "complete":
            counters.http_received += received
            counters.http_sent += size
            if self.durations is not None:
                self.durations.observe(self.time() - started_at)
        elif action == "disconnected":
            counters.websocket_received += received
            counters.websocket_sent += size
        elif self.telemetry is not None and action != "connecting":
            self.telemetry.answer(request.headers, status)
        if self.access_log is None or self._is_quiet(request):
            return
        record = AccessRecord(
            protocol="http" if action == "complete" else "websocket",
            action=action,
            method=request.method,
            path=path_of(request),
            http_version=request.http_version,
            status=int(status),
            client=f"{client[0]}:{client[1]}" if client else "",
            size=size,
            duration=self.loop.time() - started_at,
            received=received,
            request_id="" if self.request_ids is None else self.request_ids.of(request),
            headers=request.headers,
        )
        try:
            self.access_log(record)
        except Exception:
            if not self._access_log_broken:
                logger.exception("The access log cannot be written; the server goes on without it")
            self._access_log_broken = True
        else:
            self._access_log_broken = False

    def _is_quiet(self, request: Request) -> bool:
        """Whether only those want to hear of a request who want to hear everything."""
        if self.health is None or self.config.verbosity >= LOGS_HEALTH:
            return False
        return request.path.decode("latin-1") in self.health.paths

    def root_path_of(self, request: Request) -> str:
        """The path under which the application is mounted, for a request (ASGI's ``root_path``).

        Args:
            request: Its headers have been through ``proxies.resolve()``, if there are proxies.
        """
        prefix = None if self.proxies is None else self.proxies.prefix(request.headers)
        return self.config.root_path if prefix is None else prefix

    def log_exception(self, label: str, error: BaseException) -> None:
        """Log what an application raised while it served ``label``, such as ``"GET /"``."""
        # Its own repr() may fail, as that of a lazy user who is not loaded: the line would be lost.
        shown = _shown.repr(error)
        logger.error("Exception inside application for %s: %s", label, shown, exc_info=error)

    def spawn(
        self,
        coroutine: Coroutine[Any, Any, None],
        executor: LentThread,
        *,
        request: bool = False,
    ) -> "asyncio.Task[None]":
        """Run an application in a task of its own, known to the server until it ends.

        Args:
            coroutine: What the task runs.
            executor: Where the application's sync code runs.
            request: It serves a request, for which a callback would take its time: it calls
                :meth:`forget` itself, last of all. Only :meth:`cancel` may cancel it before it has
                begun.
        """
        # Not in the context of whoever caused it, which may be another request of the connection.
        own = self._base.copy()
        lend_for_good(own, executor)
        # Later: within the call that reads from the socket it could answer before it is registered.
        task = create_task_later(self.loop, coroutine, own)
        self.tasks[task] = executor
        self.served += 1
        if request:
            return task
        # In the base itself: a copy of the caller's context and a method of its own would take 130
        # bytes for each open socket.
        task.add_done_callback(self._on_end, context=self._base)
        return task

    def reap(self, task: "asyncio.Task[None]") -> None:
        """Give a task whose client is gone ``application_close_timeout`` to end, then cancel it."""
        timeout = self.config.application_close_timeout
        if timeout > 0 and not task.done():
            straggler = _Straggler(self, task, self.loop.time() + timeout)
            self.deadlines.arm(straggler, straggler.when)
            task.add_done_callback(straggler.forget)

    def cancel(self, task: "asyncio.Task[None]", why: str) -> None:
        """Cancel an application task and log where it hung, in a thread too.

        Sync code cannot be cancelled: its task ends when it returns.

        Args:
            task: One of :attr:`tasks`.
            why: What it did, such as ``"did not end within 15 s"``.
        """
        executor = self.tasks.get(task)
        if executor is None:
            return
        text = f"Application for {executor.label} {why}; it was cancelled. It was waiting here:\n"
        text += format_stack(task)
        thread = executor.thread
        if thread is not None and (calls := format_thread(thread)):
            text += f"\nIts sync code, which cannot be cancelled, was here:\n{calls}"
        mailbox = executor.mailbox
        if mailbox is not None and mailbox.on_overdue is not None:
            text += f"\n{mailbox.on_overdue()}"
        logger.warning("%s", text)
        task.add_done_callback(self._on_end, context=self._base)  # it may not have begun
        task.cancel()

    def register(self, connection: Client) -> None:
        """A client is connected."""
        self.connections.add(connection)

    def unregister(self, connection: Client) -> None:
        """A client is gone, or has become another kind of connection."""
        self.connections.discard(connection)
        if self.draining and self.quiet:
            self._quiet.set()

    def close(self) -> None:
        """Stop the clock and let the threads end."""
        if self.lag is not None:
            self.lag.close()
        self.deadlines.close()
        self.threads.close()
        self._file_pool.close()

    @property
    def quiet(self) -> bool:
        """Whether nobody is connected and no application runs."""
        return not self.tasks and not self.connections

    async def wait_until_quiet(self) -> None:
        """Wait for the last connection and task to end; only while draining."""
        # It may have been quiet already, until another client came.
        while not (self.draining and self.quiet):
            self._quiet.clear()
            await self._quiet.wait()

    def forget(self, task: "asyncio.Task[None]") -> None:
        """A task has ended, or does so now."""
        self.tasks.pop(task, None)
        if self.draining and self.quiet:
            self._quiet.set()


def _compression(config: Config) -> Compression | None:
    if not config.websocket_compression:
        return None
    return Compression(
        CompressionOptions(
            level=config.websocket_compression_level,
            memory_level=config.websocket_compression_memory_level,
            threshold=config.websocket_compression_threshold,
            server_window_bits=config.websocket_server_window_bits,
            client_window_bits=config.websocket_client_window_bits,
            server_takeover=config.websocket_server_takeover,
            client_takeover=config.websocket_client_takeover,
        )
    )


class _Straggler:
    """Waits for one task that should have ended."""

    __slots__ = ("_context", "_task", "slot", "when")

    def __init__(self, context: Context, task: "asyncio.Task[None]", when: float) -> None:
        self.slot = 0
        self.when = when
        self._context = context
        self._task = task

    def forget(self, task: "asyncio.Task[None]") -> None:
        """The task has ended."""
        self._context.deadlines.disarm(self)

    def on_deadline(self, now: float) -> float | None:
        """Cancel the task if its time is over."""
        if now < self.when:
            return self.when
        timeout = self._context.config.application_close_timeout
        self._context.refusals.count("application_close_timeout")
        self._context.cancel(
            self._task, f"went on for more than {timeout:g} s after its client had gone"
        )
        return None
