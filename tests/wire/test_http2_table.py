"""What happens on streams, as h2's table keeps it: RFC 9113 §5.1 and §6.9."""

import pytest
from h2.exceptions import FlowControlError, ProtocolError

from fairway.wire.http2_frames import PREFACE
from fairway.wire.http2_table import StreamTable


@pytest.fixture
def table() -> StreamTable:
    """That of a connection that has begun."""
    table = StreamTable()
    table.initiate_connection()
    table.receive_data(PREFACE)
    return table


def test_no_frames(table: StreamTable) -> None:
    """Nothing is written for what the caller writes."""
    table.clear_outbound_data_buffer()
    table.begin(1, complete=True)
    table.fields_sent(1, interim=True, end=False)
    table.fields_sent(1, interim=False, end=False)
    table.data_sent(1, 5, end=True)
    assert table.data_to_send() == b""
    assert not table.streams


def test_windows(table: StreamTable) -> None:
    """A body takes room on its stream and on the connection."""
    table.begin(1, complete=True)
    table.fields_sent(1, interim=False, end=False)
    table.data_sent(1, 65_000, end=False)
    assert table.streams[1].outbound_flow_control_window == 535
    assert table.outbound_flow_control_window == 535
    with pytest.raises(ValueError, match=r"There is room for 535 bytes, not for 536\."):
        table.data_sent(1, 536, end=True)
    table.data_sent(1, 535, end=False)
    table.data_sent(1, 0, end=True)


def test_discarded(table: StreamTable) -> None:
    """What a client sends too late takes room on the connection, which is given back."""
    table.begin(1, complete=False)
    table.reset_stream(1)
    table.clear_outbound_data_buffer()
    table.data_discarded(1, 32_000)
    assert table.inbound_flow_control_window == 33_535
    table.data_discarded(1, 10_000)
    assert table.inbound_flow_control_window == 65_535
    with pytest.raises(FlowControlError):
        table.data_discarded(1, 65_536)


@pytest.mark.parametrize("complete", [True, False])
def test_end(table: StreamTable, complete: bool) -> None:
    """A stream is in the table until both sides have said their last; then nothing can be sent."""
    table.begin(1, complete=complete)
    table.fields_sent(1, interim=False, end=True)
    assert (1 in table.streams) is not complete
    if not complete:
        with pytest.raises(ProtocolError):
            table.data_sent(1, 1, end=False)


def test_order(table: StreamTable) -> None:
    """An interim response does not come behind the final one."""
    table.begin(1, complete=True)
    table.fields_sent(1, interim=False, end=False)
    with pytest.raises(ProtocolError):
        table.fields_sent(1, interim=True, end=False)


def test_swept(table: StreamTable) -> None:
    """Streams that end otherwise do not stay either."""
    for stream_id in range(1, 2001, 2):
        table.begin(stream_id, complete=True)
        table.reset_stream(stream_id)
    assert len(table.streams) <= 16
    assert len(table._closed_streams) <= 256
