"""A group message to clients that have agreed on permessage-deflate (RFC 7692)."""

import json

from harness.contenders import BARE, CHANNELS, FAIRWAY
from harness.scenarios.model import Effort, Lane, Scenario, Target
from harness.scenarios.turns import under_load

#: What a chat sends; the load generator writes sender and number over the zeros.
TEXT = json.dumps(
    {
        "id": "0" * 16,
        "type": "chat.message",
        "room": {"id": 7731, "name": "harbour-watch"},
        "sender": {"id": 48213, "name": "Marieke de Vries", "avatar": "/media/avatars/48213.webp"},
        "sent": "2026-03-14T09:26:53.589Z",
        "text": "The ferry from Terschelling is twenty minutes late because of the fog, so we meet "
        "at pier four instead of pier two. Please tell the others, and have your tickets ready: "
        "the crew looks at them on the way aboard this time.",
        "mentions": [{"id": 51187, "name": "Tomás Silva"}, {"id": 40962, "name": "Ana Kováč"}],
        "reactions": [],
        "reply_to": None,
    },
    ensure_ascii=False,
)
SIZE = len(TEXT.encode())
#: By default Fairway does not compress what is shorter than 1 KiB; the others always do.
COMPRESSED = ("--websocket-compression-threshold", "256")
ENCODED_ONCE = Lane(contender=FAIRWAY, path="/broadcast/", note="websocket.send", words=COMPRESSED)

SCENARIOS = (
    Scenario(
        name="group-deflate",
        title=f"Group message of {SIZE} bytes of JSON to 1,000 sockets, permessage-deflate on",
        unit="deliveries/s",
        mode="group",
        measure=under_load,
        options={"--deflate": "1", "--text": TEXT},
        size=SIZE,
        lanes=(
            Lane(contender=FAIRWAY, path="/group/", words=COMPRESSED),
            ENCODED_ONCE,
            Lane(contender=CHANNELS, path="/group/"),
            Lane(contender=BARE, path="/group/"),
        ),
        targets=(Target(lane=ENCODED_ONCE.name, against=BARE, at_least=0.5),),
        full=Effort(turns=5, sockets=1000, seconds=2.5, warmup=0.5),
        quick=Effort(turns=2, sockets=1000, seconds=1.0, warmup=0.2),
    ),
)
