"""The answer to an HTTP/1.1 request: what the application says becomes bytes (RFC 9112 §4, §6)."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from fairway.wire.http1_faults import TCHAR

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

_TOKEN: Final = re.compile(b"[%b]+" % TCHAR)
_FORBIDDEN: Final = b"\r\n\0"

#: The fields that are not just passed on.
_OWN_FIELDS: Final = frozenset(
    {b"connection", b"content-length", b"date", b"server", b"transfer-encoding"}
)
#: Names that were valid before, as they were spelt; to the name in lower case if it is one of ours,
#: else to nothing. An application has few names.
_known_names: Final[dict[bytes, bytes]] = {}
_MAX_KNOWN_NAMES: Final = 1024


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
        "_chunked",
        "_http10",
        "_length",
        "_sent",
        "_started",
        "_to_head",
        "_without_body",
        "complete",
        "keep_alive",
    )

    def __init__(self, request_method: str, http_version: str, keep_alive: bool) -> None:
        self.keep_alive = keep_alive
        self.complete = False
        self._to_head = request_method == "HEAD"
        self._http10 = http_version == "1.0"
        self._started = False
        self._without_body = False
        self._chunked = False
        self._length: int | None = None  # as Content-Length declares it
        self._sent = 0

    def start(
        self,
        status: int,
        headers: Iterable[tuple[bytes, bytes]],
        *,
        server: bytes | None,
        date: bytes,
    ) -> bytes:
        """The head of the response.

        The body is counted with ``Content-Length``, else chunked, or in HTTP/1.0 ended by closing
        the connection (RFC 9112 §6.3). ``Transfer-Encoding`` from the application is dropped, as
        ASGI says; ``Connection: close`` from it is honoured.

        Args:
            status: 100 to 999; 1xx, 204 and 304 have no body. 101 is for the handshake of a
                protocol that HTTP/1.1 ends with.
            headers: Sent in this order and spelling.
            server: ``Server``, unless the application sent one; None for none.
            date: ``Date``, unless the application sent one (RFC 9110 §6.6.1).

        Raises:
            ValueError: The status or a header cannot be sent; the message names it.
            LocalProtocolError: The response has begun already.
        """
        return self._head(status, headers, server, date, None)

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
        head = self._head(status, headers, server, date, len(data))
        self.complete = True
        return head if self._without_body else head + data

    def body(self, data: bytes, more: bool) -> bytes:
        """The next part of the body, framed; empty if there is nothing to send.

        What a response may not have (to HEAD, with 1xx, 204, 304) is swallowed.

        Args:
            data: May be empty.
            more: Whether another part follows.

        Raises:
            LocalProtocolError: The body is longer or shorter than ``Content-Length`` declares, or
                the response has not begun or is complete. The connection has to be closed.
        """
        if not self._started or self.complete:
            raise LocalProtocolError(
                "The response is complete." if self.complete else "The response has not begun."
            )
        self.complete = not more
        if self._without_body:
            return b""
        if self._chunked:
            chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""  # empty would be the last
            return chunk if more else chunk + b"0\r\n\r\n"
        self._sent += len(data)
        if self._length is not None and (
            self._sent > self._length or (self._sent < self._length and not more)
        ):
            self.complete = self.keep_alive = False
            raise _wrong_length(self._length, self._sent)
        return data

    def _head(
        self,
        status: int,
        headers: Iterable[tuple[bytes, bytes]],
        server: bytes | None,
        date: bytes,
        size: int | None,
    ) -> bytes:
        """What :meth:`start` says; ``size`` is that of the body where all of it is known.

        Nothing changes before all is known to be right, so that another answer can still be given.
        """
        if self._started:
            raise LocalProtocolError("The response has begun already.")
        lines = [_STATUS_LINES.get(status) or _unusual_status_line(status)]
        own = _encode_fields(headers, lines)
        # "MUST NOT send a Content-Length header field in any response with a status code of 1xx
        # (Informational) or 204 (No Content)", RFC 9110 §8.6
        without_length = status < 200 or status == 204
        without_body = without_length or status == 304 or self._to_head
        keep_alive, chunked, length = self.keep_alive, False, None
        if b"content-length" in own:
            length = int(own[b"content-length"])
            if size is not None and size != length and not without_body:
                raise _wrong_length(length, size)
        elif size is not None and not without_body:
            length = size
        elif not without_body:
            # "MUST NOT send a response containing Transfer-Encoding unless the corresponding
            # request indicates HTTP/1.1 (or later minor revisions)", RFC 9112 §6.1
            chunked = not self._http10
            keep_alive = keep_alive and chunked
        if chunked:
            lines.append(b"Transfer-Encoding: chunked")
        elif length is not None and not without_length:
            lines.append(b"Content-Length: %d" % length)
        if date := own.get(b"date", date):
            lines.append(b"Date: " + date)
        if server := own.get(b"server", server):
            lines.append(b"Server: " + server)
        if b"connection" in own or not keep_alive or self._http10:
            keep_alive = _encode_connection(
                own.get(b"connection", b""), keep_alive, self._http10, lines
            )
        lines += (b"", b"")
        head = b"\r\n".join(lines)
        if len(head.translate(None, _FORBIDDEN)) != len(head) - 2 * (len(lines) - 1):
            raise _forbidden_byte(lines)
        self._started = True
        self._without_body, self._chunked, self._length = without_body, chunked, length
        self.keep_alive = keep_alive
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


def _encode_fields(
    headers: Iterable[tuple[bytes, bytes]], lines: list[bytes]
) -> dict[bytes, bytes]:
    """Append a line for each field, but return those that the framing owns, by name."""
    own: dict[bytes, bytes] = {}
    for field in headers:
        name, value = field
        try:
            known = _known_names.get(name)
            if known is None:
                known = _learn(name)
            if known:
                _add_own(own, known, value)
            else:
                lines.append(b": ".join(field))  # 40 ns less than to format or to add
        except TypeError as error:
            raise ValueError(f"Name and value of the header {name!r} have to be bytes.") from error
    return own


def _learn(name: bytes) -> bytes:
    """Check a name that is seen for the first time."""
    if not isinstance(name, bytes):
        raise TypeError
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"The header name {name!r} is not a token (RFC 9110 §5.6.2).")
    lower = name.lower()
    known = lower if lower in _OWN_FIELDS else b""
    if len(_known_names) < _MAX_KNOWN_NAMES:
        _known_names[name] = known
    return known


def _add_own(own: dict[bytes, bytes], name: bytes, value: bytes) -> None:
    if not isinstance(value, bytes):
        raise TypeError
    if name == b"content-length":
        if name in own:
            raise ValueError("The header 'Content-Length' was given more than once.")
        if not value.isdigit():
            raise ValueError(f"The header 'Content-Length' is not a number: {value!r}.")
    elif name == b"connection" and name in own:
        value = own[name] + b"," + value
    own[name] = value


def _encode_connection(value: bytes, keep_alive: bool, http10: bool, lines: list[bytes]) -> bool:
    """Append ``Connection`` where it is needed; return whether the connection is kept."""
    options = [option.strip(b" \t") for option in value.split(b",")]
    lower = [option.lower() for option in options]
    keep_alive = keep_alive and b"close" not in lower
    others = [
        option for option in options if option and option.lower() not in (b"close", b"keep-alive")
    ]
    if not keep_alive:
        others.append(b"close")
    elif http10:
        others.append(b"keep-alive")  # RFC 9112 §9.3: it is not the default there
    if others:
        lines.append(b"Connection: " + b", ".join(others))
    return keep_alive


def _wrong_length(length: int, sent: int) -> LocalProtocolError:
    found = f"has at least {sent}" if sent > length else f"ended after {sent}"
    return LocalProtocolError(
        f"The response declares a Content-Length of {length} bytes, but its body {found}."
    )


def _forbidden_byte(lines: list[bytes]) -> ValueError:
    line = next(line for line in lines if line.translate(None, _FORBIDDEN) != line)
    name = line.partition(b": ")[0].decode("ascii")
    return ValueError(f"The value of the header {name!r} holds a CR, LF or NUL.")
