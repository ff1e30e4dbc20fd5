"""A consumer for server-sent events: a stream that a browser's ``EventSource`` reads.

See https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

import asyncio
import contextlib
from collections.abc import Hashable, Iterable
from typing import Any, ClassVar
from urllib.parse import parse_qs

from fairway._types import Event, Send
from fairway.consuming.lanes import Arrival
from fairway.delivery import Mailbox, Overflow
from fairway.exceptions import AcceptConnection, DenyConnection
from fairway.generic.encoding import encode_json
from fairway.generic.http import AsyncHttpConsumer, Header
from fairway.later import create_task_later
from fairway.wire.sse import CONTENT_TYPE, encode_comment, encode_event

_HEADERS = [
    (b"content-type", CONTENT_TYPE),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx passes each event on at once
]


class AsyncEventStreamConsumer(AsyncHttpConsumer):
    """A stream of events to one client, which connects again by itself when it is lost.

    Override :meth:`connect` and :meth:`disconnect`; in them and in handlers of layer messages await
    :meth:`send_event` or :meth:`send_json`. A group message of type ``"websocket.send"`` with text
    is sent as an event, so one group may have WebSockets and event streams as members.

    A client that reads too slowly for its groups is cut off, and may connect again; nobody who is
    connected has missed a message.
    """

    #: Seconds without an event after which a comment is sent, so that proxies see the connection
    #: live and a client that is gone is noticed; 0 for never.
    keep_alive: ClassVar[float] = 15.0
    #: Seconds that clients wait before they connect again; None for their own default, some 3 s.
    retry: ClassVar[float | None] = None
    #: The query parameter that stands in for the header ``Last-Event-ID``, for a first connection
    #: and for scripts that cannot set headers.
    last_event_id_parameter: ClassVar[str] = "lastEventId"

    _fw_sent_at = 0.0
    _fw_beat: "asyncio.Task[None] | None" = None
    _fw_closer: "asyncio.Task[None] | None" = None

    # ------------------------------------------------------------------ what subclasses override

    async def connect(self, last_event_id: str | None) -> None:
        """Called when a client connects, its groups joined; accepts it unless overridden.

        Layer messages are handled after it has returned (unless :attr:`concurrency` says more).

        It may send what the client has missed, raise
        :class:`~fairway.exceptions.DenyConnection` (403), or answer with :meth:`send_response`:
        any status but 200 keeps a browser from connecting again. If it does none of these, the
        client is accepted when it returns.

        Args:
            last_event_id: The id of the last event that the client got; None if there was none.
        """
        await self.accept()

    # ------------------------------------------------------------------ what they use

    async def accept(self, headers: Iterable[Header] | None = None) -> None:
        """Begin the stream, unless it has begun.

        Args:
            headers: Further header fields, as pairs of bytes.
        """
        if self._fw_started:
            return
        await self.send_headers(headers=[*_HEADERS, *(headers or ())])
        # Some servers send the head with the first bytes of the body only.
        retry = None if self.retry is None else round(self.retry * 1000)
        await self._fw_write(encode_comment() if retry is None else encode_event(retry=retry))
        if self.keep_alive > 0:
            self._fw_beat = asyncio.get_running_loop().create_task(self._fw_keep_alive())

    async def send_event(
        self,
        data: str | None = None,
        *,
        event: str | None = None,
        id: str | None = None,  # noqa: A002  the name of the field
    ) -> None:
        """Send an event; accepts the client first. After :meth:`close` it is dropped.

        It waits while the client reads slowly, under servers that tell.

        Args:
            data: Text, of any number of lines; None for an id alone.
            event: What the page listens for; ``"message"`` if it is not said.
            id: What the client tells as ``Last-Event-ID`` when it connects again.

        Raises:
            ValueError: ``event`` or ``id`` has more than one line.
        """
        payload = encode_event(data, event=event, id=id)
        await self.accept()
        await self._fw_write(payload)

    async def send_json(self, content: Any, **kwargs: Any) -> None:
        """Send an event whose data is JSON.

        Args:
            content: What :meth:`encode_json` can encode.
            kwargs: As for :meth:`send_event`.
        """
        await self.send_event(await self.encode_json(content), **kwargs)

    async def send_comment(self, text: str = "") -> None:
        """Send a comment, which clients ignore."""
        await self.accept()
        await self._fw_write(encode_comment(text))

    async def close(self) -> None:
        """End the stream; the client connects again unless its page has told it not to."""
        if self._fw_started and not self._fw_complete:
            await self.send_body(b"")

    @classmethod
    async def encode_json(cls, content: Any) -> str:
        """A value as JSON; dates, UUIDs, decimals and lazy text as Django writes them."""
        return encode_json(content)

    # ------------------------------------------------------------------ how it works

    async def handle(self, body: bytes) -> None:
        """Answer the request: begin the stream, or refuse it."""
        method = self.scope.get("method", "GET")
        if method == "HEAD":
            await self.send_response(200, b"", headers=_HEADERS)
            return
        if method != "GET":
            await self.send_response(405, b"", headers=[(b"allow", b"GET, HEAD")])
            return
        try:
            await self.connect(self._fw_last_event_id())
        except AcceptConnection:
            pass
        except DenyConnection:
            await self.send_response(403, b"")
            return
        await self.accept()

    def _fw_last_event_id(self) -> str | None:
        for name, value in self.scope.get("headers", ()):
            if name == b"last-event-id":
                return bytes(value).decode("utf-8", "replace")
        query = parse_qs(self.scope.get("query_string", b"").decode("latin-1"))
        found = query.get(self.last_event_id_parameter)
        return found[-1] if found else None

    async def _fw_write(self, data: bytes) -> None:
        if not self._fw_complete:
            self._fw_sent_at = asyncio.get_running_loop().time()
            await self.send_body(data, more_body=True)

    async def _fw_keep_alive(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._fw_complete:
            left = self._fw_sent_at + self.keep_alive - loop.time()
            if left > 0:
                await asyncio.sleep(left)
                continue
            try:
                await self._fw_write(encode_comment())
            except OSError:
                return  # the client is gone, and its disconnect on the way

    async def websocket_send(self, message: Event) -> None:
        """A group message that is to reach the client as it is."""
        text = message.get("text")
        if text is not None:
            await self.send_event(text)

    async def websocket_close(self, message: Event) -> None:
        """A group message that ends the stream."""
        await self.close()

    async def _fw_end(self) -> None:
        tasks = [task for task in (self._fw_beat, self._fw_closer) if task is not None]
        self._fw_beat = self._fw_closer = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await super()._fw_end()

    def _fw_drain(self) -> None:
        """The server ends, and would wait for this stream: its client connects to the next one."""
        # Later: the server is in the middle of saying goodbye to everyone.
        closing = self._fw_close_quietly()
        self._fw_closer = create_task_later(asyncio.get_running_loop(), closing)

    async def _fw_close_quietly(self) -> None:
        with contextlib.suppress(OSError):  # the client was faster
            await self.close()

    def _fw_lane(self, arrival: Arrival) -> Hashable:
        # Behind connect(), as on a WebSocket: it may still be sending what the client has missed.
        return "stream" if self.concurrency == 1 else super()._fw_lane(arrival)

    def _fw_open(self, mailbox: Mailbox, send: Send, *, foreign: bool) -> None:
        super()._fw_open(mailbox, send, foreign=foreign)
        # Who missed an event must not believe to have seen them all: it is to connect again.
        mailbox.overflow = Overflow.DISCONNECT
        mailbox.on_drain = self._fw_drain
        if self._fw_grace is not None:
            mailbox.on_overflow = self._fw_grace.interrupt
