"""Who is in which room, as one process knows it.

Nothing is written to the database: rows about sockets outlive their sockets. Here the sockets of
a killed browser leave when their connection breaks, and those of a killed server are gone with it.

This is right for one process, which is all that the in-memory channel layer reaches. To run
several, use Fairway's presence when it is there; only this file changes.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from .people import Person


@dataclass
class _Present:
    """A person in a room, and the sockets (browser tabs) that keep them there."""

    person: Person
    sockets: set[str] = field(default_factory=set)


class Presence:
    """People in rooms; one person counts once, with however many tabs."""

    def __init__(self) -> None:
        self._rooms: defaultdict[int, dict[int, _Present]] = defaultdict(dict)

    def enter(self, room_id: int, person: Person, socket: str) -> bool:
        """Add a socket; return whether the person was not in the room before."""
        room = self._rooms[room_id]
        present = room.setdefault(person["id"], _Present(person))
        present.sockets.add(socket)
        return len(present.sockets) == 1

    def leave(self, room_id: int, person: Person, socket: str) -> bool:
        """Remove a socket; return whether it was the person's last in the room."""
        room = self._rooms[room_id]
        present = room.get(person["id"])
        if present is not None:
            present.sockets.discard(socket)
            if not present.sockets:
                del room[person["id"]]
        if not room:
            del self._rooms[room_id]
        return present is not None and not present.sockets

    def people(self, room_id: int) -> list[Person]:
        """Return who is in the room now."""
        return [present.person for present in self._rooms.get(room_id, {}).values()]


presence = Presence()
