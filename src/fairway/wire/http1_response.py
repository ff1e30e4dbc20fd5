"""The answer to an HTTP/1.1 request: what the application says becomes bytes (RFC 9112 §4, §6)."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from fairway.wire.http1_fields import (
    FORBIDDEN,
    check_lines,
    encode_connection,
    encode_fields,
    encode_trailers,
)
from fairway.wire.http1_heads import heads as known_heads
from fairway.wire.http1_heads import keep

__all__ = ["CONTINUE", "LocalProtocolError", "Response", "error_response", "informational"]

#: Tells the client that waits for it to send its body (RFC 9110 §15.2.1).
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

# The names of RFC 9110; Python before 3.13 has older ones for some.
_PHRASES: Final = {int(status): status.phrase for status in HTTPStatus} | {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
_STATUS_LINES: Final = {
    status: f"HTTP/1.1 {status} {phrase}".encode() for status, phrase in _PHRASES.items()
}


NO_CONTENT: Final = 204
RESET_CONTENT: Final = 205
#: Statuses of final responses without a body, whatever the application sends (RFC 9110 §6.4.1).
WITHOUT_BODY: Final = frozenset({NO_CONTENT, RESET_CONTENT, 304})


class LocalProtocolError(Exception):
    """The application's response breaks the protocol; the connection cannot be used any more."""


class Response:
    """Framing of one response to one request.

    Args:
        request_method: Of the request: ``HEAD`` is answered without a body.
        http_version: Of the request: ``"1.0"`` knows no chunks.
        keep_alive: Whether client and server want to use the connection again.

    Attributes:
        keep_alive: Whether the connection may be used again after this response; final once the
            response is complete.
        complete: Whether all of the response was produced.
    """

    __slots__ = (
        "_body_complete",
        "_chunked",
        "_http10",
        "_length",
        "_sent",
        "_started",
        "_to_head",
        "_trailers",
        "_without_body",
        "complete",
        "keep_alive",
    )

    def __init__(self, request_method: str, http_version: str, keep_alive: bool) -> None:
        self.keep_alive = keep_alive
        self.complete = False
        self._to_head = request_method == "HEAD"
        self._http10 = http_version == "1.0"
        self._started = self._body_complete = False
        # What _head() finds out, and nobody asks for before: not set here, as that takes time.
        self._without_body: bool
        self._chunked: bool
        self._trailers: bool
        self._length: int | None  # as Content-Length declares it
        self._sent: int  # bytes of the body

    def start(
        self,
        status: int,
        headers: Iterable[tuple[bytes, bytes]],
        *,
        server: bytes | None,
        date: bytes,
        length: int | None = None,
        trailers: bool = False,
    ) -> bytes:
        """The head of the response.

        The body is counted with ``Content-Length``, else chunked, or in HTTP/1.0 ended by closing
        the connection (RFC 9112 §6.3). ``Transfer-Encoding`` from the application is dropped, as
        ASGI says; ``Connection: close`` from it is honoured.

        Args:
            status: 100 to 999; 1xx, 204, 205 and 304 have no body. 101 is for the handshake of a
                protocol that HTTP/1.1 ends with.
            headers: Sent in this order and spelling.
            server: ``Server``, unless the application sent one; None for none.
            date: ``Date``, unless the application sent one (RFC 9110 §6.6.1).
            length: Bytes in the whole body, where that is known and it is not sent in one piece;
                adds ``Content-Length`` if there is none.
            trailers: Whether the client takes trailer fields and :meth:`trailers` is to send some;
                the body is chunked for that, also one whose length is declared. Not with a body
                that cannot be chunked.

        Raises:
            ValueError: The status or a header cannot be sent; the message names it.
            LocalProtocolError: The response has begun already, or ``length`` is not what its
                ``Content-Length`` says.
        """
        return self._head(status, headers, server, date, length, trailers)

    def start_and_body(
        self,
        status: int,
        headers: Iterable[tuple[bytes, bytes]],
        data: bytes,
        *,
        server: bytes | None,
        date: bytes,
    ) -> bytes:
        """A whole response whose body is one piece; ``Content-Length`` is added if there is none.

        Args:
            status: As in :meth:`start`, like the others.
            headers: As there.
            data: The whole body.
            server: As there.
            date: As there.

        Raises:
            ValueError: As in :meth:`start`.
            LocalProtocolError: The response has begun already, or ``Content-Length`` is wrong.
        """
        key: tuple[object, ...] | None = None
        usual = self.keep_alive and not (self._to_head or self._http10 or self._started)
        if usual and type(headers) is list:
            key = (status, len(data), server, *headers)
            try:
                known = known_heads.get(key)
            except TypeError:  # a field is a list, or what may not be sent
                key = known = None
            if known is not None:
                self._started = self._body_complete = self.complete = True
                self._trailers = False
                return b"".join((known[0], date, known[1], data))
        head = self._head(status, headers, server, date, len(data), key=key)
        self.complete = self._body_complete = True
        return head if self._without_body else head + data

    def body(self, data: bytes, more: bool) -> bytes:
        """The next part of the body, framed; empty if there is nothing to send.

        What a response may not have (to HEAD, with 1xx, 204, 205, 304) is swallowed.

        Args:
            data: May be empty.
            more: Whether another part follows.

        Raises:
            LocalProtocolError: The body is longer or shorter than ``Content-Length`` declares, or
                the response has not begun or is complete. The connection has to be closed.
        """
        self._count(len(data), more)
        if self._without_body:
            return b""
        if self._chunked:
            chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""  # empty would be the last
            return chunk if more or self._trailers else chunk + b"0\r\n\r\n"
        return data

    def around(self, size: int, more: bool) -> tuple[bytes, bytes] | None:
        """What goes before and behind the next part of the body, if that is sent by other means.

        Args:
            size: Bytes in the part.
            more: As in :meth:`body`.

        Returns:
            Both, or None if the part must not be sent: the response has no body.

        Raises:
            LocalProtocolError: As in :meth:`body`.
        """
        self._count(size, more)
        if self._without_body:
            return None
        if not self._chunked:
            return b"", b""
        end = b"" if more or self._trailers else b"0\r\n\r\n"
        return (b"%x\r\n" % size, b"\r\n" + end) if size else (b"", end)

    def trailers(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """What ends a response with trailer fields, after its body (RFC 9112 §7.1.2).

        Args:
            headers: The fields. They are checked, and dropped if this response has no place for
                them.

        Raises:
            ValueError: A field cannot be sent, or not in trailers (RFC 9110 §6.5.1).
            LocalProtocolError: The body is not complete.
        """
        data = encode_trailers(headers)
        if not self._body_complete:
            raise LocalProtocolError("Trailers come behind the body, which is not complete.")
        if not self._trailers:
            return b""
        self._trailers = False
        self.complete = True
        return b"0\r\n" + data

    def _count(self, size: int, more: bool) -> None:
        """Take a part of the body into account; says what :meth:`body` raises."""
        if not self._started or self._body_complete:
            raise LocalProtocolError(
                "The response is complete."
                if self._body_complete
                else "The response has not begun."
            )
        self._body_complete = not more
        self.complete = not more and not self._trailers
        if self._length is not None and not self._without_body:
            self._sent += size
            if self._sent > self._length or (self._sent < self._length and not more):
                self.complete = self.keep_alive = False
                raise wrong_length(self._length, self._sent)

    def _head(
        self,
        status: int,
        headers: Iterable[tuple[bytes, bytes]],
        server: bytes | None,
        date: bytes,
        size: int | None,
        trailers: bool = False,
        key: tuple[object, ...] | None = None,
    ) -> bytes:
        """What :meth:`start` says; ``size`` is that of the body where all of it is known.

        Nothing changes before all is known to be right, so that another answer can still be given.
        With a ``key``, the head is kept under it if it can be.
        """
        if self._started:
            raise LocalProtocolError("The response has begun already.")
        lines = [_STATUS_LINES.get(status) or _unusual_status_line(status)]
        own = encode_fields(headers, lines)
        # "MUST NOT send a Content-Length header field in any response with a status code of 1xx
        # (Informational) or 204 (No Content)", RFC 9110 §8.6
        without_length = status < 200 or status == NO_CONTENT
        without_body = without_length or status in WITHOUT_BODY or self._to_head
        keep_alive, chunked, length = self.keep_alive, False, None
        if b"content-length" in own:
            length = int(own[b"content-length"])
            if size is not None and size != length and not without_body:
                raise wrong_length(length, size)
        elif size is not None and not without_body:
            length = size
        elif not without_body:
            # "MUST NOT send a response containing Transfer-Encoding unless the corresponding
            # request indicates HTTP/1.1 (or later minor revisions)", RFC 9112 §6.1
            chunked = not self._http10
            keep_alive = keep_alive and chunked
        if status == RESET_CONTENT:
            # "a server MUST NOT generate content in a 205 response", RFC 9110 §15.3.6; but it has
            # to say so: the client reads it as if there were some (RFC 9112 §6.3).
            length = 0
        if trailers and not without_body and not self._http10:
            # "A sender MUST NOT send a Content-Length header field in any message that contains a
            # Transfer-Encoding header field", RFC 9112 §6.2; its bytes are counted all the same.
            chunked = True
        else:
            trailers = False
        if chunked:
            lines.append(b"Transfer-Encoding: chunked")
        elif length is not None and not without_length:
            lines.append(b"Content-Length: %d" % length)
        if date := own.get(b"date", date):
            lines.append(b"Date: " + date)
        if server := own.get(b"server", server):
            lines.append(b"Server: " + server)
        if b"connection" in own or not keep_alive or self._http10:
            keep_alive = encode_connection(
                own.get(b"connection", b""), keep_alive, self._http10, lines
            )
        lines += (b"", b"")
        head = b"\r\n".join(lines)
        if len(head.translate(None, FORBIDDEN)) != len(head) - 2 * (len(lines) - 1):
            check_lines(lines, head)
        self._started, self._trailers = True, trailers
        self._without_body, self._chunked, self._length = without_body, chunked, length
        self._sent = 0
        self.keep_alive = keep_alive
        if key is not None and keep_alive and not without_body and b"date" not in own:
            keep(key, head, date)
        return head


def informational(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """An interim response, such as 103 (Early Hints); any number may come before a response.

    Not to be sent to a client of HTTP/1.0 (RFC 9110 §15.2).

    Raises:
        ValueError: The status is not one of those, or a header cannot be sent.
    """
    if not 100 <= status <= 199 or status == HTTPStatus.SWITCHING_PROTOCOLS:
        raise ValueError(f"{status!r} is not the status of an interim response.")
    return Response("GET", "1.1", keep_alive=True).start(status, headers, server=None, date=b"")


def error_response(
    status: int,
    detail: str,
    *,
    server: bytes | None,
    date: bytes,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> bytes:
    """A complete response in plain text that ends the connection, such as a Refusal asks for.

    Args:
        status: 400 or above.
        detail: What the client is told.
        server: ``Server``, or None for none.
        date: ``Date``.
        headers: What the status asks for, such as ``Allow`` with 405.
    """
    fields = [(b"Content-Type", b"text/plain; charset=utf-8"), *headers]
    response = Response("GET", "1.1", keep_alive=False)
    return response.start_and_body(status, fields, f"{detail}\n".encode(), server=server, date=date)


def _unusual_status_line(status: int) -> bytes:
    if not 100 <= status <= 999:
        raise ValueError(f"A status is a number from 100 to 999, not {status!r}.")
    return b"HTTP/1.1 %d " % status  # the space stays where a phrase would be, RFC 9112 §4


def wrong_length(length: int, sent: int) -> LocalProtocolError:
    """The error for a body that is not as long as its ``Content-Length`` (RFC 9110 §8.6).

    Args:
        length: Bytes that were declared.
        sent: Bytes so far, or in all if they are fewer.
    """
    found = f"has at least {sent}" if sent > length else f"ended after {sent}"
    return LocalProtocolError(
        f"The response declares a Content-Length of {length} bytes, but its body {found}."
    )
