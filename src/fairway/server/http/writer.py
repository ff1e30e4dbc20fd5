"""What a response needs of the protocol that carries it.

:class:`~fairway.server.http.stream.HTTPStream` knows ASGI and no protocol: what the application
sends goes through a :class:`Writer`, one for each request, which the connection makes.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from fairway.delivery.mailbox import Flow
from fairway.server.context import Context
from fairway.server.http.files import Part


class Carrier(Protocol):
    """The connection that a request came on, as far as its stream needs it.

    Attributes:
        context: What all connections share.
        server: The address that the client connected to.
        tls: ASGI's extension "tls" for its scopes; None if it is not encrypted.
    """

    context: Context
    server: tuple[str, int | None] | None
    tls: dict[str, Any] | None


class FileSender(Protocol):
    """Sends parts of files without their bytes being seen here."""

    async def file(
        self,
        part: Part,
        more: bool,
        drain: Callable[[], Awaitable[None]],
        progress: Callable[[int], object],
    ) -> None:
        """Send a part of the body from a file; it has been sent when this returns.

        Args:
            part: What to send; it stays the caller's to close.
            more: As in :meth:`Writer.body`.
            drain: Waits while ``pause_writing()`` applies; raises once the client is gone.
            progress: Told how many bytes have gone out, again and again.

        Raises:
            ClientDisconnected: The client has gone, or :meth:`stop` was called.
            LocalProtocolError: As in :meth:`Writer.body`; or the file has become shorter. The
                response cannot be completed.
        """

    def stop(self) -> None:
        """The client is gone, or the response has failed: end :meth:`file` if it runs."""


class Writer(Flow, Protocol):
    """Carries one response, in the words of the protocol that its request came in.

    As a :class:`~fairway.delivery.mailbox.Flow` it slows down the client's body. The order of
    calls is that of a response: any number of :meth:`informational`; then :meth:`whole`, or
    :meth:`start` and any number of :meth:`body`, the last one with ``more=False``, and
    :meth:`trailers` if they were announced; and then :meth:`end`. Instead of what is left of it
    come :meth:`error` and :meth:`end`, if nothing but interim responses has been written, or
    else :meth:`cut`.

    Nothing here waits: whoever carries the writer tells the stream to ``pause_writing()`` while
    more waits to be sent than should, and to ``resume_writing()``; and ``client_lost()`` once
    nothing can be sent any more.
    """

    @property
    def files(self) -> FileSender | None:
        """What sends files, beside :meth:`body`; None where they have to be read for it."""

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
        *,
        length: int | None = None,
        trailers: bool = False,
    ) -> None:
        """Send the head of the response.

        Args:
            status: 200 to 999.
            headers: What the application says; the protocol's own are added.
            part: What is there of the body already, of which more follows.
            length: Bytes in the whole body, if that is known.
            trailers: Whether :meth:`trailers` will be called.

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

    def trailers(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """End the response that has said so with trailer fields, after its body.

        Args:
            headers: The fields; they are checked, and not sent to a client that did not ask for
                any (``TE: trailers``).

        Raises:
            ValueError: A field cannot be sent, or not as a trailer.
        """

    def error(self, status: int, detail: str) -> None:
        """Send a whole response of the server's own, instead of the application's."""

    def last_of_connection(self) -> None:
        """Say with the head, which is still to be sent, that it is the last response (HTTP/1.1)."""

    def end(self) -> None:
        """The response was sent to its end; the connection is free for what comes next."""

    def cut(self) -> None:
        """The response cannot be completed, and the client has to notice."""
