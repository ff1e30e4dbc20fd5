"""Responses in HTTP/1.1: bytes of :mod:`fairway.wire.http1_response`, written to the transport."""

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Protocol

from fairway.delivery.mailbox import Flow
from fairway.exceptions import ClientDisconnected
from fairway.server.context import Context
from fairway.server.http.files import Copier, Part
from fairway.server.http.writer import FileSender
from fairway.wire.http1 import CONTINUE, Request, Response, error_response, informational

#: Whether the system copies from files to sockets.
SENDFILE: Final = hasattr(os, "sendfile")


def without_body(response: bytes) -> bytes:
    """A response as HEAD gets it."""
    return response[: response.index(b"\r\n\r\n") + 4]


class HTTP1Carrier(Flow, Protocol):
    """The connection, as far as its writers need it.

    Attributes:
        context: What all connections share.
        copied: Bytes that have gone to the socket without being written to the transport.
        transport: Where the response goes.
    """

    context: Context
    copied: int
    transport: asyncio.Transport

    def stream_ended(self, *, keep_alive: bool) -> None:
        """The response is complete."""

    def cut(self) -> None:
        """The response cannot be completed, and the client has to notice."""

    def watch_reader(self) -> None:
        """See to it that the client reads what waits for it, from now on."""

    def unwatch_reader(self) -> None:
        """What waits for the client is not much, or nothing."""

    def body_awaited(self) -> None:
        """The client was told to send the body that it has announced."""


class HTTP1Writer:
    """The :class:`~fairway.server.http.writer.Writer` of one request in HTTP/1.1 or 1.0.

    Args:
        connection: What the request came on.
        request: What is answered.
        keep_alive: Whether client and server want to use the connection again.
    """

    __slots__ = ("_connection", "_copier", "_request", "_response", "_transport")

    def __init__(self, connection: HTTP1Carrier, request: Request, keep_alive: bool) -> None:
        self._connection = connection
        self._transport = connection.transport
        self._request = request
        self._response = Response(request.method, request.http_version, keep_alive)
        self._copier: Copier | None = None

    @property
    def closing(self) -> bool:
        """Whether the transport takes nothing more."""
        return self._transport.is_closing()

    def informational(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Send an interim response, but not to HTTP/1.0 (RFC 9110 §15.2)."""
        data = CONTINUE if status == 100 else informational(status, headers)
        if self._request.http_version != "1.0":
            self._transport.write(data)
        if status == 100:
            self._connection.body_awaited()

    def start(
        self,
        status: int,
        headers: Iterable[tuple[bytes, bytes]],
        part: bytes = b"",
        *,
        length: int | None = None,
        trailers: bool = False,
    ) -> None:
        """Send the head, in one write with what is there of the body."""
        context, response = self._connection.context, self._response
        head = response.start(
            status,
            headers,
            server=context.server_header,
            date=context.date(),
            length=length,
            trailers=trailers and self._request.takes_trailers,
        )
        self._transport.write(head + response.body(part, True) if part else head)

    def whole(self, status: int, headers: Iterable[tuple[bytes, bytes]], data: bytes) -> None:
        """Send head and body in one write."""
        context = self._connection.context
        self._transport.write(
            self._response.start_and_body(
                status, headers, data, server=context.server_header, date=context.date()
            )
        )

    def body(self, data: bytes, more: bool) -> None:
        """Send a part of the body, with a length, as a chunk, or as it is."""
        framed = self._response.body(data, more)
        if framed:
            self._transport.write(framed)

    def trailers(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Send the last chunk, and behind it the fields."""
        data = self._response.trailers(headers)
        if data:
            self._transport.write(data)

    @property
    def files(self) -> FileSender | None:
        """This itself, where the system can copy from a file to the socket."""
        encrypted = self._transport.get_extra_info("sslcontext") is not None
        if encrypted or not SENDFILE:
            return None
        return self if self._transport.get_extra_info("socket") is not None else None

    async def file(
        self,
        part: Part,
        more: bool,
        drain: Callable[[], Awaitable[None]],
        progress: Callable[[int], object],
    ) -> None:
        """Let the system copy the file, behind everything that was written before."""
        framing = self._response.around(part.count, more)
        if framing is None:
            return
        before, behind = framing
        transport, context = self._transport, self._connection.context
        if transport.is_closing():
            raise ClientDisconnected("The client went before a file was sent.")
        if before:
            transport.write(before)
        sock = transport.get_extra_info("socket")
        transport.set_write_buffer_limits(high=0)  # drain() waits for all of it
        try:
            await drain()
            copier = self._copier = Copier(context.loop, context.files, sock.fileno(), part)
            self._connection.watch_reader()
            await copier.run(functools.partial(self._copied, progress))
        finally:
            self._copier = None
            self._connection.unwatch_reader()
            if not transport.is_closing():
                transport.set_write_buffer_limits(high=context.config.write_buffer_size)
        if behind:
            transport.write(behind)

    def _copied(self, progress: Callable[[int], object], size: int) -> None:
        self._connection.copied += size
        progress(size)

    def stop(self) -> None:
        """Copy no more."""
        if self._copier is not None:
            self._copier.stop()

    def error(self, status: int, detail: str) -> None:
        """Send a response that ends the connection."""
        context = self._connection.context
        answer = error_response(status, detail, server=context.server_header, date=context.date())
        if self._request.method == "HEAD":
            answer = without_body(answer)
        self._response.keep_alive = False
        self._transport.write(answer)

    def last_of_connection(self) -> None:
        """Say ``Connection: close`` with the head."""
        self._response.keep_alive = False

    def end(self) -> None:
        """Let the connection go on with the next request, or end."""
        self._connection.stream_ended(keep_alive=self._response.keep_alive)

    def cut(self) -> None:
        """End the connection so that the client notices."""
        self._connection.cut()

    def pause_reading(self) -> None:
        """The application is behind with the request's body."""
        self._connection.pause_reading()

    def resume_reading(self) -> None:
        """The application has taken what there was."""
        self._connection.resume_reading()
