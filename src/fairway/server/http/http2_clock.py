"""When a connection of HTTP/2 is given up: all that happens to it because time passes."""

import asyncio
from typing import Final

from fairway.server.context import LINGER, Context
from fairway.server.ending import STALLED, LastWords
from fairway.server.http.http2_channel import Channel
from fairway.server.http.http2_limits import limits_of
from fairway.server.http.progress import delivered
from fairway.wire.http2 import HTTP2Connection
from fairway.wire.http2_events import ErrorCode
from fairway.wire.http2_sending import Sending

#: Frames that are taken before others have a turn of the event loop: 10 ms. One read may bring tens
#: of thousands of them.
FRAMES_AT_ONCE: Final = 256
#: Why a client is given up that has begun and does not go on.
_SLOW: Final = "What was begun did not arrive within header_timeout."


class ClockedConnection(asyncio.Protocol):
    """The state of a connection, as far as time matters to it, and its one deadline.

    Args:
        context: What all connections share.

    Attributes:
        context: As given.
        slot: Where this stands in :class:`~fairway.server.deadlines.Deadlines`.
        writing_paused: The client reads too slowly, whatever the stream.
    """

    __slots__ = (
        "_begun_at",
        "_channels",
        "_closing",
        "_closing_at",
        "_final_at",
        "_head_at",
        "_http",
        "_idle_at",
        "_last_words",
        "_moved_at",
        "_read",
        "_sending",
        "_transport",
        "context",
        "slot",
        "writing_paused",
    )

    _transport: asyncio.Transport

    def __init__(self, context: Context) -> None:
        self.context = context
        self.slot = 0
        self.writing_paused = False
        self._http = HTTP2Connection(limits_of(context), budget=FRAMES_AT_ONCE)
        self._sending = Sending(self._http)
        self._channels: dict[int, Channel] = {}
        self._closing = False  # nothing more is read or said
        self._last_words: LastWords | None = None  # from when they were written
        self._read = 0  # how far the client was when it was looked at last
        self._begun_at = self._idle_at = self._moved_at = context.time()
        self._head_at: float | None = None  # when fields began that are not complete
        self._final_at: float | None = None  # when a drain takes nothing more
        self._closing_at: float | None = None  # when a goodbye is looked after

    # ------------------------------------------------------------------ what the connection does

    def note(self, name: str, answer: str) -> None:
        """A limit, the option of that name, has refused something."""
        raise NotImplementedError

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """End a stream early."""
        raise NotImplementedError

    def close(self) -> None:
        """End the connection once what was said has been sent."""
        raise NotImplementedError

    def abort(self) -> None:
        """End the connection now."""
        raise NotImplementedError

    def _finish_drain(self) -> None:
        """Take nothing more."""
        raise NotImplementedError

    def _lose_all(self) -> None:
        channels, self._channels = self._channels, {}
        for stream_id, channel in channels.items():
            self._sending.forget(stream_id)
            channel.lost()

    # ------------------------------------------------------------------ the deadline

    def _watch_end(self) -> None:
        self._last_words = LastWords(self._transport, self.context, LINGER, STALLED)
        seconds = self._last_words.look()
        self._closing_at = self.context.time() + seconds
        self._arm(seconds)

    def _arm(self, seconds: float) -> None:
        if seconds > 0:
            self.context.deadlines.arm(self, self.context.time() + seconds)

    def on_deadline(self, now: float) -> float | None:
        """Do what is due; returns the moment of the next deadline, or None."""
        if self._closing:
            return self._check_end(now)
        if self._final_at is not None and now >= self._final_at:
            self._finish_drain()
        due = [self._check_head(now), self._check_idle(now), self._check_stalled(now)]
        due += [self._final_at, self._closing_at]
        return min((when for when in due if when is not None), default=None)

    def _check_end(self, now: float) -> float | None:
        if self._closing_at is None or now < self._closing_at:
            return self._closing_at
        assert self._last_words is not None
        if seconds := self._last_words.look():
            self._closing_at = now + seconds
            return self._closing_at
        self._transport.abort()
        return None

    def _check_head(self, now: float) -> float | None:
        """Whether the preface, or the fields of a request, take too long."""
        timeout = self.context.config.header_timeout
        began = self._begun_at if not self._http.settled else self._head_at
        if timeout <= 0 or began is None:
            return None
        if now < began + timeout:
            return began + timeout
        self.note("header_timeout", "GOAWAY ENHANCE_YOUR_CALM")
        self._http.go_away(ErrorCode.ENHANCE_YOUR_CALM, _SLOW)
        self._lose_all()
        self.close()
        return None

    def _check_idle(self, now: float) -> float | None:
        timeout = self.context.config.keep_alive_timeout
        if self._channels or timeout <= 0 or self._closing:
            return None
        if now < self._idle_at + timeout:
            return self._idle_at + timeout
        self.context.refusals.count("keep_alive_timeout")
        self.close()
        return None

    def _check_stalled(self, now: float) -> float | None:
        """Whether somebody leaves no room for what waits for it (CVE-2019-9517, CVE-2019-9511)."""
        timeout = self.context.config.http2_stall_timeout
        if timeout <= 0 or self._closing:
            return None
        rate = self.context.config.min_download_rate
        if self.writing_paused:
            return self._check_reader(now, timeout, rate)
        following: list[float] = []
        for channel in tuple(self._channels.values()):
            if not channel.timed or not self._sending.holds(channel.stream_id):
                continue
            when, failed = channel.stalls(now, timeout, rate)
            if failed:
                self.note(failed, "CANCEL")
                self.reset(channel.stream_id, ErrorCode.CANCEL)
                channel.lost()
            else:
                following.append(when)
        return min(following, default=None)

    def _check_reader(self, now: float, timeout: float, rate: float) -> float | None:
        """Whether a client reads too little, whatever the stream."""
        if now < self._moved_at + timeout:
            return self._moved_at + timeout
        read = delivered(self._transport)
        gone = read - self._read
        if gone <= 0 or gone < rate * timeout:
            name = "min_download_rate" if gone > 0 else "http2_stall_timeout"
            self.note(name, "the connection is cut")
            self.abort()
            return None
        self._read, self._moved_at = read, now
        return now + timeout
