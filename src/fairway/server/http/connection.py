"""The I/O shell of a TCP connection that speaks HTTP/1.1.

Above this module: sockets, timers, tasks. Below it (:mod:`fairway.wire.http1`): all the meaning.
"""

import asyncio
import logging
from typing import Any, Final, cast

from fairway.server.application.encryption import tls_extension
from fairway.server.context import Context
from fairway.server.ending import end_writing
from fairway.server.http.http1_writer import HTTP1Writer, without_body
from fairway.server.http.intake import Intake
from fairway.server.http.patience import CUT, nothing
from fairway.server.http.stream import HTTPStream
from fairway.server.listening.origin import Origin, client_of, server_of
from fairway.server.listening.proxy import Address
from fairway.server.websocket.stream import WebSocketStream
from fairway.wire.http1 import END_OF_MESSAGE, Event, Refusal, Request, error_response

logger = logging.getLogger("fairway.server")

#: Seconds in which the next request of a connection, perhaps on its way already, is still served
#: when the server ends. Its response then says that it is the last: a proxy that uses a connection
#: all the time learns so that it is to take another, and loses no request. At most so long; and at
#: most this part of ``graceful_timeout``, so that a server for development is quick.
LAST_REQUEST: Final = 1.0
LAST_REQUEST_PART: Final = 1 / 15

#: The options that limit what :mod:`fairway.wire.http1` takes, by its names for them.
_OPTIONS: Final = {
    "request_line": "max_request_line",
    "header_size": "max_header_size",
    "header_count": "max_header_count",
    "body_size": "max_body_size",
    "chunk_extensions": "max_chunk_extensions",
}


class Connection(Intake):
    """One client connection: parses requests, runs them one after the other, times out.

    Args:
        context: What all connections share.
        origin: What a proxy has said of its ends; None if the socket tells the truth.

    Requests are answered in the order in which they came (RFC 9112 §9.3.2).
    """

    __slots__ = ("_origin", "_served", "scheme", "server", "tls")

    def __init__(self, context: Context, origin: Origin | None = None) -> None:
        super().__init__(context)
        self._origin = origin
        self.server: tuple[str, int | None] | None = None
        self.scheme = "http"
        self.tls: dict[str, Any] | None = None
        self._served = 0  # requests

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
            self._expect_the_last()
        else:
            self._set_deadline(self.context.config.header_timeout, self._refuse_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        self.context.unregister(self)
        self._forget()
        self._discarding = True
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
        first = events[0]
        if (
            len(events) == 2
            and isinstance(first, Request)
            and not first.has_body
            and self.stream is None
            and events[1] is END_OF_MESSAGE
        ):
            self._begin(first)  # an ordinary request: nothing else is to be looked at
            return
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
        context = self.context
        if context.request_ids is not None:
            context.request_ids.mark(request, self.client)
        client, scheme = self.client, self.scheme
        if context.proxies is not None:
            client, named = context.proxies.resolve(request.headers, client)
            scheme = named or scheme
        if request.upgrade == b"websocket":
            self._upgrade(request, client, scheme)
            return
        keep_alive = request.keep_alive and not context.draining
        self._served += 1
        if self._served == context.config.max_requests_per_connection:
            keep_alive = False
            context.refusals.count("max_requests_per_connection")
        writer = HTTP1Writer(self, request, keep_alive)
        stream = self.stream = HTTPStream(self, writer, request, client, scheme)
        self._time_application(stream)
        if self._writing_paused:
            stream.pause_writing()
        if self._eof:
            self._watch_half_closed()
        stream.start()

    def _time_application(self, stream: HTTPStream) -> None:
        timeout = self.context.config.http_timeout
        if timeout:
            self._set_deadline(timeout, stream.time_out)
        else:
            self._deadline = None
            self._expire = nothing

    def _upgrade(self, request: Request, client: Address | None, scheme: str) -> None:
        stream = WebSocketStream(self.context, self.transport, request, client)
        self.context.register(stream)
        self.context.unregister(self)
        self._forget()
        self._resume()
        self.transport.set_protocol(stream)
        if self._writing_paused:
            stream.pause_writing()
        stream.start(self._http.upgraded_data, scheme, self.server)

    def stream_ended(self, *, keep_alive: bool) -> None:
        """The stream's response is complete: go on with the next request or end."""
        stream, self.stream = self.stream, None
        if stream is None:
            return
        if self._upload is not None:
            self._forget_upload()
        if not stream.body_complete:
            # What the client still sends belongs to a request that has its answer (RFC 9112 §9.6):
            # closing at once would reset the connection before the answer was read.
            self.close(linger=True)
        elif not keep_alive or (self._eof and not self._has_more):
            # Paused: it has sent more, which nobody will read.
            self.close(linger=self._paused or self._http.ignored)
        else:
            if self.context.draining:  # it had begun before, and so has not said it is the last
                self._expect_the_last()
            else:
                self._set_deadline(self.context.config.keep_alive_timeout, self._close_idle)
            if self._paused:
                if self._http.pending:
                    self._go_on_soon()
                else:
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
            self._note(limit, CUT if started else str(status))
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
        if linger:
            end_writing(self.transport, self.context)
        else:
            self.transport.close()
        self._watch_end()

    def shut_down(self) -> None:
        """The server ends: an idle connection closes soon, a busy one after its response."""
        if self.stream is not None:
            self.stream.shut_down()
        elif self._discarding:
            self._hasten_end()
        else:
            self._expect_the_last()

    def _expect_the_last(self) -> None:
        """Close soon, unless another request comes; its response then is the last."""
        timeout = self.context.config.graceful_timeout
        longest = timeout * LAST_REQUEST_PART if timeout > 0 else LAST_REQUEST
        self._set_deadline(min(LAST_REQUEST, longest), self.close)

    def abort(self) -> None:
        """End the connection now, whatever was still to be sent."""
        self.transport.abort()
