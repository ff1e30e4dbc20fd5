"""Who is where, as one process knows it of each process: plain data that merges, and no clock.

Each process (here: *replica*) owns what its own channels have joined, and alone changes it. Its
changes are numbered; the number of the last one is its *clock*. What others know of it is what it
was at some number, so two pieces of news about it never contradict each other: the later one is
right. Messages may be lost, repeated and overtake each other; the state ends up the same.

Nothing here does a lot at once: what may touch many entries is a generator that yields after each
:data:`SLICE` of them, so that its caller can let others have a turn.
"""

import itertools
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Final, NamedTuple, Protocol, TypeAlias

#: Entries that are handled before others get a turn: about a millisecond's work.
SLICE: Final = 200
#: Changes that may wait to be told. Where there are more, the others are asked to ask.
MAX_PENDING: Final = 10_000

#: What names an entry everywhere: its replica and its number there.
EntryId: TypeAlias = tuple[str, int]


class Entry(NamedTuple):
    """One channel in one group; never changed, but replaced by another with a number of its own.

    Attributes:
        group: Which group.
        key: Who it is.
        meta: What is to be known about them, as JSON text.
        linger: Seconds for which they may be gone before that is said.
    """

    group: str
    key: str
    meta: str
    linger: float


class Delta(NamedTuple):
    """What a replica has changed.

    Whoever knows what it was at any number from ``start`` to ``end`` knows with this what it was at
    ``end``.

    Attributes:
        replica: Who has.
        start: The number of the last change before these.
        end: The number of the last of these.
        joins: Entries that have come and are still there, by number.
        leaves: The numbers of those that have gone, and for how many seconds they may linger.
    """

    replica: str
    start: int
    end: int
    joins: Mapping[int, Entry]
    leaves: Mapping[int, float]


class Snapshot(NamedTuple):
    """All that a replica has.

    Attributes:
        replica: Who.
        clock: The number of its last change.
        entries: Its entries by number.
    """

    replica: str
    clock: int
    entries: Mapping[int, Entry]


class Audience(Protocol):
    """What wants to know who comes and goes: the roster."""

    def add(self, entry_id: EntryId, entry: Entry) -> None:
        """An entry has come; again is the same as once."""

    def remove(self, entry_id: EntryId, entry: Entry, until: float) -> None:
        """An entry has gone, but is to be missed at the time ``until`` only."""


class Own:
    """What this process has: the one replica that it may change.

    Args:
        replica: Its name.
        audience: Told of each change.

    Attributes:
        clock: The number of the last change.
        entries: The entries by number.
    """

    def __init__(self, replica: str, audience: Audience) -> None:
        self.replica = replica
        self.clock = 0
        self.entries: dict[int, Entry] = {}
        self._audience = audience
        self._numbers = itertools.count(1)
        # Changes since the last delta: an entry that came, or how long one lingers that went.
        self._pending: list[tuple[int, Entry | float]] = []

    def join(self, entry: Entry) -> int:
        """Add an entry; returns its number."""
        number = next(self._numbers)
        self.entries[number] = entry
        self._changed(number, entry)
        self._audience.add((self.replica, number), entry)
        return number

    def leave(self, number: int, linger: float, now: float) -> None:
        """Remove an entry; one that is not there is ignored."""
        entry = self.entries.pop(number, None)
        if entry is not None:
            self._changed(number, linger)
            self._audience.remove((self.replica, number), entry, now + linger)

    def _changed(self, number: int, change: Entry | float) -> None:
        self.clock += 1
        self._pending.append((number, change))
        if len(self._pending) > MAX_PENDING:
            self._pending.clear()  # the others will see that they have missed something

    def deltas(self) -> Iterator[Delta]:
        """The changes since the last call, in pieces of at most :data:`SLICE`."""
        pending, self._pending = self._pending, []
        clock = self.clock - len(pending)
        for start in range(0, len(pending), SLICE):
            part = pending[start : start + SLICE]
            joins: dict[int, Entry] = {}
            leaves: dict[int, float] = {}
            for number, change in part:
                if isinstance(change, Entry):
                    joins[number] = change
                else:
                    # Told also where it came in this very part: some may know of that already.
                    joins.pop(number, None)
                    leaves[number] = change
            yield Delta(self.replica, clock + start, clock + start + len(part), joins, leaves)

    def snapshot(self) -> Snapshot:
        """All there is, with what no delta has told yet."""
        return Snapshot(self.replica, self.clock, dict(self.entries))


class Replica:
    """What is known of another process.

    Attributes:
        clock: The number of the last change that is known.
        entries: Its entries by number.
        seen: When it was last heard of.
        doubted: Since when it is asked whether it is there; None while it is heard of.
        up: Whether it counts as running; if not, nobody sees its entries.
    """

    __slots__ = ("clock", "doubted", "entries", "seen", "up")

    def __init__(self, now: float) -> None:
        self.clock = 0
        self.entries: dict[int, Entry] = {}
        self.seen = now
        self.doubted: float | None = None
        self.up = True


class Others:
    """What is known of all other processes.

    Args:
        audience: Told of each entry that comes or goes.

    Attributes:
        replicas: Each of them by name.
    """

    def __init__(self, audience: Audience) -> None:
        self.replicas: dict[str, Replica] = {}
        self._audience = audience

    def hear(self, name: str, now: float) -> Generator[None, None, Replica]:
        """A replica is there; if it was taken for dead, its entries are back."""
        replica = self.replicas.get(name)
        if replica is None:
            replica = self.replicas[name] = Replica(now)
        replica.seen, replica.doubted = now, None
        if not replica.up:
            replica.up = True
            yield from self._show(name, replica.entries.items())
        return replica

    def knows(self, name: str, clock: int) -> bool:
        """Whether nothing is missing of what a replica was at that number."""
        replica = self.replicas.get(name)
        return clock <= (replica.clock if replica is not None else 0)

    def merge_delta(self, delta: Delta, now: float) -> Generator[None, None, bool]:
        """Learn what a replica has changed; returns False if something is missing before that."""
        name = delta.replica
        replica = yield from self.hear(name, now)
        if delta.start > replica.clock:
            return False
        if delta.end <= replica.clock:
            return True
        joins = [each for each in delta.joins.items() if each[0] not in replica.entries]
        replica.entries.update(joins)
        yield from self._show(name, joins)
        leaves = [(n, now + linger) for n, linger in delta.leaves.items() if n in replica.entries]
        yield from self._hide(name, [(n, replica.entries.pop(n), until) for n, until in leaves])
        replica.clock = delta.end
        return True

    def merge_snapshot(self, snapshot: Snapshot, now: float) -> Generator[None, None, None]:
        """Learn all that a replica has, unless something later is known."""
        name = snapshot.replica
        replica = yield from self.hear(name, now)
        if snapshot.clock <= replica.clock:
            return
        known, replica.entries = replica.entries, dict(snapshot.entries)
        replica.clock = snapshot.clock
        yield from self._show(
            name, (each for each in snapshot.entries.items() if each[0] not in known)
        )
        yield from self._hide(
            name,
            ((n, e, now + e.linger) for n, e in known.items() if n not in snapshot.entries),
        )

    def take_for_dead(self, name: str, now: float) -> Generator[None, None, None]:
        """A replica has been silent for too long: its people are gone, until it is heard again."""
        replica = self.replicas[name]
        replica.up = False
        yield from self._hide(
            name,
            ((n, e, max(now, replica.seen + e.linger)) for n, e in replica.entries.items()),
        )

    def forget(self, name: str) -> None:
        """Nothing is to be known any more of a replica that was taken for dead."""
        assert not self.replicas[name].up or not self.replicas[name].entries
        del self.replicas[name]

    def excuse(self, now: float) -> None:
        """Nobody could be heard of late, which says nothing about them."""
        for replica in self.replicas.values():
            replica.seen, replica.doubted = now, None

    def _show(self, name: str, entries: Iterable[tuple[int, Entry]]) -> Generator[None, None, None]:
        for count, (number, entry) in enumerate(entries, 1):
            self._audience.add((name, number), entry)
            if count % SLICE == 0:
                yield

    def _hide(
        self, name: str, entries: Iterable[tuple[int, Entry, float]]
    ) -> Generator[None, None, None]:
        for count, (number, entry, until) in enumerate(entries, 1):
            self._audience.remove((name, number), entry, until)
            if count % SLICE == 0:
                yield
