"""One HTTP request and its response, as ASGI tells it to the application.

See https://asgi.readthedocs.io/en/latest/specs/www.html#http.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

from fairway._types import Event
from fairway.delivery import Mailbox
from fairway.exceptions import ClientDisconnected, WrongState
from fairway.server.application.scope import http_scope
from fairway.server.application.threads import LentThread, ThreadLoan
from fairway.server.http.writer import Carrier, Writer
from fairway.server.listening.proxy import Address
from fairway.server.observing.access import path_of
from fairway.wire.http1 import Request

logger = logging.getLogger("fairway.server")

_DISCONNECT: Final[Event] = {"type": "http.disconnect"}


class HTTPStream:
    """Runs the application for one request and hands what it answers to a writer.

    Args:
        connection: What the request came on.
        writer: What the response goes through.
        request: What is asked.
        client: Who asks.
        scheme: ``"http"`` or ``"https"``.

    Attributes:
        body_complete: The whole request body has arrived.
        response_started: Something of the response has been written.
        size: Bytes of the response's body that the application has sent so far.
    """

    __slots__ = (
        "_client",
        "_complete",
        "_connection",
        "_context",
        "_drained",
        "_gone",
        "_head",
        "_head_timer",
        "_mailbox",
        "_request",
        "_scheme",
        "_started_at",
        "_status",
        "_task",
        "_writer",
        "body_complete",
        "response_started",
        "size",
    )

    def __init__(
        self,
        connection: Carrier,
        writer: Writer,
        request: Request,
        client: Address | None,
        scheme: str,
    ) -> None:
        self.body_complete = not request.has_body
        self.response_started = False
        self.size = 0
        self._connection = connection
        self._context = connection.context
        self._writer = writer
        self._request = request
        self._client = client
        self._scheme = scheme
        self._mailbox = Mailbox(self._context.loop, writer)
        self._status = 0
        self._started_at = self._context.loop.time()
        self._head: Event | None = None
        self._head_timer: asyncio.Handle | None = None
        self._complete = False
        self._gone = False
        self._drained: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Call the application."""
        request = self._request
        if self.body_complete:
            self._mailbox.put_event({"type": "http.request", "body": b"", "more_body": False})
        elif request.expect_continue:
            # "100 (Continue)" once the application asks for the body, so that it can refuse before
            # the client sends it (RFC 9110 §10.1.1).
            self._mailbox.on_park = self._send_continue
        executor = LentThread(self._context.threads, self._label(), self._mailbox, self._started_at)
        self._task = self._context.spawn(self._run(executor), executor)

    async def _run(self, executor: LentThread) -> None:
        connection, context = self._connection, self._context
        scope = http_scope(
            self._request,
            self._scheme,
            context.config.root_path,
            self._client,
            connection.server,
            context.state,
        )
        try:
            async with ThreadLoan(executor):
                await context.application(scope, self._mailbox, self._send)
        except asyncio.CancelledError as error:
            if self._gone or context.draining:
                self._fail(503, "The server is shutting down.")
                raise
            context.log_exception(executor.label, error)
        except ClientDisconnected as error:
            if not self._gone:
                context.log_exception(executor.label, error)
        except GeneratorExit:  # its event loop was closed
            raise
        except BaseException as error:  # noqa: BLE001  SystemExit too ends this request only
            context.log_exception(executor.label, error)
        else:
            if not self._complete and not self._gone:
                logger.error("The application returned without a response to %s", executor.label)
        self._fail(500, "The application failed.")

    def _fail(self, status: int, detail: str) -> None:
        """Answer for an application that did not; a response that has begun can only be cut off."""
        if self._complete or self._gone:
            return
        self._gone = True  # for the application, which can send nothing more
        self._cancel_head()
        self.resume_writing()
        if self.response_started:
            self._finish()
            self._writer.cut()
            return
        self._status = status
        self._writer.error(status, detail)
        self._finish()
        self._writer.end()

    def _finish(self) -> None:
        self._complete = True
        self._mailbox.flow = None  # the connection may belong to the next request from now on
        self._mailbox.put_disconnect(_DISCONNECT)
        self._log()

    # ------------------------------------------------------------------ from the client

    def feed(self, data: bytes, *, more: bool) -> None:
        """A piece of the request's body."""
        self._mailbox.put_event(
            {"type": "http.request", "body": data, "more_body": more}, len(data)
        )
        self.body_complete = not more

    def end_of_body(self) -> None:
        """The request's body is complete."""
        if not self.body_complete:
            self.body_complete = True
            self._mailbox.put_event({"type": "http.request", "body": b"", "more_body": False})

    def client_lost(self, status: int = 0) -> None:
        """The client is gone; the application is told, and given a while to end.

        Args:
            status: What the client was told, if it broke a rule and got no other response.
        """
        self._gone = True
        self._cancel_head()
        self._mailbox.flow = None
        self._mailbox.put_disconnect(_DISCONNECT)
        self.resume_writing()
        if self._task is not None:
            self._context.reap(self._task)
        if not self._complete and (self.response_started or status):
            self._status = status or self._status
            self._log()

    def shut_down(self) -> None:
        """The server ends: this response is the last one, and one without an end is to find it."""
        self._writer.last_of_connection()
        if self._mailbox.on_drain is not None:
            self._mailbox.on_drain()

    def time_out(self) -> None:
        """The application took longer than ``http_timeout``."""
        logger.warning(
            "The application did not answer %s within %g s (http_timeout)",
            self._label(),
            self._context.config.http_timeout,
        )
        self._fail(503, "Application failed to respond within time limit.")
        if self._task is not None:
            self._context.reap(self._task)

    def _send_continue(self) -> None:
        self._mailbox.on_park = None
        if not self.response_started and not self._writer.closing:
            self._writer.informational(100, ())

    # ------------------------------------------------------------------ to the client

    async def _send(self, event: Event) -> None:
        """The ASGI ``send`` of this request."""
        kind = event["type"]
        while self._drained is not None:
            await self._drained.wait()
        if self._gone:
            raise ClientDisconnected(f"Cannot send {kind!r}: the client is gone.")
        if kind == "http.response.body" and self._status and not self._complete:
            self._send_body(event)
        elif kind == "http.response.start" and not self._status:
            self._send_start(event)
        else:
            self._refuse_event(kind)

    def _send_start(self, event: Event) -> None:
        status = event.get("status")
        if not isinstance(status, int) or not 200 <= status <= 999:
            raise ValueError(f"http.response.start needs a status from 200 to 999, not {status!r}.")
        self._head = event
        self._status = status
        # Usually the body follows at once and both go out in one write. If it does not, as with
        # server-sent events, the head must not wait for it.
        self._head_timer = self._context.loop.call_soon(self._flush_head)

    def _take_head(self) -> Iterable[tuple[bytes, bytes]] | None:
        """The response's headers, if its head was not sent yet."""
        head, self._head = self._head, None
        if head is None:
            return None
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        headers: Iterable[tuple[bytes, bytes]] = head.get("headers") or ()
        return headers

    def _flush_head(self) -> None:
        self._head_timer = None
        if self._gone or self._complete:
            return
        try:
            headers = self._take_head()
            assert headers is not None  # the timer ends with the head
            self._writer.start(self._status, headers)
        except Exception as error:  # noqa: BLE001  there is no send() to raise it from
            logger.error("Bad response headers for %s: %s", self._label(), error)
            self._fail(500, "The application failed.")
            if self._task is not None:
                self._context.reap(self._task)
            return
        self.response_started = True

    def _cancel_head(self) -> None:
        self._head = None
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _send_body(self, event: Event) -> None:
        body = event.get("body", b"")
        more = event.get("more_body", False)
        writer, headers = self._writer, self._take_head()
        if headers is None:
            writer.body(body, more)
        elif more:
            writer.start(self._status, headers, body)
            self.response_started = True
        else:
            if not self.body_complete:
                writer.last_of_connection()  # nobody will read what is left of the request
            writer.whole(self._status, headers, body)
            self.response_started = True
        self.size += len(body)
        if not more:
            self._finish()
            writer.end()

    def _refuse_event(self, kind: str) -> None:
        if self._complete:
            raise WrongState(f"Cannot send {kind!r}: the response is complete.")
        if self._status:
            raise WrongState(
                f"Cannot send {kind!r}: the response has started and takes 'http.response.body'."
            )
        raise WrongState(
            f"Cannot send {kind!r}: the response has not started and takes 'http.response.start'."
        )

    def pause_writing(self) -> None:
        """The client reads too slowly: sends wait."""
        if self._drained is None:
            self._drained = asyncio.Event()

    def resume_writing(self) -> None:
        """The client has caught up, or is gone: sends go on."""
        if self._drained is not None:
            self._drained.set()
            self._drained = None

    # ------------------------------------------------------------------ for people

    def _label(self) -> str:
        return f"{self._request.method} {path_of(self._request)}"

    def _log(self) -> None:
        size = 0 if self._request.method == "HEAD" else self.size
        self._context.log(
            "complete", self._status, self._request, self._client, self._started_at, size
        )
