"""Store: named channels as rows, which outlive processes."""

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairway.layers.local.store import Store
from tests.clock import Clock


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    store = Store(tmp_path / "queues.sqlite3", clock=clock)
    yield store
    store.close()


def push(store: Store, *payloads: bytes, delay: float = 0.0) -> None:
    for payload in payloads:
        assert store.push("jobs", payload, 100, 60, delay)


def popped(store: Store) -> list[bytes]:
    found = []
    while rows := store.pop("jobs", 1):
        found += [row.payload for row in rows]
    return found


def test_first_in_first_out(store: Store) -> None:
    """Messages come out in the order in which they were put in, each queue's its own."""
    push(store, b"1", b"2", b"3")
    store.push("other", b"4", 100, 60)
    assert popped(store) == [b"1", b"2", b"3"]
    assert store.counts() == (1, 1)


def test_nothing_is_made_by_looking(store: Store) -> None:
    """A project that uses no named channel has no file."""
    assert (store.members(), store.counts(), store.exists) == ({}, (0, 0), False)
    assert store.count("jobs") == 0
    store.flush()
    assert not store.path.exists()


def test_private(store: Store) -> None:
    """The file and those beside it are for the owner alone."""
    push(store, b"1")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in store.path.parent.iterdir()}
    assert modes == {0o600}


def test_for_a_group(tmp_path: Path) -> None:
    """The permissions are what was asked for, whatever the umask is."""
    store = Store(tmp_path / "queues.sqlite3", 0o660)
    old = os.umask(0o022)
    try:
        push(store, b"1")
    finally:
        os.umask(old)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o660}
    store.close()


def test_outlives_its_process(store: Store, clock: Clock) -> None:
    """What was sent waits for whoever comes later."""
    push(store, b"1")
    store.close()
    later = Store(store.path, clock=clock)
    assert popped(later) == [b"1"]
    later.close()


def test_capacity(store: Store, clock: Clock) -> None:
    """A queue holds so many messages, those on lease not counted."""
    assert [store.push("jobs", b"x", 2, 60) for _ in range(3)] == [True, True, False]
    assert store.lease("jobs", 30) is not None
    assert store.push("jobs", b"x", 2, 60)
    clock.now += 60
    assert store.push("jobs", b"x", 2, 60)  # the others have expired


def test_expiry(store: Store, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """What nobody took in time is dropped, which is logged."""
    push(store, b"1", b"2")
    clock.now += 60
    push(store, b"3")
    assert (store.count("jobs"), store.expired) == (1, 0)
    assert popped(store) == [b"3"]
    assert (store.count("jobs"), store.expired) == (0, 2)
    assert caplog.messages == [
        "Channel jobs: 2 messages were dropped, since nobody received them in time ('expiry')."
    ]


def test_delay(store: Store, clock: Clock) -> None:
    """A message may be put in for later."""
    push(store, b"later", delay=10)
    push(store, b"now")
    assert popped(store) == [b"now"]
    assert store.next_due("jobs") == 10
    clock.now += 65
    assert popped(store) == [b"later"]
    assert store.next_due("jobs") is None


def test_clock_that_is_set_back(store: Store, clock: Clock) -> None:
    """What is not for later need not wait for the time at which it was sent to come again."""
    push(store, b"1", b"2")
    lease = store.lease("jobs", 10)
    assert lease is not None
    clock.now -= 3600
    assert store.give_back(lease.ticket, 60)
    clock.now -= 3600
    assert store.next_due("jobs") == 0.0
    assert popped(store) == [b"1", b"2"]


class TestLeases:
    def test_acknowledged(self, store: Store, clock: Clock) -> None:
        """What is done does not come back."""
        push(store, b"1")
        lease = store.lease("jobs", 30)
        assert lease is not None
        assert (lease.payload, lease.attempt) == (b"1", 1)
        assert store.lease("jobs", 30) is None
        assert [store.acknowledge(lease.ticket) for _ in range(2)] == [True, False]
        clock.now += 30
        assert popped(store) == []

    def test_counted(self, store: Store, clock: Clock) -> None:
        """What is on lease does not wait, until its time is over; then it does, however old."""
        push(store, b"1")
        store.lease("jobs", 90)
        assert store.count("jobs") == 0
        clock.now += 90
        assert store.count("jobs") == 1

    def test_run_out(self, store: Store, clock: Clock) -> None:
        """What a killed worker had comes back, in its old place."""
        push(store, b"1", b"2")
        first = store.lease("jobs", 30)
        assert first is not None
        assert store.next_due("jobs") == 0
        clock.now += 30
        again = store.lease("jobs", 30)
        assert again is not None
        assert (again.payload, again.attempt) == (b"1", 2)
        assert not store.acknowledge(first.ticket)
        assert not store.extend(first.ticket, 30)
        assert not store.give_back(first.ticket, 60)
        assert store.extend(again.ticket, 100)
        clock.now += 50
        assert store.acknowledge(again.ticket)

    def test_given_back(self, store: Store, clock: Clock) -> None:
        """What is given back is the next one's, now or later, however old it is."""
        push(store, b"1", b"2")
        lease = store.lease("jobs", 100)
        assert lease is not None
        clock.now += 59
        assert store.give_back(lease.ticket, 60)
        clock.now += 2
        lease = store.lease("jobs", 100)
        assert lease is not None
        assert (lease.payload, lease.attempt) == (b"1", 2)
        assert store.give_back(lease.ticket, 60, delay=10)
        assert popped(store) == []
        clock.now += 10
        assert popped(store) == [b"1"]


def test_put_back(store: Store) -> None:
    """A message that its reader never saw is where it was."""
    push(store, b"1", b"2")
    rows = store.pop("jobs", 2)
    store.put_back("jobs", rows)
    assert popped(store) == [b"1", b"2"]


def test_many_at_once(store: Store, clock: Clock) -> None:
    """Up to the limit, in order, without what has expired."""
    store.push("jobs", b"old", 100, 1)
    push(store, b"1", b"2", b"3")
    clock.now += 2
    assert [row.payload for row in store.pop("jobs", 2)] == [b"1", b"2"]
    assert [row.payload for row in store.pop("jobs", 2)] == [b"3"]
    assert (store.pop("jobs", 2), store.expired) == ([], 1)


def test_two_processes(store: Store) -> None:
    """Two readers never get the same message, however they hurry."""
    push(store, *(b"%d" % n for n in range(100)))
    found: list[list[bytes]] = [[], []]

    def read(number: int) -> None:
        mine = Store(store.path, clock=lambda: 1_000_000.0)
        found[number] = popped(mine)
        mine.close()

    threads = [threading.Thread(target=read, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found[0] + found[1]) == sorted(b"%d" % n for n in range(100))


def test_memberships(store: Store, clock: Clock) -> None:
    """A queue is in a topic until it leaves, or its time is over."""
    store.adopt("alarms", "pager", 600)
    clock.now += 500
    store.adopt("alarms", "pager", 600)
    store.adopt("alarms", "log", 100)
    store.adopt("news", "log", 600)
    clock.now += 100
    assert store.members() == {"alarms": {"pager": 1_001_100.0}, "news": {"log": 1_001_100.0}}
    store.release("alarms", "pager")
    store.release("alarms", "pager")
    assert store.members() == {"news": {"log": 1_001_100.0}}
    push(store, b"1")
    store.flush()
    assert (store.members(), store.counts()) == ({}, (0, 0))


def test_unlease(store: Store) -> None:
    """Undoing a lease leaves no trace: the next one is the same attempt."""
    push(store, b"1")
    for _ in range(2):
        lease = store.lease("jobs", 30)
        assert lease is not None
        assert (lease.payload, lease.attempt) == (b"1", 1)
        assert store.unlease(lease.ticket)


def test_capacity_beside_other_queues(store: Store) -> None:
    """A queue's capacity is its own, however many messages of others are between its own."""
    for _ in range(5):
        store.push("other", b"x", 5, 60)
        assert store.push("jobs", b"x", 5, 60)
    assert not store.push("jobs", b"x", 5, 60)
    assert store.pop("jobs", 1)
    assert store.push("jobs", b"x", 5, 60)


def test_removed_file(store: Store) -> None:
    """A file that nobody else finds any more is noticed; one in use never looks old."""
    assert store.look_after()
    push(store, b"1")
    os.utime(store.path, (0, 0))
    assert store.look_after()
    assert store.path.stat().st_mtime > 0
    store.path.unlink()
    assert not store.look_after()
    store.close()
    assert store.look_after()
    push(store, b"2")
    assert popped(store) == [b"2"]
