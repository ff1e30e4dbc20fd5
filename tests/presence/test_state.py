"""What processes know of each other, whatever happens to their messages."""

from collections import Counter
from collections.abc import Generator
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.presence.state import (
    MAX_PENDING,
    SLICE,
    Delta,
    Entry,
    EntryId,
    Others,
    Own,
    Snapshot,
)

T = TypeVar("T")


class Seen:
    """An audience that keeps what it is told."""

    def __init__(self) -> None:
        self.entries: dict[EntryId, Entry] = {}
        self.until: dict[EntryId, float] = {}
        self.calls = 0

    def add(self, entry_id: EntryId, entry: Entry) -> None:
        self.calls += 1
        self.entries[entry_id] = entry

    def remove(self, entry_id: EntryId, entry: Entry, until: float) -> None:
        self.calls += 1
        assert self.entries.pop(entry_id) == entry
        self.until[entry_id] = until


def entry(key: str = "ada", group: str = "harbour", linger: float = 2.0) -> Entry:
    return Entry(group, key, "{}", linger)


def at_once(steps: Generator[None, None, T]) -> T:
    """All the steps of something."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]  # a StopIteration knows no type


class TestOwn:
    def test_deltas(self) -> None:
        """What has changed is told once, with the numbers of the changes."""
        seen = Seen()
        own = Own("a", seen)
        first, second = own.join(entry("ada")), own.join(entry("mei"))
        assert list(own.deltas()) == [
            Delta("a", 0, 2, {first: entry("ada"), second: entry("mei")}, {})
        ]
        own.leave(first, 3.0, 10.0)
        third = own.join(entry("kofi"))
        own.leave(third, 0.0, 10.0)
        own.leave(third, 0.0, 10.0)  # is ignored
        assert list(own.deltas()) == [Delta("a", 2, 5, {}, {first: 3.0, third: 0.0})]
        assert list(own.deltas()) == []
        assert own.snapshot() == Snapshot("a", 5, {second: entry("mei")})
        assert seen.entries == {("a", second): entry("mei")}
        assert seen.until == {("a", first): 13.0, ("a", third): 10.0}

    def test_slices(self) -> None:
        """Many changes are told in pieces that follow each other."""
        own = Own("a", Seen())
        for _ in range(2 * SLICE + 1):
            own.join(entry())
        deltas = list(own.deltas())
        assert [(d.start, d.end, len(d.joins)) for d in deltas] == [
            (0, SLICE, SLICE),
            (SLICE, 2 * SLICE, SLICE),
            (2 * SLICE, 2 * SLICE + 1, 1),
        ]

    def test_too_much_to_tell(self) -> None:
        """Where nothing can be told for long, the changes are not kept; the others will ask."""
        own, others = Own("a", Seen()), Others(Seen())
        for _ in range(MAX_PENDING + 1):
            own.leave(own.join(entry()), 0.0, 0.0)
        own.join(entry())
        deltas = list(own.deltas())
        assert sum(delta.end - delta.start for delta in deltas) < MAX_PENDING
        assert not at_once(others.merge_delta(deltas[0], 0.0))
        at_once(others.merge_snapshot(own.snapshot(), 0.0))
        assert len(others.replicas["a"].entries) == 1


class TestOthers:
    def test_gap(self) -> None:
        """A delta that does not follow on what is known is refused, and changes nothing."""
        seen = Seen()
        own, others = Own("a", Seen()), Others(seen)
        own.join(entry())
        list(own.deltas())
        own.join(entry("mei"))
        (delta,) = own.deltas()
        assert not at_once(others.merge_delta(delta, 0.0))
        assert seen.entries == {}
        assert not others.knows("a", 2)
        at_once(others.merge_snapshot(own.snapshot(), 0.0))
        assert others.knows("a", 2)
        assert len(seen.entries) == 2

    def test_snapshot_between(self) -> None:
        """A delta of which the first part is known already brings the rest of it."""
        own, others = Own("a", Seen()), Others(Seen())
        first = own.join(entry("ada"))
        before = own.snapshot()
        own.leave(first, 0.0, 0.0)
        own.join(entry("mei"))
        (delta,) = own.deltas()
        at_once(others.merge_snapshot(before, 0.0))
        assert at_once(others.merge_delta(delta, 0.0))
        assert others.replicas["a"].entries == own.entries

    def test_dead_and_back(self) -> None:
        """A silent process's people are gone, and back when it is heard again."""
        seen = Seen()
        own, others = Own("a", Seen()), Others(seen)
        number = own.join(entry(linger=2.0))
        other = own.join(entry("mei", linger=60.0))
        at_once(others.merge_snapshot(own.snapshot(), 100.0))
        at_once(others.take_for_dead("a", 104.0))
        assert seen.entries == {}
        # Who may linger longer than the silence was does so.
        assert seen.until == {("a", number): 104.0, ("a", other): 160.0}
        replica = at_once(others.hear("a", 105.0))
        assert (replica.up, replica.seen) == (True, 105.0)
        assert seen.entries == {("a", number): entry(), ("a", other): entry("mei", linger=60.0)}

    def test_changes_while_dead(self) -> None:
        """What a process tells after a silence counts, too."""
        seen = Seen()
        own, others = Own("a", Seen()), Others(seen)
        number = own.join(entry("ada"))
        at_once(others.merge_snapshot(own.snapshot(), 0.0))
        list(own.deltas())
        at_once(others.take_for_dead("a", 5.0))
        own.leave(number, 2.0, 5.0)
        mei = own.join(entry("mei"))
        (delta,) = own.deltas()
        assert at_once(others.merge_delta(delta, 6.0))
        assert seen.entries == {("a", mei): entry("mei")}

    def test_forgotten(self) -> None:
        """Of a process that is forgotten nothing is known."""
        others = Others(Seen())
        own = Own("a", Seen())
        own.join(entry())
        at_once(others.merge_snapshot(own.snapshot(), 0.0))
        at_once(others.take_for_dead("a", 5.0))
        others.forget("a")
        assert not others.knows("a", 1)
        assert others.knows("a", 0)

    def test_excused(self) -> None:
        """After an outage nobody has been silent."""
        others = Others(Seen())
        at_once(others.hear("a", 0.0))
        others.excuse(50.0)
        assert others.replicas["a"].seen == 50.0

    @pytest.mark.parametrize("what", ["snapshot", "nothing left", "dead", "back"])
    def test_bounded_steps(self, what: str) -> None:
        """Whatever happens to ten thousand entries, others get a turn after each few of them."""
        seen = Seen()
        own, others = Own("a", Seen()), Others(seen)
        numbers = [own.join(entry(str(n))) for n in range(10_000)]
        snapshot = own.snapshot()
        if what == "snapshot":
            steps: Generator[None, None, object] = others.merge_snapshot(snapshot, 0.0)
        else:
            at_once(others.merge_snapshot(snapshot, 0.0))
            for number in numbers:
                own.leave(number, 0.0, 0.0)
            steps = others.merge_snapshot(own.snapshot(), 0.0)
        if what in {"dead", "back"}:
            steps = others.take_for_dead("a", 0.0)
        if what == "back":
            at_once(steps)
            steps = others.hear("a", 0.0)
        most = total = before = 0
        seen.calls = 0
        for _ in steps:
            most, total, before = max(most, seen.calls - before), total + 1, seen.calls
        assert seen.calls == 10_000
        assert most <= SLICE
        assert total >= 10_000 // SLICE - 1


#: What a process may do: join with a key, or let the n-th of its entries leave.
changes = st.one_of(
    st.tuples(st.just("join"), st.sampled_from(["ada", "mei", "kofi"])),
    st.tuples(st.just("leave"), st.integers(0, 5)),
    st.tuples(st.just("tell"), st.none()),
    st.tuples(st.just("snapshot"), st.none()),
)


@given(
    histories=st.lists(st.lists(changes, max_size=15), min_size=1, max_size=3),
    data=st.data(),
)
def test_merging(histories: list[list[tuple[str, object]]], data: st.DataObject) -> None:
    """Lost, repeated and in any order: what is known of a process is what it was at some time.

    And when its last snapshot arrives, whenever that is, it is what it is.
    """
    models: dict[str, list[dict[int, Entry]]] = {}
    said: list[Delta | Snapshot] = []
    finals: list[Delta | Snapshot] = []
    for index, history in enumerate(histories):
        name = f"replica{index}"
        own = Own(name, Seen())
        models[name] = [{}]
        for verb, argument in history:
            if verb == "join":
                own.join(entry(str(argument)))
            elif verb == "leave" and own.entries:
                assert isinstance(argument, int)
                own.leave(list(own.entries)[argument % len(own.entries)], 2.0, 0.0)
            elif verb == "tell":
                said += own.deltas()
            elif verb == "snapshot":
                said.append(own.snapshot())
            if own.clock == len(models[name]):
                models[name].append(dict(own.entries))
        said += own.deltas()
        finals.append(own.snapshot())
    arriving = data.draw(st.lists(st.sampled_from([*said, *finals]), max_size=30))
    seen = Seen()
    others = Others(seen)

    def receive(message: Delta | Snapshot) -> None:
        before = {name: replica.clock for name, replica in others.replicas.items()}
        if isinstance(message, Delta):
            known = at_once(others.merge_delta(message, 0.0))
            assert known == (message.start <= before.get(message.replica, 0))
        else:
            at_once(others.merge_snapshot(message, 0.0))
        if data.draw(st.integers(0, 9)) == 0:  # now and then, it falls silent
            at_once(others.take_for_dead(message.replica, 0.0))
        visible: dict[EntryId, Entry] = {}
        for name, replica in others.replicas.items():
            assert replica.clock >= before.get(name, 0)
            assert replica.entries == models[name][replica.clock]
            if replica.up:
                visible |= {(name, number): each for number, each in replica.entries.items()}
        assert seen.entries == visible

    for message in arriving:
        receive(message)
    for message in data.draw(st.permutations(finals)):
        receive(message)
    for name, model in models.items():
        at_once(others.hear(name, 0.0))
        assert others.replicas[name].entries == model[-1]
    assert Counter(each.key for each in seen.entries.values()) == Counter(
        each.key for model in models.values() for each in model[-1].values()
    )
