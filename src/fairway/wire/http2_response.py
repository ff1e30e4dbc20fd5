"""The answer to an HTTP/2 request: what the application says becomes fields (RFC 9113 §8.3.2)."""

import re
from collections.abc import Iterable
from typing import Final

from fairway._types import Headers
from fairway.wire.http1_faults import TCHAR
from fairway.wire.http1_fields import no_bytes
from fairway.wire.http1_response import (
    NO_CONTENT,
    RESET_CONTENT,
    WITHOUT_BODY,
    LocalProtocolError,
    wrong_length,
)
from fairway.wire.http2_head import CONNECTION_FIELDS

_TOKEN: Final = re.compile(b"[%b]+" % TCHAR)
_FORBIDDEN: Final = re.compile(rb"[\r\n\0]")
_STATUS: Final = b":status"


class HTTP2Response:
    """Framing of one response to one request.

    Args:
        request_method: Of the request: ``HEAD`` is answered without a body.

    Attributes:
        complete: Whether all of the response was produced.
    """

    __slots__ = ("_length", "_sent", "_started", "_to_head", "_without_body", "complete")

    def __init__(self, request_method: str) -> None:
        self.complete = False
        self._to_head = request_method == "HEAD"
        self._started = False
        self._without_body = False
        self._length: int | None = None  # as content-length declares it
        self._sent = 0

    def start(
        self,
        status: int,
        headers: Iterable[tuple[bytes, bytes]],
        *,
        server: bytes | None,
        date: bytes,
        size: int | None = None,
    ) -> Headers:
        """The fields that begin the response.

        Names become lower case (§8.2). Fields that belong to a connection are dropped: an
        application that speaks of HTTP/1.1 is not wrong, its words only mean nothing here (§8.2.2).

        Args:
            status: 200 to 999.
            headers: Sent in this order.
            server: ``server``, unless the application sent one; None for none.
            date: ``date``, unless the application sent one (RFC 9110 §6.6.1).
            size: That of the body in bytes, where all of it is known; sent as ``content-length`` if
                there is none.

        Raises:
            ValueError: The status or a header cannot be sent; the message names it.
            LocalProtocolError: The response has begun already, or ``content-length`` is wrong.
        """
        if self._started:
            raise LocalProtocolError("The response has begun already.")
        fields: Headers = [(_STATUS, b"%d" % _checked_status(status))]
        fields += encode_fields(headers)
        names = {name for name, _ in fields}
        without_length = status in (NO_CONTENT, RESET_CONTENT)
        without_body = status in WITHOUT_BODY or self._to_head
        length = _length_of(fields)
        if length is not None:
            if size is not None and size != length and not without_body:
                raise wrong_length(length, size)
            if without_length:
                # "MUST NOT send a Content-Length header field in any response with a status code of
                # … 204 (No Content)", RFC 9110 §8.6. With 205 only 0 is true: END_STREAM is it.
                fields = [field for field in fields if field[0] != b"content-length"]
        elif size is not None and not without_body:
            length = size
            fields.append((b"content-length", b"%d" % size))
        if b"date" not in names:
            fields.append((b"date", date))
        if server is not None and b"server" not in names:
            fields.append((b"server", server))
        self._started = True
        self._without_body, self._length = without_body, length
        if size is not None:
            self._sent = size
        return fields

    @property
    def without_body(self) -> bool:
        """Whether the response that has begun has no body, whatever the application sends."""
        return self._without_body

    def body(self, data: bytes, more: bool) -> bytes:
        """The next part of the body, as it is sent; empty if there is nothing to send.

        Args:
            data: May be empty.
            more: Whether another part, or trailers, follow.

        Raises:
            LocalProtocolError: The body is longer or shorter than ``content-length`` declares, or
                the response has not begun or is complete. The stream has to be reset.
        """
        if not self._started or self.complete:
            raise LocalProtocolError(
                "The response is complete." if self.complete else "The response has not begun."
            )
        self.complete = not more
        if self._without_body:
            return b""
        self._sent += len(data)
        if self._length is not None and (
            self._sent > self._length or (self._sent < self._length and not more)
        ):
            self.complete = False
            raise wrong_length(self._length, self._sent)
        return data


def informational_fields(status: int, headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The fields of an interim response, such as 103 (Early Hints).

    Raises:
        ValueError: The status is not one of those, or a header cannot be sent. 101 does not exist
            here (RFC 9113 §8.6).
    """
    if not 100 <= status <= 199 or status == 101:
        raise ValueError(f"{status!r} is not the status of an interim response.")
    return [(_STATUS, b"%d" % status), *encode_fields(headers)]


def encode_fields(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Header or trailer fields as HTTP/2 has them: lower case, without those of connections.

    Raises:
        ValueError: One of them cannot be sent; the message names it.
    """
    fields: Headers = []
    for name, value in headers:
        try:
            token, forbidden = _TOKEN.fullmatch(name), _FORBIDDEN.search(value)
        except TypeError as error:
            raise no_bytes(name, value) from error
        if not token:
            raise ValueError(f"The header name {name!r} is not a token (RFC 9110 §5.6.2).")
        if forbidden:
            text = name.decode("ascii")
            raise ValueError(f"The value of the header {text!r} holds a CR, LF or NUL.")
        lower = name.lower()
        if lower not in CONNECTION_FIELDS:
            # "A field value MUST NOT start or end with an ASCII whitespace character", §8.2.1
            fields.append((lower, value.strip(b" \t")))
    return fields


def error_fields(
    status: int,
    detail: str,
    *,
    server: bytes | None,
    date: bytes,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> tuple[Headers, bytes]:
    """Fields and body of a response in plain text, such as a Refusal asks for.

    Args:
        status: 400 or above.
        detail: What the client is told.
        server: ``server``, or None for none.
        date: ``date``.
        headers: What the status asks for, such as ``allow`` with 405.
    """
    body = f"{detail}\n".encode()
    given = [(b"content-type", b"text/plain; charset=utf-8"), *headers]
    response = HTTP2Response("GET")
    return response.start(status, given, server=server, date=date, size=len(body)), body


def _checked_status(status: int) -> int:
    if not 200 <= status <= 999:
        raise ValueError(f"A status is a number from 200 to 999, not {status!r}.")
    return status


def _length_of(fields: Headers) -> int | None:
    length: int | None = None
    for name, value in fields:
        if name == b"content-length":
            if length is not None:
                raise ValueError("The header 'Content-Length' was given more than once.")
            if not value.isdigit():
                raise ValueError(f"The header 'Content-Length' is not a number: {value!r}.")
            length = int(value)
    return length
