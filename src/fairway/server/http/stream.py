"""One HTTP request and its response, as ASGI tells it to the application.

See https://asgi.readthedocs.io/en/latest/specs/www.html#http.
"""

import asyncio
import logging
from typing import Final

from fairway._types import Event
from fairway.delivery import Mailbox
from fairway.exceptions import ClientDisconnected
from fairway.server.application.scope import http_scope
from fairway.server.application.threads import LentThread
from fairway.server.http.answer import Answer
from fairway.server.http.writer import Carrier, Writer
from fairway.server.listening.proxy import Address
from fairway.server.observing.access import path_of
from fairway.wire.http1 import Request
from fairway.wire.http1_response import WITHOUT_BODY

logger = logging.getLogger("fairway.server")

_DISCONNECT: Final[Event] = {"type": "http.disconnect"}


class HTTPStream(Answer):
    """Runs the application for one request and hands what it answers to a writer.

    Args:
        connection: What the request came on.
        writer: What the response goes through.
        request: What is asked.
        client: Who asks.
        scheme: ``"http"`` or ``"https"``.

    Attributes:
        received: Bytes of the request's body that have come.
    """

    __slots__ = (
        "_client",
        "_connection",
        "_mailbox",
        "_scheme",
        "_started_at",
        "_task",
        "received",
    )

    def __init__(
        self,
        connection: Carrier,
        writer: Writer,
        request: Request,
        client: Address | None,
        scheme: str,
    ) -> None:
        super().__init__(connection.context, writer, request)
        self.received = 0
        self._connection = connection
        self._client = client
        self._scheme = scheme
        self._mailbox = Mailbox(self._context.loop, writer)
        self._started_at = self._context.time()
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
        self._task = self._context.spawn(self._run(executor), executor, request=True)

    async def _run(self, executor: LentThread) -> None:
        connection, context = self._connection, self._context
        request = self._request
        scope = http_scope(
            request,
            self._scheme,
            context.config.root_path if context.proxies is None else context.root_path_of(request),
            self._client,
            connection.server,
            context.state,
            connection.tls,
        )
        try:
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
            self._task = None
            raise
        except BaseException as error:  # noqa: BLE001  SystemExit too ends this request only
            context.log_exception(executor.label, error)
        else:
            if not self._complete and not self._gone:
                missed = "before the end of its" if self.response_started else "without a"
                logger.error("The application returned %s response to %s", missed, executor.label)
        finally:
            task, self._task = self._task, None  # which holds by its context what may hold this
            if task is not None:
                if self._complete and not self._gone:
                    context.forget(task)
                else:  # whoever else waits for its end hears of it first
                    task.add_done_callback(context.forget)
        if not self._complete:
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

    def _break_off(self) -> None:
        """Answer for it, and give it a while to notice."""
        self._fail(500, "The application failed.")
        if self._task is not None:
            self._context.reap(self._task)

    def _finish(self) -> None:
        self._complete = True
        self._mailbox.flow = None  # the connection may belong to the next request from now on
        # "if receive is called once a response has been sent", whatever the request holds besides.
        self._mailbox.put_disconnect(_DISCONNECT, at_once=True)
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
        if not self.response_started:  # else the next one says it
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
    def behind(self) -> bool:
        """Whether the application has more of the request's body to take than it should."""
        return self._mailbox.paused

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

    # ------------------------------------------------------------------ for people

    def _label(self) -> str:
        return f"{self._request.method} {path_of(self._request)}"

    def _log(self) -> None:
        without_body = self._request.method == "HEAD" or self._status in WITHOUT_BODY
        self._context.log(
            "complete",
            self._status,
            self._request,
            self._client,
            self._started_at,
            0 if without_body else self.size,
            self.received,
        )
