"""Where a WebSocket stands in ASGI's terms, and which events it takes there."""

import enum
from typing import NoReturn

from fairway._types import Event
from fairway.exceptions import ClientDisconnected, WrongState


class Phase(enum.Enum):
    """Where a WebSocket stands, with the events that it takes there."""

    CONNECTING = (
        "not accepted yet",
        ("websocket.accept", "websocket.close", "websocket.http.response.start"),
    )
    DENYING = ("being denied", ("websocket.http.response.body",))
    DENIED = ("denied", ())
    OPEN = ("open", ("websocket.send", "websocket.close"))
    CLOSING = ("closing", ())
    #: The server has closed it, which the application cannot know yet.
    LEAVING = ("being closed by the server", ())
    CLOSED = ("closed", ())

    def __init__(self, words: str, takes: tuple[str, ...]) -> None:
        self.words = words
        self.takes = takes


#: The phases in which it has been opened and its end is not known: frames are read.
ALIVE = frozenset({Phase.OPEN, Phase.CLOSING, Phase.LEAVING})
#: The phases in which the application may still decide about the opening handshake.
UNDECIDED = frozenset({Phase.CONNECTING, Phase.DENYING})
#: The phases in which the client has had our last words.
OVER = frozenset({Phase.DENIED, Phase.CLOSED})


def refuse_event(kind: str, phase: Phase) -> NoReturn:
    """Refuse an event that a phase does not take.

    Raises:
        ClientDisconnected: Where the application is not to blame: the client or the server has
            ended the connection, and both may happen while the application is sending.
        WrongState: Everywhere else.
    """
    if phase is Phase.CLOSED or phase is Phase.LEAVING:
        raise ClientDisconnected(f"Cannot send {kind!r}: the WebSocket is {phase.words}.")
    takes = " or ".join(repr(name) for name in phase.takes) or "nothing more"
    raise WrongState(f"Cannot send {kind!r}: the WebSocket is {phase.words} and takes {takes}.")


def message_of(event: Event) -> str | bytes:
    """What a ``websocket.send`` event says.

    Raises:
        ValueError: It has neither ``text`` nor ``bytes``, or both.
        TypeError: One of them has another type.
    """
    text, data = event.get("text"), event.get("bytes")
    if (text is None) == (data is None):
        raise ValueError("websocket.send needs either 'text' or 'bytes', and not both.")
    if text is not None:
        if not isinstance(text, str):
            raise TypeError(f"'text' in websocket.send must be str, not {type(text).__name__}.")
        return text
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"'bytes' in websocket.send must be bytes, not {type(data).__name__}.")
    return bytes(data)
