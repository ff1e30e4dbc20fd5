"""Who is in which room: people, not tabs.

Fairway keeps the list, across all processes and machines that share the channel layer; nothing is
written that could go stale. A tab leaves by itself when its connection ends, however that happens.
Its person is missed a little later only: whoever reloads the page never left.
"""

from collections.abc import Iterator
from typing import Any

from fairway.presence import presence

from .live import room_group
from .people import Person


async def enter(room_id: int, person: Person, socket: str) -> list[Person]:
    """Add a socket to a room, until its connection ends; return who is there now."""
    group = room_group(room_id)
    await presence.join(group, socket, person["id"], {"person": person})
    people = await presence.list(group)
    return [_person(metas) for metas in people.values()]


def comings_and_goings(diff: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Turn what Fairway tells the room's consumers into events for their pages."""
    for kind, people in (("joined", diff["joins"]), ("left", diff["leaves"])):
        for metas in people.values():
            if metas:
                yield {"type": kind, "person": _person(metas)}


def _person(metas: list[dict[str, Any]]) -> Person:
    """Return how a person is shown; each of their sockets says the same."""
    person: Person = metas[-1]["person"]
    return person
