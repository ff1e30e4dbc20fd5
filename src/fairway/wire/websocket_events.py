"""What a WebSocket connection tells its application, apart from messages."""

from typing import TypeAlias


class Ping:
    """A Ping from the client (RFC 6455 §5.5.2); its Pong is already among the bytes to send."""

    __slots__ = ("payload",)

    def __init__(self, payload: bytes) -> None:
        self.payload = payload

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Ping) and type(other) is type(self) and other.payload == self.payload
        )

    def __hash__(self) -> int:
        return hash((type(self), self.payload))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.payload!r})"


class Pong(Ping):
    """A Pong from the client, asked for or not (RFC 6455 §5.5.3).

    A kind of Ping, so that whoever cares for neither has one case for both.
    """

    __slots__ = ()


class Closed:
    """The connection is over: the last event, given exactly once.

    Attributes:
        code: What the client's Close frame said; 1005 if it had no code; 1006 if there was none;
            or, where the client broke a rule or a limit, the code for that (1002, 1007, 1009).
        reason: The text beside the code.
        limit: Where a limit was exceeded, the argument of
            :class:`~fairway.wire.websocket.WebSocketConnection` that sets it; else empty.
    """

    __slots__ = ("code", "limit", "reason")

    def __init__(self, code: int, reason: str = "", limit: str = "") -> None:
        self.code = int(code)  # applications get a plain number, never an enum's member
        self.reason = reason
        self.limit = limit

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Closed) and (other.code, other.reason) == (self.code, self.reason)

    def __hash__(self) -> int:
        return hash((self.code, self.reason))

    def __repr__(self) -> str:
        return f"Closed({self.code}, {self.reason!r})"


#: A text message is a ``str``, a binary one ``bytes``: messages are the many, so they get no
#: wrapper.
Event: TypeAlias = str | bytes | Ping | Closed
