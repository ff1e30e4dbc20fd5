"""The I/O shell of a TCP connection that speaks HTTP/1.1.

Above this module: sockets, timers, tasks. Below it (:mod:`fairway.wire.http1`): all the meaning.
"""

import asyncio
import logging
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

from fairway.server.application.encryption import tls_extension
from fairway.server.context import LINGER, Context, end_writing
from fairway.server.http.http1_writer import HTTP1Writer, without_body
from fairway.server.http.progress import Progress, unsent
from fairway.server.http.stream import HTTPStream
from fairway.server.listening.origin import Origin, client_of, server_of
from fairway.server.listening.proxy import Address
from fairway.server.websocket.stream import WebSocketStream
from fairway.wire.http1 import (
    END_OF_MESSAGE,
    Event,
    HTTP1Connection,
    Refusal,
    Request,
    error_response,
)

logger = logging.getLogger("fairway.server")

#: Seconds without progress after which a client that does not read our last words is given up.
STALLED: Final = 60.0
#: Seconds after which a client that has closed its sending side is given up while its response goes
#: on, unless more of it goes out all the time. A killed client looks the same at first.
HALF_CLOSED: Final = 1.0
#: Seconds that a client has for closing the connection when the server ends.
LAST_LINGER: Final = 1.0
#: Seconds in which the first request of a connection, perhaps on its way already, is still served
#: when the server ends.
LAST_REQUEST: Final = 1.0

#: The options that limit what :mod:`fairway.wire.http1` takes, by its names for them.
_OPTIONS: Final = {
    "request_line": "max_request_line",
    "header_size": "max_header_size",
    "header_count": "max_header_count",
    "body_size": "max_body_size",
    "chunk_extensions": "max_chunk_extensions",
}
_CUT: Final = "the connection is cut"

#: For SO_LINGER: no time to send what is left.
_RESET: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class Connection(asyncio.Protocol):
    """One client connection: parses requests, runs them one after the other, times out.

    Args:
        context: What all connections share.
        origin: What a proxy has said of its ends; None if the socket tells the truth.

    Requests are answered in the order in which they came (RFC 9112 §9.3.2): while one is being
    served, what follows it waits and the socket is not read.
    """

    __slots__ = (
        "_backlog",
        "_deadline",
        "_discarding",
        "_download",
        "_eof",
        "_expire",
        "_http",
        "_origin",
        "_paused",
        "_progress",
        "_received",
        "_served",
        "_stalled_at",
        "_upload",
        "_writing_paused",
        "client",
        "context",
        "copied",
        "scheme",
        "server",
        "slot",
        "stream",
        "tls",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, context: Context, origin: Origin | None = None) -> None:
        self.context = context
        self._origin = origin
        self.slot = 0
        self.client: Address | None = None
        self.server: tuple[str, int | None] | None = None
        self.scheme = "http"
        self.tls: dict[str, Any] | None = None
        self.stream: HTTPStream | None = None
        self._http = HTTP1Connection(context.limits)
        self._backlog: deque[Event] = deque()
        self._discarding = False
        self._eof = False
        self._paused = False
        self._writing_paused = False
        self._progress = 0  # how far writing was when the deadline was set
        self._received = 0  # bytes of requests' bodies
        self.copied = 0  # bytes that have gone to the socket without being written
        self._served = 0  # requests
        self._stalled_at = 0.0  # when a client that does not read our last words is given up
        self._upload: Progress | None = None  # while the client is sending a body
        self._download: Progress | None = None  # from when it read too slowly for the first time
        self._deadline: float | None = None
        self._expire: Callable[[], None] = _nothing

    # ------------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there; the clock for its first request runs."""
        # uvloop's transports are what asyncio.Transport describes, but do not inherit from it.
        self.transport = transport = cast("asyncio.Transport", transport)
        transport.set_write_buffer_limits(high=self.context.config.write_buffer_size)
        origin = self._origin
        if origin is None:
            self.client = client_of(transport.get_extra_info("peername"))
            self.server = server_of(transport.get_extra_info("sockname"))
        else:
            self.client, self.server, self.scheme = origin.client, origin.server, origin.scheme
        if transport.get_extra_info("sslcontext") is not None:
            self.scheme = "https"
            self.tls = tls_extension(transport)
        self.context.register(self)
        if self.context.draining:
            self._set_deadline(LAST_REQUEST, self.close)
        else:
            self._set_deadline(self.context.config.header_timeout, self._refuse_slow)

    def data_received(self, data: bytes) -> None:
        """Parse what came and hand it on."""
        if self._discarding:
            return
        events = self._http.receive_data(data)
        if self._backlog:
            self._backlog.extend(events)
        elif events:
            self._handle(events)
        late = self.context.draining or self._expire == self._refuse_slow
        if self.stream is None and self._http.started and not late:
            # A next request has begun on a connection that was idle: its head is timed anew.
            self._set_deadline(self.context.config.header_timeout, self._refuse_slow)

    def eof_received(self) -> bool:
        """The client sends no more: it has gone, or, rarely, waits for its answer half-closed."""
        self._eof = True
        if self._discarding:
            return False
        events = self._http.receive_eof()
        if self._backlog:
            self._backlog.extend(events)
        elif events:
            self._handle(events)
        if self.stream is None:
            return False
        self._watch_half_closed()
        return self.transport.can_write_eof()  # with TLS there is no half-closed connection

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        self.context.unregister(self)
        self._forget()
        self._backlog.clear()
        if self.stream is not None:
            stream, self.stream = self.stream, None
            stream.client_lost()

    def pause_writing(self) -> None:
        """The client reads too slowly: the application's sends wait."""
        self._writing_paused = True
        self.watch_reader()
        if self.stream is not None:
            self.stream.pause_writing()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._writing_paused = False
        self.unwatch_reader()
        if self.stream is not None:
            self.stream.resume_writing()

    # ------------------------------------------------------------------ requests

    def _handle(self, events: list[Event]) -> None:
        for index, event in enumerate(events):
            if isinstance(event, bytes):
                if self.stream is not None:
                    self._received += len(event)
                    more = index + 1 == len(events) or events[index + 1] is not END_OF_MESSAGE
                    self.stream.feed(event, more=more)
                    self._time_application(self.stream)  # not for how slow the upload is
            elif event is END_OF_MESSAGE:
                if self.stream is not None:
                    self.stream.end_of_body()
                if self._upload is not None:
                    self._forget_upload()
            elif self.stream is not None and not (
                isinstance(event, Refusal) and not self.stream.body_complete
            ):
                # The next request, or what is wrong with it, waits for its turn.
                self._backlog.extend(events[index:])
                self._pause()
                return
            elif isinstance(event, Request):
                behind = events[index + 1] if index + 1 < len(events) else None
                if event.upgrade is not None and isinstance(behind, Refusal):
                    # What it sent ahead of our answer is too much to be kept, and so is lost.
                    self._refuse(behind.status, behind.detail, _OPTIONS.get(behind.limit, ""))
                    return
                self._begin(event)
                if self.stream is None:
                    return  # the connection became a WebSocket, or refuses to
            else:
                assert isinstance(event, Refusal)
                self._refuse(event.status, event.detail, _OPTIONS.get(event.limit, ""))
                return
        if self.stream is not None and not self.stream.body_complete and self._upload is None:
            self._watch_upload(self.stream)

    def _begin(self, request: Request) -> None:
        if self.context.request_ids is not None:
            self.context.request_ids.mark(request, self.client)
        client, scheme = self.client, self.scheme
        if self.context.proxies is not None:
            client, named = self.context.proxies.resolve(request.headers, client)
            scheme = named or scheme
        if request.upgrade == b"websocket":
            self._upgrade(request, client, scheme)
            return
        keep_alive = request.keep_alive and not self.context.draining
        self._served += 1
        if self._served == self.context.config.max_requests_per_connection:
            keep_alive = False
            self.context.refusals.count("max_requests_per_connection")
        writer = HTTP1Writer(self, request, keep_alive)
        stream = self.stream = HTTPStream(self, writer, request, client, scheme)
        self._time_application(stream)
        if self._writing_paused:
            stream.pause_writing()
        if self._eof:
            self._watch_half_closed()
        stream.start()

    def _time_application(self, stream: HTTPStream) -> None:
        self._set_deadline(self.context.config.http_timeout or 0, stream.time_out)

    def _upgrade(self, request: Request, client: Address | None, scheme: str) -> None:
        stream = WebSocketStream(self.context, self.transport, request, client)
        self.context.register(stream)
        self.context.unregister(self)
        self._forget()
        self.transport.set_protocol(stream)
        if self._writing_paused:
            stream.pause_writing()
        stream.start(self._http.upgraded_data, scheme, self.server)

    def stream_ended(self, *, keep_alive: bool) -> None:
        """The stream's response is complete: go on with the next request or end."""
        stream, self.stream = self.stream, None
        if stream is None:
            return
        self._forget_upload()
        if not stream.body_complete:
            # What the client still sends belongs to a request that has its answer (RFC 9112 §9.6):
            # closing at once would reset the connection before the answer was read.
            self.close(linger=True)
        elif not keep_alive or self.context.draining or (self._eof and not self._backlog):
            self.close(linger=self._paused)  # paused: it has sent more, which nobody will read
        else:
            self._set_deadline(self.context.config.keep_alive_timeout, self._close_idle)
            self._resume()
            if self._backlog:
                events = list(self._backlog)
                self._backlog.clear()
                self._handle(events)

    # ------------------------------------------------------------------ endings

    def _refuse(self, status: int, detail: str, limit: str = "") -> None:
        """Answer input that is no request; the connection cannot be used after it.

        Args:
            status: What to answer.
            detail: The same in words.
            limit: The option that is the reason, if one is.
        """
        # A client that broke off got no answer, and is no news.
        level = logging.DEBUG if self._eof else logging.INFO
        logger.log(level, "Refused a request with %d: %s", status, detail)
        stream, self.stream = self.stream, None
        started = stream is not None and stream.response_started
        if limit:
            self._note(limit, _CUT if started else str(status))
        if stream is not None:
            stream.client_lost(0 if started else status)
        if started:
            self.cut()
            return
        context = self.context
        answer = error_response(status, detail, server=context.server_header, date=context.date())
        if self._http.refused_head or (stream is not None and stream.to_head):
            answer = without_body(answer)
        self.transport.write(answer)
        self.close(linger=True)

    def _note(self, limit: str, answer: str) -> None:
        context = self.context
        context.refusals.note(limit, getattr(context.config, limit), self.client, answer)

    def _refuse_slow(self) -> None:
        seconds = self.context.config.header_timeout
        detail = f"The request's headers did not arrive within {seconds:g} seconds."
        if self._http.started:
            self._refuse(408, detail, "header_timeout")
        else:  # browsers connect in advance, and then need no connection
            self.context.refusals.count("header_timeout")
            self._refuse(408, detail)

    def _close_idle(self) -> None:
        self.context.refusals.count("keep_alive_timeout")
        self.close()

    def close(self, *, linger: bool = False) -> None:
        """End the connection once what was written has been sent.

        Args:
            linger: The client may still be sending; let it, unread, until it has read our answer.
        """
        self._discarding = True
        self._backlog.clear()
        self._forget_upload()
        self._resume()
        if linger and not self.transport.is_closing() and self.transport.can_write_eof():
            end_writing(self.transport)
        else:
            self.transport.close()
        self._watch_end()

    def shut_down(self) -> None:
        """The server ends: an idle connection closes, a busy one after its response."""
        if self.stream is not None:
            self.stream.shut_down()
        elif self._expire == self._refuse_slow:
            self._set_deadline(LAST_REQUEST, self.close)  # its request is awaited, or has begun
        elif not self._discarding:
            self.close()

    def abort(self) -> None:
        """End the connection now, whatever was still to be sent."""
        self.transport.abort()

    def cut(self) -> None:
        """End it now, and so that the client notices: a response lacks its end.

        Without a length and chunks, as in HTTP/1.0, only a reset tells it from a whole one.
        """
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    # ------------------------------------------------------------------ flow and time

    def pause_reading(self) -> None:
        """The application is behind with the request's body."""
        self._pause()
        if self._upload is not None:
            self._upload.stop()

    def resume_reading(self) -> None:
        """The application has taken what there was."""
        if not self._backlog:
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

    def body_awaited(self) -> None:
        """The client was told to send the body that it has announced."""
        if self.stream is not None and self._upload is None:
            self._watch_upload(self.stream)

    def _watch_upload(self, stream: HTTPStream) -> None:
        config = self.context.config
        if stream.holds_continue or (config.min_upload_rate <= 0 and config.body_timeout <= 0):
            return
        self._upload = Progress(
            self.context,
            config.min_upload_rate,
            self._count_received,
            self._refuse_upload,
            config.body_timeout,
        )
        if not self._paused:
            self._upload.start()

    def _count_received(self) -> int:
        return self._received

    def _refuse_upload(self, late: bool) -> None:
        config = self.context.config
        if late:
            detail = f"The request's body did not arrive within {config.body_timeout:g} seconds."
            self._refuse(408, detail, "body_timeout")
        else:
            rate = config.min_upload_rate
            detail = f"The request's body came at less than {rate} bytes per second."
            self._refuse(408, detail, "min_upload_rate")

    def _forget_upload(self) -> None:
        if self._upload is not None:
            self._upload.stop()
            self._upload = None

    def watch_reader(self) -> None:
        """See to it that the client reads what waits for it, from now on."""
        rate = self.context.config.min_download_rate
        if rate <= 0:
            return
        if self._download is None:
            self._download = Progress(self.context, rate, self._count_read, self._cut_reader)
        self._download.start()

    def unwatch_reader(self) -> None:
        """What waits for the client is not much, or nothing."""
        if self._download is not None and not self._writing_paused:
            self._download.stop()

    def _count_read(self) -> int:
        # While somebody watches, nothing is written but what is copied.
        return self.copied - unsent(self.transport)

    def _cut_reader(self, late: bool) -> None:
        self._note("min_download_rate", _CUT)
        self.cut()

    def _watch_half_closed(self) -> None:
        assert self.stream is not None
        self._progress = self.stream.size
        seconds = self.context.config.half_closed_timeout
        if self.stream.response_started:  # and so is seen to go on, or not
            seconds = min(seconds, HALF_CLOSED) if seconds > 0 else HALF_CLOSED
        self._set_deadline(seconds, self._check_half_closed)

    def _check_half_closed(self) -> None:
        if self.stream is not None and self.stream.size > self._progress:
            self._watch_half_closed()
        else:
            self.context.refusals.count("half_closed_timeout")
            self.transport.abort()

    def _watch_end(self) -> None:
        """Our last words were written: wait until they were read, or are not read any more."""
        self._progress = unsent(self.transport)
        self._stalled_at = self.context.time() + STALLED
        if self._progress:
            self.watch_reader()
        linger = LAST_LINGER if self.context.draining else LINGER
        self._set_deadline(min(linger, STALLED), self._check_end)

    def _check_end(self) -> None:
        waiting = unsent(self.transport)
        if 0 < waiting < self._progress:
            self._watch_end()
        elif waiting and self.context.time() < self._stalled_at:
            left = self._stalled_at - self.context.time()
            self._set_deadline(min(LINGER, left), self._check_end)
        else:
            self.transport.abort()

    def _forget(self) -> None:
        """Watch over nothing any more: it is over, or somebody else's."""
        self.context.deadlines.disarm(self)
        self._deadline = None
        self._expire = _nothing  # it refers to this object, which need not wait for the collector
        self._forget_upload()
        if self._download is not None:
            self._download.stop()
            self._download = None

    def _set_deadline(self, seconds: float, expire: Callable[[], None]) -> None:
        self._expire = expire
        if seconds <= 0:
            self._deadline = None
            return
        self._deadline = self.context.loop.time() + seconds
        self.context.deadlines.arm(self, self._deadline)

    def on_deadline(self, now: float) -> float | None:
        """Do what the clock says, if its time has come."""
        if self._deadline is not None and self._deadline <= now:
            self._deadline = None
            self._expire()
        return self._deadline


def _nothing() -> None:
    """What there is to do at a deadline that nobody has set."""
