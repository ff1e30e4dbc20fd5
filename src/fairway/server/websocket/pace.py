"""How fast a client may send: messages, bytes and control frames in each second. No I/O here."""

from typing import Final, NamedTuple

from fairway.server.config import Config
from fairway.wire.websocket import Closed, Event, Ping

#: Seconds' worth of control frames that may come at once.
CONTROL_BURST: Final = 10
#: What a computation in floating point may be wrong by.
_EPSILON: Final = 1e-6


class RateLimit(NamedTuple):
    """A rate, and how much may come at once before it applies.

    Who has sent a burst may send no more, and then as much in each second as the rate says. What
    is kept of a client is one number: until when what it has sent would last it at that rate.

    Attributes:
        option: The option that sets the rate.
        rate: Most in each second; 0 for no limit.
        burst: Most at once, 1 or more.
        reason: What a client beyond it is told.
    """

    option: str
    rate: int
    burst: int
    reason: str

    def spend(self, until: float, now: float, amount: int) -> tuple[float, int]:
        """Let a client send something.

        Args:
            until: What the last call returned; 0 before the first.
            now: This moment, in seconds.
            amount: How much it sends.

        Returns:
            What to keep of the client, and how much of the amount is within the limit.
        """
        if not self.rate:
            return until, amount
        until = max(until, now)
        free = self.burst - (until - now) * self.rate
        allowed = min(amount, max(int(free + _EPSILON), 0))
        return until + allowed / self.rate, allowed


class Pace:
    """The limits for all WebSockets of a server.

    Args:
        config: Of the server.

    Attributes:
        messages: For messages.
        bytes: For bytes as they come over the wire.
        control: For Pings and Pongs.
        limited: Whether messages or bytes have a limit, so that each WebSocket needs a
            :class:`Meter` from its beginning on.
    """

    def __init__(self, config: Config) -> None:
        self.messages = RateLimit(
            "websocket_message_rate",
            config.websocket_message_rate,
            config.websocket_message_burst,
            "Too many messages in too short a time.",
        )
        self.bytes = RateLimit(
            "websocket_byte_rate",
            config.websocket_byte_rate,
            config.websocket_byte_burst,
            "Too many bytes in too short a time.",
        )
        control = config.websocket_control_rate
        self.control = RateLimit(
            "websocket_control_rate",
            control,
            max(control * CONTROL_BURST, 1),
            "Too many Pings or Pongs in too short a time.",
        )
        self.limited = bool(self.messages.rate or self.bytes.rate)


class Meter:
    """How many messages and bytes one client has sent of late.

    Args:
        pace: The limits.
    """

    __slots__ = ("_bytes_until", "_messages_until", "_pace")

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._messages_until = self._bytes_until = 0.0

    def take_bytes(self, now: float, size: int) -> RateLimit | None:
        """Bytes came; returns the limit that they exceed."""
        limit = self._pace.bytes
        self._bytes_until, allowed = limit.spend(self._bytes_until, now, size)
        return limit if allowed < size else None

    def take_events(self, now: float, events: list[Event]) -> tuple[list[Event], RateLimit | None]:
        """Messages came, among other events.

        Returns:
            The events without the messages that are too many, and the limit that these exceed.
        """
        limit = self._pace.messages
        count = sum(not isinstance(event, (Ping, Closed)) for event in events)
        self._messages_until, allowed = limit.spend(self._messages_until, now, count)
        if allowed == count:
            return events, None
        kept = []
        for event in events:
            if not isinstance(event, (Ping, Closed)):
                allowed -= 1
                if allowed < 0:
                    continue
            kept.append(event)
        return kept, limit
