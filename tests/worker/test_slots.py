"""One channel of a worker, with jobs that end when they are told to."""

import asyncio
from collections.abc import AsyncIterator, Coroutine

import pytest

import fairway.worker.slots
from fairway.worker.slots import Slots
from fairway.worker.source import Delivery


class Work:
    """Works on jobs, and remembers on which."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.ends: dict[int, asyncio.Event] = {}

    def do(self, _slots: Slots, delivery: Delivery) -> Coroutine[object, object, None]:
        number: int = delivery.message["number"]
        self.begun.append(number)
        self.ends[number] = asyncio.Event()
        return self.job(number)

    async def job(self, number: int) -> None:
        await self.ends[number].wait()
        if number < 0:
            raise LookupError("a bug")

    async def end(self, number: int) -> None:
        self.ends[number].set()
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.fixture
async def work() -> AsyncIterator[Work]:
    work = Work()
    yield work
    for number in list(work.ends):
        await work.end(number)


def delivery(number: int) -> Delivery:
    return Delivery("jobs", {"type": "job", "number": number}, 1, None)


async def take_on(slots: Slots, delivery: Delivery) -> None:
    task: asyncio.Task[None] | None = asyncio.current_task()
    assert task is not None
    await slots.take_on([delivery], task)


def has_room(slots: Slots) -> bool:
    waiting = asyncio.ensure_future(slots.room())
    try:
        return slots._room.is_set()
    finally:
        waiting.cancel()


async def test_as_many_run_as_there_are_slots(work: Work) -> None:
    """There is room while a slot is free; the next job begins when another one ends."""
    slots = Slots("jobs", 2, 0, work.do)
    slots.put(delivery(1))
    assert has_room(slots)
    slots.put(delivery(2))
    assert not has_room(slots)
    slots.put(delivery(3))
    assert (work.begun, slots.running) == ([1, 2], 2)
    await work.end(1)
    assert (work.begun, slots.running) == ([1, 2, 3], 2)
    assert not has_room(slots)
    await work.end(2)
    assert has_room(slots)


async def test_prefetch_is_room(work: Work) -> None:
    """So many jobs are taken beyond the running ones, and begin in order."""
    slots = Slots("jobs", 1, 2, work.do)
    for number in (1, 2):
        slots.put(delivery(number))
        assert has_room(slots)
    slots.put(delivery(3))
    assert not has_room(slots)
    await work.end(1)
    assert work.begun == [1, 2]
    assert [found.message["number"] for found in slots.take_back()] == [3]


async def test_who_takes_works_where_nothing_else_may_be_taken(work: Work) -> None:
    """With one slot the job is the taker's own; when it ends there is room again."""
    slots = Slots("jobs", 1, 0, work.do)
    taker = asyncio.create_task(take_on(slots, delivery(1)))
    await asyncio.sleep(0)
    assert (work.begun, slots.tasks, has_room(slots)) == ([1], {taker}, False)
    await work.end(1)
    assert (taker.done(), slots.running, has_room(slots)) == (True, 0, True)


async def test_who_takes_does_not_work_where_more_may_be_taken(work: Work) -> None:
    """With a second slot, or with prefetching, each job has a task of its own."""
    for size, prefetch in ((2, 0), (1, 1)):
        slots = Slots("jobs", size, prefetch, work.do)
        await take_on(slots, delivery(size))
        assert (slots.running, has_room(slots)) == (1, True)


async def test_what_comes_during_a_retry_waits(work: Work) -> None:
    """A retry may have begun while the taker waited for the layer: then the slot is taken."""
    slots = Slots("jobs", 1, 0, work.do)
    slots.put(delivery(1))
    await take_on(slots, delivery(2))
    assert work.begun == [1]
    await work.end(1)
    assert work.begun == [1, 2]


async def test_a_bug_in_what_the_taker_works_on_is_logged(
    work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    """The taker lives on, to take the next one."""
    slots = Slots("jobs", 1, 0, work.do)
    taker = asyncio.create_task(take_on(slots, delivery(-1)))
    await asyncio.sleep(0)
    await work.end(-1)
    assert taker.done()
    assert taker.exception() is None
    assert caplog.messages == ["A job of channel 'jobs' was lost"]
    assert has_room(slots)


async def test_room_that_a_retry_took(work: Work) -> None:
    """Who waited for room is told of it when there is some, and not of what was taken meanwhile."""
    slots = Slots("jobs", 1, 0, work.do)
    slots.put(delivery(1))
    waiting = asyncio.ensure_future(slots.room())
    await asyncio.sleep(0)
    work.ends[1].set()
    while slots.running:  # noqa: ASYNC110  nothing else tells
        await asyncio.sleep(0)
    slots.put(delivery(2))
    await asyncio.sleep(0)
    assert not waiting.done()
    await work.end(2)
    assert await waiting == 1


async def test_what_is_held_comes_again(work: Work) -> None:
    """A job that waits for its retry begins when it is time, before those that were not tried."""
    slots = Slots("jobs", 1, 5, work.do)
    slots.put(delivery(1))
    slots.put(delivery(2))
    slots.hold(delivery(3), 0.0)
    await asyncio.sleep(0.001)
    await work.end(1)
    assert work.begun == [1, 3]


async def test_too_many_held_are_no_room(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries in memory are bounded: the channel has to wait."""
    monkeypatch.setattr(fairway.worker.slots, "MAX_HELD", 1)
    slots = Slots("jobs", 1, 0, work.do)
    slots.hold(delivery(1), 60)
    assert not has_room(slots)
    assert [found.message["number"] for found in slots.take_back()] == [1]


async def test_what_has_not_begun_is_taken_back(work: Work) -> None:
    """First what was taken last, in order; then what was held, in the order of its time."""
    slots = Slots("jobs", 1, 5, work.do)
    for number in (1, 2, 3):
        slots.put(delivery(number))
    slots.hold(delivery(4), 60)
    slots.hold(delivery(5), 30)
    slots.stop()
    assert not has_room(slots)
    assert [found.message["number"] for found in slots.take_back()] == [2, 3, 5, 4]
    await work.end(1)
    assert work.begun == [1]


async def test_a_bug_is_logged(work: Work, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing that a job's task raises is lost in silence, and its slot is free again."""
    slots = Slots("jobs", 1, 0, work.do)
    slots.put(delivery(-1))
    await work.end(-1)
    assert caplog.messages == ["A job of channel 'jobs' was lost"]
    assert has_room(slots)
