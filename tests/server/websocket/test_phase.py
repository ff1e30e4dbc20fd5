"""Each phase of a WebSocket with each event of an application."""

import pytest

from fairway._types import Event
from fairway.exceptions import ClientDisconnected, WrongState
from fairway.server.websocket.phase import ALIVE, UNDECIDED, Phase, message_of, refuse_event

EVENTS = (
    "websocket.accept",
    "websocket.send",
    "websocket.close",
    "websocket.http.response.start",
    "websocket.http.response.body",
    "websocket.receive",
    "http.response.start",
    "nonsense",
)

#: What an application is told that sends something out of place.
WORDS = {
    Phase.CONNECTING: (
        "the WebSocket is not accepted yet and takes 'websocket.accept' or 'websocket.close' "
        "or 'websocket.http.response.start'."
    ),
    Phase.DENYING: "the WebSocket is being denied and takes 'websocket.http.response.body'.",
    Phase.DENIED: "the WebSocket is denied and takes nothing more.",
    Phase.OPEN: "the WebSocket is open and takes 'websocket.send' or 'websocket.close'.",
    Phase.CLOSING: "the WebSocket is closing and takes nothing more.",
    Phase.LEAVING: "the WebSocket is being closed by the server.",
    Phase.CLOSED: "the WebSocket is closed.",
}

#: Where the application is not to blame.
DISCONNECTED = {Phase.LEAVING, Phase.CLOSED}


@pytest.mark.parametrize("phase", list(Phase), ids=lambda phase: phase.name)
@pytest.mark.parametrize("kind", EVENTS)
def test_refused(phase: Phase, kind: str) -> None:
    """What a phase does not take is refused by name; ``OSError`` after the client has gone."""
    if kind in phase.takes:
        return
    with pytest.raises(OSError if phase in DISCONNECTED else RuntimeError) as caught:
        refuse_event(kind, phase)
    assert type(caught.value) is (ClientDisconnected if phase in DISCONNECTED else WrongState)
    assert str(caught.value) == f"Cannot send {kind!r}: {WORDS[phase]}"


def test_takes() -> None:
    """The events that a phase takes, from the specification."""
    assert {phase: phase.takes for phase in Phase if phase.takes} == {
        Phase.CONNECTING: ("websocket.accept", "websocket.close", "websocket.http.response.start"),
        Phase.DENYING: ("websocket.http.response.body",),
        Phase.OPEN: ("websocket.send", "websocket.close"),
    }


def test_kinds_of_phases() -> None:
    """Frames are read from the opening to the end; before it the application decides."""
    assert {Phase.OPEN, Phase.CLOSING, Phase.LEAVING} == ALIVE
    assert {Phase.CONNECTING, Phase.DENYING} == UNDECIDED


class Text(str):
    """Text of a type of its own, such as Django's ``SafeString``."""

    __slots__ = ()


class TestMessageOf:
    """What a ``websocket.send`` event says."""

    @pytest.mark.parametrize(
        ("event", "said"),
        [
            ({"text": "é"}, "é"),
            ({"text": ""}, ""),
            ({"text": "a", "bytes": None}, "a"),
            ({"text": Text("a")}, "a"),
            ({"bytes": b"\x00"}, b"\x00"),
            ({"bytes": b"", "text": None}, b""),
            ({"bytes": bytearray(b"ab")}, b"ab"),
            ({"bytes": memoryview(b"abcd")[::2]}, b"ac"),
        ],
    )
    def test_said(self, event: Event, said: str | bytes) -> None:
        """Text is text of any kind, and bytes of any kind are bytes, also when empty."""
        assert message_of(event) == said
        assert isinstance(message_of(event), type(said))

    @pytest.mark.parametrize(
        ("event", "error", "message"),
        [
            ({}, ValueError, "websocket.send needs either 'text' or 'bytes', and not both."),
            (
                {"text": "a", "bytes": b"a"},
                ValueError,
                "websocket.send needs either 'text' or 'bytes', and not both.",
            ),
            ({"text": b"a"}, TypeError, "'text' in websocket.send must be str, not bytes."),
            ({"bytes": "a"}, TypeError, "'bytes' in websocket.send must be bytes, not str."),
            ({"bytes": 5}, TypeError, "'bytes' in websocket.send must be bytes, not int."),
        ],
    )
    def test_refused(self, event: Event, error: type[Exception], message: str) -> None:
        """Neither, both, or one of another type is refused."""
        with pytest.raises(error) as caught:
            message_of(event)
        assert str(caught.value) == message
