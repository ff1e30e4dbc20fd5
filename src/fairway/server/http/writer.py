"""What a response needs of the protocol that carries it.

:class:`~fairway.server.http.stream.HTTPStream` knows ASGI and no protocol: what the application
sends goes through a :class:`Writer`, one for each request, which the connection makes.
"""

from collections.abc import Iterable
from typing import Protocol

from fairway.delivery.mailbox import Flow
from fairway.server.context import Context


class Carrier(Protocol):
    """The connection that a request came on, as far as its stream needs it.

    Attributes:
        context: What all connections share.
        server: The address that the client connected to.
    """

    context: Context
    server: tuple[str, int | None] | None


class Writer(Flow, Protocol):
    """Carries one response, in the words of the protocol that its request came in.

    As a :class:`~fairway.delivery.mailbox.Flow` it slows down the client's body. The order of calls
    is that of a response: any number of :meth:`informational`; then :meth:`whole`, or
    :meth:`start` and any number of :meth:`body`, the last one with ``more=False``; and then
    :meth:`end`. Instead of what is left of it come :meth:`error` and :meth:`end`, if nothing but
    interim responses has been written, or else :meth:`cut`.

    Nothing here waits: whoever carries the writer tells the stream to ``pause_writing()`` while
    more waits to be sent than should, and to ``resume_writing()``; and ``client_lost()`` once
    nothing can be sent any more.
    """

    @property
    def closing(self) -> bool:
        """Whether what is written now cannot arrive; ``client_lost()`` is called soon."""

    def informational(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Send an interim response, such as 100 or 103; nothing to a client that knows none.

        Raises:
            ValueError: The status is none of those, or a header cannot be sent.
        """

    def start(
        self,
        status: int,
        headers: Iterable[tuple[bytes, bytes]],
        part: bytes = b"",
    ) -> None:
        """Send the head of the response.

        Args:
            status: 200 to 999.
            headers: What the application says; the protocol's own are added.
            part: What is there of the body already, of which more follows.

        Raises:
            ValueError: A header cannot be sent. Nothing was sent, and :meth:`error` may follow.
            LocalProtocolError: The part is longer than the body may be; the same.
        """

    def whole(self, status: int, headers: Iterable[tuple[bytes, bytes]], data: bytes) -> None:
        """Send the head and with it the whole body.

        Args:
            status: As in :meth:`start`.
            headers: As there.
            data: The whole body; it is not sent where a response has none.

        Raises:
            ValueError: As there.
            LocalProtocolError: The body has another length than the headers say; the same.
        """

    def body(self, data: bytes, more: bool) -> None:
        """Send a part of the body, after the head.

        Args:
            data: May be empty.
            more: Whether another part follows.

        Raises:
            LocalProtocolError: The body is longer or shorter than the headers say.
        """

    def error(self, status: int, detail: str) -> None:
        """Send a whole response of the server's own, instead of the application's."""

    def last_of_connection(self) -> None:
        """Say with the head, unless it was sent, that no further request is served (HTTP/1.1)."""

    def end(self) -> None:
        """The response was sent to its end; the connection is free for what comes next."""

    def cut(self) -> None:
        """The response cannot be completed, and the client has to notice."""
