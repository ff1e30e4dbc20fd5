"""What an HTTP/1.1 connection tells the server: requests, ends of messages and refusals."""

import dataclasses
import enum
from typing import Final, TypeAlias

from fairway._types import Headers


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HTTP1Limits:
    """How much a client may send before its request is refused. 0 (or None) means no limit.

    The defaults let pass what Apache and gunicorn let pass with theirs: 8,190 bytes of request line
    and 100 fields, of which a chain of proxies takes a dozen for itself.

    Attributes:
        request_line: Bytes in the request line, without its CRLF; beyond it 414.
        header_size: Bytes in all header fields of a request together, each with its CRLF, and as
            many again in the trailer fields of a chunked body; beyond it 431.
        header_count: Header fields in a request, and trailer fields in a chunked body; beyond it
            431.
        body_size: Bytes in a request body; beyond it 413, as soon as ``Content-Length`` or the size
            of a chunk announces it.
        chunk_extensions: Bytes of chunk extensions by which those of a body may be ahead of its
            data; beyond it 400.
        host_required: Whether HTTP/1.1 without a Host header is 400, which RFC 9112 §3.2 wants.

    Raises:
        ValueError: A limit is negative.
    """

    request_line: int = 8190
    header_size: int = 65536
    header_count: int = 128
    body_size: int | None = None
    chunk_extensions: int = 16384
    host_required: bool = True

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"{name} must not be negative; 0 means no limit.")


class Request:
    """The head of a request: request line and header fields, checked and with its framing known.

    Made by :class:`fairway.wire.http1_head.HeadReader`, which sets every attribute; an ``__init__``
    with twelve parameters would take 0.1 µs more.

    Attributes:
        method: Such as ``"GET"``; always one that the server knows.
        target: The request target as it came (RFC 9112 §3.2), visible ASCII only.
        path: The target's path, percent escapes untouched, without the query. Begins with ``/``,
            or is ``*`` for a server-wide ``OPTIONS``.
        query_string: What follows the first ``?``, untouched.
        http_version: ``"1.1"`` or ``"1.0"``.
        headers: All header fields in order: names in lower case, values without the whitespace
            around them. ``host`` is the authority of an absolute target where there was one.
        keep_alive: Whether the client keeps the connection open for a next request (RFC 9112 §9.3).
        expect_continue: Whether the client waits for ``100 (Continue)`` before it sends the body.
        has_body: Whether a body of at least one byte is announced, or a chunked one.
        content_length: The value of ``Content-Length``, or None without one.
        upgrade: ``b"websocket"`` if the client asks for that upgrade and nothing forbids it, else
            None.
    """

    __slots__ = (
        "content_length",
        "expect_continue",
        "has_body",
        "headers",
        "http_version",
        "keep_alive",
        "method",
        "path",
        "query_string",
        "takes_trailers",
        "target",
        "upgrade",
    )

    method: str
    target: bytes
    path: bytes
    query_string: bytes
    http_version: str
    headers: Headers
    keep_alive: bool
    expect_continue: bool
    has_body: bool
    content_length: int | None
    upgrade: bytes | None
    takes_trailers: bool

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name, ...)!r}" for name in self.__slots__)
        return f"Request({fields})"


class Refusal:
    """The client broke the protocol or a limit: answer with this and close the connection.

    Attributes:
        status: The HTTP status to answer with.
        detail: One sentence that tells the peer what was wrong; holds nothing of its input.
        limit: The name of the :class:`HTTP1Limits` field that was exceeded; empty if none was.
    """

    __slots__ = ("detail", "limit", "status")

    def __init__(self, status: int, detail: str, limit: str = "") -> None:
        self.status = status
        self.detail = detail
        self.limit = limit

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Refusal):
            return NotImplemented
        return (self.status, self.detail) == (other.status, other.detail)

    def __hash__(self) -> int:
        return hash((self.status, self.detail))

    def __repr__(self) -> str:
        return f"Refusal({self.status}, {self.detail!r})"


class EndOfMessage(enum.Enum):
    """The type of :data:`END_OF_MESSAGE`."""

    END_OF_MESSAGE = "end of message"


#: The request that was begun last is complete. A singleton: compare with ``is``.
END_OF_MESSAGE: Final = EndOfMessage.END_OF_MESSAGE

#: ``bytes`` is a part of the body, never empty.
Event: TypeAlias = Request | bytes | EndOfMessage | Refusal
