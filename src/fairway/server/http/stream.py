"""One HTTP request and its response, as ASGI tells it to the application.

See https://asgi.readthedocs.io/en/latest/specs/www.html#http.
"""

import asyncio
import logging
from collections.abc import Iterable
from functools import partial
from typing import Final

from fairway._types import Event
from fairway.delivery import Mailbox
from fairway.exceptions import ClientDisconnected
from fairway.server.application.scope import http_scope
from fairway.server.application.threads import LentThread, ThreadLoan
from fairway.server.http.events import (
    COMPLETE,
    FILE,
    NOT_STARTED,
    STARTED,
    TRAILERS,
    check_body,
    kind_of,
    links_of,
    status_of,
    wrong_state,
)
from fairway.server.http.files import FILES, PATHSEND, PIECE, Part, open_part
from fairway.server.http.writer import Carrier, FileSender, Writer
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
        received: Bytes of the request's body that have come.
    """

    __slots__ = (
        "_client",
        "_complete",
        "_connection",
        "_context",
        "_drained",
        "_files",
        "_gone",
        "_head",
        "_head_timer",
        "_mailbox",
        "_request",
        "_scheme",
        "_sends_file",
        "_started_at",
        "_status",
        "_takes_body",
        "_task",
        "_trailers",
        "_writer",
        "body_complete",
        "received",
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
        self.received = 0
        self._connection = connection
        self._context = connection.context
        self._writer = writer
        self._request = request
        self._client = client
        self._scheme = scheme
        self._mailbox = Mailbox(self._context.loop, writer)
        self._status = 0
        self._takes_body = False
        self._sends_file = False
        self._files: FileSender | None = None
        self._trailers: list[tuple[bytes, bytes]] | None = None  # of a response that has some
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
            context.root_path_of(self._request),
            self._client,
            connection.server,
            context.state,
            connection.tls,
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
        self._give_up()  # the application can send nothing more
        if self.response_started:
            self._finish()
            self._writer.cut()
            return
        self._status = status
        self._writer.error(status, detail)
        self._finish()
        self._writer.end()

    def _give_up(self) -> None:
        self._gone = True
        self._cancel_head()
        if self._files is not None:
            self._files.stop()
            self._files = None
        self.resume_writing()

    def _finish(self) -> None:
        self._complete = True
        self._mailbox.flow = None  # the connection may belong to the next request from now on
        self._mailbox.put_disconnect(_DISCONNECT)
        self._log()

    # ------------------------------------------------------------------ from the client

    def feed(self, data: bytes, *, more: bool) -> None:
        """A piece of the request's body."""
        self.received += len(data)
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
        self._give_up()
        self._mailbox.flow = None
        self._mailbox.put_disconnect(_DISCONNECT)
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
        self._context.refusals.count("http_timeout")
        self._fail(503, "Application failed to respond within time limit.")
        if self._task is not None:
            self._context.reap(self._task)

    @property
    def to_head(self) -> bool:
        """Whether the request is a ``HEAD``, to which an answer has no body."""
        return self._request.method == "HEAD"

    @property
    def holds_continue(self) -> bool:
        """Whether the client waits to be told that its body is wanted, which it was not yet."""
        return self._mailbox.on_park is not None

    def _send_continue(self) -> None:
        self._mailbox.on_park = None
        if not self.response_started and not self._writer.closing:
            self._writer.informational(100, ())

    # ------------------------------------------------------------------ to the client

    async def _send(self, event: Event) -> None:
        """The ASGI ``send`` of this request."""
        try:
            kind = event["type"]
        except (KeyError, TypeError):
            kind = kind_of(event)
        while self._drained is not None:
            await self._drained.wait()
        if self._gone:
            raise ClientDisconnected(f"Cannot send {kind!r}: the client is gone.")
        if kind == "http.response.body" and self._takes_body:
            self._send_body(event)
        elif kind == "http.response.start" and not self._status:
            self._send_start(event)
        else:
            await self._send_other(kind, event)

    async def _send_other(self, kind: str, event: Event) -> None:
        """What the extensions of ASGI bring, and what does not belong here."""
        if kind == "http.response.early_hint" and not self._complete:
            self._send_hint(event)
        elif kind in FILES and self._takes_body:
            await self._send_file(kind, event)
        elif kind == "http.response.trailers" and self._state() is TRAILERS:
            self._send_trailers(event)
        else:
            raise wrong_state(kind_of(event), self._state())

    def _state(self) -> str:
        """What the response waits for, in words."""
        if self._complete:
            return COMPLETE
        if not self._status:
            return NOT_STARTED
        if self._takes_body:
            return STARTED
        return FILE if self._sends_file else TRAILERS

    def _send_start(self, event: Event) -> None:
        self._status = status_of(event)
        self._head = event
        self._takes_body = True
        if event.get("trailers"):
            self._trailers = []
        # Usually the body follows at once and both go out in one write. If it does not, as with
        # server-sent events, the head must not wait for it.
        self._head_timer = self._context.loop.call_soon(self._flush_head)

    def _send_hint(self, event: Event) -> None:
        """Send links ahead of the head; ignored if that has gone already (ASGI, *Early Hints*)."""
        fields = links_of(event)
        if not self.response_started:
            self._writer.informational(103, fields)

    def _send_trailers(self, event: Event) -> None:
        assert self._trailers is not None  # else the end of the body was that of the response
        self._trailers += event.get("headers") or ()
        if not event.get("more_trailers", False):
            self._writer.trailers(self._trailers)
            self._finish()
            self._writer.end()

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
            self._writer.start(self._status, headers, trailers=self._trailers is not None)
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
        if type(body) is not bytes:
            check_body(body)
        self._put_body(body, event.get("more_body", False))

    def _put_body(self, body: bytes, more: bool) -> None:
        writer, headers = self._writer, self._take_head()
        if headers is None:
            if writer.closing:
                # It will be told of that soon; until then it might go on and on.
                self._gone = True
                raise ClientDisconnected("Cannot send 'http.response.body': the client is gone.")
            writer.body(body, more)
        elif more or self._trailers is not None:
            writer.start(self._status, headers, body, trailers=self._trailers is not None)
            self.response_started = True
            if not more:
                writer.body(b"", more=False)
        else:
            if not self.body_complete:
                writer.last_of_connection()  # nobody will read what is left of the request
            writer.whole(self._status, headers, body)
            self.response_started = True
        self.size += len(body)
        if not more:
            self._end_body()

    def _end_body(self) -> None:
        self._takes_body = False
        if self._trailers is None:
            self._finish()
            self._writer.end()

    async def _send_file(self, kind: str, event: Event) -> None:
        """Send a file, or a part of one, as a part of the body."""
        if kind == PATHSEND and self.size:
            raise wrong_state(kind, "it has to be the whole body, of which a part was sent")
        if self._head_timer is not None:  # the head waits for the file, which gives its length
            self._head_timer.cancel()
            self._head_timer = None
        self._takes_body, self._sends_file = False, True
        try:
            part, more, sent = await open_part(self._context.files, kind, event)
        except BaseException:
            self._takes_body, self._sends_file = not self._gone, False
            raise
        try:
            await self._drain()
            await self._put_part(part, more)
            sent()
        except BaseException:
            if self.response_started:  # its end is missing, and nobody knows how much was sent
                self._fail(500, "The application failed.")
            self._takes_body = not self._gone
            raise
        finally:
            self._sends_file = False
            part.close()

    async def _put_part(self, part: Part, more: bool) -> None:
        if part.data is not None:
            self._takes_body = True
            self._put_body(part.data, more)
            return
        writer, headers = self._writer, self._take_head()
        if headers is not None:
            if not more and not self.body_complete:
                writer.last_of_connection()
            length = None if more else part.count
            writer.start(self._status, headers, length=length, trailers=self._trailers is not None)
            self.response_started = True
        self._files = writer.files
        if self._files is not None:
            await self._files.file(part, more, self._drain, self._count)
            self._files = None
        elif self._request.method == "HEAD":
            writer.body(b"", more)
        else:
            await self._copy(part, more)
        if more:
            self._takes_body = True
        else:
            self._end_body()

    async def _copy(self, part: Part, more: bool) -> None:
        """Read a file and send it as bytes."""
        done = 0
        while done < part.count:
            size = min(PIECE, part.count - done)
            data = await self._context.files.call(partial(part.read, done, size))
            await self._drain()
            done += size
            self._writer.body(data, more or done < part.count)
            self.size += size

    def _count(self, size: int) -> None:
        self.size += size

    async def _drain(self) -> None:
        """Wait until the client has caught up."""
        while self._drained is not None:
            await self._drained.wait()
        if self._gone:
            raise ClientDisconnected("The client went while a file was being sent.")

    # ------------------------------------------------------------------ flow

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
            "complete",
            self._status,
            self._request,
            self._client,
            self._started_at,
            size,
            self.received,
        )
