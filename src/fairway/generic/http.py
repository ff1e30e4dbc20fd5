"""A consumer for HTTP requests: for long polling and streams that a view cannot do."""

import asyncio
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, ClassVar, Final

from fairway._types import Event
from fairway.consumer import AsyncConsumer
from fairway.consuming.lanes import Arrival
from fairway.exceptions import StopConsumer
from fairway.generic.groups import Groups

Header = tuple[bytes, bytes]

# Lanes: the request and its handle() in one, everything else one after the other in another.
_REQUEST: Final = "request"
_MESSAGES: Final = "messages"


class AsyncHttpConsumer(Groups, AsyncConsumer):
    """An HTTP request whose response is sent piece by piece.

    Override :meth:`handle`; await :meth:`send_response`, or :meth:`send_headers` and
    :meth:`send_body`. While :meth:`handle` runs, layer messages are handled beside it. When it has
    returned, the consumer ends; but if it has begun a response and not ended it, the consumer goes
    on until a handler does, the client leaves, or :attr:`response_timeout` is over.

    A client that leaves interrupts :meth:`handle` and other handlers (they are cancelled), unless
    the response is complete. :meth:`disconnect` comes last, whatever happened.

    Attributes:
        body: The pieces of the request's body that have arrived.
    """

    #: Seconds that handlers go on after the client has left before the response was complete.
    disconnect_grace: ClassVar[float | None] = 0.0
    #: Seconds after :meth:`handle` has returned until a response that is still open is ended as it
    #: is. None waits until a handler completes it or the client leaves.
    response_timeout: ClassVar[float | None] = None

    _fw_opening: ClassVar[str] = "http.request"
    _fw_ending: ClassVar[str] = "http.disconnect"
    _fw_opens_alone: ClassVar[bool] = False

    _fw_over = False
    _fw_handled = False
    _fw_started = False
    _fw_complete = False
    _fw_completed: asyncio.Event | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.body: list[bytes] = []

    # ------------------------------------------------------------------ to the client

    async def send(self, message: Event) -> None:
        """Send an ASGI event to the client.

        Raises:
            OSError: The client is gone, under servers that tell.
        """
        kind = message["type"]
        if kind == "http.response.start":
            self._fw_started = True
        elif kind == "http.response.body" and not message.get("more_body"):
            # Before it is sent: the server answers the last piece with http.disconnect.
            self._fw_complete = True
            if self._fw_completed is not None:
                self._fw_completed.set()
        await super().send(message)

    async def send_headers(
        self,
        *,
        status: int = 200,
        headers: Iterable[Header] | Mapping[bytes, bytes] | None = None,
    ) -> None:
        """Begin the response.

        Args:
            status: The HTTP status.
            headers: Header fields, as pairs of bytes or as a mapping.
        """
        if headers is None:
            headers = []
        elif isinstance(headers, Mapping):
            headers = list(headers.items())
        await self.send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def send_body(self, body: bytes, *, more_body: bool = False) -> None:
        """Send a piece of the response's body.

        Args:
            body: May be empty.
            more_body: Whether another piece follows.
        """
        assert isinstance(body, bytes), "Body is not bytes"
        await self.send({"type": "http.response.body", "body": body, "more_body": more_body})

    async def send_response(self, status: int, body: bytes, **kwargs: Any) -> None:
        """Send a whole response.

        Args:
            status: The HTTP status.
            body: The whole body.
            kwargs: As for :meth:`send_headers`.
        """
        await self.send_headers(status=status, **kwargs)
        await self.send_body(body)

    # ------------------------------------------------------------------ from the client

    async def handle(self, body: bytes) -> None:
        """Called once with the request's whole body; must be overridden.

        Raises:
            NotImplementedError: It was not.
        """
        raise NotImplementedError("Subclasses of AsyncHttpConsumer must provide a handle() method.")

    async def disconnect(self) -> None:
        """Called once when the request is over; does nothing unless overridden."""

    async def http_request(self, message: Event) -> None:
        """A piece of the request's body: with the last one, :meth:`handle` is called."""
        if "body" in message:
            self.body.append(message["body"])
        if message.get("more_body"):
            return
        try:
            self._fw_require_groups()
            await self._fw_join_groups()
            await self.handle(b"".join(self.body))
        except Exception:
            await self._fw_end()
            raise
        finally:
            self._fw_handled = True
        if self._fw_started and not self._fw_complete:
            await self._fw_wait_for_others()
            return
        await self._fw_end()
        raise StopConsumer

    async def _fw_wait_for_others(self) -> None:
        """Another handler is to complete the response; whoever does so ends the consumer."""
        if self.response_timeout is None:
            return
        self._fw_completed = asyncio.Event()
        try:
            async with asyncio.timeout(self.response_timeout):
                await self._fw_completed.wait()
        except TimeoutError:
            await self.send_body(b"")

    async def http_disconnect(self, message: Event) -> None:
        """The client is gone, or the response complete."""
        await self._fw_end()
        raise StopConsumer

    async def _fw_end(self) -> None:
        # An on_error() that goes on after handle() failed meets the client's disconnect as well.
        if self._fw_over:
            return
        self._fw_over = True
        try:
            if hasattr(self.channel_layer, "group_discard"):
                await self._fw_leave_groups()
        finally:
            await self.disconnect()

    # ------------------------------------------------------------------ how it is served

    @property
    def _fw_in_lanes(self) -> bool:
        return True

    @property
    def _fw_limit(self) -> int:
        return self.concurrency + 1

    def _fw_lane(self, arrival: Arrival) -> Hashable:
        if not arrival.from_layer and arrival.event.get("type") == self._fw_opening:
            return _REQUEST
        return _MESSAGES if self.concurrency == 1 else self.lane(arrival.event)

    @property
    def _fw_interrupts_at_once(self) -> bool:
        return super()._fw_interrupts_at_once and not self._fw_complete

    def _fw_client_left(self) -> None:
        if not self._fw_complete:
            super()._fw_client_left()

    async def _fw_handle(self, arrival: Arrival) -> None:
        await super()._fw_handle(arrival)
        if self._fw_handled and self._fw_complete:
            await self._fw_end()
            raise StopConsumer

    async def _fw_dispatch_late(self, event: Event) -> None:
        if self._fw_mailbox is not None and self._fw_mailbox.disconnected:
            await super()._fw_dispatch_late(event)
        else:
            await self._fw_end()
