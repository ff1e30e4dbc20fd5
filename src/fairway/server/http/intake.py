"""What comes from a client that speaks HTTP/1.1: bytes to events, as fast as it may be."""

from collections import deque
from typing import Final

from fairway.server.context import Context
from fairway.server.http.patience import Patience
from fairway.wire.http1 import Event, HTTP1Connection

#: Bytes of heads, and of what stands around chunks, that are parsed in one turn of the event loop:
#: 800 chunks of a single byte, or 150 requests of the shortest kind. That takes 0.2 to 1 ms.
FRAMING_AT_ONCE: Final = 4096


class Intake(Patience):
    """The half of a :class:`~fairway.server.http.connection.Connection` that reads.

    One read may bring tens of thousands of chunks or requests. They are parsed in turns of the
    event loop, and not while the application is behind with a body. What follows a request waits
    until that has its response. As long as anything waits, the socket is not read.

    Args:
        context: What all connections share.
    """

    __slots__ = ("_backlog", "_discarding", "_eof", "_going_on", "_http")

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._http = HTTP1Connection(context.limits, budget=FRAMING_AT_ONCE)
        self._backlog: deque[Event] = deque()
        self._discarding = False
        self._eof = False
        self._going_on = False  # whether a turn is due in which more is parsed

    def _handle(self, events: list[Event]) -> None:
        """Act on what was parsed; what is not to be served yet goes into the backlog."""
        raise NotImplementedError

    # ------------------------------------------------------------------ asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        """Parse what came, as far as one turn goes, and hand it on."""
        if self._discarding:
            return
        http = self._http
        events = http.receive_data(data)
        if self._backlog:
            self._backlog.extend(events)
        elif events:
            self._handle(events)
        if http.pending:
            self._go_on_soon()
        elif self.stream is None and http.started:
            # A next request has begun on a connection that was idle: its head is timed anew.
            late = self.context.draining or self._expire == self._refuse_slow
            if not late:
                self._set_deadline(self.context.config.header_timeout, self._refuse_slow)

    def eof_received(self) -> bool:
        """The client sends no more: it has gone, or, rarely, waits for its answer half-closed."""
        self._eof = True
        if self._discarding or not (self._http.pending or self._end_input()):
            return False
        return self.transport.can_write_eof()  # with TLS there is no half-closed connection

    def _end_input(self) -> bool:
        """All that will ever come is parsed; says whether the client waits for an answer."""
        events = self._http.receive_eof()
        if self._backlog:
            self._backlog.extend(events)
        elif events:
            self._handle(events)
        if self.stream is None:
            return False
        self._watch_half_closed()
        return True

    def _refuse_slow(self) -> None:
        seconds = self.context.config.header_timeout
        detail = f"The request's headers did not arrive within {seconds:g} seconds."
        if self._http.started:
            self._refuse(408, detail, "header_timeout")
        else:  # browsers connect in advance, and then need no connection
            self.context.refusals.count("header_timeout")
            self._refuse(408, detail)

    # ------------------------------------------------------------------ turns

    @property
    def _has_more(self) -> bool:
        """Whether something has come that is not being served."""
        return bool(self._backlog) or self._http.pending

    @property
    def _may_go_on(self) -> bool:
        """Whether more of what came may be parsed, and more be read when that is done."""
        return not self._backlog and (self.stream is None or not self.stream.behind)

    def _go_on_soon(self) -> None:
        self._pause()
        if not self._going_on:
            self._going_on = True
            self.context.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Parse what is pending; read more when that is done."""
        self._going_on = False
        if self._discarding or not self._may_go_on:
            return  # resume_reading() or stream_ended() comes back to it
        self.data_received(b"")
        if self._http.pending:
            return
        if self._eof and not self._end_input():
            self.transport.close()
        elif self._may_go_on:
            self.resume_reading()

    # ------------------------------------------------------------------ flow

    def pause_reading(self) -> None:
        """The application is behind with the request's body."""
        self._pause()
        if self._upload is not None:
            self._upload.stop()

    def resume_reading(self) -> None:
        """The application has taken what there was."""
        if self._backlog:
            return
        if self._http.pending:
            self._go_on_soon()
            return
        self._resume()
        if self._upload is not None:
            self._upload.start()

    def _pause(self) -> None:
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()
