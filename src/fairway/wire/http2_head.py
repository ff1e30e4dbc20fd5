"""The fields of an HTTP/2 request: checked, and made one like HTTP/1.1's (RFC 9113 §8.2, §8.3).

What is malformed ends the stream (§8.1.1), and what the server does not serve is answered. Neither
ends the connection, as the decoder of its fields is not out of step.
"""

import re
from collections.abc import Iterable
from typing import Final

from fairway._types import Headers
from fairway.wire.http1_events import Refusal, Request
from fairway.wire.http1_faults import KNOWN_METHODS
from fairway.wire.http2_events import ErrorCode, HTTP2Limits, Limit, StreamBroken

#: What each field counts for beside its name and value (RFC 9113 §6.5.2, RFC 7541 §4.1).
FIELD_OVERHEAD: Final = 32

#: What belongs to a connection and has no place in HTTP/2 (§8.2.2).
CONNECTION_FIELDS: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
# Not only what §8.2.1 forbids: no control character, as in HTTP/1.1.
_VALUE: Final = re.compile(rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
_TARGET: Final = re.compile(rb"/[!-\"$-~]*")
# RFC 3986 §3.2.2 and a port; no user, §8.3.1.
_AUTHORITY: Final = re.compile(
    rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=%]+|\[[0-9A-Fa-f:.]+\]|\[[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+\])"
    rb"(?::[0-9]*)?"
)
#: What fits into 63 bits, as the lengths of most agents on the way do.
_MAX_DIGITS: Final = 18

_PSEUDO_FIELDS: Final = frozenset({b":method", b":scheme", b":authority", b":path", b":protocol"})


class HeadRefused(Exception):
    """A request that is well formed and that the server does not serve.

    Attributes:
        refusal: What to answer.
        limit: The limit that was exceeded, or None.
        request: What was asked, if that is known.
    """

    def __init__(
        self, status: int, detail: str, limit: Limit | None = None, request: Request | None = None
    ) -> None:
        super().__init__(detail)
        self.refusal = Refusal(status, detail)
        self.limit = limit
        self.request = request


class RequestReader:
    """Reads the requests of one connection, which often are the same request again.

    Args:
        limits: Of the connection.
    """

    __slots__ = ("_complete", "_fields", "_limits", "_request")

    def __init__(self, limits: HTTP2Limits) -> None:
        self._limits = limits
        self._fields: Headers = []
        self._complete = False
        self._request: Request | None = None

    def read(self, fields: Headers, *, complete: bool) -> Request:
        """The request that a block of fields means, as :func:`read_request` says.

        A list that was the last one, too, is not checked again: that takes 5 of 50 µs.

        Args:
            fields: As they were decoded; not changed by anybody later.
            complete: Whether the stream ends with them, so that there is no body.

        Raises:
            StreamBroken: The request is malformed.
            HeadRefused: It is not, but it will not be served.
        """
        known = self._request
        if known is not None and fields is self._fields and complete is self._complete:
            return _copy(known)
        if 0 < self._limits.header_size < size_of(fields):
            raise HeadRefused(
                431,
                "The header fields together are larger than this server accepts.",
                Limit.HEADER_SIZE,
            )
        request = read_request(fields, complete=complete, limits=self._limits)
        self._fields, self._complete, self._request = fields, complete, _copy(request)
        return request


def _copy(known: Request) -> Request:
    """The same request for somebody else, who may change its headers."""
    request = Request()
    request.method = known.method
    request.target = known.target
    request.path = known.path
    request.query_string = known.query_string
    request.http_version = known.http_version
    request.headers = known.headers.copy()
    request.keep_alive = known.keep_alive
    request.expect_continue = known.expect_continue
    request.has_body = known.has_body
    request.content_length = known.content_length
    request.upgrade = known.upgrade
    request.takes_trailers = known.takes_trailers
    return request


def read_request(
    fields: Iterable[tuple[bytes, bytes]], *, complete: bool, limits: HTTP2Limits
) -> Request:
    """The request that a block of fields means.

    Its ``headers`` begin with ``host``, which is ``:authority`` where there was one; the cookies,
    which a client may part for the compression's sake, are one field (§8.2.3). Its ``keep_alive``
    is True. Of an extended CONNECT (RFC 8441 §4) ``upgrade`` is the protocol.

    Args:
        fields: As they were decoded.
        complete: Whether the stream ends with them, so that there is no body.
        limits: Of the connection.

    Raises:
        StreamBroken: The request is malformed.
        HeadRefused: It is not, but it will not be served.
    """
    pseudo, headers = _sort(fields)
    request = Request()
    request.http_version = "2"
    request.keep_alive = True
    request.takes_trailers = (b"te", b"trailers") in headers
    method = pseudo.get(b":method")
    if method is None:
        raise _malformed("The request has no :method.")
    protocol = pseudo.get(b":protocol")
    if protocol is not None and method != b"CONNECT":
        # RFC 8441 §4: only an extended CONNECT has one
        raise _malformed("A request with :protocol is not a CONNECT.")
    _read_host(request, pseudo, headers)
    if method == b"CONNECT" and protocol is None:
        raise HeadRefused(501, "This server is not a proxy: it does not implement CONNECT.")
    _read_target(request, pseudo, method)
    request.method = _method(method)
    _read_meaning(request, headers, complete=complete)
    _check_limits(request, limits)
    if protocol is not None:
        if protocol != b"websocket":
            raise HeadRefused(501, "This server speaks no other :protocol than websocket.")
        request.upgrade = protocol
        request.has_body = False
    return request


def check_trailers(fields: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The fields behind a body.

    Raises:
        StreamBroken: They are malformed.
    """
    trailers = list(fields)
    for name, value in trailers:
        if name[:1] == b":":
            raise _malformed("There is a pseudo-header field in the trailers.")  # §8.1
        _check_field(name, value)
    return [(bytes(name), bytes(value)) for name, value in trailers]


def size_of(fields: Iterable[tuple[bytes, bytes]]) -> int:
    """What fields count for against a limit (§6.5.2), in bytes."""
    size = 0
    for name, value in fields:
        size += len(name) + len(value) + FIELD_OVERHEAD
    return size


def _sort(fields: Iterable[tuple[bytes, bytes]]) -> tuple[dict[bytes, bytes], Headers]:
    """The pseudo-header fields, which come first, and the others with their cookies joined."""
    pseudo: dict[bytes, bytes] = {}
    headers: Headers = []
    cookies: list[bytes] = []
    for name, value in fields:
        if name[:1] == b":":
            if headers or cookies:
                raise _malformed("A pseudo-header field is behind others.")  # §8.3
            if name not in _PSEUDO_FIELDS or name in pseudo:
                raise _malformed("A pseudo-header field is unknown, or there twice.")
            if not _VALUE.fullmatch(value):
                raise _malformed("The value of a field holds a character that values cannot have.")
            pseudo[name] = bytes(value)
            continue
        _check_field(name, value)
        if name == b"cookie":
            if not cookies:
                headers.append((b"cookie", b""))  # its place
            cookies.append(value)
        else:
            headers.append((bytes(name), bytes(value)))
    if cookies:
        place = headers.index((b"cookie", b""))
        headers[place] = (b"cookie", b"; ".join(cookies))
    return pseudo, headers


def _check_field(name: bytes, value: bytes) -> None:
    if not _NAME.fullmatch(name):
        # "MUST NOT contain characters in the ranges 0x00-0x20, 0x41-0x5a, or 0x7f-0xff", §8.2.1
        raise _malformed("The name of a field holds a character that names cannot have.")
    if not _VALUE.fullmatch(value):
        raise _malformed("The value of a field holds a character that values cannot have.")
    if name in CONNECTION_FIELDS:
        # "Any message containing connection-specific header fields MUST be treated as malformed",
        # §8.2.2
        raise _malformed("A field of the request belongs to connections of HTTP/1.1.")
    if name == b"te" and value.lower() != b"trailers":
        raise _malformed("The field te says something else than trailers.")


def _read_host(request: Request, pseudo: dict[bytes, bytes], headers: Headers) -> None:
    authority = pseudo.get(b":authority")
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (hosts and authority is not None and not _same(hosts[0], authority)):
        # "SHOULD treat a request as malformed if it contains a Host header field that identifies an
        # entity that differs from the entity in the ":authority"", §8.3.1
        raise _malformed("The request names more than one host.")
    host = authority if authority is not None else hosts[0] if hosts else None
    if host is None:
        raise HeadRefused(400, "The request names no host.")
    if not _AUTHORITY.fullmatch(host):
        raise HeadRefused(400, "The request names no valid host.")
    request.headers = [(b"host", host)]
    request.headers += (field for field in headers if field[0] != b"host")


def _same(host: bytes, authority: bytes) -> bool:
    return host.lower() == authority.lower()


def _read_target(request: Request, pseudo: dict[bytes, bytes], method: bytes) -> None:
    scheme, target = pseudo.get(b":scheme"), pseudo.get(b":path")
    if not scheme or not target:
        # "MUST include exactly one valid value for the ":method", ":scheme", and ":path"", and
        # ":path" "MUST NOT be empty", §8.3.1
        raise _malformed("The request has no :scheme or no :path.")
    if scheme.lower() not in (b"http", b"https"):
        raise HeadRefused(400, "This server serves no other scheme than http and https.")
    if target != b"*" or method != b"OPTIONS":
        if target[:1] != b"/":
            raise _malformed("The :path is not a path.")
        if not _TARGET.fullmatch(target):
            raise HeadRefused(
                400, "The :path holds a fragment or a byte that is no visible ASCII character."
            )
    request.target = target
    request.path, _, request.query_string = target.partition(b"?")


def _method(method: bytes) -> str:
    if method == b"CONNECT":
        return "CONNECT"
    known = KNOWN_METHODS.get(method)
    if known is None:
        # "SHOULD respond with the 501 (Not Implemented) status code", RFC 9110 §9.1
        raise HeadRefused(501, "This server does not implement the request method.")
    return known


def _read_meaning(request: Request, headers: Headers, *, complete: bool) -> None:
    """Length and expectation (§8.1.1, RFC 9110 §10.1.1)."""
    request.upgrade = None
    request.content_length = None
    request.has_body = not complete
    request.expect_continue = False
    for name, value in headers:
        if name == b"content-length":
            if request.content_length is not None:
                raise _malformed("There is more than one content-length.")
            if not value.isdigit() or len(value) > _MAX_DIGITS:
                raise _malformed("The content-length is not one number that can be a length.")
            request.content_length = int(value)
            if complete and request.content_length:
                raise _malformed("There is a content-length and no content.")
        elif name == b"expect":
            if value.lower() != b"100-continue":
                raise HeadRefused(417, "This server meets no other expectation than 100-continue.")
            request.expect_continue = not complete


def _check_limits(request: Request, limits: HTTP2Limits) -> None:
    if 0 < limits.target < len(request.target):
        raise HeadRefused(
            414, "The :path is longer than this server accepts.", Limit.TARGET, request
        )
    if 0 < limits.header_count < len(request.headers):
        raise HeadRefused(
            431,
            "There are more header fields than this server accepts.",
            Limit.HEADER_COUNT,
            request,
        )
    if limits.body_size and (request.content_length or 0) > limits.body_size:
        raise HeadRefused(
            413,
            "The request body is larger than this server accepts.",
            Limit.BODY_SIZE,
            request,
        )


def _malformed(detail: str) -> StreamBroken:
    return StreamBroken(ErrorCode.PROTOCOL_ERROR, detail)
