"""Each (state, input) pair of a WebSocket connection."""

import itertools
import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

import pytest
from _pytest.mark import ParameterSet

from fairway.exceptions import WrongState
from fairway.wire import websocket
from fairway.wire.websocket import Closed, Event, Ping, Pong, State, WebSocketConnection
from tests.wire.client import (
    PING,
    PONG,
    TEXT,
    Client,
    binary,
    close,
    continuation,
    frame,
    goodbye,
    text,
    unmasked,
)

OPEN, CLOSE_SENT, CLOSED, FAILED = State

NOT_MASKED: Final = "A frame from the client is not masked."
NOT_UTF_8: Final = "A text message is not valid UTF-8."
VIOLATION: Final = unmasked(TEXT, b"hi")


def hang_up(client: Client) -> None:
    client.connection.send_close(1000)


def be_hung_up_on(client: Client) -> None:
    client.says(close(1000))
    client.hears()


def be_left(client: Client) -> None:
    client.leaves()


def be_wronged(client: Client) -> None:
    client.says(VIOLATION)
    client.hears()


Way: TypeAlias = list[Callable[[Client], None]]

#: Every way into each state.
WAYS: Final[dict[State, list[Way]]] = {
    OPEN: [[]],
    CLOSE_SENT: [[hang_up]],
    CLOSED: [[be_hung_up_on], [hang_up, be_hung_up_on], [be_left], [hang_up, be_left]],
    FAILED: [[be_wronged], [hang_up, be_wronged]],
}


class Heard(NamedTuple):
    """What an input from the client leads to."""

    cell: str  # as in the docstring of the module
    events: list[Event]
    replies: bytes
    state: State


class Said(NamedTuple):
    """What a call of the application leads to; no frame stands for WrongState."""

    cell: str
    frame: bytes | None
    state: State


class Received(NamedTuple):
    """An input from the client, and its outcome in each state."""

    row: str  # as in the docstring of the module
    data: bytes | None  # None for the end of input
    outcomes: tuple[Heard, Heard, Heard, Heard]


class Sent(NamedTuple):
    """A call of the application, and its outcome in each state."""

    row: str
    call: Callable[[WebSocketConnection], bytes]
    outcomes: tuple[Said, Said, Said, Said]


DROPPED: Final = Heard("dropped", [], b"", CLOSE_SENT)
IGNORED: Final = (Heard("ignored", [], b"", CLOSED), Heard("ignored", [], b"", FAILED))

RECEIVED: Final = {
    "text message": Received(
        "message", text("hi"), (Heard("event", ["hi"], b"", OPEN), DROPPED, *IGNORED)
    ),
    "binary message": Received(
        "message", binary(b"hi"), (Heard("event", [b"hi"], b"", OPEN), DROPPED, *IGNORED)
    ),
    "fragmented message": Received(
        "message",
        text("h", fin=False) + continuation(b"i"),
        (Heard("event", ["hi"], b"", OPEN), DROPPED, *IGNORED),
    ),
    "Ping": Received(
        "Ping",
        frame(PING, b"p"),
        (Heard("event, Pong sent", [Ping(b"p")], b"\x8a\x01p", OPEN), DROPPED, *IGNORED),
    ),
    "Pong": Received(
        "Pong", frame(PONG, b"p"), (Heard("event", [Pong(b"p")], b"", OPEN), DROPPED, *IGNORED)
    ),
    "Close": Received(
        "Close",
        close(4000, "why"),
        (
            Heard("event, echo sent → CLOSED", [Closed(4000, "why")], b"\x88\x02\x0f\xa0", CLOSED),
            Heard("event → CLOSED", [Closed(4000, "why")], b"", CLOSED),
            *IGNORED,
        ),
    ),
    "violation of framing": Received(
        "violation",
        VIOLATION,
        (
            Heard(
                "event, Close sent → FAILED",
                [Closed(1002, NOT_MASKED)],
                goodbye(1002, NOT_MASKED),
                FAILED,
            ),
            Heard("event → FAILED", [Closed(1002, NOT_MASKED)], b"", FAILED),
            *IGNORED,
        ),
    ),
    "violation of UTF-8": Received(
        "violation",
        text(b"\xff"),
        (
            Heard(
                "event, Close sent → FAILED",
                [Closed(1007, NOT_UTF_8)],
                goodbye(1007, NOT_UTF_8),
                FAILED,
            ),
            Heard("event → FAILED", [Closed(1007, NOT_UTF_8)], b"", FAILED),
            *IGNORED,
        ),
    ),
    "end of input": Received(
        "end of input",
        None,
        (
            Heard("event (1006) → CLOSED", [Closed(1006, "")], b"", CLOSED),
            Heard("event (1006) → CLOSED", [Closed(1006, "")], b"", CLOSED),
            Heard("nothing", [], b"", CLOSED),
            Heard("nothing", [], b"", FAILED),
        ),
    ),
}

REFUSED: Final = (
    Said("WrongState", None, CLOSE_SENT),
    Said("WrongState", None, CLOSED),
    Said("WrongState", None, FAILED),
)

SENT: Final = {
    "text message": Sent(
        "send message",
        lambda connection: connection.send_text("hi"),
        (Said("frame", b"\x81\x02hi", OPEN), *REFUSED),
    ),
    "binary message": Sent(
        "send message",
        lambda connection: connection.send_binary(b"hi"),
        (Said("frame", b"\x82\x02hi", OPEN), *REFUSED),
    ),
    "Ping": Sent(
        "send Ping",
        lambda connection: connection.send_ping(b"p"),
        (Said("frame", b"\x89\x01p", OPEN), *REFUSED),
    ),
    "Close": Sent(
        "send Close",
        lambda connection: connection.send_close(4000, "why"),
        (
            Said("frame → CLOSE_SENT", b"\x88\x05\x0f\xa0why", CLOSE_SENT),
            Said("nothing", b"", CLOSE_SENT),
            Said("nothing", b"", CLOSED),
            Said("nothing", b"", FAILED),
        ),
    ),
}


def every_pair(inputs: Mapping[str, Received] | Mapping[str, Sent]) -> list[ParameterSet]:
    """A case for each input, each state and each way into that state."""
    return [
        pytest.param(
            way,
            name,
            index,
            id=f"{name}-{state.name}-{' '.join(step.__name__ for step in way) or 'from the start'}",
        )
        for name in inputs
        for index, state in enumerate(State)
        for way in WAYS[state]
    ]


class TestStates:
    """Each (state, input) pair of the table in the module's docstring."""

    @pytest.mark.parametrize(("way", "name", "index"), every_pair(RECEIVED))
    def test_received(self, client: Client, way: Way, name: str, index: int) -> None:
        """What the client does has the outcome that the table gives for the state."""
        for step in way:
            step(client)
        data, heard = RECEIVED[name].data, RECEIVED[name].outcomes[index]
        events = client.leaves() if data is None else client.says(data)
        assert (events, client.hears(), client.state) == heard[1:]

    @pytest.mark.parametrize(("way", "name", "index"), every_pair(SENT))
    def test_sent(self, way: Way, name: str, index: int) -> None:
        """What the application does has the outcome that the table gives for the state."""
        client = Client()
        for step in way:
            step(client)
        call, said = SENT[name].call, SENT[name].outcomes[index]
        if said.frame is None:
            with pytest.raises(WrongState) as caught:
                call(client.connection)
            assert str(caught.value) == (
                f"Cannot send a {name} in the state {client.state.name}: only OPEN takes it."
            )
        else:
            assert call(client.connection) == said.frame
        assert (client.hears(), client.state) == (b"", said.state)

    def test_docstring(self) -> None:
        """The table in the docstring says what these tests check, pair by pair."""
        assert websocket.__doc__ is not None
        _, head, body, _ = re.split(r"^[= ]+$", websocket.__doc__, flags=re.MULTILINE)
        assert head.split() == ["input", *(state.name for state in State)]
        documented: list[list[str]] = []
        for line in body.strip("\n").splitlines():
            cells = [line[start:end].strip() for start, end in columns(websocket.__doc__)]
            if cells[0]:
                documented.append(cells)
            else:  # the row goes on
                documented[-1] = [
                    f"{before} {after}".strip()
                    for before, after in zip(documented[-1], cells, strict=True)
                ]
        tested = [
            [case.row, *(heard.cell for heard in case.outcomes)] for case in RECEIVED.values()
        ]
        tested += [[case.row, *(said.cell for said in case.outcomes)] for case in SENT.values()]
        assert documented == [row for row, _ in itertools.groupby(tested)]


def columns(document: str) -> list[tuple[int, int]]:
    """Where the columns of a document's table begin and end."""
    ruler = re.search(r"^=[= ]+$", document, flags=re.M)
    assert ruler is not None
    starts = [match.start() for match in re.finditer(r"=+", ruler[0])]
    return list(zip(starts, [*starts[1:], 1000], strict=True))
