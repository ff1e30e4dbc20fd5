"""The sending half of a request's stream: ASGI events of a response become calls of its writer.

See https://asgi.readthedocs.io/en/latest/specs/www.html#response-start-send-event, and
https://asgi.readthedocs.io/en/latest/extensions.html for what comes beside.
"""

import asyncio
import logging
from collections.abc import Iterable
from functools import partial

from fairway._types import Event
from fairway.delivery.outbox import IN_A_ROW
from fairway.exceptions import ClientDisconnected
from fairway.server.context import Context
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
from fairway.server.http.writer import FileSender, Writer
from fairway.server.observing.access import path_of
from fairway.wire.http1 import Request

logger = logging.getLogger("fairway.server")


class Answer:
    """What the application has said of its response, and what may come next.

    Args:
        context: What all connections share.
        writer: What the response goes through.
        request: What is answered.

    Attributes:
        body_complete: The whole request body has arrived.
        response_started: Something of the response has been written.
        size: Bytes of the response's body that the application has sent so far.
    """

    __slots__ = (
        "_complete",
        "_context",
        "_drained",
        "_files",
        "_gone",
        "_head",
        "_head_due",
        "_left",
        "_request",
        "_sends_file",
        "_status",
        "_takes_body",
        "_trailers",
        "_writer",
        "body_complete",
        "response_started",
        "size",
    )

    def __init__(self, context: Context, writer: Writer, request: Request) -> None:
        self.body_complete = not request.has_body
        self.response_started = False
        self.size = 0
        self._context = context
        self._writer = writer
        self._request = request
        self._status = 0  # 0 before the response has begun
        self._takes_body = False
        self._sends_file = False
        self._files: FileSender | None = None
        self._trailers: list[tuple[bytes, bytes]] | None = None  # of a response that has some
        self._head: Event | None = None  # while it waits for the body
        self._head_due = False  # it does not wait for longer than a turn of the event loop
        self._left = IN_A_ROW
        self._complete = False
        self._gone = False
        self._drained: asyncio.Event | None = None  # while sends wait

    def _fail(self, status: int, detail: str) -> None:
        """Answer for an application that did not; a response that has begun can only be cut off."""
        raise NotImplementedError

    def _break_off(self) -> None:
        """The same, for an application that has not heard of it yet."""
        raise NotImplementedError

    def _finish(self) -> None:
        """The response is complete."""
        raise NotImplementedError

    async def _send(self, event: Event) -> None:
        """The ASGI ``send`` of this request."""
        try:
            kind = event["type"]
        except (KeyError, TypeError):
            kind = kind_of(event)
        if self._left <= 0:
            self._left = IN_A_ROW
            await asyncio.sleep(0)
        while self._drained is not None:
            await self._drained.wait()
        if self._gone:
            raise ClientDisconnected(f"Cannot send {kind!r}: the client is gone.")
        if kind == "http.response.body" and self._takes_body:
            body = event.get("body", b"")
            if type(body) is not bytes:
                check_body(body)
            self._put_body(body, event.get("more_body", False))
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
        status = event.get("status")
        if type(status) is not int or not 200 <= status <= 999:  # else there is nothing to call for
            status = status_of(event)
        self._status = status
        self._head = event
        self._takes_body = True
        if event.get("trailers"):
            self._trailers = []
        # Usually the body follows at once and both go out in one write. If it does not, as with
        # server-sent events, the head must not wait for it.
        self._head_due = True
        self._context.soon(self._flush_head)

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
        self._head_due = False
        headers: Iterable[tuple[bytes, bytes]] = head.get("headers") or ()
        return headers

    def _flush_head(self) -> None:
        if not self._head_due or self._gone or self._complete:
            return
        try:
            headers = self._take_head()
            assert headers is not None  # else it is not due
            self._writer.start(self._status, headers, trailers=self._trailers is not None)
        except Exception as error:  # noqa: BLE001  there is no send() to raise it from
            request = self._request
            label = f"{request.method} {path_of(request)}"
            logger.error("Bad response headers for %s: %s", label, error)
            self._break_off()
            return
        self.response_started = True

    def _cancel_head(self) -> None:
        self._head = None
        self._head_due = False

    def _put_body(self, body: bytes, more: bool) -> None:
        """Send a part of the body; nearly always that is all of it, and the head with it."""
        head, writer = self._head, self._writer
        if head is None or more or self._trailers is not None:
            self._put_piece(body, more)
            return
        self._head = None
        self._head_due = False
        if not self.body_complete:
            writer.last_of_connection()  # nobody will read what is left of the request
        writer.whole(self._status, head.get("headers") or (), body)
        self.response_started = True
        self.size = len(body)
        self._takes_body = False
        self._finish()
        writer.end()

    def _put_piece(self, body: bytes, more: bool) -> None:
        writer, headers = self._writer, self._take_head()
        if headers is None:
            if writer.closing:
                # It will be told of that soon; until then it might go on and on.
                self._gone = True
                raise ClientDisconnected("Cannot send 'http.response.body': the client is gone.")
            writer.body(body, more)
        else:
            writer.start(self._status, headers, body, trailers=self._trailers is not None)
            self.response_started = True
            if not more:
                writer.body(b"", more=False)
        self.size += len(body)
        self._left -= 1 + (len(body) >> 10)
        if not more:
            self._takes_body = False
            if self._trailers is None:
                self._finish()
                writer.end()

    def _end_body(self) -> None:
        self._takes_body = False
        if self._trailers is None:
            self._finish()
            self._writer.end()

    # ------------------------------------------------------------------ files

    async def _send_file(self, kind: str, event: Event) -> None:
        """Send a file, or a part of one, as a part of the body."""
        if kind == PATHSEND and self.size:
            raise wrong_state(kind, "it has to be the whole body, of which a part was sent")
        self._head_due = False  # the head waits for the file, which gives its length
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

    def _give_up(self) -> None:
        self._gone = True
        self._cancel_head()
        if self._files is not None:
            self._files.stop()
            self._files = None
        self.resume_writing()
