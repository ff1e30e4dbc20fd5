"""What trackers tell each other, as channel layer messages: pieces of news, whole or in parts.

They are a format between versions of this package: a kind that is not known is ignored. Everything
is made of text, numbers and lists, which every serializer of a layer can carry.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from fairway._types import Event
from fairway.presence.state import Delta, Entry, Snapshot

#: Answer with all that you have: ``sender``.
ASK: Final = "presence.ask"
#: I am here, and was changed so many times: ``sender``, ``clock``.
BEAT: Final = "presence.beat"
#: What I have changed.
DELTA: Final = "presence.delta"
#: A part of all that I have.
STATE: Final = "presence.state"

#: Entries in one message …
PART: Final = 200
#: … and about how many characters of metas.
PART_SIZE: Final = 64 * 1024


class Part(NamedTuple):
    """A part of a snapshot.

    Attributes:
        replica: Whose.
        clock: The number of the last change in it.
        position: Which part, from 0.
        last: Whether there are no more.
        entries: Some of its entries by number.
    """

    replica: str
    clock: int
    position: int
    last: bool
    entries: Mapping[int, Entry]


def ask(sender: str) -> Event:
    """A message that asks for all that somebody has."""
    return {"type": ASK, "sender": sender}


def beat(sender: str, clock: int) -> Event:
    """A message that says that somebody is there."""
    return {"type": BEAT, "sender": sender, "clock": clock}


def from_delta(delta: Delta) -> Event:
    """A delta as a message."""
    return {
        "type": DELTA,
        "sender": delta.replica,
        "clock": [delta.start, delta.end],
        "joins": [[number, *entry] for number, entry in delta.joins.items()],
        "leaves": [[number, linger] for number, linger in delta.leaves.items()],
    }


def read_delta(message: Event) -> Delta:
    """The delta that :func:`from_delta` was given."""
    start, end = message["clock"]
    joins, leaves = _read_entries(message["joins"]), dict(message["leaves"])
    return Delta(message["sender"], start, end, joins, leaves)


def from_snapshot(snapshot: Snapshot) -> Iterator[Event]:
    """A snapshot as messages, none of them large."""
    rows: list[Any] = []
    position = size = 0
    for number, entry in snapshot.entries.items():
        if len(rows) == PART or size > PART_SIZE:
            yield _from_part(snapshot, position, rows, last=False)
            rows, position, size = [], position + 1, 0
        rows.append([number, *entry])
        size += len(entry.meta)
    yield _from_part(snapshot, position, rows, last=True)


def _from_part(snapshot: Snapshot, position: int, entries: list[Any], *, last: bool) -> Event:
    return {
        "type": STATE,
        "sender": snapshot.replica,
        "clock": snapshot.clock,
        "part": [position, last],
        "entries": entries,
    }


def read_part(message: Event) -> Part:
    """The part of a snapshot in one of the messages of :func:`from_snapshot`."""
    position, last = message["part"]
    entries = _read_entries(message["entries"])
    return Part(message["sender"], message["clock"], position, last, entries)


def _read_entries(rows: list[Any]) -> dict[int, Entry]:
    return {number: Entry(group, key, meta, linger) for number, group, key, meta, linger in rows}


class Assembly:
    """Puts snapshots together of their parts, which come in order or not at all."""

    def __init__(self) -> None:
        self._begun: dict[str, tuple[int, int, dict[int, Entry]]] = {}

    def add(self, part: Part) -> Snapshot | None:
        """Take a part; returns the snapshot if this was the last one and none is missing."""
        found: dict[int, Entry] = {}
        if part.position:
            clock, expected, found = self._begun.pop(part.replica, (-1, -1, found))
            if (clock, expected) != (part.clock, part.position):
                return None
        found.update(part.entries)
        if part.last:
            self._begun.pop(part.replica, None)
            return Snapshot(part.replica, part.clock, found)
        self._begun[part.replica] = (part.clock, part.position + 1, found)
        return None

    def forget(self, replica: str) -> None:
        """Expect no more parts of a replica."""
        self._begun.pop(replica, None)
