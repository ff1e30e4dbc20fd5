"""Responses in HTTP/1.1: bytes of :mod:`fairway.wire.http1_response`, written to the transport."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from fairway.delivery.mailbox import Flow
from fairway.server.context import Context
from fairway.wire.http1 import CONTINUE, Request, Response, error_response, informational


class HTTP1Carrier(Flow, Protocol):
    """The connection, as far as its writers need it.

    Attributes:
        context: What all connections share.
        transport: Where the response goes.
    """

    context: Context
    transport: asyncio.Transport

    def stream_ended(self, *, keep_alive: bool) -> None:
        """The response is complete."""

    def cut(self) -> None:
        """The response cannot be completed, and the client has to notice."""


class HTTP1Writer:
    """The :class:`~fairway.server.http.writer.Writer` of one request in HTTP/1.1 or 1.0.

    Args:
        connection: What the request came on.
        request: What is answered.
        keep_alive: Whether client and server want to use the connection again.
    """

    __slots__ = ("_connection", "_context", "_request", "_response", "_transport")

    def __init__(self, connection: HTTP1Carrier, request: Request, keep_alive: bool) -> None:
        self._connection = connection
        self._context = connection.context
        self._transport = connection.transport
        self._request = request
        self._response = Response(request.method, request.http_version, keep_alive)

    @property
    def closing(self) -> bool:
        """Whether the transport takes nothing more."""
        return self._transport.is_closing()

    def informational(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Send an interim response, but not to HTTP/1.0 (RFC 9110 §15.2)."""
        data = CONTINUE if status == 100 else informational(status, headers)
        if self._request.http_version != "1.0":
            self._transport.write(data)

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]], part: bytes = b"") -> None:
        """Send the head, in one write with what is there of the body."""
        context, response = self._context, self._response
        head = response.start(status, headers, server=context.server_header, date=context.date())
        self._transport.write(head + response.body(part, True) if part else head)

    def whole(self, status: int, headers: Iterable[tuple[bytes, bytes]], data: bytes) -> None:
        """Send head and body in one write."""
        context = self._context
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

    def error(self, status: int, detail: str) -> None:
        """Send a response that ends the connection."""
        context = self._context
        answer = error_response(status, detail, server=context.server_header, date=context.date())
        if self._request.method == "HEAD":
            answer = answer[: answer.index(b"\r\n\r\n") + 4]
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
