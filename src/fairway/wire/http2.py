"""One HTTP/2 connection, server side (RFC 9113): what arrives becomes requests, or refusals.

Feed it what arrives, act on what it says, and send what ``data_to_send()`` gives, after that and
after every call that says something::

    connection.start()
    for event in connection.receive_data(data, now):
        if isinstance(event, RequestReceived): ...   # BodyReceived and BodyEnded follow
        ...

What arrives is cut into frames here, before h2 sees it, for two reasons. Floods have to be counted
by kind. And fields are decoded and checked here: h2 ends the connection where RFC 9113 ends a
stream, so it is shown a request without any.
"""

from collections.abc import Callable
from typing import Final

import h2.events
from h2.exceptions import FlowControlError, ProtocolError, StreamClosedError

from fairway._types import Headers
from fairway.wire import http2_frames as frames
from fairway.wire.http1_events import Refusal
from fairway.wire.http2_budget import Budget
from fairway.wire.http2_engine import MAX_TABLE, PING, Engine, Stream
from fairway.wire.http2_events import (
    BodyEnded,
    BodyReceived,
    ConnectionBroken,
    ConnectionFailed,
    ErrorCode,
    Event,
    GoingAway,
    HTTP2Limits,
    Limit,
    PingAnswered,
    RequestReceived,
    RequestRefused,
    StreamBroken,
    StreamReset,
    WindowOpened,
)
from fairway.wire.http2_fields import FieldReader
from fairway.wire.http2_frames import Frame, FrameReader, FrameType, Setting
from fairway.wire.http2_head import HeadRefused, RequestReader, check_trailers, size_of

__all__ = ["HTTP2Connection"]

#: Settings of a client's that matter to a server. h2 would remember any number of others.
_READ_SETTINGS: Final = frozenset(
    {Setting.HEADER_TABLE_SIZE, Setting.ENABLE_PUSH, Setting.INITIAL_WINDOW_SIZE,
     Setting.MAX_FRAME_SIZE, Setting.ENABLE_CONNECT_PROTOCOL}
)  # fmt: skip

_ENDED: Final = "A frame is for a stream that has ended."

#: "A sender MUST NOT allow a flow-control window to exceed 2**31-1 octets", §6.9.1.
_LARGEST_WINDOW: Final = 2**31 - 1

_DEFAULT_LIMITS: Final = HTTP2Limits()


class HTTP2Connection(Engine):
    """Bytes from one client to requests, and responses to bytes.

    Args:
        limits: How much the client may do.
        websockets: Whether it may open WebSockets (RFC 8441 §3).
        budget: About how many frames one call of :meth:`receive_data` takes, those with many fields
            counted several times; 0 for all that are there.

    Attributes:
        failed: The connection has ended, because of an error of the client's.
        last_stream_id: The last stream that a client has begun and that was not refused for coming
            too late.
    """

    def __init__(
        self, limits: HTTP2Limits = _DEFAULT_LIMITS, *, websockets: bool = True, budget: int = 0
    ) -> None:
        super().__init__(limits, websockets=websockets)
        self._budget = budget
        self._reader = FrameReader()
        self._fields = FieldReader(limits.header_size)
        self._requests = RequestReader(limits)
        self._highest = 0
        self._settled = False
        self._resets = Budget(limits.resets)
        self._now = 0.0
        self._handlers: dict[int, Callable[[Frame, list[Event]], None]] = {
            FrameType.DATA: self._on_data,
            FrameType.HEADERS: self._on_fields,
            FrameType.PRIORITY: self._on_priority,
            FrameType.RST_STREAM: self._on_reset,
            FrameType.SETTINGS: self._on_settings,
            FrameType.PUSH_PROMISE: self._on_push_promise,
            FrameType.PING: self._on_ping,
            FrameType.GOAWAY: self._on_goaway,
            FrameType.WINDOW_UPDATE: self._on_window_update,
            FrameType.CONTINUATION: self._on_fields,
        }

    # ------------------------------------------------------------------ state

    @property
    def settled(self) -> bool:
        """Whether the client has said what it has to say first: preface and SETTINGS (§3.4)."""
        return self._settled

    @property
    def pending(self) -> bool:
        """Whether the budget was spent before all frames were taken: go on without new data."""
        return self._reader.pending and not self.failed

    @property
    def head_unfinished(self) -> bool:
        """Whether the fields of a request have begun to arrive and are not complete."""
        return self._fields.unfinished

    # ------------------------------------------------------------------ what the client says

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Take what arrived from the client, in pieces of any size.

        Never raises for what a client sends.

        Args:
            data: What arrived.
            now: This moment, in seconds of any clock that does not go back.

        Returns:
            What happened, in order. A ConnectionFailed is the last event that a connection gives.
        """
        events: list[Event] = []
        if self.failed:
            return events
        self._now = now
        try:
            while complete := self._reader.receive(data, self._budget):
                for found in complete:
                    self._take(found, events)
                if self._reader.pending:
                    break
                data = b""
        except ConnectionBroken as broken:
            self._write(frames.goaway(self.last_stream_id, broken.code, broken.detail))
            self.failed = True
            self._streams.clear()
            events.append(ConnectionFailed(broken.code, broken.detail, broken.limit))
        return events

    def _take(self, found: Frame, events: list[Event]) -> None:
        if not self._settled:
            if found.type != FrameType.SETTINGS or found.flags & frames.ACK:
                # "MUST be the first frame the client sends", §3.4
                raise ConnectionBroken(
                    ErrorCode.PROTOCOL_ERROR, "The first frame is not one of SETTINGS."
                )
            self._settled = True
        self._fields.check_order(found)
        handler = self._handlers.get(found.type)
        if handler is None:
            self._charge()  # "MUST ignore and discard frames of unknown types", §5.5
            return
        try:
            handler(found, events)
        except StreamBroken as broken:
            self._break_stream(found.stream_id, broken.code, events)

    def _feed(self, data: bytes) -> list[h2.events.Event]:
        """Tell h2 of a frame.

        Raises:
            ConnectionBroken: It breaks a rule.
        """
        self._drain()
        try:
            return self._h2.receive_data(data)
        except ProtocolError as error:
            raise self._refused_by_h2(error) from None

    def _refused_by_h2(self, error: ProtocolError) -> ConnectionBroken:
        self._h2.clear_outbound_data_buffer()  # a GOAWAY that says less than ours
        detail = _ENDED if isinstance(error, StreamClosedError) else f"{str(error).rstrip('.')}."
        return ConnectionBroken(ErrorCode(int(error.error_code)), detail)

    def _charge(self) -> None:
        """Another frame has come that carries nothing."""
        if not self._control.spend(self._now):
            raise ConnectionBroken(
                ErrorCode.ENHANCE_YOUR_CALM,
                "There were too many frames that carry nothing.",
                Limit.CONTROL_FRAMES,
            )

    def _break_stream(
        self, stream_id: int, code: ErrorCode, events: list[Event], limit: Limit | None = None
    ) -> None:
        """Reset a stream for what the client did on it."""
        self.reset(stream_id, code)
        self._ended(StreamReset(stream_id, code, False, limit), events)

    def _ended(self, event: StreamReset, events: list[Event]) -> None:
        """A stream ended early; a client that makes the server reset it pays as if it did so."""
        self._streams.pop(event.stream_id, None)
        events.append(event)
        self._charge_end()

    def _charge_end(self) -> None:
        """Another stream has come to nothing, and somebody had to read its fields."""
        if not self._resets.spend(self._now):
            raise ConnectionBroken(
                ErrorCode.ENHANCE_YOUR_CALM, "Too many streams ended early.", Limit.RESETS
            )

    def _check_begun(self, found: Frame) -> None:
        """Refuse a frame for a stream that is idle (§5.1), or for none where it needs one (§6)."""
        # Those with even numbers are the server's, which begins none.
        if not 0 < found.stream_id <= self._highest or not found.stream_id % 2:
            raise ConnectionBroken(
                ErrorCode.PROTOCOL_ERROR, "A frame is for a stream that has not begun."
            )

    # ------------------------------------------------------------------ fields

    def _on_fields(self, found: Frame, events: list[Event]) -> None:
        if not found.stream_id % 2:
            # "MUST respond with a connection error … of type PROTOCOL_ERROR", §5.1.1
            raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, "A client's streams have odd numbers.")
        block = self._fields.read(found)
        if block is None:
            return
        begun, fields = block
        complete = bool(begun.flags & frames.END_STREAM)
        if found.stream_id > self._highest:
            self._begin(found.stream_id, fields, complete, events)
        elif found.stream_id in self._streams:
            self._on_trailers(found.stream_id, fields, complete, events)
        else:
            self._charge()
            if found.stream_id not in self._discarding:
                # h2 knows how it ended: resets it, or ends the connection
                self._show_fields(found.stream_id, complete)
                self._discarding.add(found.stream_id, 0)

    def _begin(self, stream_id: int, fields: Headers, complete: bool, events: list[Event]) -> None:
        self._highest = stream_id
        self._h2.begin(stream_id, complete=complete)
        stream = Stream(receiving=not complete)
        limits = self._limits
        running = len(self._streams)
        self._streams[stream_id] = stream
        if self._closing or 0 < limits.streams <= running:
            # REFUSED_STREAM says that it can be tried again (§5.1.2, §8.7).
            limit = None if self._closing else Limit.STREAMS
            self._break_stream(stream_id, ErrorCode.REFUSED_STREAM, events, limit)
            return
        self.last_stream_id = stream_id
        try:
            request = self._requests.read(fields, complete=complete)
        except HeadRefused as refused:
            stream.ignored = True
            to_head = (b":method", b"HEAD") in fields
            events.append(
                RequestRefused(stream_id, refused.refusal, refused.request, refused.limit, to_head)
            )
            if refused.limit is not None:
                self._charge_end()  # many small fields cost more than their bytes
            return
        if request.upgrade is None:
            stream.expected = request.content_length
        stream.tunnel = request.upgrade is not None
        events.append(RequestReceived(stream_id, request))
        if complete and stream.tunnel:
            events.append(BodyEnded(stream_id))  # nothing can come through it: it ends at once

    def _on_trailers(
        self, stream_id: int, fields: Headers, complete: bool, events: list[Event]
    ) -> None:
        stream = self._streams[stream_id]
        if not stream.receiving:
            # "MUST respond with a stream error … of type STREAM_CLOSED", §5.1
            raise StreamBroken(ErrorCode.STREAM_CLOSED, "The stream was ended by its client.")
        if not complete or stream.tunnel:
            # "MUST treat the corresponding request or response as malformed", §8.1
            raise StreamBroken(ErrorCode.PROTOCOL_ERROR, "Behind the trailers comes something.")
        limits = self._limits
        limit: Limit | None = None
        if 0 < limits.header_size < size_of(fields):
            limit = Limit.HEADER_SIZE
        elif 0 < limits.header_count < len(fields):
            limit = Limit.HEADER_COUNT
        if limit is not None:
            self._show_fields(stream_id, complete)
            self._refuse(stream_id, 431, "The trailers are larger than accepted.", limit, events)
        else:
            trailers = check_trailers(fields)
            self._check_length(stream)
            self._show_fields(stream_id, complete)
            if not stream.ignored:
                events.append(BodyEnded(stream_id, trailers))
        self._received_all(stream_id)

    def _show_fields(self, stream_id: int, complete: bool) -> None:
        """Tell h2 that fields have come, but none of them."""
        flags = frames.END_HEADERS | (frames.END_STREAM if complete else 0)
        self._feed(frames.frame(FrameType.HEADERS, flags, stream_id))

    # ------------------------------------------------------------------ bodies

    def _on_data(self, found: Frame, events: list[Event]) -> None:
        self._check_begun(found)
        stream_id, size = found.stream_id, len(found.payload)
        ends = bool(found.flags & frames.END_STREAM)
        data = frames.without_padding(found)
        if not ends and not data:
            self._charge()
        stream = self._streams.get(stream_id)
        if stream is None or not stream.receiving:
            self._discard(stream_id, size)
            return
        self._feed(found.serialize())
        stream.received += len(data)
        if stream.ignored:
            self.acknowledge(stream_id, size)
        elif self._is_too_large(stream):
            self.acknowledge(stream_id, size)
            self._refuse(
                stream_id,
                413,
                "The request body is larger than this server accepts.",
                Limit.BODY_SIZE,
                events,
            )
        else:
            if ends or (stream.expected is not None and stream.received > stream.expected):
                self._check_length(stream)
            if size:
                events.append(BodyReceived(stream_id, data, size))
            if ends:
                events.append(BodyEnded(stream_id))
        if ends:
            self._received_all(stream_id)

    def _discard(self, stream_id: int, size: int) -> None:
        """A part of a body has come on a stream that takes none.

        If the server has reset the stream, its client may not have known that. Otherwise the server
        "MUST respond with a stream error … of type STREAM_CLOSED" (§6.1), or, where both sides have
        ended the stream, with one of the connection.
        """
        try:
            self._h2.data_discarded(stream_id, size)
        except FlowControlError as error:
            raise self._refused_by_h2(error) from None
        if stream_id in self._discarding:
            if not self._discarding.explain(stream_id, size):
                self._charge()
            return
        self._charge()
        if stream_id in self._streams:
            raise StreamBroken(ErrorCode.STREAM_CLOSED, "The stream was ended by its client.")
        if self._h2.has_ended(stream_id):  # "connection error … of type STREAM_CLOSED", §5.1
            raise ConnectionBroken(ErrorCode.STREAM_CLOSED, _ENDED)
        self._write(frames.rst_stream(stream_id, ErrorCode.STREAM_CLOSED))
        self._discarding.add(stream_id, 0)

    def _is_too_large(self, stream: Stream) -> bool:
        # What is in a tunnel is no body, and has limits of its own.
        limit = self._limits.body_size or 0
        return 0 < limit < stream.received and not stream.tunnel

    def _check_length(self, stream: Stream) -> None:
        if stream.expected is not None and stream.received != stream.expected:
            # "is also malformed if the value of a content-length header field does not equal the
            # sum of the DATA frame payload lengths", §8.1.1
            raise StreamBroken(
                ErrorCode.PROTOCOL_ERROR, "The body has another length than content-length says."
            )

    def _received_all(self, stream_id: int) -> None:
        stream = self._streams[stream_id]
        stream.receiving = False
        if not stream.sending:
            del self._streams[stream_id]

    def _refuse(
        self, stream_id: int, status: int, detail: str, limit: Limit, events: list[Event]
    ) -> None:
        self._streams[stream_id].ignored = True
        events.append(RequestRefused(stream_id, Refusal(status, detail), None, limit))

    # ------------------------------------------------------------------ everything else

    def _on_priority(self, found: Frame, events: list[Event]) -> None:
        """Ignored, as RFC 9113 §5.3.2 has deprecated it; but for its form."""
        self._charge()
        if not found.stream_id:
            raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, "A PRIORITY frame names no stream.")
        if len(found.payload) != 5:
            # "MUST be treated as a stream error … of type FRAME_SIZE_ERROR", §6.3
            if found.stream_id not in self._streams:
                raise ConnectionBroken(
                    ErrorCode.FRAME_SIZE_ERROR, "A PRIORITY frame does not have five bytes."
                )
            raise StreamBroken(
                ErrorCode.FRAME_SIZE_ERROR, "A PRIORITY frame does not have five bytes."
            )
        frames.check_priority(found.stream_id, found.payload)

    def _on_reset(self, found: Frame, events: list[Event]) -> None:
        self._check_begun(found)
        self._feed(found.serialize())
        if found.stream_id not in self._streams:
            self._charge()
            return
        code = int.from_bytes(found.payload)
        self._ended(StreamReset(found.stream_id, code, True), events)

    def _on_settings(self, found: Frame, events: list[Event]) -> None:
        self._charge()
        if found.stream_id:
            raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, "A SETTINGS frame names a stream.")
        if found.flags & frames.ACK:
            if found.payload:
                # "MUST be treated as a connection error … of type FRAME_SIZE_ERROR", §6.5
                raise ConnectionBroken(
                    ErrorCode.FRAME_SIZE_ERROR, "An acknowledgement of settings has a content."
                )
            self._feed(found.serialize())
            return
        values = frames.parse_settings(found.payload)
        known = {key: value for key, value in values.items() if key in _READ_SETTINGS}
        if Setting.HEADER_TABLE_SIZE in known:
            known[Setting.HEADER_TABLE_SIZE] = min(known[Setting.HEADER_TABLE_SIZE], MAX_TABLE)
        self._feed(frames.settings(known))
        if Setting.INITIAL_WINDOW_SIZE in known:
            events.append(WindowOpened(0))

    def _on_push_promise(self, found: Frame, events: list[Event]) -> None:
        # "A client cannot push", §8.4
        raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, "A client cannot push.")

    def _on_ping(self, found: Frame, events: list[Event]) -> None:
        self._charge()
        told = self._feed(found.serialize())
        if told and isinstance(told[0], h2.events.PingAckReceived) and told[0].ping_data == PING:
            events.append(PingAnswered())

    def _on_goaway(self, found: Frame, events: list[Event]) -> None:
        self._charge()
        if found.stream_id:
            raise ConnectionBroken(ErrorCode.PROTOCOL_ERROR, "A GOAWAY frame names a stream.")
        if len(found.payload) < 8:
            raise ConnectionBroken(ErrorCode.FRAME_SIZE_ERROR, "A GOAWAY frame is too short.")
        # h2 would end everything; "the sender … might continue to use" what has begun, §6.8
        events.append(GoingAway(int.from_bytes(found.payload[4:8])))

    def _on_window_update(self, found: Frame, events: list[Event]) -> None:
        self._charge()
        stream_id = found.stream_id
        if len(found.payload) != 4:
            raise ConnectionBroken(
                ErrorCode.FRAME_SIZE_ERROR, "A WINDOW_UPDATE frame does not have four bytes."
            )
        if stream_id:
            self._check_begun(found)
            if stream_id not in self._streams:
                return  # it was on its way when the stream ended, §6.9
        increment = int.from_bytes(found.payload) & _LARGEST_WINDOW
        if not increment:
            if not stream_id:
                raise ConnectionBroken(
                    ErrorCode.PROTOCOL_ERROR, "A WINDOW_UPDATE frame opens nothing."
                )
            raise StreamBroken(ErrorCode.PROTOCOL_ERROR, "A WINDOW_UPDATE frame opens nothing.")
        if stream_id and self.window(stream_id) + increment > _LARGEST_WINDOW:
            # "MUST terminate … the stream", not the connection, §6.9.1
            raise StreamBroken(ErrorCode.FLOW_CONTROL_ERROR, "A window is larger than 2**31 - 1.")
        self._feed(found.serialize())
        events.append(WindowOpened(stream_id))
