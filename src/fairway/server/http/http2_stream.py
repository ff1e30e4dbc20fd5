"""A request over HTTP/2 and its response, whether an application gives it or not."""

from typing import TYPE_CHECKING

from fairway._types import Headers
from fairway.server.http.http2_channel import Channel, Fields
from fairway.server.http.progress import Progress
from fairway.server.http.stream import HTTPStream
from fairway.wire.http1_events import Refusal, Request
from fairway.wire.http1_fields import encode_trailers
from fairway.wire.http2_events import ErrorCode
from fairway.wire.http2_response import (
    HTTP2Response,
    encode_fields,
    error_fields,
    informational_fields,
)

if TYPE_CHECKING:
    from fairway.server.http.http2 import MultiplexedConnection


class HTTPChannel(Channel):
    """The :class:`~fairway.server.http.writer.Writer` of one request over HTTP/2.

    Attributes:
        expires_at: When the application's time for the response is over.
        slot: Where this stands in :class:`~fairway.server.deadlines.Deadlines`.
        stream: What runs the application.
    """

    __slots__ = (
        "_kept",
        "_received",
        "_request",
        "_response",
        "_trailers",
        "_upload",
        "expires_at",
        "slot",
        "stream",
    )

    def __init__(
        self, connection: "MultiplexedConnection", stream_id: int, request: Request
    ) -> None:
        super().__init__(connection, stream_id)
        self.slot = 0
        self.expires_at = 0.0
        self._request = request
        self._trailers = False  # come behind the body
        self._response = HTTP2Response(request.method)
        self._received = 0  # bytes of the body
        self._kept: bytearray | None = None  # what came of it while the application was behind
        self._upload: Progress | None = None  # while the client is sending a body
        self.stream: HTTPStream | None = None

    # ------------------------------------------------------------------ from the connection

    def _on_data(self, data: bytes) -> None:
        self._received += len(data)
        if self.stream is not None:
            if self._holding:  # as one event, or a window full of single bytes takes 50 MB
                self._kept = self._kept or bytearray()
                self._kept += data
            else:
                self.stream.feed(data, more=True)
            self._connection.time_application(self)

    def _feed_kept(self) -> None:
        kept, self._kept = self._kept, None
        if kept and self.stream is not None:
            self.stream.feed(bytes(kept), more=True)

    def watch_upload(self) -> None:
        """See to it that the client sends the body that it has announced, unless it waits."""
        config, stream = self._connection.context.config, self.stream
        if stream is None or stream.body_complete or stream.holds_continue:
            return
        if self._upload is None and (config.min_upload_rate > 0 or config.body_timeout > 0):
            self._upload = Progress(
                self._connection.context,
                config.min_upload_rate,
                self._count_received,
                self._refuse_upload,
                config.body_timeout,
            )
            if not self._holding:
                self._upload.start()

    def _count_received(self) -> int:
        return self._received

    def _refuse_upload(self, late: bool) -> None:
        config = self._connection.context.config
        if late:
            detail = f"The request's body did not arrive within {config.body_timeout:g} seconds."
            self._connection.note("body_timeout", "408")
        elif not self._connection.inbound_window and self._upload is not None:
            self._upload.start()  # other streams have taken all the room: it is not its fault
            return
        else:
            rate = config.min_upload_rate
            detail = f"The request's body came at less than {rate} bytes per second."
            self._connection.note("min_upload_rate", "408")
        self.refused(408, detail)

    def ended(self) -> None:
        """The request is complete."""
        self._forget_upload()
        self._feed_kept()
        if self.stream is not None:
            self.stream.end_of_body()

    def lost(self) -> None:
        """The application is told that its client is gone."""
        super().lost()
        self._disarm()
        self._feed_kept()
        if self.stream is not None:
            stream, self.stream = self.stream, None
            stream.client_lost()

    def refused(self, status: int, detail: str) -> None:
        """The client broke a limit with its body: it is told so, if nothing else was said yet."""
        stream, self.stream = self.stream, None
        if stream is None:
            return
        started = stream.response_started
        stream.client_lost(0 if started else status)
        self._disarm()
        self._acknowledge()
        if started:
            self.cut()
        else:
            self.error(status, detail)
            self.end()

    def on_deadline(self, now: float) -> float | None:
        """The application may have taken longer than ``http_timeout``."""
        if self.stream is None:
            return None
        if now < self.expires_at:
            return self.expires_at
        self.stream.time_out()
        return None

    def shut_down(self) -> None:
        """The server ends: a response without an end is to find one."""
        if self.stream is not None:
            self.stream.shut_down()

    def pause_writing(self) -> None:
        """The application's sends wait."""
        if self.stream is not None:
            self.stream.pause_writing()

    def resume_writing(self) -> None:
        """They go on."""
        if self.stream is not None and not self._full and not self._connection.writing_paused:
            self.stream.resume_writing()

    # ------------------------------------------------------------------ Writer

    def pause_reading(self) -> None:
        """The application is behind with the request's body: it is not the client's turn."""
        super().pause_reading()
        if self._upload is not None:
            self._upload.stop()

    def resume_reading(self) -> None:
        """The application has taken what there was."""
        self._holding = False
        self._feed_kept()
        if self._holding:
            return  # that was much, too
        super().resume_reading()
        if self._upload is not None:
            self._upload.start()

    @property
    def closing(self) -> bool:
        """Whether the stream, or its connection, takes nothing more."""
        return not self._connection.takes(self.stream_id)

    def informational(self, status: int, headers: Fields) -> None:
        """Send an interim response."""
        self._connection.send_fields(self.stream_id, informational_fields(status, headers))
        if status == 100:
            self.watch_upload()

    @property
    def files(self) -> None:
        """Files are read, and sent as bytes: they have to be put into frames."""

    def start(
        self,
        status: int,
        headers: Fields,
        part: bytes = b"",
        *,
        length: int | None = None,
        trailers: bool = False,
    ) -> None:
        """Send the head, and what is there of the body."""
        headers = list(headers)
        if length is not None and all(name.lower() != b"content-length" for name, _ in headers):
            headers.append((b"content-length", b"%d" % length))
        self._trailers = trailers
        fields = self._head(status, headers)
        body = self._response.body(part, True) if part else b""
        self._connection.send_fields(self.stream_id, fields)
        self._add(body)

    def whole(self, status: int, headers: Fields, data: bytes) -> None:
        """Send head and body; one frame where there is no body."""
        fields = self._head(status, headers, len(data))
        self._response.complete = True
        if self._response.without_body:
            data = b""
        self._connection.send_fields(self.stream_id, fields, end=not data)
        if data:
            self._add(data, end=True)

    def body(self, data: bytes, more: bool) -> None:
        """Send a part of the body, as far as there is room."""
        self._add(self._response.body(data, more), end=not more and not self._trailers)

    def trailers(self, headers: Fields) -> None:
        """End the response with trailer fields, if the client wants them."""
        encode_trailers(headers)  # what is wrong in HTTP/1.1 is wrong here
        fields = encode_fields(headers) if self._request.takes_trailers else []
        self._add(b"", end=True, trailers=fields or None)

    def error(self, status: int, detail: str) -> None:
        """Send a response of the server's own."""
        context = self._connection.context
        fields, body = error_fields(
            status, detail, server=context.server_header, date=context.date()
        )
        if self._request.method == "HEAD":
            body = b""
        self._connection.send_fields(self.stream_id, fields, end=not body)
        if body:
            self._add(body, end=True)

    def last_of_connection(self) -> None:
        """Nothing: a GOAWAY says so for all streams."""

    def end(self) -> None:
        """The response is complete; what waits of it is still sent."""
        self.stream = None
        self._disarm()
        self._connection.response_ended(self)

    def cut(self) -> None:
        """Reset the stream: its response lacks its end."""
        self.stream = None
        self._disarm()
        self._acknowledge()
        self._connection.reset(self.stream_id, ErrorCode.INTERNAL_ERROR)

    def _forget_upload(self) -> None:
        if self._upload is not None:
            self._upload.stop()
            self._upload = None

    def _disarm(self) -> None:
        self._forget_upload()
        if self.slot:
            self._connection.context.deadlines.disarm(self)

    def _head(self, status: int, headers: Fields, size: int | None = None) -> Headers:
        context = self._connection.context
        return self._response.start(
            status, headers, server=context.server_header, date=context.date(), size=size
        )


class AnswerChannel(Channel):
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
