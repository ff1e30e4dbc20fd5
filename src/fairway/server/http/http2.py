"""The I/O shell of a connection that speaks HTTP/2 (RFC 9113).

Above this module: sockets, timers, tasks. Below it (:mod:`fairway.wire.http2`): all the meaning.
Each request is a :class:`~fairway.server.http.stream.HTTPStream` as in HTTP/1.1, each WebSocket a
:class:`~fairway.server.websocket.stream.WebSocketStream`; what is between them and the connection
is in :mod:`fairway.server.http.http2_stream` and :mod:`fairway.server.http.http2_websocket`.
"""

import asyncio
import logging
from typing import Any, Final, cast

from fairway._types import Headers
from fairway.server.application.encryption import tls_extension
from fairway.server.context import LINGER, Context, end_writing
from fairway.server.http.connection import STALLED
from fairway.server.http.http2_stream import Channel, HTTPChannel
from fairway.server.http.http2_websocket import WebSocketChannel
from fairway.server.http.progress import unsent
from fairway.server.http.stream import HTTPStream
from fairway.server.listening.origin import Origin, client_of, server_of
from fairway.server.listening.proxy import Address
from fairway.wire.http1_events import Refusal, Request
from fairway.wire.http2 import HTTP2Connection
from fairway.wire.http2_events import (
    BodyEnded,
    BodyReceived,
    ConnectionFailed,
    ErrorCode,
    Event,
    GoingAway,
    HTTP2Limits,
    Limit,
    PingAnswered,
    RequestReceived,
    RequestRefused,
    StreamReset,
    WindowOpened,
)
from fairway.wire.http2_response import error_fields
from fairway.wire.http2_sending import Sending

logger = logging.getLogger("fairway.server")
# It would tell every field, cookies and passwords too, to whoever wants to know details of ours.
logging.getLogger("hpack").setLevel(logging.WARNING)

#: Bytes that the streams may say in one write, before it is seen whether the client reads.
BATCH: Final = 128 * 1024
#: Bytes of answers to pings, settings and the like that may wait for a client that reads nothing.
MAX_REPLIES: Final = 64 * 1024
#: Seconds that a client has for learning that the connection will end, before it begins nothing
#: more (§6.8).
WARNING: Final = 1.0

#: The options that the limits are.
_OPTIONS: Final = {
    Limit.STREAMS: "http2_max_streams",
    Limit.RESETS: "http2_max_resets",
    Limit.CONTROL_FRAMES: "http2_max_control_frames",
    Limit.TARGET: "max_request_line",
    Limit.HEADER_SIZE: "max_header_size",
    Limit.HEADER_COUNT: "max_header_count",
    Limit.BODY_SIZE: "max_body_size",
}


def limits_of(context: Context) -> HTTP2Limits:
    """What the configuration allows a client."""
    config = context.config
    return HTTP2Limits(
        streams=config.http2_max_streams,
        resets=config.http2_max_resets,
        control_frames=config.http2_max_control_frames,
        target=config.max_request_line,
        header_size=config.max_header_size,
        header_count=config.max_header_count,
        body_size=config.max_body_size or None,
        stream_window=config.http2_stream_window,
        connection_window=config.http2_connection_window,
    )


class MultiplexedConnection(asyncio.Protocol):
    """One client connection that carries any number of requests and WebSockets at once.

    Args:
        context: What all connections share.
        origin: The two ends of the connection, if a proxy has named them.

    Attributes:
        context: As given.
        server: The address that the client connected to.
        high_water: Bytes that may wait on one stream before ``send()`` waits.
        writing_paused: The client reads too slowly, whatever the stream.
    """

    __slots__ = (
        "_begun_at",
        "_channels",
        "_client",
        "_closing",
        "_closing_at",
        "_final_at",
        "_flush_handle",
        "_going",
        "_head_at",
        "_http",
        "_idle_at",
        "_moved_at",
        "_origin",
        "_replies",
        "_scheme",
        "_sending",
        "_served",
        "_transport",
        "_unsent",
        "context",
        "high_water",
        "server",
        "slot",
        "tls",
        "writing_paused",
    )

    _transport: asyncio.Transport

    def __init__(self, context: Context, origin: Origin | None = None) -> None:
        self.context = context
        self.slot = 0
        self.server: tuple[str, int | None] | None = None
        self.high_water = context.config.write_buffer_size
        self.writing_paused = False
        self._origin = origin
        self._client: Address | None = None
        self._scheme = "http"
        self.tls: dict[str, Any] | None = None
        self._http = HTTP2Connection(limits_of(context))
        self._sending = Sending(self._http)
        self._channels: dict[int, Channel] = {}
        self._flush_handle: asyncio.Handle | None = None
        self._going = False  # the connection ends with its last stream
        self._closing = False  # nothing more is read or said
        self._replies = 0
        self._served = 0  # requests
        self._unsent = 0
        self._begun_at = self._idle_at = self._moved_at = context.time()
        self._head_at: float | None = None  # when fields began that are not complete
        self._final_at: float | None = None  # when a drain takes nothing more
        self._closing_at: float | None = None

    # ------------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there: say what the server says first."""
        # uvloop's transports are what asyncio.Transport describes, but do not inherit from it.
        self._transport = transport = cast("asyncio.Transport", transport)
        transport.set_write_buffer_limits(high=self.high_water)
        origin = self._origin
        if origin is None:
            self._client = client_of(transport.get_extra_info("peername"))
            self.server = server_of(transport.get_extra_info("sockname"))
        else:
            self._client, self.server, self._scheme = origin.client, origin.server, origin.scheme
        if transport.get_extra_info("sslcontext") is not None:
            self._scheme = "https"
            self.tls = tls_extension(transport)
        self.context.register(self)
        self._http.start()
        self._write_out()
        self._arm(self.context.config.header_timeout)
        if self.context.draining:
            self.shut_down()

    def data_received(self, data: bytes) -> None:
        """Turn what came into requests and what belongs to them."""
        if self._closing:
            return
        now = self.context.time()
        for event in self._http.receive_data(data, now):
            self._handle(event)
        if self._http.head_unfinished:
            if self._head_at is None:
                self._head_at = now
                self._arm(self.context.config.header_timeout)
        else:
            self._head_at = None
        if not self._closing:
            self._flush()
            self._end_if_done()

    def eof_received(self) -> bool:
        """The client has gone; asyncio closes the transport."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        self._closing = True
        self.context.unregister(self)
        self.context.deadlines.disarm(self)
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        self._lose_all()

    def pause_writing(self) -> None:
        """The client reads too slowly: all applications' sends wait."""
        self.writing_paused = True
        self._replies = 0
        self._moved_at = self.context.time()
        self._unsent = unsent(self._transport)
        self._arm(self.context.config.http2_stall_timeout)
        for channel in tuple(self._channels.values()):
            channel.pause_writing()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.writing_paused = False
        self._flush()
        if not self.writing_paused:
            for channel in tuple(self._channels.values()):
                channel.restart_clock()
                channel.resume_writing()

    # ------------------------------------------------------------------ what the client says

    def _handle(self, event: Event) -> None:
        if isinstance(event, BodyReceived):
            if (channel := self._channels.get(event.stream_id)) is not None:
                channel.received(event.data, event.size)
            else:
                self._http.acknowledge(event.stream_id, event.size)
        elif isinstance(event, WindowOpened):
            self._sending.window_opened(event.stream_id)
        elif isinstance(event, RequestReceived):
            self._begin(event.stream_id, event.request)
        elif isinstance(event, BodyEnded):
            if (channel := self._channels.get(event.stream_id)) is not None:
                channel.ended()
        elif isinstance(event, StreamReset):
            self._note(event.limit, f"{ErrorCode(event.code).name}" if event.limit else "")
            self._drop(event.stream_id)
        elif isinstance(event, RequestRefused):
            self._note(event.limit, str(event.refusal.status))
            self._refuse(event)
        elif isinstance(event, GoingAway):
            self._going = True
        elif isinstance(event, PingAnswered):
            if self._final_at is not None:
                self._finish_drain()
        else:
            assert isinstance(event, ConnectionFailed)
            self._fail(event)

    def _begin(self, stream_id: int, request: Request) -> None:
        if self.context.request_ids is not None:
            self.context.request_ids.mark(request, self._client)
        client, scheme = self._client, self._scheme
        if self.context.proxies is not None:
            client, named = self.context.proxies.resolve(request.headers, client)
            scheme = named or scheme
        if request.upgrade is not None:
            tunnel = WebSocketChannel(self, stream_id)
            self._channels[stream_id] = tunnel
            tunnel.open(request, client, scheme)
            return
        channel = HTTPChannel(self, stream_id, request)
        channel.stream = stream = HTTPStream(self, channel, request, client, scheme)
        self._channels[stream_id] = channel
        self.time_application(channel)
        if self.writing_paused:
            stream.pause_writing()
        stream.start()
        channel.watch_upload()
        self._served += 1
        if self._served == self.context.config.max_requests_per_connection:
            self.context.refusals.count("max_requests_per_connection")
            self._announce_end()

    def _refuse(self, event: RequestRefused) -> None:
        """Answer a request that the application does not get to see, or to finish."""
        status, detail = event.refusal.status, event.refusal.detail
        logger.info("Refused a request with %d: %s", status, detail)
        channel = self._channels.get(event.stream_id)
        if isinstance(channel, HTTPChannel):
            channel.refused(status, detail)
            return
        answer = _Answer(self, event.stream_id)
        self._channels[event.stream_id] = answer
        answer.say(event.refusal, without_body=event.to_head)
        if event.request is not None:
            now = self.context.time()
            self.context.log("complete", status, event.request, self._client, now)

    def _drop(self, stream_id: int) -> None:
        """A stream has ended early."""
        self._sending.forget(stream_id)
        channel = self._channels.pop(stream_id, None)
        if channel is not None:
            channel.lost()
            self._idle_at = self.context.time()

    def _fail(self, event: ConnectionFailed) -> None:
        """The client broke a rule of the connection: it has been told, and gets no more."""
        self._note(event.limit, f"GOAWAY {event.code.name}")
        logger.info("Ended an HTTP/2 connection with %s: %s", event.code.name, event.detail)
        self._lose_all()
        self.close()

    def _note(self, limit: Limit | None, answer: str) -> None:
        if limit is not None:
            self.note(_OPTIONS[limit], answer)

    def note(self, name: str, answer: str) -> None:
        """A limit, the option of that name, has refused something."""
        value = getattr(self.context.config, name)
        self.context.refusals.note(name, value, self._client, answer)

    def _lose_all(self) -> None:
        channels, self._channels = self._channels, {}
        for stream_id, channel in channels.items():
            self._sending.forget(stream_id)
            channel.lost()

    # ------------------------------------------------------------------ for the streams

    def get_extra_info(self, name: str, default: object = None) -> object:
        """What is known of the socket, or of TLS; as of transports."""
        return self._transport.get_extra_info(name, default)

    def takes(self, stream_id: int) -> bool:
        """Whether something can still be said on a stream."""
        return not self._closing and self._http.takes(stream_id)

    @property
    def inbound_window(self) -> int:
        """How many bytes of bodies the client may send now on all streams together."""
        return self._http.inbound_window

    def holds(self, stream_id: int) -> bool:
        """Whether anything, be it only its end, waits on a stream."""
        return self._sending.holds(stream_id)

    def waiting(self, stream_id: int) -> int:
        """How many bytes wait on a stream."""
        return self._sending.size(stream_id)

    def send_fields(self, stream_id: int, fields: Headers, *, end: bool = False) -> None:
        """Send fields, if the stream takes them."""
        if self.takes(stream_id):
            self._http.send_fields(stream_id, fields, end=end)
            self.schedule()

    def add(
        self, stream_id: int, data: bytes, *, end: bool = False, trailers: Headers | None = None
    ) -> None:
        """Send a part of a body, when there is room; nothing on a stream that takes no more."""
        if self.takes(stream_id) and (data or end):
            self._sending.add(stream_id, data, end=end, trailers=trailers)
            self.schedule()

    def acknowledge(self, stream_id: int, size: int) -> None:
        """The application has taken bytes of a body."""
        if size and not self._closing:
            self._http.acknowledge(stream_id, size)

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """End a stream early; what waits on it is lost."""
        self._sending.forget(stream_id)
        self._channels.pop(stream_id, None)
        self._idle_at = self.context.time()
        if not self._closing:
            self._http.reset(stream_id, code)
            self.schedule()

    def response_ended(self, channel: Channel) -> None:
        """A response was handed over to its end; it is done when it has been sent."""
        channel.finishing = True
        self.schedule()

    def schedule(self) -> None:
        """Send what there is to send, with all that others say in this turn of the loop."""
        if self._flush_handle is None and not self._closing:
            self._flush_handle = self.context.loop.call_soon(self._flush_now)

    def time_application(self, channel: HTTPChannel) -> None:
        """Its application has ``http_timeout`` from now on."""
        timeout = self.context.config.http_timeout or 0
        if timeout > 0:
            channel.expires_at = self.context.time() + timeout
            self.context.deadlines.arm(channel, channel.expires_at)

    # ------------------------------------------------------------------ sending

    def _flush_now(self) -> None:
        self._flush_handle = None
        if not self._closing:
            self._flush()
            self._end_if_done()

    def _flush(self) -> None:
        sending = self._sending
        self._write_out()
        while sending.ready and not self.writing_paused and not self._closing:
            told = sending.fill(BATCH)
            self._write_out()
            for stream_id in told:
                if (channel := self._channels.get(stream_id)) is not None:
                    channel.sent()
        for channel in [each for each in self._channels.values() if each.finishing]:
            if not sending.holds(channel.stream_id):
                self._finish(channel)
        self._write_out()
        if sending.waiting:
            self._arm(self.context.config.http2_stall_timeout)

    def _write_out(self) -> None:
        data = self._http.data_to_send()
        if not data:
            return
        if self.writing_paused:
            self._replies += len(data)
            if self._replies > MAX_REPLIES:
                self.note("http2_max_control_frames", "the connection is cut")
                self.abort()
                return
        self._transport.write(data)

    def _finish(self, channel: Channel) -> None:
        """A response was sent to its end: what is left of its request is of no use (§8.1)."""
        stream_id = channel.stream_id
        self._channels.pop(stream_id, None)
        self._idle_at = self.context.time()
        channel.finished()
        if self._http.receives(stream_id):
            self._http.reset(stream_id, ErrorCode.NO_ERROR)
        if not self._channels:
            self._arm(self.context.config.keep_alive_timeout)

    # ------------------------------------------------------------------ endings

    def _end_if_done(self) -> None:
        if self._going and not self._channels and not self._closing and self._final_at is None:
            self.close()

    def shut_down(self) -> None:
        """The server ends: take what is on its way, then nothing more, and end with the last."""
        for channel in tuple(self._channels.values()):
            channel.shut_down()
        self._announce_end()
        if not self._closing:
            self._flush()
            self._end_if_done()

    def _announce_end(self) -> None:
        """Say that the connection will end, which the client has to learn first (§6.8)."""
        if not self._closing and not self._going and self._final_at is None:
            self._http.warn()
            self._final_at = self.context.time() + WARNING
            self._arm(WARNING)
            self.schedule()

    def _finish_drain(self) -> None:
        self._final_at = None
        self._going = True
        self._http.go_away()
        self._flush()
        self._end_if_done()

    def close(self) -> None:
        """End the connection once what was said has been sent."""
        if self._closing:
            return
        self._http.go_away()
        self._write_out()
        self._closing = True
        if not self._transport.is_closing() and self._transport.can_write_eof():
            # To close at once, while the client is sending, would reset the connection before it
            # has read why (RFC 9112 §9.6).
            end_writing(self._transport)
        else:
            self._transport.close()
        self._watch_end()

    def abort(self) -> None:
        """End the connection now, whatever was still to be sent."""
        self._closing = True
        self._transport.abort()

    def _watch_end(self) -> None:
        self._unsent = self._transport.get_write_buffer_size()
        seconds = STALLED if self._unsent else LINGER
        self._closing_at = self.context.time() + seconds
        self._arm(seconds)

    # ------------------------------------------------------------------ time

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
        if self._transport.get_write_buffer_size() < self._unsent:
            self._watch_end()
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
        self._http.go_away(
            ErrorCode.ENHANCE_YOUR_CALM, "What was begun did not arrive within header_timeout."
        )
        self._lose_all()
        self.close()
        return None

    def _check_idle(self, now: float) -> float | None:
        timeout = self.context.config.keep_alive_timeout
        if self._channels or timeout <= 0 or self._closing:
            return None
        if now < self._idle_at + timeout:
            return self._idle_at + timeout
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
        waits = unsent(self._transport)
        gone = self._unsent - waits
        if gone <= 0 or gone < rate * timeout:
            name = "min_download_rate" if gone > 0 else "http2_stall_timeout"
            self.note(name, "the connection is cut")
            self.abort()
            return None
        self._unsent, self._moved_at = waits, now
        return now + timeout


class _Answer(Channel):
    """The way of a response that no application gives."""

    __slots__ = ()

    def say(self, refusal: Refusal, *, without_body: bool) -> None:
        """Send it."""
        context = self._connection.context
        fields, body = error_fields(
            refusal.status, refusal.detail, server=context.server_header, date=context.date()
        )
        self._connection.send_fields(self.stream_id, fields, end=without_body)
        if not without_body:
            self._add(body, end=True)
        self._connection.response_ended(self)
