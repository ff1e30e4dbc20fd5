"""A WebSocket on one stream of an HTTP/2 connection (RFC 8441).

:class:`~fairway.server.websocket.stream.WebSocketStream` is the same as over HTTP/1.1, where it has
a TCP connection for itself. Here :class:`WebSocketChannel` stands for that connection, in the words
of an asyncio transport: the end of what one side says is END_STREAM, the end of the connection a
reset of the stream (RFC 8441 §5).
"""

import asyncio
from typing import TYPE_CHECKING, Any, cast

from fairway._types import Event
from fairway.server.context import Context
from fairway.server.http.http2_channel import Channel, Fields
from fairway.server.listening.proxy import Address
from fairway.server.websocket.opening import Opening
from fairway.server.websocket.stream import WebSocketStream
from fairway.wire.http1_events import Request
from fairway.wire.http2_events import ErrorCode
from fairway.wire.http2_handshake import ExtendedHandshake
from fairway.wire.http2_response import HTTP2Response, error_fields

if TYPE_CHECKING:
    from fairway.server.http.http2 import MultiplexedConnection


class WebSocketChannel(Channel):
    """Stands between a WebSocket and the stream that it is on."""

    __slots__ = ("_answered", "_closing", "_ended", "_kept", "_protocol", "_said_all")

    timed = False  # a WebSocket has a clock of its own

    def __init__(self, connection: "MultiplexedConnection", stream_id: int) -> None:
        super().__init__(connection, stream_id)
        self._protocol: WebSocketStream | None = None
        self._kept: list[bytes] = []  # what came while nothing was to be read
        self._answered = False  # with the fields that accept or refuse it
        self._ended = False  # the client says no more
        self._said_all = False  # and neither do we
        self._closing = False

    def open(self, request: Request, client: Address | None, scheme: str) -> None:
        """Begin with the opening handshake."""
        connection = self._connection
        transport = cast("asyncio.Transport", self)  # as far as a WebSocket needs one
        stream = WebSocketStream(connection.context, transport, request, client, dialect=self)
        self._protocol = stream
        connection.context.register(stream)
        if connection.writing_paused:
            stream.pause_writing()
        stream.start(b"", scheme, connection.server)

    # ------------------------------------------------------------------ the dialect

    def opening(self, context: Context, request: Request) -> Opening:
        """The handshake of a request."""
        return ExtendedOpening(context, request, self)

    def refusal(self, context: Context, status: int, detail: str, headers: Fields = ()) -> bytes:
        """Answer a client that gets no WebSocket; returns what is still to be written."""
        fields, body = error_fields(
            status, detail, server=context.server_header, date=context.date(), headers=headers
        )
        self.send_fields(fields)
        return body

    def send_fields(self, fields: Fields) -> None:
        """Send the fields of a response."""
        self._answered = True
        self._connection.send_fields(self.stream_id, list(fields))

    # ------------------------------------------------------------------ from the connection

    def _on_data(self, data: bytes) -> None:
        if self._closing or self._protocol is None:
            return
        if self._holding or self._kept:  # which is still to be delivered, and came before
            self._kept.append(data)
        else:
            self._protocol.data_received(data)

    def ended(self) -> None:
        """The client says no more, which of a WebSocket means that it has gone."""
        self._ended = True
        if not self._kept:
            self._end()

    def lost(self) -> None:
        """The stream was reset, or its connection lost."""
        super().lost()
        self._closing = True
        self._lose()

    def finished(self) -> None:
        """Everything was sent that was to be sent."""
        super().finished()
        self._closing = True
        self._connection.context.loop.call_soon(self._lose)

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """It has caught up."""
        if self._protocol is not None and not self._full and not self._connection.writing_paused:
            self._protocol.resume_writing()

    def _end(self) -> None:
        if self._protocol is not None and not self._said_all:
            self._protocol.eof_received()
        self.close()

    def _lose(self) -> None:
        protocol, self._protocol = self._protocol, None
        self._kept.clear()
        if protocol is not None:
            protocol.connection_lost(None)

    # ------------------------------------------------------------------ asyncio.Transport

    def write(self, data: bytes) -> None:
        """Send, or keep until there is room."""
        if data and not self._said_all:
            self._add(data)

    def can_write_eof(self) -> bool:
        """Each direction of a stream has an end of its own."""
        return True

    def write_eof(self) -> None:
        """Say no more, behind what was written."""
        if not self._said_all:
            self._said_all = True
            self._add(b"", end=True)

    def close(self) -> None:
        """End the stream once what was written has been sent."""
        if self._closing:
            return
        if not self._answered:  # a response cannot end before it has begun (RFC 9113 §8.1)
            self.abort()
            return
        self.write_eof()
        self._closing = True
        self._connection.response_ended(self)

    def abort(self) -> None:
        """End the stream now, whatever was still to be sent."""
        if self._protocol is None:
            return
        self._closing = True
        self._acknowledge()
        self._connection.reset(self.stream_id, ErrorCode.CANCEL)
        self._connection.context.loop.call_soon(self._lose)

    def is_closing(self) -> bool:
        """Whether the end has begun from our side, or has come."""
        return self._closing

    def get_write_buffer_size(self) -> int:
        """Bytes that wait for room."""
        return self._connection.waiting(self.stream_id)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the connection that the stream is part of.

        Its socket is none of the stream's: what goes through that says nothing of this client's
        progress here.
        """
        if name == "socket":
            return default
        return self._connection.get_extra_info(name, default)

    def resume_reading(self) -> None:
        """Go on with what has come meanwhile."""
        super().resume_reading()
        if self._kept:
            self._connection.context.loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        while self._kept and not self._holding and not self._closing:
            data = b"".join(self._kept)
            self._kept.clear()
            assert self._protocol is not None  # or it would be closing
            self._protocol.data_received(data)
        if self._ended and not self._kept and not self._closing:
            self._end()


class ExtendedOpening(Opening):
    """A request for a WebSocket over HTTP/2, while the application has not decided about it.

    Args:
        context: Of the server.
        request: What the client asks.
        channel: Where the answer goes.

    Raises:
        HandshakeRefused: The request breaks the rules.
    """

    __slots__ = ("_channel", "_denial")

    #: RFC 8441 §5: "the server … replies with a 2xx status code".
    ACCEPTED = 200

    def __init__(self, context: Context, request: Request, channel: WebSocketChannel) -> None:
        super().__init__(context, request)
        self._channel = channel
        self._denial = HTTP2Response("GET")

    def _parse(self, request: Request) -> ExtendedHandshake:
        return ExtendedHandshake.parse_connect(request.headers)

    def _accept_as_usual(self, extensions: bytes) -> bytes:
        return self._begin(self.ACCEPTED, self._handshake.accept_headers(None, extensions))

    def _begin(self, status: int, fields: Fields) -> bytes:
        """Send the fields of the response that accepts or denies; there is no more to write."""
        context = self._context
        self._channel.send_fields(
            self._denial.start(status, fields, server=context.server_header, date=context.date())
        )
        return b""

    def _continue(self, event: Event) -> bytes:
        return self._denial.body(event.get("body", b""), event.get("more_body", False))
