"""People instead of channels, and what is new about them."""

import json
from collections.abc import Generator

from hypothesis import given
from hypothesis import strategies as st

from fairway.presence.roster import DIFF_KEYS, MAX_METAS, Diff, Roster
from fairway.presence.state import SLICE, Entry, EntryId
from tests.presence.test_state import at_once

NOTHING = Diff({}, {}, {})


class Group:
    """A roster of which one group is looked at."""

    def __init__(self) -> None:
        self.roster = Roster()

    def add(self, number: int, key: str, meta: object = None) -> None:
        self.roster.add(("a", number), self.entry(key, meta))

    def remove(self, number: int, key: str, until: float, meta: object = None) -> None:
        self.roster.remove(("a", number), self.entry(key, meta), until)

    def entry(self, key: str, meta: object) -> Entry:
        return Entry("harbour", key, json.dumps(meta), 2.0)

    def diff(self, now: float = 0.0) -> Diff:
        at_once(self.roster.settle(now))
        return self.roster.diff("harbour")

    @property
    def people(self) -> dict[str, list[object]]:
        return at_once(self.roster.people("harbour"))


def test_a_person_with_many_channels() -> None:
    """Counts once, comes with the first channel and goes with the last."""
    group = Group()
    group.add(1, "ada", "phone")
    group.add(2, "mei")
    assert group.diff() == Diff({"ada": ('"phone"',), "mei": ("null",)}, {}, {})
    group.add(3, "ada", "desk")
    assert group.diff() == Diff({}, {"ada": ('"phone"', '"desk"')}, {})
    assert group.people == {"ada": ["phone", "desk"], "mei": [None]}
    assert group.roster.count("harbour") == 2
    group.remove(1, "ada", 0.0, "phone")
    assert group.diff() == Diff({}, {"ada": ('"desk"',)}, {})
    group.remove(3, "ada", 0.0, "desk")
    assert group.diff() == Diff({}, {}, {"ada": ('"desk"',)})
    assert group.people == {"mei": [None]}
    assert group.roster.count("harbour") == 1


def test_a_quick_reconnect() -> None:
    """Whoever is back before they are missed never left, for anybody."""
    group = Group()
    group.add(1, "ada", "phone")
    group.diff()
    group.remove(1, "ada", 12.0, "phone")
    assert group.diff(11.0) == NOTHING
    assert group.people == {"ada": ["phone"]}
    assert group.roster.next_due == 12.0
    group.add(2, "ada", "phone")
    assert group.diff(13.0) == NOTHING
    assert group.people == {"ada": ["phone"]}
    assert group.roster.next_due is None


def test_back_as_somebody_else() -> None:
    """Who comes back with another meta has changed, and not left."""
    group = Group()
    group.add(1, "ada", "phone")
    group.diff()
    group.remove(1, "ada", 12.0, "phone")
    group.add(2, "ada", "desk")
    assert group.diff(13.0) == Diff({}, {"ada": ('"desk"',)}, {})


def test_two_windows_closed_at_once() -> None:
    """A person who lingers is shown as they were last said to be."""
    group = Group()
    group.add(1, "ada", 1)
    group.add(2, "ada", 2)
    group.diff()
    group.remove(1, "ada", 12.0, 1)
    group.remove(2, "ada", 12.0, 2)
    assert group.diff(11.0) == NOTHING
    assert group.people == {"ada": [1, 2]}
    assert group.diff(12.0) == Diff({}, {}, {"ada": ("1", "2")})


def test_gone_again_soon() -> None:
    """The last departure counts: an earlier one that was taken back ends nothing."""
    group = Group()
    group.add(1, "ada")
    group.diff()
    group.remove(1, "ada", 12.0)
    group.add(2, "ada")
    group.remove(2, "ada", 15.0)
    assert group.diff(14.0) == NOTHING
    assert group.diff(15.0) == Diff({}, {}, {"ada": ("null",)})


def test_come_and_gone_unnoticed() -> None:
    """Who was seen in a list, if only for a moment, is said to have left."""
    group = Group()
    group.add(1, "ada")
    assert group.people == {"ada": [None]}
    group.remove(1, "ada", 0.0)
    assert group.diff() == Diff({}, {}, {"ada": ()})
    assert group.roster.changed == {}


def test_what_was_not_there() -> None:
    """An entry that nobody knows is not removed, and one that comes twice counts once."""
    group = Group()
    group.remove(1, "ada", 0.0)
    group.add(2, "ada")
    group.add(2, "ada")
    group.remove(1, "ada", 0.0)
    assert group.diff() == Diff({"ada": ("null",)}, {}, {})


def test_somebody_with_thousands_of_channels() -> None:
    """Costs no more than somebody with a few: the latest metas stand for all."""
    group = Group()
    for number in range(5000):
        group.add(number, "guest", number)
    latest = list(range(5000 - MAX_METAS, 5000))
    assert group.people == {"guest": latest}
    assert group.diff() == Diff({"guest": tuple(map(str, latest))}, {}, {})


def test_large_diffs() -> None:
    """What is too much for one message is left for the next, by number and by size."""
    group = Group()
    for number in range(DIFF_KEYS + 1):
        group.add(number, str(number))
    assert len(group.diff().joins) == DIFF_KEYS
    assert list(group.roster.changed) == ["harbour"]
    assert len(group.diff().joins) == 1
    assert group.roster.changed == {}
    for number in range(DIFF_KEYS):
        group.add(1000 + number, str(number), "x" * 4000)
    assert len(group.diff().updates) == 17


def test_message() -> None:
    """A diff is told as a message whose metas are values again."""
    assert Diff({"7": ('{"name":"Mei"}',)}, {}, {"8": ()}).as_message("harbour") == {
        "type": "presence.diff",
        "group": "harbour",
        "joins": {"7": [{"name": "Mei"}]},
        "updates": {},
        "leaves": {"8": []},
    }


def test_metas_are_nobody_elses() -> None:
    """Who changes what a list has returned changes it for nobody."""
    group = Group()
    group.add(1, "ada", {"name": "Ada"})
    meta = group.people["ada"][0]
    assert isinstance(meta, dict)
    meta["name"] = "Mei"
    assert group.people == {"ada": [{"name": "Ada"}]}


def test_bounded_steps() -> None:
    """A list of ten thousand, and as many who leave, are the work of many short turns."""
    group = Group()
    for number in range(10_000):
        group.add(number, str(number))
    assert group.roster.count("harbour") == 10_000
    assert steps_of(group.roster.people("harbour")) == 10_000 // SLICE
    for number in range(10_000):
        group.remove(number, str(number), 1.0)
    assert steps_of(group.roster.settle(1.0)) == 10_000 // SLICE
    assert group.people == {}


def steps_of(work: Generator[None, None, object]) -> int:
    return sum(1 for _ in work)


#: Somebody comes or goes with one of a few channels, time passes, or a diff is told.
events = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 5)),
    st.tuples(st.just("remove"), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.integers(1, 3)),
    st.tuples(st.just("tell"), st.just(0)),
    st.tuples(st.just("list"), st.just(0)),
)


@given(events=st.lists(events, max_size=40))
def test_a_list_and_its_diffs(events: list[tuple[str, int]]) -> None:
    """Who reads the list at any time, and applies the diffs that follow, knows who is here.

    Nobody is said to have joined, or left, twice in a row; and who is missed for less than they may
    linger is not missed.
    """
    roster, now = Roster(), 0.0
    here: dict[int, Entry] = {}
    last_seen: dict[str, float] = {}
    readers: list[dict[str, list[object]]] = []
    told: dict[str, bool] = {}

    def tell() -> None:
        at_once(roster.settle(now))
        message = roster.diff("harbour").as_message("harbour")
        for key in message["joins"]:
            assert not told.get(key, False)
        for key in message["leaves"]:
            assert told.get(key) is not False
            assert now - last_seen[key] >= 2.0
        told.update(
            dict.fromkeys(message["joins"], True), **dict.fromkeys(message["leaves"], False)
        )
        for reader in readers:
            reader.update(message["joins"] | message["updates"])
            for key in message["leaves"]:
                reader.pop(key, None)

    for verb, number in events:
        key = "adamei"[number % 2 * 3 :][:3]
        entry_id: EntryId = ("a", number)
        if verb == "add" and number not in here:
            here[number] = Entry("harbour", key, str(number), 2.0)
            roster.add(entry_id, here[number])
        elif verb == "remove" and number in here:
            roster.remove(entry_id, here.pop(number), now + 2.0)
            last_seen[key] = now
        elif verb == "wait":
            now += number
        elif verb == "tell":
            tell()
        elif verb == "list":
            readers.append(at_once(roster.people("harbour")))
        at_once(roster.settle(now))
        assert roster.count("harbour") == len(at_once(roster.people("harbour")))
        assert set(at_once(roster.people("harbour"))) >= {each.key for each in here.values()}
    now += 2.0
    tell()
    tell()
    final = at_once(roster.people("harbour"))
    assert set(final) == {each.key for each in here.values()}
    assert all(reader == final for reader in readers)
