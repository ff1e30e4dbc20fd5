"""The head of an HTTP/1.1 request: request line and header fields (RFC 9112 §3, §5, §6).

A head is read when all of it is there. llhttp splits and checks the header fields, with a parser of
its own for every head: 0.4 µs more than to keep one, but no state can leak from one request into
the next. What llhttp leaves to others (one Host, one framing, one space) is checked here.
"""

import re
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from fairway._types import Headers
from fairway.wire.http1_events import HTTP1Limits, Refusal, Request
from fairway.wire.http1_faults import (
    KNOWN_METHODS,
    TCHAR,
    field_fault,
    fields_fault,
    line_fault,
    unfinished_line_fault,
)

__all__ = ["HeadReader", "PartialHead", "skip_empty_lines"]

_HEAD_END: Final = b"\r\n\r\n"
_EMPTY_LINES: Final = re.compile(rb"(?:\r\n)++")
_REQUEST_LINE: Final = re.compile(rb'([%b]+) ([!"$-~]+) HTTP/1\.([01])' % TCHAR)
# uri-host [":" port], RFC 9110 §7.2 and RFC 3986 §3.2.2. A name may be empty, as Host may.
_HOST: Final = re.compile(
    rb"(?:(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*+|\[[0-9A-Fa-f:.]+\]|\[[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+\])"
    rb"(?::[0-9]*)?"
)
_ABSOLUTE_FORM: Final = re.compile(rb"https?://([^/?]+)(.*)", re.IGNORECASE)

_SLASH: Final = 0x2F
#: Request lines without a query that were asked before, and what they mean: method, target, path,
#: query and version. To find one takes 0.1 µs, to take it apart 0.5. What stands in a query may be
#: a secret, and is not kept.
_known_lines: Final[dict[bytes, tuple[str, bytes, bytes, bytes, str]]] = {}
_MAX_KNOWN_LINES: Final = 1024
_MAX_KNOWN_LINE: Final = 256
#: Most bytes of fields that are kept to recognise them when they are repeated.
_MAX_REPEATED: Final = 4096
#: What fits into 63 bits, as the lengths of most agents on the way do.
_MAX_DIGITS: Final = 18
_MALFORMED: Final = Refusal(400, "The request is malformed.")
_BODY_TOO_LARGE: Final = Refusal(
    413, "The request body is larger than this server accepts.", "body_size"
)

#: The fields that this module reads; each is here once, however many lines it had.
_READ_HERE: Final = frozenset(
    {b"host", b"connection", b"content-length", b"transfer-encoding", b"upgrade", b"expect", b"te"}
)
#: Names as clients spell them, so that ten thousand idle scopes share one copy of each.
_USUAL_NAMES: Final = {
    spelling: name
    for name in (
        b"accept", b"accept-encoding", b"accept-language", b"authorization", b"cache-control",
        b"content-type", b"cookie", b"dnt", b"forwarded", b"if-modified-since", b"if-none-match",
        b"origin", b"pragma", b"priority", b"referer", b"sec-ch-ua", b"sec-ch-ua-mobile",
        b"sec-ch-ua-platform", b"sec-fetch-dest", b"sec-fetch-mode", b"sec-fetch-site",
        b"sec-fetch-user", b"sec-websocket-extensions", b"sec-websocket-key",
        b"sec-websocket-protocol", b"sec-websocket-version", b"upgrade-insecure-requests",
        b"user-agent", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port",
        b"x-forwarded-proto", b"x-real-ip", b"x-requested-with",
    )
    for spelling in (name, name.title(), name.title().replace(b"Websocket", b"WebSocket"))
}  # fmt: skip

#: Connection options as nearly every client sends them.
_USUAL_OPTIONS: Final = {
    value: frozenset(value.lower().split(b", "))
    for value in (
        b"keep-alive", b"Keep-Alive", b"close", b"Upgrade", b"upgrade", b"keep-alive, Upgrade",
    )
}  # fmt: skip


class HeadReader:
    """Reads the heads of the requests on one connection.

    A client that keeps its connection mostly repeats its fields from one request to the next. The
    same bytes mean the same, so they are not parsed again: a request takes 0.4 µs instead of 3.0
    with the three fields of a load generator, 0.5 instead of 6.3 with the sixteen of a browser, and
    0.6 more with a query.

    Args:
        limits: ``body_size`` is held against ``Content-Length``.
    """

    __slots__ = ("_headers", "_length", "_limits", "_repeated", "_version")

    def __init__(self, limits: HTTP1Limits) -> None:
        self._limits = limits
        # All fields as they came, or nothing, and behind what version; and what they mean.
        self._repeated = b""
        self._version = ""
        self._headers: Headers = []
        self._length: int | None = None

    def read(self, head: bytes) -> Request | Refusal:
        """Read a complete head.

        Args:
            head: From the request line to the empty line, CRLF included; the first CRLF CRLF in it
                is at its end.
        """
        limits = self._limits
        line, _, fields = head.partition(b"\r\n")
        known = _known_lines.get(line) or _read_line(line)
        if known is None or len(line) > limits.request_line > 0:
            return line_fault(head, limits.request_line) or _MALFORMED
        request = Request()
        (
            request.method,
            request.target,
            request.path,
            request.query_string,
            request.http_version,
        ) = known
        path = request.target[0] == _SLASH
        if path and fields == self._repeated and request.http_version == self._version:
            request.headers = self._headers.copy()
            request.keep_alive = True
            request.content_length = self._length
            request.has_body = request.expect_continue = request.takes_trailers = False
            request.upgrade = None
            return request
        start = len(line) + 2
        if len(fields) - 2 > limits.header_size > 0:
            return fields_fault(head, start, start, limits) or _MALFORMED
        refusal = _read_fields(request, head, start, limits)
        if refusal is not None:
            return refusal
        if (
            path
            and request.keep_alive
            and not request.has_body
            and request.upgrade is None
            and not request.takes_trailers
            and len(fields) <= _MAX_REPEATED
        ):
            self._repeated = fields
            self._version = request.http_version
            self._headers = request.headers.copy()  # the application may change its own
            self._length = request.content_length
        return request


def _read_line(line: bytes) -> tuple[str, bytes, bytes, bytes, str] | None:
    """What a request line means, as in ``_known_lines``; None if something is wrong with it."""
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        return None
    method = KNOWN_METHODS.get(found[1])
    if method is None:
        return None
    target: bytes = found[2]
    path, question_mark, query = target.partition(b"?")
    known = method, target, path, query, "1.1" if found[3] == b"1" else "1.0"
    if target[0] == _SLASH and not question_mark and len(line) <= _MAX_KNOWN_LINE:
        if len(_known_lines) >= _MAX_KNOWN_LINES:
            _known_lines.clear()  # its paths are many, or made up
        _known_lines[line] = known
    return known


def _read_fields(request: Request, head: bytes, start: int, limits: HTTP1Limits) -> Refusal | None:
    fields = _Fields()
    try:
        HttpRequestParser(fields).feed_data(head)
    except HttpParserUpgrade:
        pass  # llhttp stops at the end of the head, where it is done here anyway
    except HttpParserError:
        return _explain(request, head, start, limits)
    if len(fields.headers) > limits.header_count > 0:
        return _explain(request, head, start, limits)
    return _read_meaning(request, fields, limits)


def skip_empty_lines(data: bytes | bytearray, position: int) -> int:
    """The position behind the empty lines that begin at ``position``.

    "a server that is expecting to receive and parse a request-line SHOULD ignore at least one empty
    line (CRLF) received prior to the request-line", RFC 9112 §2.2.
    """
    lines = _EMPTY_LINES.match(data, position)
    return lines.end() if lines else position


class PartialHead:
    """The beginning of a head whose end has not arrived. It is looked at once, byte for byte."""

    __slots__ = ("_data", "_fields_start", "_limits", "_scanned")

    def __init__(self, limits: HTTP1Limits) -> None:
        self._data = bytearray()
        self._limits = limits
        self._fields_start = 0  # unknown until the request line is complete
        self._scanned = 0

    @property
    def started(self) -> bool:
        """Whether there is more than the first half of an empty line (RFC 9112 §2.2)."""
        return bytes(self._data[:2]) not in (b"", b"\r")

    @property
    def to_head(self) -> bool:
        """Whether it is the head of a ``HEAD`` request."""
        return self._data.startswith(b"HEAD ")

    def add(self, data: bytes, position: int) -> tuple[bytes | Refusal | None, int]:
        """Take what follows ``position`` in ``data``.

        Returns:
            The complete head, or what is wrong with what there is, or None if neither is known yet;
            and the position in ``data`` up to which it was taken.
        """
        buffer = self._data
        before = len(buffer)
        buffer += memoryview(data)[position:]
        if buffer.startswith(b"\r\n"):  # the CR came before
            empty = skip_empty_lines(buffer, 0)
            del buffer[:empty]
            before -= empty
        end = buffer.find(_HEAD_END, max(before - 3, 0))
        if end < 0:
            return self._fault() if self.started else None, len(data)
        end += len(_HEAD_END)
        return bytes(memoryview(buffer)[:end]), position + end - before

    def _fault(self) -> Refusal | None:
        data = self._data
        scanned, self._scanned = self._scanned, len(data)
        if not self._fields_start:
            self._fields_start = data.find(b"\n", scanned) + 1
            if not self._fields_start:
                return unfinished_line_fault(data, self._limits.request_line)
            line = bytes(memoryview(data)[: self._fields_start])
            if (fault := line_fault(line, self._limits.request_line)) is not None:
                return fault
        return fields_fault(data, self._fields_start, scanned, self._limits)


class _Fields:
    """Header fields as they are read; what httptools calls a protocol.

    Attributes:
        headers: All of them.
        read_here: Those of ``_READ_HERE``, lines of one name joined (RFC 9110 §5.3).
    """

    __slots__ = ("headers", "read_here")

    def __init__(self) -> None:
        self.headers: Headers = []
        self.read_here: dict[bytes, bytes] = {}

    def on_header(self, spelling: bytes, value: bytes) -> None:
        value = value.rstrip(b" \t")
        name = _USUAL_NAMES.get(spelling)
        if name is None:
            name = spelling.lower()
            if name in _READ_HERE:
                lines = self.read_here
                lines[name] = lines[name] + b", " + value if name in lines else value
        self.headers.append((name, value))


def _read_meaning(request: Request, fields: _Fields, limits: HTTP1Limits) -> Refusal | None:
    known = fields.read_here
    request.headers = fields.headers
    host = known.get(b"host")
    if host is None:
        if request.http_version == "1.1" and limits.host_required:
            # "MUST respond with a 400 … to any HTTP/1.1 request message that lacks a Host header
            # field and to any request message that contains more than one Host header field line
            # or a Host header field with an invalid field value", RFC 9112 §3.2
            return Refusal(400, "The Host header is missing.")
    elif not _HOST.fullmatch(host):
        return Refusal(400, "There is more than one Host header, or it names no valid host.")
    target: bytes | None = request.target
    if request.target[0] != _SLASH:
        target = _other_form(request)
    if target is None:
        return Refusal(400, "The request target is neither a path nor a URI of this server.")
    request.path, _, request.query_string = target.partition(b"?")
    return _read_framing(request, known, limits) or _read_connection(request, known)


def _other_form(request: Request) -> bytes | None:
    """The path and query of a target that is no path: ``*`` or a whole URI (RFC 9112 §3.2)."""
    options = request.method == "OPTIONS"
    if request.target == b"*":
        return b"*" if options else None
    uri = _ABSOLUTE_FORM.fullmatch(request.target)
    if uri is None or not _HOST.fullmatch(uri[1]) or uri[1].startswith(b":"):
        return None
    # "the origin server MUST ignore the received Host header field (if any) and instead use the
    # host information of the request-target", §3.2.2
    host = (b"host", uri[1])
    request.headers[:] = [host, *(field for field in request.headers if field[0] != b"host")]
    rest = uri[2]
    if not rest and options:
        return b"*"  # §3.2.4: a proxy's form of a server-wide OPTIONS
    return rest if rest.startswith(b"/") else b"/" + rest


def _read_framing(
    request: Request, known: dict[bytes, bytes], limits: HTTP1Limits
) -> Refusal | None:
    """Find out how long the body is; refuse wherever two readers might differ (RFC 9112 §6.3)."""
    codings = known.get(b"transfer-encoding")
    length = known.get(b"content-length")
    request.content_length = None
    request.has_body = False
    if codings is not None:
        if length is not None:
            # "ought to be handled as an error", RFC 9112 §6.3: the sign of request smuggling.
            return Refusal(400, "Content-Length and Transfer-Encoding exclude each other.")
        request.has_body = True
        return _coding_fault(request, codings)
    if length is not None:
        # One line, one number: a list of equal values would be allowed, but only repaired by some.
        if not length.isdigit() or len(length) > _MAX_DIGITS:
            return Refusal(400, "Content-Length is not one number that can be a length.")
        request.content_length = int(length)
        request.has_body = request.content_length > 0
        if limits.body_size and request.content_length > limits.body_size:
            return _BODY_TOO_LARGE
    return None


def _coding_fault(request: Request, codings: bytes) -> Refusal | None:
    if request.http_version == "1.0":
        # "MUST treat the message as if the framing is faulty", RFC 9112 §6.1
        return Refusal(400, "Transfer-Encoding does not exist in HTTP/1.0.")
    coding = codings.lower()
    if coding == b"chunked":
        return None
    names = [name.strip(b" \t") for name in coding.split(b",")]
    if names[-1] != b"chunked" or names.count(b"chunked") > 1:
        # "If … the chunked transfer coding is not the final encoding … the server MUST respond
        # with the 400", §6.3; "MUST NOT apply the chunked transfer coding more than once", §6.1
        return Refusal(400, "The last transfer coding has to be chunked, and only that one.")
    # "SHOULD respond with 501 (Not Implemented)", §6.1
    return Refusal(501, "This server knows no other transfer coding than chunked.")


def _read_connection(request: Request, known: dict[bytes, bytes]) -> Refusal | None:
    """What the client wants of the connection: keep it, upgrade it, wait for 100 (Continue)."""
    request.upgrade = None
    request.expect_continue = request.takes_trailers = False
    request.keep_alive = current = request.http_version == "1.1"
    connection = known.get(b"connection")
    if connection is not None:
        options = _USUAL_OPTIONS.get(connection) or _elements(connection)
        # RFC 9112 §9.3: close wins; HTTP/1.0 has to ask for what HTTP/1.1 has anyway.
        request.keep_alive = b"close" not in options and (current or b"keep-alive" in options)
        if (
            b"upgrade" in options
            and b"websocket" in _elements(known.get(b"upgrade", b""))
            # Ignored in HTTP/1.0, RFC 9110 §7.8. A body would have to be read before the protocol
            # could change; nobody opens a WebSocket with one, so it is an ordinary request.
            and current
            and not request.has_body
        ):
            request.upgrade = b"websocket"
    if b"te" in known and current:
        request.takes_trailers = b"trailers" in _elements(known[b"te"])
    expect = known.get(b"expect")
    if expect is not None and current:  # "MUST ignore" it in HTTP/1.0, RFC 9110 §10.1.1
        if _elements(expect) != {b"100-continue"}:
            return Refusal(417, "This server meets no other expectation than 100-continue.")
        request.expect_continue = request.has_body
    return None


def _elements(value: bytes) -> frozenset[bytes]:
    """The members of a list field without regard to case and order (RFC 9110 §5.6.1)."""
    return frozenset(element.strip(b" \t") for element in value.lower().split(b","))


def _explain(request: Request, head: bytes, start: int, limits: HTTP1Limits) -> Refusal:
    """Read the fields again, slowly, to say what is wrong with them."""
    if (fault := fields_fault(head, start, start, limits)) is not None:
        return fault
    fields = _Fields()
    for number, field in enumerate(head[start:-2].split(b"\r\n")[:-1], 1):
        if (fault := field_fault(field, number, limits)) is not None:
            return fault
        name, _, value = field.partition(b":")
        fields.on_header(name, value.lstrip(b" \t"))
    return _read_meaning(request, fields, limits) or _MALFORMED
