"""A consumer for HTTP requests: for long polling and streams that a view cannot do."""

from collections.abc import Iterable, Mapping
from typing import Any

from fairway._types import Event
from fairway.consumer import AsyncConsumer
from fairway.exceptions import StopConsumer

Header = tuple[bytes, bytes]


class AsyncHttpConsumer(AsyncConsumer):
    """An HTTP request whose response is sent piece by piece.

    Override :meth:`handle`; await :meth:`send_response`, or :meth:`send_headers` and
    :meth:`send_body`. The consumer ends when :meth:`handle` returns.

    Attributes:
        body: The pieces of the request's body that have arrived.
    """

    _over = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.body: list[bytes] = []

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

    async def handle(self, body: bytes) -> None:
        """Called once with the request's whole body; must be overridden.

        Raises:
            NotImplementedError: It was not.
        """
        raise NotImplementedError("Subclasses of AsyncHttpConsumer must provide a handle() method.")

    async def disconnect(self) -> None:
        """Called once when the request is over; does nothing unless overridden."""

    async def _end(self) -> None:
        # An on_error() that goes on after handle() failed meets the client's disconnect as well.
        if not self._over:
            self._over = True
            await self.disconnect()

    async def http_request(self, message: Event) -> None:
        """A piece of the request's body: with the last one, :meth:`handle` is called."""
        if "body" in message:
            self.body.append(message["body"])
        if not message.get("more_body"):
            try:
                await self.handle(b"".join(self.body))
            finally:
                await self._end()
            raise StopConsumer

    async def http_disconnect(self, message: Event) -> None:
        """The client is gone before its request was complete."""
        await self._end()
        raise StopConsumer
