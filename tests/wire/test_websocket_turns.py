"""What comes in one read may take several turns of the event loop: the budget of a call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.wire.deflate import CompressionOptions, Deflater, Inflater
from fairway.wire.websocket import FRAME_COST, Closed, Event, Ping, State, WebSocketConnection
from tests.wire.client import (
    BINARY,
    PING,
    PONG,
    binary,
    close,
    continuation,
    frame,
    goodbye,
    text,
    unmasked,
)
from tests.wire.streams import FUZZ, chunked, noises


def in_turns(connection: WebSocketConnection, data: bytes) -> list[list[Event]]:
    """The events of each call until nothing is pending."""
    turns = [connection.receive_data(data)]
    while connection.pending:
        turns.append(connection.receive_data(b""))
    return turns


class TestBudget:
    """How much one call takes."""

    def test_frames(self) -> None:
        """Forty thousand tiny frames are not parsed at once."""
        connection = WebSocketConnection(budget=100 * FRAME_COST)
        turns = in_turns(connection, text("") * 40_000)
        assert [len(events) for events in turns] == [100] * 400

    def test_payload(self) -> None:
        """Payload counts, too: of large messages fewer are parsed."""
        connection = WebSocketConnection(budget=10_000)
        turns = in_turns(connection, text("x" * (5000 - FRAME_COST)) * 6)
        assert [len(events) for events in turns] == [2, 2, 2]

    def test_more_than_the_budget(self) -> None:
        """A message that exceeds it alone is taken all the same."""
        connection = WebSocketConnection(budget=1000)
        turns = in_turns(connection, text("x" * 5000) + text("y" * 5000) + text("z"))
        assert turns == [["x" * 5000], ["y" * 5000], ["z"]]

    @pytest.mark.parametrize("part", [continuation(b"", fin=False), continuation(b"x", fin=False)])
    def test_fragments(self, part: bytes) -> None:
        """Frames count that bring no event."""
        connection = WebSocketConnection(budget=100 * FRAME_COST)
        turns = in_turns(connection, binary(b"", fin=False) + part * 1000 + continuation(b""))
        assert len(turns) >= 10
        assert [events for events in turns if events] == [turns[-1]]

    def test_inflated(self) -> None:
        """Of a compressed message it counts what it has become."""
        connection = WebSocketConnection(budget=10_000)
        connection.inflater = Inflater(15)
        data = Deflater(15, CompressionOptions()).deflate(b"x" * 9900)
        turns = in_turns(connection, frame(BINARY, data, reserved=4) * 3)
        assert turns == [[b"x" * 9900]] * 3

    def test_pings(self) -> None:
        """Pings count, and their Pongs are there after each call."""
        connection = WebSocketConnection(budget=100 * FRAME_COST)
        assert connection.receive_data(frame(PING) * 250) == [Ping(b"")] * 100
        assert connection.data_to_send() == unmasked(PONG) * 100
        assert connection.receive_data(b"") == [Ping(b"")] * 100
        assert connection.receive_data(b"") == [Ping(b"")] * 50
        assert not connection.pending
        assert connection.data_to_send() == unmasked(PONG) * 150

    def test_exactly(self) -> None:
        """Nothing is pending where the data ends with the budget."""
        connection = WebSocketConnection(budget=2 * FRAME_COST)
        assert connection.receive_data(text("") * 2) == ["", ""]
        assert not connection.pending

    def test_none(self) -> None:
        """Without a budget everything is taken at once."""
        assert in_turns(WebSocketConnection(), text("") * 1000) == [[""] * 1000]

    def test_more_arrives(self) -> None:
        """What arrives meanwhile comes behind what is pending."""
        connection = WebSocketConnection(budget=FRAME_COST)
        whole = text("1") + text("2") + text("3")
        assert connection.receive_data(whole[:-2]) == ["1"]
        assert connection.pending
        assert connection.receive_data(whole[-2:]) == ["2"]
        assert connection.receive_data(b"") == ["3"]
        assert not connection.pending

    def test_close(self) -> None:
        """A Close among it is heard in its turn, and what follows it is not."""
        connection = WebSocketConnection(budget=FRAME_COST)
        turns = in_turns(connection, text("a") + close(1000) + text("b"))
        assert turns == [["a"], [Closed(1000)]]
        assert connection.data_to_send() == goodbye(1000)

    def test_closed_by_us(self) -> None:
        """What is pending when we close is dropped, up to the client's Close."""
        connection = WebSocketConnection(budget=FRAME_COST)
        assert connection.receive_data(text("a") + text("b") + close(1000)) == ["a"]
        connection.send_close(1000)
        turns = in_turns(connection, b"")
        assert [event for events in turns for event in events] == [Closed(1000)]
        assert connection.state is State.CLOSED


@FUZZ
@given(st.data(), st.integers(1, 2000))
def test_same(data: st.DataObject, budget: int) -> None:
    """With a budget everything comes as without one, whatever comes and however it is cut."""
    said = data.draw(noises())
    at_once, slowly = WebSocketConnection(), WebSocketConnection(budget=budget)
    expected = at_once.receive_data(said)
    events = [
        event
        for chunk in data.draw(chunked(said))
        for turn in in_turns(slowly, chunk)
        for event in turn
    ]
    assert events == expected
    assert slowly.data_to_send() == at_once.data_to_send()
    assert slowly.state is at_once.state
