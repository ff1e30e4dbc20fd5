"""Lanes: handlers at the same time, in order where their key is the same."""

import asyncio
from collections.abc import Hashable

import pytest

from fairway.consuming.lanes import MAX_WAITING, MAX_WAITING_BYTES, Lanes


class Work:
    """Handlers that wait to be let go, and what happened.

    Attributes:
        log: Names as they begin and, with a full stop, end.
    """

    def __init__(self, limit: int = 2) -> None:
        self.log: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.failures = 0
        self.lanes = Lanes(self.handle, limit, self.failed)

    def failed(self) -> None:
        self.failures += 1

    async def handle(self, name: str) -> None:
        self.log.append(name)
        gate = self.gates[name] = asyncio.Event()
        try:
            await gate.wait()
        except asyncio.CancelledError:
            self.log.append(f"{name} cancelled")
            raise
        if name.startswith("bad"):
            raise ValueError(name)
        self.log.append(f"{name}.")

    async def start(self, name: str, key: Hashable = None, size: int = 1) -> None:
        self.lanes.start(key, name, size)
        await settle()

    async def let_go(self, name: str) -> None:
        self.gates[name].set()
        await settle()


def is_full(work: Work) -> bool:
    """A property, but for mypy, which takes it for a constant."""
    return work.lanes.full


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_at_the_same_time() -> None:
    """Items without a key run beside each other, up to the limit."""
    work = Work(limit=2)
    await work.start("one")
    assert not is_full(work)
    await work.start("two")
    assert work.log == ["one", "two"]
    assert is_full(work)
    await work.let_go("two")
    assert not is_full(work)
    await work.let_go("one")
    assert work.log == ["one", "two", "two.", "one."]


async def test_in_order() -> None:
    """Items of one lane run one after the other, beside those of other lanes."""
    work = Work(limit=5)
    for name in ("a1", "a2", "b1", "a3"):
        await work.start(name, name[0])
    assert work.log == ["a1", "b1"]
    assert work.lanes.waiting == 2
    for name in ("a1", "a2", "a3", "b1"):
        await work.let_go(name)
    assert work.log == ["a1", "b1", "a1.", "a2", "a2.", "a3", "a3.", "b1."]
    assert work.lanes.waiting == 0


@pytest.mark.parametrize(("count", "size"), [(MAX_WAITING, 0), (1, MAX_WAITING_BYTES)])
async def test_what_waits_is_bounded(count: int, size: int) -> None:
    """No more is taken when too much waits for a lane that is stuck."""
    work = Work(limit=5)
    await work.start("first", "a")
    for number in range(count):
        assert not is_full(work)
        work.lanes.start("a", str(number), size)
    assert is_full(work)
    await work.let_go("first")
    assert not is_full(work)
    await work.lanes.cancel()


async def test_drop() -> None:
    """What waits can be forgotten, and what is kept stays in order."""
    work = Work()
    for name in ("a1", "x1", "a2", "x2"):
        await work.start(name, "a")
    work.lanes.drop(lambda name: name.startswith("x"))
    assert work.lanes.waiting == 1
    await work.let_go("a1")
    await work.let_go("a2")
    assert work.log == ["a1", "a1.", "a2", "a2."]


async def test_failure() -> None:
    """The first exception is kept for the owner, who is told; nothing more is begun in its lane."""
    work = Work()
    await work.start("bad", "a")
    await work.start("next", "a")
    await work.let_go("bad")
    assert str(work.lanes.failure) == "bad"
    assert work.failures == 1
    assert work.log == ["bad"]
    assert work.lanes.waiting == 0


async def test_finish() -> None:
    """Its owner can wait until everything is done, at once if nothing runs."""
    work = Work()
    await work.lanes.finish()
    await work.start("a1", "a")
    await work.start("a2", "a")
    waiting = asyncio.ensure_future(work.lanes.finish())
    await work.let_go("a1")
    assert not waiting.done()
    await work.let_go("a2")
    await waiting


async def test_finish_ends_with_a_failure() -> None:
    """After a failure the rest is not waited for."""
    work = Work()
    await work.start("bad")
    await work.start("long")
    waiting = asyncio.ensure_future(work.lanes.finish())
    await work.let_go("bad")
    await waiting
    await work.lanes.cancel()


async def test_cancel() -> None:
    """Nothing is left: what runs is cancelled and waited for, what waits is forgotten."""
    before = asyncio.all_tasks()
    work = Work()
    for name in ("a1", "a2", "b1"):
        await work.start(name, name[0])
    assert sorted(item for item, _ in work.lanes.running()) == ["a1", "b1"]
    await work.lanes.cancel()
    assert sorted(work.log) == ["a1", "a1 cancelled", "b1", "b1 cancelled"]
    assert list(work.lanes.running()) == []
    assert asyncio.all_tasks() == before
    assert work.lanes.failure is None
