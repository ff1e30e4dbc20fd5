"""When a WebSocket is pinged, given up or ended: all that happens to it because time passes."""

import enum
import math
import random
from collections.abc import Callable
from typing import Final, Protocol

from fairway.server.context import Context


class Verdict(enum.Enum):
    """What a client's silence calls for."""

    WAIT = "nothing yet"
    PING = "a Ping"
    DROP = "the end: the last Ping was not answered in time"


_WAIT: Final = Verdict.WAIT
#: How much of ``websocket_timeout`` a WebSocket may get less: those opened together do not end
#: together.
JITTER: Final = 0.1


def judge_silence(
    now: float, heard_at: float, pinged_at: float, *, interval: float, timeout: float
) -> tuple[Verdict, float]:
    """Decide about a client from when it was heard last and when it was pinged last.

    Anything that it sends shows that it is there, not only a Pong.

    Args:
        now: This moment, in seconds of the clock that all of these are read from.
        heard_at: When something came from the client last.
        pinged_at: When it got its last Ping; before ``heard_at`` if that was answered.
        interval: Seconds of silence after which it gets a Ping, more than 0.
        timeout: Seconds that it has for an answer; 0 or less for any number.

    Returns:
        What is due now, and the moment at which to look again.
    """
    if pinged_at > heard_at and timeout > 0:
        if now - pinged_at >= timeout:
            return Verdict.DROP, now
        return _WAIT, pinged_at + timeout
    silent_since = max(heard_at, pinged_at)
    if now - silent_since < interval:
        return _WAIT, silent_since + interval
    # An answered Ping may be followed by the next before its timeout would have been over.
    return Verdict.PING, now + (min(timeout, interval) if timeout > 0 else interval)


class Watched(Protocol):
    """What the clock knows of a WebSocket, and what it does to it.

    Attributes:
        heard_at: When something came from the client last; the clock's to change, too.
    """

    heard_at: float

    @property
    def unread(self) -> bool:
        """Whether the client may have said something that the server does not read now."""

    @property
    def delivered(self) -> int:
        """A number that grows by each byte that reaches the client."""

    def ping(self) -> None:
        """Ask the client whether it is there."""

    def give_up(self) -> None:
        """The client did not answer."""

    def cut_off(self) -> None:
        """The client did not read."""

    def retire(self) -> None:
        """The WebSocket was open for as long as it may be."""


class WebSocketClock:
    """The deadline of one WebSocket: a single one, or while it is open those of the configuration.

    Args:
        context: Of the server.
        client: Whose clock it is.
    """

    __slots__ = (
        "_client",
        "_context",
        "_deadline",
        "_ends_at",
        "_expire",
        "_pinged_at",
        "_stalled",
        "slot",
    )

    def __init__(self, context: Context, client: Watched) -> None:
        self.slot = 0
        self._context = context
        self._client = client
        self._deadline = 0.0
        self._expire: Callable[[], None] | None = None
        self._ends_at: float | None = None  # while it is open
        # Since when the client reads nothing, and how far it was then.
        self._stalled: tuple[float, int] | None = None
        self._pinged_at = 0.0

    def set(self, seconds: float, expire: Callable[[], None]) -> None:
        """Call ``expire`` after that many seconds, and nothing else; for 0 or less, never."""
        self.stop()
        if seconds > 0:
            self._expire = expire
            self._deadline = self._context.loop.time() + seconds
            self._context.deadlines.arm(self, self._deadline)

    def open(self) -> None:
        """From now on ping a silent client, drop it, and end the WebSocket when it is old."""
        self.stop()
        now = self._context.loop.time()
        timeout = self._context.config.websocket_timeout
        share = 1 - JITTER * random.random()  # noqa: S311  no secret
        self._ends_at = now + timeout * share if timeout > 0 else math.inf
        first = self._check_open(now, self._ends_at)
        if first is not None:
            self._context.deadlines.arm(self, first)

    def block(self) -> None:
        """The client reads too slowly; from now on it is watched whether it reads at all."""
        timeout = self._context.config.websocket_write_timeout
        if timeout > 0:
            now = self._context.loop.time()
            self._stalled = (now, self._client.delivered)
            if self._ends_at is not None:
                self._context.deadlines.arm(self, now + timeout)

    def unblock(self) -> None:
        """The client has caught up."""
        self._stalled = None

    def stop(self) -> None:
        """Nothing is due any more."""
        self._expire = self._ends_at = None
        self._deadline = 0.0

    def close(self) -> None:
        """Nothing will ever be due again."""
        self.stop()
        self._context.deadlines.disarm(self)

    def on_deadline(self, now: float) -> float | None:
        """Do what is due; returns the moment of the next deadline, or None."""
        if self._ends_at is not None:
            following = self._check_open(now, self._ends_at)
            if self._ends_at is not None:
                return following
        elif self._expire is not None and now >= self._deadline:
            expire, self._expire = self._expire, None
            expire()
        # What was done may have set another deadline.
        return self._deadline if self._expire is not None else None

    def _check_open(self, now: float, ends_at: float) -> float | None:
        if now >= ends_at:
            self._client.retire()
            return None
        following = ends_at
        if self._stalled is not None:
            following = min(following, self._check_reading(now, *self._stalled))
        if self._context.config.ping_interval > 0 and self._ends_at is not None:
            following = min(following, self._check_silence(now))
        return following if following < math.inf else None

    def _check_reading(self, now: float, since: float, before: int) -> float:
        """See whether a client that is behind has read anything."""
        timeout = self._context.config.websocket_write_timeout
        if now - since < timeout:
            return since + timeout
        delivered = self._client.delivered
        if delivered <= before:
            self._client.cut_off()
            return math.inf
        self._stalled = (now, delivered)
        return now + timeout

    def _check_silence(self, now: float) -> float:
        config, client = self._context.config, self._client
        if client.unread:
            client.heard_at = now
        verdict, following = judge_silence(
            now,
            client.heard_at,
            self._pinged_at,
            interval=config.ping_interval,
            timeout=config.ping_timeout,
        )
        if verdict is Verdict.PING:
            self._pinged_at = now
            client.ping()
        elif verdict is Verdict.DROP:
            client.give_up()
        return following
