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
from fairway.server.context import Context
from fairway.server.ending import end_writing
from fairway.server.http.http2_channel import Channel
from fairway.server.http.http2_clock import ClockedConnection
from fairway.server.http.http2_limits import OPTIONS
from fairway.server.http.http2_stream import AnswerChannel, HTTPChannel
from fairway.server.http.http2_websocket import WebSocketChannel
from fairway.server.http.progress import delivered
from fairway.server.http.stream import HTTPStream
from fairway.server.listening.origin import Origin, client_of, server_of
from fairway.server.listening.proxy import Address
from fairway.wire.http1_events import Request
from fairway.wire.http2_events import (
    BodyEnded,
    BodyReceived,
    ConnectionFailed,
    ErrorCode,
    Event,
    GoingAway,
    Limit,
    PingAnswered,
    RequestReceived,
    RequestRefused,
    StreamReset,
    WindowOpened,
)

logger = logging.getLogger("fairway.server")
# It would tell every field, cookies and passwords too, to whoever wants to know details of ours.
logging.getLogger("hpack").setLevel(logging.WARNING)

#: Bytes that the streams may say in one write, before it is seen whether the client reads.
BATCH: Final = 128 * 1024
#: Bytes of answers to pings, settings and the like that may wait for a client that reads nothing,
#: with the fields of what its requests had begun to say.
MAX_REPLIES: Final = 256 * 1024
#: Seconds that a client has for learning that the connection will end, before it begins nothing
#: more (§6.8).
WARNING: Final = 1.0


class MultiplexedConnection(ClockedConnection):
    """One client connection that carries any number of requests and WebSockets at once.

    Args:
        context: What all connections share.
        origin: The two ends of the connection, if a proxy has named them.

    Attributes:
        server: The address that the client connected to.
        tls: ASGI's extension "tls" for its scopes; None if it is not encrypted.
        high_water: Bytes that may wait on one stream before ``send()`` waits.
    """

    __slots__ = (
        "_client",
        "_finishing",
        "_flush_handle",
        "_going",
        "_going_on",
        "_origin",
        "_replies",
        "_scheme",
        "_served",
        "high_water",
        "server",
        "tls",
    )

    def __init__(self, context: Context, origin: Origin | None = None) -> None:
        super().__init__(context)
        self.server: tuple[str, int | None] | None = None
        self.tls: dict[str, Any] | None = None
        self.high_water = context.config.write_buffer_size
        self._origin = origin
        self._client: Address | None = None
        self._scheme = "http"
        self._flush_handle: asyncio.Handle | None = None
        self._finishing: list[Channel] = []  # whose responses were handed over to their ends
        self._going = False  # the connection ends with its last stream
        self._going_on = False  # whether a turn is due in which more is taken of what came
        self._replies = 0
        self._served = 0  # requests

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
        self._arm(self.context.config.keep_alive_timeout)
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
        if self._http.pending and not self._going_on and not self._transport.is_closing():
            self._going_on = True
            self._transport.pause_reading()
            self.context.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Take more of what came; read more when that is done."""
        self._going_on = False
        if not self._closing:
            self.data_received(b"")
        if not self._going_on and not self._transport.is_closing():
            self._transport.resume_reading()

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
        self._read = delivered(self._transport)
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
        self._end_if_done()

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
        answer = AnswerChannel(self, event.stream_id)
        self._channels[event.stream_id] = answer
        answer.say(event.refusal, without_body=event.to_head)
        if event.request is not None:
            now = self.context.time()
            self.context.log("complete", status, event.request, self._client, now)

    def _drop(self, stream_id: int) -> None:
        """A stream has ended early."""
        self._sending.forget(stream_id)
        channel = self._forget(stream_id)
        if channel is not None:
            channel.lost()

    def _forget(self, stream_id: int) -> Channel | None:
        """A stream is not served any more; without any, the connection is idle."""
        channel = self._channels.pop(stream_id, None)
        if channel is not None and not self._channels:
            self._idle_at = self.context.time()
            self._arm(self.context.config.keep_alive_timeout)
        return channel

    def _fail(self, event: ConnectionFailed) -> None:
        """The client broke a rule of the connection: it has been told, and gets no more."""
        self._note(event.limit, f"GOAWAY {event.code.name}")
        logger.info("Ended an HTTP/2 connection with %s: %s", event.code.name, event.detail)
        self._lose_all()
        self.close()

    def _note(self, limit: Limit | None, answer: str) -> None:
        if limit is not None:
            self.note(OPTIONS[limit], answer)

    def note(self, name: str, answer: str) -> None:
        """A limit, the option of that name, has refused something."""
        value = getattr(self.context.config, name)
        self.context.refusals.note(name, value, self._client, answer)

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
            last = end and not trailers and not self.writing_paused
            if not last or not self._sending.finish_at_once(stream_id, data):
                self._sending.add(stream_id, data, end=end, trailers=trailers)
            self.schedule()

    def acknowledge(self, stream_id: int, size: int) -> None:
        """The application has taken bytes of a body."""
        if size and not self._closing:
            self._http.acknowledge(stream_id, size)

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """End a stream early; what waits on it is lost."""
        self._sending.forget(stream_id)
        self._forget(stream_id)
        if not self._closing:
            self._http.reset(stream_id, code)
            self.schedule()

    def response_ended(self, channel: Channel) -> None:
        """A response was handed over to its end; it is done when it has been sent."""
        self._finishing.append(channel)
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
        if self.writing_paused or not sending.ready:
            self._write_out()
        while sending.ready and not self.writing_paused and not self._closing:
            told = sending.fill(BATCH)
            self._write_out()
            for stream_id in told:
                if (channel := self._channels.get(stream_id)) is not None:
                    channel.sent()
        if self._finishing:
            ended = [each for each in self._finishing if not sending.holds(each.stream_id)]
            if ended:
                self._finishing = [
                    each for each in self._finishing if sending.holds(each.stream_id)
                ]
                for channel in ended:
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
        if self._forget(stream_id) is None:
            return  # it was reset before
        channel.finished()
        if self._http.receives(stream_id):
            self._http.reset(stream_id, ErrorCode.NO_ERROR)

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
        end_writing(self._transport, self.context)
        self._watch_end()

    def abort(self) -> None:
        """End the connection now, whatever was still to be sent."""
        self._closing = True
        self._transport.abort()
