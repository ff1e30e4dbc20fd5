"""Who is seen in each group, and what is new since it was last said: plain data, and no clock.

The roster turns entries (channels of any process) into people: one with many channels counts once,
and one whose last channel has just gone is still seen for a while, since a page that is loaded anew
or a worker that restarts brings them back in a moment.
"""

import heapq
import json
from collections.abc import Generator
from itertools import islice
from typing import Any, Final, NamedTuple, TypeAlias

from fairway.presence.state import SLICE, Entry, EntryId

#: Metas of one person that are shown, the latest: somebody may have thousands of channels.
MAX_METAS: Final = 20
#: People in one diff …
DIFF_KEYS: Final = 500
#: … and about how many characters: well below what a socket's mailbox holds.
DIFF_SIZE: Final = 64 * 1024

#: What is known about a person, once for each of their channels: JSON text.
Metas: TypeAlias = tuple[str, ...]


class Diff(NamedTuple):
    """What has changed in a group.

    Attributes:
        joins: People who were not there before, with their metas.
        updates: People who were, and whose metas are these now.
        leaves: People who are not there any more, with the metas that they had.
    """

    joins: dict[str, Metas]
    updates: dict[str, Metas]
    leaves: dict[str, Metas]

    def as_message(self, group: str) -> dict[str, Any]:
        """The channel layer message that tells it to the members of the group."""
        message: dict[str, Any] = {"type": "presence.diff", "group": group}
        for kind, people in self._asdict().items():
            message[kind] = {key: read_metas(metas) for key, metas in people.items()}
        return message


def read_metas(metas: Metas) -> list[Any]:
    """Metas as values, new ones each time: their reader may change them."""
    return [json.loads(meta) for meta in metas]


class _Person:
    """A person in a group.

    Attributes:
        entries: The metas of their channels.
        metas: What was seen when the last channel went.
        until: When they are gone, if no channel comes before.
    """

    __slots__ = ("entries", "metas", "until")

    def __init__(self) -> None:
        self.entries: dict[EntryId, str] = {}
        self.metas: Metas = ()
        self.until = 0.0

    def seen(self) -> Metas:
        if not self.entries:
            return self.metas
        latest = list(islice(reversed(self.entries.values()), MAX_METAS))
        return tuple(reversed(latest))


class Roster:
    """The people of all groups.

    Attributes:
        changed: Groups, and people in them, of whom there is something to be said.
    """

    def __init__(self) -> None:
        self.changed: dict[str, dict[str, None]] = {}
        self._groups: dict[str, dict[str, _Person]] = {}
        # What has been said: only the rest is news.
        self._told: dict[str, dict[str, Metas]] = {}
        self._lingering: list[tuple[float, str, str]] = []

    # ------------------------------------------------------------------ who is here

    def count(self, group: str) -> int:
        """How many people are in a group."""
        return len(self._groups.get(group, ()))

    def people(self, group: str) -> Generator[None, None, dict[str, list[Any]]]:
        """The people of a group with their metas."""
        found: dict[str, list[Any]] = {}
        for count, key in enumerate(list(self._groups.get(group, ())), 1):
            # Others had turns in between, and somebody may have gone: a diff will say so.
            person = self._groups.get(group, {}).get(key)
            if person is not None:
                found[key] = read_metas(person.seen())
            if count % SLICE == 0:
                yield
        return found

    # ------------------------------------------------------------------ coming and going

    def add(self, entry_id: EntryId, entry: Entry) -> None:
        """An entry has come; again is the same as once."""
        group = self._groups.setdefault(entry.group, {})
        person = group.get(entry.key)
        if person is None:
            person = group[entry.key] = _Person()
        person.entries[entry_id] = entry.meta
        self._change(entry.group, entry.key)

    def remove(self, entry_id: EntryId, entry: Entry, until: float) -> None:
        """An entry has gone; if it was the person's last, they are seen until that time."""
        person = self._groups.get(entry.group, {}).get(entry.key)
        if person is None or entry_id not in person.entries:
            return
        seen = person.seen()
        del person.entries[entry_id]
        if person.entries:
            self._change(entry.group, entry.key)
            return
        person.metas = self._told.get(entry.group, {}).get(entry.key, seen)
        person.until = until
        heapq.heappush(self._lingering, (person.until, entry.group, entry.key))

    def _change(self, group: str, key: str) -> None:
        self.changed.setdefault(group, {})[key] = None

    # ------------------------------------------------------------------ time

    @property
    def next_due(self) -> float | None:
        """When there will be something to do for :meth:`settle`."""
        return self._lingering[0][0] if self._lingering else None

    def settle(self, now: float) -> Generator[None, None, None]:
        """Let those go who have not come back."""
        count = 0
        while self._lingering and self._lingering[0][0] <= now:
            _, group, key = heapq.heappop(self._lingering)
            people = self._groups.get(group, {})
            person = people.get(key)
            if person is not None and not person.entries and person.until <= now:
                del people[key]
                if not people:
                    del self._groups[group]
                self._change(group, key)
            count += 1
            if count % SLICE == 0:
                yield

    # ------------------------------------------------------------------ what is new

    def diff(self, group: str) -> Diff:
        """What is new in a group; what is too much for one diff is left for the next."""
        changed = self.changed.get(group, {})
        told = self._told.setdefault(group, {})
        people = self._groups.get(group, {})
        diff, size = Diff({}, {}, {}), 0
        for key in list(islice(changed, DIFF_KEYS)):
            if size > DIFF_SIZE:
                break
            del changed[key]
            person, before = people.get(key), told.get(key)
            if person is None:
                # Said also where nobody was told that they had come: a list may have shown them.
                diff.leaves[key] = told.pop(key, ())
                continue
            now = person.seen()
            if before is None:
                diff.joins[key] = now
            elif before != now:
                diff.updates[key] = now
            told[key] = now
            size += sum(map(len, now))
        if not changed:
            self.changed.pop(group, None)
        if not told:
            del self._told[group]
        return diff
