"""One stream of an HTTP/2 connection: a request comes in on it, and its response goes out.

A stream whose application is behind does not get more than its window (RFC 9113 §5.2): what it has
not taken is not acknowledged. A stream whose client is behind keeps up to ``write_buffer_size``
bytes; then ``send()`` waits. The other streams of the connection go on in both cases.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Final

from fairway._types import Headers

if TYPE_CHECKING:
    from fairway.server.http.http2 import MultiplexedConnection

#: What is told to whom the server refuses: its request, and a limit of that.
Fields = Iterable[tuple[bytes, bytes]]

#: A stream goes on with what waits below this part of its buffer.
_LOW: Final = 4


class Channel:
    """The way to and from the client on one stream.

    Args:
        connection: Which the stream is part of.
        stream_id: Its number.

    Attributes:
        stream_id: As given.
    """

    __slots__ = (
        "_added",
        "_connection",
        "_full",
        "_held",
        "_holding",
        "_mark",
        "_marked_at",
        "stream_id",
    )

    def __init__(self, connection: "MultiplexedConnection", stream_id: int) -> None:
        self._connection = connection
        self.stream_id = stream_id
        self._added = 0  # bytes that were given to be sent
        self._mark = 0  # how many of them had gone when a stretch of waiting began
        self._marked_at = 0.0
        self._held = 0  # bytes that came and were not acknowledged
        self._holding = False  # the application is behind
        self._full = False  # more waits to be sent than should

    #: Whether the connection sees to it that its client does not stall.
    timed: ClassVar[bool] = True

    # ------------------------------------------------------------------ from the connection

    def received(self, data: bytes, size: int) -> None:
        """A part of the request's body; ``size`` is what it counts for in the windows."""
        self._held += size
        if data:
            self._on_data(data)
        if not self._holding:
            self._acknowledge()

    def ended(self) -> None:
        """The client has sent all that it wants to send on the stream."""

    def lost(self) -> None:
        """The stream has ended early, or its connection; nothing can be sent any more."""
        self._acknowledge()

    def finished(self) -> None:
        """The response was sent to its end."""
        self._acknowledge()

    def shut_down(self) -> None:
        """The server ends."""

    def pause_writing(self) -> None:
        """The whole connection is read too slowly: sends wait."""

    def resume_writing(self) -> None:
        """It has caught up; sends go on, unless this stream itself is behind."""

    def sent(self) -> None:
        """Something of what waited was sent."""
        waiting = self._connection.waiting(self.stream_id)
        if self._full and waiting <= self._connection.high_water // _LOW:
            self._full = False
            self.resume_writing()

    # ------------------------------------------------------------------ flow

    def pause_reading(self) -> None:
        """The application is behind with what the client sends."""
        self._holding = True

    def resume_reading(self) -> None:
        """The application has taken what there was."""
        self._holding = False
        if self._held:
            self._acknowledge()
            self._connection.schedule()

    def restart_clock(self) -> None:
        """The client could not read for a while for another reason: judge it from now on."""
        self._marked_at = self._connection.context.time()

    def stalls(self, now: float, time: float, rate: float) -> tuple[float, str]:
        """Judge a client that something waits for.

        Args:
            now: This moment.
            time: Seconds in which something has to go, more than 0.
            rate: Bytes per second that have to go in each such stretch; 0 for any.

        Returns:
            The moment at which to look again; and the option that the client has failed, or "".
        """
        if now < self._marked_at + time:
            return self._marked_at + time, ""
        gone = self._added - self._connection.waiting(self.stream_id)
        if gone == self._mark:
            return now, "http2_stall_timeout"
        if gone - self._mark < rate * time:
            return now, "min_download_rate"
        self._mark, self._marked_at = gone, now
        return now + time, ""

    def _acknowledge(self) -> None:
        held, self._held = self._held, 0
        self._connection.acknowledge(self.stream_id, held)

    def _on_data(self, data: bytes) -> None:
        """What to do with what came; nothing for who does not listen."""

    def _add(self, data: bytes, *, end: bool = False, trailers: Headers | None = None) -> None:
        """Send, or keep until there is room."""
        connection = self._connection
        if not connection.holds(self.stream_id):
            self._mark = self._added
            self._marked_at = connection.context.time()
        self._added += len(data)
        connection.add(self.stream_id, data, end=end, trailers=trailers)
        if not self._full and connection.waiting(self.stream_id) > connection.high_water:
            self._full = True
            self.pause_writing()
