"""Django's consumers in one process, beside Channels: what one comes to Fairway for."""

from harness.contenders import (
    BARE,
    CHANNELS,
    CHANNELS_DAPHNE,
    CHANNELS_GRANIAN,
    CHANNELS_HYPERCORN,
    FAIRWAY,
    SOCKETIO_NODE,
    SOCKETIO_PYTHON,
    UWEBSOCKETS,
)
from harness.scenarios.model import Effort, Lane, Scenario, Target, lanes
from harness.scenarios.turns import idle_memory, under_load

CHANNELS_ANYWHERE = (CHANNELS, CHANNELS_DAPHNE, CHANNELS_GRANIAN, CHANNELS_HYPERCORN)


def socketio(event: str) -> list[Lane]:
    """The rows of Socket.IO, whose event of that name does the work."""
    path = "/socket.io/?EIO=4&transport=websocket"
    return [
        Lane(contender=contender, path=path, event=event)
        for contender in (SOCKETIO_NODE, SOCKETIO_PYTHON)
    ]


#: A group message that is encoded and framed once for all who get it.
ENCODED_ONCE = Lane(contender=FAIRWAY, path="/broadcast/", note="websocket.send")

SCENARIOS = (
    Scenario(
        name="echo",
        title="Echo through an async consumer: 50 sockets, 128 bytes, one message in flight each",
        unit="messages/s",
        mode="echo",
        measure=under_load,
        lanes=[
            *lanes("/echo/", FAIRWAY, *CHANNELS_ANYWHERE),
            *socketio("echo"),
            *lanes("/echo/", BARE),
        ],
        targets=(
            Target(against=CHANNELS, at_least=6),
            Target(against=BARE, at_least=0.45),
        ),
        full=Effort(turns=5, sockets=50, seconds=2.0, warmup=0.5),
        quick=Effort(turns=2, sockets=50, seconds=1.0, warmup=0.3),
    ),
    Scenario(
        name="group",
        title="Group message of 128 bytes to 1,000 sockets, the next one when all have it",
        unit="deliveries/s",
        mode="group",
        measure=under_load,
        lanes=(
            Lane(contender=FAIRWAY, path="/group/"),
            ENCODED_ONCE,
            *lanes("/group/", *CHANNELS_ANYWHERE),
            *socketio("group"),
            Lane(contender=UWEBSOCKETS, path="/group/", note="publish"),
            Lane(contender=BARE, path="/group/"),
        ),
        targets=(
            Target(against=CHANNELS, at_least=15),
            Target(against=BARE, at_least=0.4),
            Target(lane=ENCODED_ONCE.name, against=BARE, at_least=0.85),
            Target(lane=ENCODED_ONCE.name, against=UWEBSOCKETS, at_least=0.85),
        ),
        full=Effort(turns=5, sockets=1000, seconds=2.0, warmup=0.5),
        quick=Effort(turns=2, sockets=1000, seconds=1.0, warmup=0.2),
    ),
    Scenario(
        name="idle",
        title="Memory per idle socket, its consumer in a group",
        unit="bytes/socket",
        mode="idle",
        measure=idle_memory,
        lower_is_better=True,
        lanes=[*lanes("/group/", FAIRWAY, *CHANNELS_ANYWHERE), *socketio("group")],
        targets=(Target(at_most=8000),),
        full=Effort(turns=3, sockets=3000),
        quick=Effort(turns=1, sockets=1000),
    ),
)
