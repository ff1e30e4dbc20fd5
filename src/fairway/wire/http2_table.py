"""h2's table of streams, told what happens on them without the frames it would write and read.

For a small request h2 itself costs three times what everything else does, nearly all of it in
objects for frames, events and flags of checks that are switched off: what is checked is checked
before (:mod:`fairway.wire.http2_head`, :mod:`fairway.wire.http2_response`). So what each request
does to a stream is put straight into h2's state machine of that stream (RFC 9113 §5.1) and into its
windows (§6.9), which stay h2's, with every refusal that follows from them.
"""

from typing import Final

from h2.config import H2Configuration
from h2.connection import ConnectionInputs, H2Connection
from h2.stream import H2Stream, StreamInputs

from fairway.wire.http2_fields import FieldWriter

#: Streams that have ended and may lie in the table until they are looked for.
_SWEPT: Final = 16


class StreamTable(H2Connection):
    """h2, with less memory for streams that have ended: 65,536 of them would be 10 MB."""

    MAX_CLOSED_STREAMS = 256

    def __init__(self) -> None:
        super().__init__(
            H2Configuration(
                client_side=False,
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
            )
        )
        self.encoder = self.writer = FieldWriter()
        self._sweep_at = _SWEPT

    def begin(self, stream_id: int, *, complete: bool) -> None:
        """The client has begun a stream, one with a higher number than all before.

        Args:
            stream_id: Odd.
            complete: Whether it says no more on it.
        """
        if not self.highest_inbound_stream_id:
            self.state_machine.process_input(ConnectionInputs.RECV_HEADERS)
        if len(self.streams) >= self._sweep_at:
            self._sweep_at = self.open_inbound_streams + _SWEPT  # which forgets those that ended
        stream = H2Stream(
            stream_id,
            config=self.config,
            inbound_window_size=self.local_settings.initial_window_size,
            outbound_window_size=self.remote_settings.initial_window_size,
        )
        stream.max_outbound_frame_size = self.max_outbound_frame_size
        stream.state_machine.process_input(StreamInputs.RECV_HEADERS)
        if complete:
            stream.state_machine.process_input(StreamInputs.RECV_END_STREAM)
        self.streams[stream_id] = stream
        self.highest_inbound_stream_id = stream_id

    def fields_sent(self, stream_id: int, *, interim: bool, end: bool) -> None:
        """The server sends fields on a stream.

        Raises:
            ProtocolError: It may not.
        """
        machine = self.streams[stream_id].state_machine
        if interim:
            machine.process_input(StreamInputs.SEND_INFORMATIONAL_HEADERS)
        else:
            machine.process_input(StreamInputs.SEND_HEADERS)
        if end:
            self._end(stream_id)

    def data_sent(self, stream_id: int, size: int, *, end: bool) -> None:
        """The server sends a part of a body, which takes room in both windows.

        Args:
            stream_id: One that :meth:`fields_sent` was called for.
            size: In bytes.
            end: Whether it says no more on the stream.

        Raises:
            ProtocolError: It may not.
            ValueError: There is less room.
        """
        stream = self.streams[stream_id]
        room = min(stream.outbound_flow_control_window, self.outbound_flow_control_window)
        if size > 0 and room < size:
            raise ValueError(f"There is room for {room} bytes, not for {size}.")
        stream.state_machine.process_input(StreamInputs.SEND_DATA)
        stream.outbound_flow_control_window -= size
        self.outbound_flow_control_window -= size
        if end:
            self._end(stream_id)

    def data_discarded(self, stream_id: int, size: int) -> None:
        """The client sends a part of a body that nobody takes: its room is given back at once.

        "the content of DATA frames counts toward the connection flow-control window" (§5.1).

        Args:
            stream_id: One that the client has ended, or that has ended altogether.
            size: In bytes, with padding.

        Raises:
            FlowControlError: There is less room in the window of the connection.
        """
        self._inbound_flow_control_window_manager.window_consumed(size)
        self.acknowledge_received_data(size, stream_id)

    def has_ended(self, stream_id: int) -> bool:
        """Whether a stream has ended on both sides, without a reset; of the last 256 that have."""
        return self._stream_is_closed_by_end(stream_id)

    def _end(self, stream_id: int) -> None:
        stream = self.streams[stream_id]
        stream.state_machine.process_input(StreamInputs.SEND_END_STREAM)
        if stream.closed:
            # as h2 does when the next stream begins, for which it looks at all of them
            self._closed_streams[stream_id] = self.streams.pop(stream_id).closed_by
