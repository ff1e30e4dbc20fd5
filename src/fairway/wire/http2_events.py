"""What an HTTP/2 connection tells the server, and how much its client may do."""

import dataclasses
import enum
from typing import Final, TypeAlias

from fairway._types import Headers
from fairway.wire.http1_events import Refusal, Request

KIB: Final = 1024


class ErrorCode(enum.IntEnum):
    """Why a stream or a connection ends (RFC 9113 §7), under the names of IANA's registry."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class Limit(enum.Enum):
    """What a client had too much of, by the field of :class:`HTTP2Limits`."""

    STREAMS = "streams"
    RESETS = "resets"
    CONTROL_FRAMES = "control_frames"
    TARGET = "target"
    HEADER_SIZE = "header_size"
    HEADER_COUNT = "header_count"
    BODY_SIZE = "body_size"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HTTP2Limits:
    """How much a client may do. 0 (or None) means no limit, but for the windows.

    Attributes:
        streams: Requests that may run at once; another is refused with REFUSED_STREAM.
        resets: Streams that may end early because of the client in ten seconds: reset by it, or by
            the server for what it did. Beyond that the connection ends with ENHANCE_YOUR_CALM.
        control_frames: Frames in ten seconds that carry nothing of a request or a response
            (SETTINGS, PING, PRIORITY, empty DATA, unknown ones; WINDOW_UPDATE beyond what the
            server's own DATA explains). Beyond that the same.
        target: Bytes in ``:path``; beyond it 414.
        header_size: Bytes in all fields of a request together, counted as RFC 9113 §6.5.2 does:
            name, value and 32 for each; beyond it 431. What is larger several times, or arrives in
            too many pieces, ends the connection with ENHANCE_YOUR_CALM. Trailers have as many
            again.
        header_count: Fields in a request, all its cookies counted as one; beyond it 431.
        body_size: Bytes in a request body; beyond it 413.
        stream_window: Bytes of a body that may be on the way before the application takes them
            (RFC 9113 §6.9).
        connection_window: The same for all streams of a connection together, at least 65,535.

    Raises:
        ValueError: A limit is negative, or a window out of range.
    """

    streams: int = 100
    resets: int = 500
    control_frames: int = 2000
    target: int = 8190
    header_size: int = 64 * KIB
    header_count: int = 128
    body_size: int | None = None
    stream_window: int = 256 * KIB
    connection_window: int = 1024 * KIB

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"{name} must not be negative; 0 means no limit.")
        if not 1 <= self.stream_window < 2**31 or not 65_535 <= self.connection_window < 2**31:
            raise ValueError(
                "A stream's window is 1 to 2**31 - 1 bytes, a connection's at least 65,535."
            )


@dataclasses.dataclass(frozen=True, slots=True)
class RequestReceived:
    """The head of a request. ``upgrade`` is ``b"websocket"`` for an extended CONNECT (RFC 8441)."""

    stream_id: int
    request: Request


@dataclasses.dataclass(frozen=True, slots=True)
class RequestRefused:
    """A request that must not run, to be answered with the refusal.

    It is the first event of its stream, or it ends a request whose body grew too large. The rest of
    its body is ignored.

    Attributes:
        stream_id: Its stream.
        refusal: Status and sentence.
        request: What was asked, if that could be read.
        limit: The limit that refuses it, or None where a rule does.
        to_head: Whether it is a ``HEAD``, to which an answer has no body.
    """

    stream_id: int
    refusal: Refusal
    request: Request | None = None
    limit: Limit | None = None
    to_head: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class BodyReceived:
    """A part of a request's body.

    Attributes:
        stream_id: Its stream.
        data: May be empty, if there was only padding.
        size: Bytes to acknowledge when they have been used: padding counts (RFC 9113 §6.1).
    """

    stream_id: int
    data: bytes
    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class BodyEnded:
    """A request is complete; or the client of a tunnel sends no more."""

    stream_id: int
    trailers: Headers = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class StreamReset:
    """A stream has ended early; nothing more can be sent on it.

    Attributes:
        stream_id: Its stream, about which nothing may have been told before.
        code: Why; a number where the client's is none of the registry.
        by_client: Whether the client has reset it, or the server for what the client did.
        limit: The limit that was the reason, or None.
    """

    stream_id: int
    code: int
    by_client: bool
    limit: Limit | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class WindowOpened:
    """More may be sent on this stream; 0 stands for all of them."""

    stream_id: int


@dataclasses.dataclass(frozen=True, slots=True)
class GoingAway:
    """The client begins nothing more; what runs may end (RFC 9113 §6.8)."""

    code: int


@dataclasses.dataclass(frozen=True, slots=True)
class PingAnswered:
    """The client has answered the PING that the server sent with its warning."""


@dataclasses.dataclass(frozen=True, slots=True)
class ConnectionFailed:
    """The client broke a rule or a limit of the connection: send what there is, and hang up.

    The last event of a connection. Every stream of it has ended.

    Attributes:
        code: What the GOAWAY says.
        detail: One sentence that says what was wrong; it is in the GOAWAY, too.
        limit: The limit that was the reason, or None.
    """

    code: ErrorCode
    detail: str
    limit: Limit | None = None


Event: TypeAlias = (
    RequestReceived
    | RequestRefused
    | BodyReceived
    | BodyEnded
    | StreamReset
    | WindowOpened
    | GoingAway
    | PingAnswered
    | ConnectionFailed
)


class ConnectionBroken(Exception):
    """The client broke a rule that ends the connection (RFC 9113 §5.4.1); args as the event's."""

    def __init__(self, code: ErrorCode, detail: str, limit: Limit | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.limit = limit


class StreamBroken(Exception):
    """The client broke a rule that ends one stream (RFC 9113 §5.4.2)."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
