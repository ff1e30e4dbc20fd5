"""What all connections of one server share."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from fairway._types import ASGIApplication
from fairway.server.access import AccessLog
from fairway.server.config import Config
from fairway.server.deadlines import Deadlines
from fairway.server.proxy import TrustedProxies
from fairway.server.stacks import format_stack
from fairway.server.threads import ThreadPool
from fairway.wire.http1 import HTTP1Limits

if TYPE_CHECKING:
    from fairway.server.connection import Connection
    from fairway.server.websocket_stream import WebSocketStream

logger = logging.getLogger("fairway.server")


class Context:
    """The application, the configuration and the registers of one running server.

    Attributes:
        application: What answers.
        config: How.
        loop: The event loop that all connections live on.
        time: Its clock, in seconds.
        deadlines: Their one timer.
        threads: Where their sync code runs.
        access_log: Told what happened, or None.
        proxies: Whose headers are believed, or None without ``--proxy-headers``.
        state: What the lifespan left for every connection.
        connections: Every open HTTP connection and WebSocket.
        tasks: Every application task with what it serves, such as ``"GET /"``.
        draining: Set when the server ends: no connection is kept for another request.
    """

    def __init__(
        self,
        application: ASGIApplication,
        config: Config,
        loop: asyncio.AbstractEventLoop,
        access_log: AccessLog | None,
    ) -> None:
        self.application = application
        self.config = config
        self.loop = loop
        self.time = loop.time
        self.deadlines = Deadlines(loop)
        self.threads = ThreadPool(config.threads)
        self.access_log = access_log
        self.proxies = TrustedProxies(config) if config.proxy_headers else None
        self.limits = HTTP1Limits(
            request_line=config.max_request_line,
            header_size=config.max_header_size,
            header_count=config.max_header_count,
            body_size=config.max_body_size or None,
        )
        self.server_header = config.server_name.encode("latin-1") or None
        self.state: dict[str, Any] = {}
        self.connections: set[Connection | WebSocketStream] = set()
        self.tasks: dict[asyncio.Task[None], str] = {}
        self.draining = False
        self._quiet = asyncio.Event()
        self._date = b""
        self._date_second = 0

    def date(self) -> bytes:
        """The value of the ``Date`` header (RFC 9110 §6.6.1), made once a second."""
        now = int(time.time())
        if now != self._date_second:
            self._date_second = now
            self._date = formatdate(now, usegmt=True).encode("ascii")
        return self._date

    def spawn(self, coroutine: Coroutine[Any, Any, None], label: str) -> "asyncio.Task[None]":
        """Run an application in a task of its own, known to the server until it ends."""
        task = self.loop.create_task(coroutine)
        self.tasks[task] = label
        task.add_done_callback(self._forget)
        return task

    def reap(self, task: "asyncio.Task[None]") -> None:
        """Give a task whose client is gone ``application_close_timeout`` to end, then cancel it."""
        timeout = self.config.application_close_timeout
        if timeout > 0 and not task.done():
            self.deadlines.arm(_Straggler(self, task), self.loop.time() + timeout)

    def cancel(self, task: "asyncio.Task[None]", why: str) -> None:
        """Cancel an application task and log where it hung."""
        logger.warning(
            "Application for %s %s; it was cancelled. It was waiting here:\n%s",
            self.tasks.get(task, "?"),
            why,
            format_stack(task),
        )
        task.cancel()

    def register(self, connection: "Connection | WebSocketStream") -> None:
        """A client is connected."""
        self.connections.add(connection)

    def unregister(self, connection: "Connection | WebSocketStream") -> None:
        """A client is gone, or has become another kind of connection."""
        self.connections.discard(connection)
        self.deadlines.disarm(connection)
        if self.draining and self.quiet:
            self._quiet.set()

    @property
    def quiet(self) -> bool:
        """Whether nobody is connected and no application runs."""
        return not self.tasks and not self.connections

    async def wait_until_quiet(self) -> None:
        """Wait for the last connection and task to end; only while draining."""
        await self._quiet.wait()

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self.tasks.pop(task, None)
        if self.draining and self.quiet:
            self._quiet.set()


class _Straggler:
    """Waits for one task that should have ended."""

    __slots__ = ("_context", "_task", "slot")

    def __init__(self, context: Context, task: "asyncio.Task[None]") -> None:
        self.slot = 0
        self._context = context
        self._task = task

    def on_deadline(self, now: float) -> float | None:
        """Cancel the task if it still runs."""
        if not self._task.done():
            timeout = self._context.config.application_close_timeout
            self._context.cancel(
                self._task, f"went on for more than {timeout:g} s after its client had gone"
            )
        return None
