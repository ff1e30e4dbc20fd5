"""What we make of what a WebSocket's client sends, to hold against what others make of it."""

from collections.abc import Iterable
from typing import NamedTuple

from fairway.wire.websocket import Closed, Event, WebSocketConnection


class Verdict(NamedTuple):
    """What an implementation makes of a client: events, and the close code, None while open."""

    events: list[Event]
    code: int | None


def ours(pieces: Iterable[bytes], *, message: int = 0, fragment: int = 0) -> Verdict:
    """Our verdict, with these limits."""
    connection = WebSocketConnection(message, fragment)
    events = [event for data in pieces for event in connection.receive_data(data)]
    if events and isinstance(events[-1], Closed):
        return Verdict(events[:-1], events[-1].code)
    return Verdict(events, None)
