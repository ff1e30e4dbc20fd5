"""The half of an HTTP/2 connection that speaks: h2, the streams, and what is to be sent (RFC 9113).

h2 (https://python-hyper.org/projects/h2/) keeps the states of streams, the windows, the settings
and the compression of what is sent. After a GOAWAY it takes nothing more and sends nothing, where
the standard lets running requests end (§6.8): so those frames are written here.
"""

import contextlib
from typing import Final

from h2.exceptions import StreamClosedError
from h2.settings import SettingCodes, Settings

from fairway._types import Headers
from fairway.wire import http2_frames as frames
from fairway.wire.http2_budget import Budget
from fairway.wire.http2_events import ErrorCode, HTTP2Limits
from fairway.wire.http2_frames import FrameType, Setting
from fairway.wire.http2_resets import ResetStreams
from fairway.wire.http2_table import StreamTable

#: The window of a connection before anybody opens it (§6.9.2).
_FIRST_WINDOW: Final = 65_535
#: The largest table for what is sent, whatever the client would remember: ours would be as large,
#: and is searched for each field.
MAX_TABLE: Final = 4096
#: How many frames of a client's one of ours explains: WINDOW_UPDATE for the stream and for the
#: connection, and as many for a client that reads in halves; or a PRIORITY for each request.
_EXPLAINED: Final = 4
#: "2**31 - 1" announces an end without saying where it will be (§6.8).
_ANY_STREAM: Final = 2**31 - 1
#: What is in a PING of the server's: eight bytes, of any meaning.
PING: Final = b"goodbye?"


class Stream:
    """A stream that has not ended in both directions.

    Attributes:
        expected: Bytes that its content-length announces, or None.
        ignored: What comes of its body is not told: its request was refused.
        received: Bytes of its body so far.
        receiving: Whether the client may still send on it.
        sending: Whether the server may.
        tunnel: Whether it carries another protocol.
    """

    __slots__ = ("expected", "ignored", "received", "receiving", "sending", "tunnel")

    def __init__(self, *, receiving: bool) -> None:
        self.expected: int | None = None
        self.ignored = False
        self.received = 0
        self.receiving = receiving
        self.sending = True
        self.tunnel = False


class Engine:
    """What the server says on one connection.

    Args:
        limits: How much the client may do.
        websockets: Whether it may open WebSockets (RFC 8441 §3).

    Attributes:
        failed: The connection has ended, because of an error of the client's.
        last_stream_id: The last stream that a client has begun and that was not refused.
    """

    def __init__(self, limits: HTTP2Limits, *, websockets: bool) -> None:
        self.failed = False
        self.last_stream_id = 0
        self._limits = limits
        self._websockets = websockets
        self._h2 = StreamTable()
        self._out = bytearray()
        self._streams: dict[int, Stream] = {}
        self._discarding = ResetStreams()
        self._closing = False  # no more streams are taken
        self._control = Budget(limits.control_frames)

    # ------------------------------------------------------------------ state

    @property
    def open_streams(self) -> int:
        """How many streams have not ended."""
        return len(self._streams)

    @property
    def connection_window(self) -> int:
        """How many bytes of bodies may be sent now on all streams together."""
        return self._h2.outbound_flow_control_window

    @property
    def inbound_window(self) -> int:
        """How many bytes of bodies the client may send now on all streams together."""
        return self._h2.inbound_flow_control_window

    def window(self, stream_id: int) -> int:
        """How many bytes may be sent now on a stream, but for the connection's window.

        Below 0 after the client has shrunk it (§6.9.2).

        Raises:
            KeyError: The stream has ended.
        """
        return self._h2.streams[stream_id].outbound_flow_control_window

    def takes(self, stream_id: int) -> bool:
        """Whether something may still be sent on a stream."""
        stream = self._streams.get(stream_id)
        return stream is not None and stream.sending

    def receives(self, stream_id: int) -> bool:
        """Whether the client may still send on a stream."""
        stream = self._streams.get(stream_id)
        return stream is not None and stream.receiving

    # ------------------------------------------------------------------ what the server says

    def start(self) -> None:
        """Say what the server has to say first (§3.4). Call it once, before anything else."""
        limits = self._limits
        values: dict[int, int] = {
            Setting.HEADER_TABLE_SIZE: MAX_TABLE,
            Setting.INITIAL_WINDOW_SIZE: limits.stream_window,
            Setting.MAX_FRAME_SIZE: frames.MAX_FRAME_SIZE,
        }
        # h2 would end the connection where one stream is to be refused, so it is told no more.
        self._h2.local_settings = Settings(
            client=False, initial_values={SettingCodes(key): values[key] for key in values}
        )
        self._h2.initiate_connection()
        self._h2.clear_outbound_data_buffer()
        self._h2.receive_data(frames.PREFACE)  # the client's was cut off
        if limits.streams:
            values[Setting.MAX_CONCURRENT_STREAMS] = limits.streams
        if limits.header_size:
            values[Setting.MAX_HEADER_LIST_SIZE] = limits.header_size
        if self._websockets:
            values[Setting.ENABLE_CONNECT_PROTOCOL] = 1
        self._write(frames.settings(values))
        if limits.connection_window > _FIRST_WINDOW:
            self._h2.increment_flow_control_window(limits.connection_window - _FIRST_WINDOW)

    def data_to_send(self) -> bytes:
        """What is to be sent now; each byte is given once."""
        self._drain()
        data = bytes(self._out)
        self._out.clear()
        return data

    def send_fields(self, stream_id: int, fields: Headers, *, end: bool = False) -> None:
        """Send the fields that begin a response, or an interim one, or trailers.

        Args:
            stream_id: One that :meth:`takes` something.
            fields: ``:status`` first, but for trailers; names in lower case. They are not checked.
            end: Whether the response ends with them.
        """
        interim = fields[0][0] == b":status" and fields[0][1][:1] == b"1"
        self._h2.fields_sent(stream_id, interim=interim, end=end)
        block = self._h2.writer.encode(fields)
        self._write(frames.fields(stream_id, block, end=end))
        if end:
            self._control.refund(_EXPLAINED)
            self._sent_all(stream_id)

    def send_data(self, stream_id: int, data: bytes, *, end: bool = False) -> None:
        """Send a part of a body.

        Args:
            stream_id: One that :meth:`takes` something.
            data: No more than both windows and ``MAX_FRAME_SIZE`` allow.
            end: Whether the response ends with it.
        """
        self._h2.data_sent(stream_id, len(data), end=end)
        self._write(frames.frame(FrameType.DATA, frames.END_STREAM if end else 0, stream_id, data))
        self._control.refund(_EXPLAINED)
        if end:
            self._sent_all(stream_id)

    def acknowledge(self, stream_id: int, size: int) -> None:
        """Bytes of a body have been used, so the client may send as many more (§6.9.1)."""
        if size and not self.failed:
            self._h2.acknowledge_received_data(size, stream_id)

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """End a stream now (§5.4.2); one that has ended already is left as it is."""
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            with contextlib.suppress(StreamClosedError):  # both sides have just said their last
                room = self._h2.streams[stream_id].inbound_flow_control_window
                self._h2.reset_stream(stream_id, code)
                self._discarding.add(stream_id, room if stream.receiving else 0)

    def warn(self) -> None:
        """Say that the connection will end; what is on its way is still served (§6.8).

        When :class:`~fairway.wire.http2_events.PingAnswered` comes, everything has arrived that the
        client sent before it knew. Then call :meth:`go_away`.
        """
        self._write(frames.goaway(_ANY_STREAM, ErrorCode.NO_ERROR))
        self._h2.ping(PING)

    def go_away(self, code: ErrorCode = ErrorCode.NO_ERROR, detail: str = "") -> None:
        """Say which stream is the last one; what the client begins from now on is refused.

        Idempotent: the first reason counts.
        """
        if not self._closing and not self.failed:
            self._write(frames.goaway(self.last_stream_id, code, detail))
        self._closing = True

    def _sent_all(self, stream_id: int) -> None:
        stream = self._streams[stream_id]
        stream.sending = False
        if not stream.receiving:
            del self._streams[stream_id]

    def _drain(self) -> None:
        self._out += self._h2.data_to_send()

    def _write(self, data: bytes) -> None:
        self._drain()
        self._out += data
