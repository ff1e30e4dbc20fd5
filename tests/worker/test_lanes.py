"""One channel of a worker, with jobs that end when they are told to."""

import asyncio
from collections.abc import AsyncIterator, Coroutine

import pytest

import fairway.worker.lanes
from fairway.worker.lanes import Lane
from fairway.worker.source import Delivery


class Slots:
    """Works on jobs, and remembers on which."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.ends: dict[int, asyncio.Event] = {}

    def work(self, _lane: Lane, delivery: Delivery) -> Coroutine[object, object, None]:
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
async def slots() -> AsyncIterator[Slots]:
    slots = Slots()
    yield slots
    for number in list(slots.ends):
        await slots.end(number)


def delivery(number: int) -> Delivery:
    return Delivery("jobs", {"type": "job", "number": number}, 1, None)


async def take_on(lane: Lane, delivery: Delivery) -> None:
    task: asyncio.Task[None] | None = asyncio.current_task()
    assert task is not None
    await lane.take_on([delivery], task)


def has_room(lane: Lane) -> bool:
    waiting = asyncio.ensure_future(lane.room())
    try:
        return lane._room.is_set()
    finally:
        waiting.cancel()


async def test_as_many_run_as_there_are_slots(slots: Slots) -> None:
    """There is room while a slot is free; the next job begins when another one ends."""
    lane = Lane("jobs", 2, 0, slots.work)
    lane.put(delivery(1))
    assert has_room(lane)
    lane.put(delivery(2))
    assert not has_room(lane)
    lane.put(delivery(3))
    assert (slots.begun, lane.running) == ([1, 2], 2)
    await slots.end(1)
    assert (slots.begun, lane.running) == ([1, 2, 3], 2)
    assert not has_room(lane)
    await slots.end(2)
    assert has_room(lane)


async def test_prefetch_is_room(slots: Slots) -> None:
    """So many jobs are taken beyond the running ones, and begin in order."""
    lane = Lane("jobs", 1, 2, slots.work)
    for number in (1, 2):
        lane.put(delivery(number))
        assert has_room(lane)
    lane.put(delivery(3))
    assert not has_room(lane)
    await slots.end(1)
    assert slots.begun == [1, 2]
    assert [found.message["number"] for found in lane.take_back()] == [3]


async def test_who_takes_works_where_nothing_else_may_be_taken(slots: Slots) -> None:
    """With one slot the job is the taker's own; when it ends there is room again."""
    lane = Lane("jobs", 1, 0, slots.work)
    taker = asyncio.create_task(take_on(lane, delivery(1)))
    await asyncio.sleep(0)
    assert (slots.begun, lane.tasks, has_room(lane)) == ([1], {taker}, False)
    await slots.end(1)
    assert (taker.done(), lane.running, has_room(lane)) == (True, 0, True)


async def test_who_takes_does_not_work_where_more_may_be_taken(slots: Slots) -> None:
    """With a second slot, or with prefetching, each job has a task of its own."""
    for size, prefetch in ((2, 0), (1, 1)):
        lane = Lane("jobs", size, prefetch, slots.work)
        await take_on(lane, delivery(size))
        assert (lane.running, has_room(lane)) == (1, True)


async def test_what_comes_during_a_retry_waits(slots: Slots) -> None:
    """A retry may have begun while the taker waited for the layer: then the slot is taken."""
    lane = Lane("jobs", 1, 0, slots.work)
    lane.put(delivery(1))
    await take_on(lane, delivery(2))
    assert slots.begun == [1]
    await slots.end(1)
    assert slots.begun == [1, 2]


async def test_a_bug_in_what_the_taker_works_on_is_logged(
    slots: Slots, caplog: pytest.LogCaptureFixture
) -> None:
    """The taker lives on, to take the next one."""
    lane = Lane("jobs", 1, 0, slots.work)
    taker = asyncio.create_task(take_on(lane, delivery(-1)))
    await asyncio.sleep(0)
    await slots.end(-1)
    assert taker.done()
    assert taker.exception() is None
    assert caplog.messages == ["A job of channel 'jobs' was lost"]
    assert has_room(lane)


async def test_room_that_a_retry_took(slots: Slots) -> None:
    """Who waited for room is told of it when there is some, and not of what was taken meanwhile."""
    lane = Lane("jobs", 1, 0, slots.work)
    lane.put(delivery(1))
    waiting = asyncio.ensure_future(lane.room())
    await asyncio.sleep(0)
    slots.ends[1].set()
    while lane.running:  # noqa: ASYNC110  nothing else tells
        await asyncio.sleep(0)
    lane.put(delivery(2))
    await asyncio.sleep(0)
    assert not waiting.done()
    await slots.end(2)
    assert await waiting == 1


async def test_what_is_held_comes_again(slots: Slots) -> None:
    """A job that waits for its retry begins when it is time, before those that were not tried."""
    lane = Lane("jobs", 1, 5, slots.work)
    lane.put(delivery(1))
    lane.put(delivery(2))
    lane.hold(delivery(3), 0.0)
    await asyncio.sleep(0.001)
    await slots.end(1)
    assert slots.begun == [1, 3]


async def test_too_many_held_are_no_room(slots: Slots, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries in memory are bounded: the channel has to wait."""
    monkeypatch.setattr(fairway.worker.lanes, "MAX_HELD", 1)
    lane = Lane("jobs", 1, 0, slots.work)
    lane.hold(delivery(1), 60)
    assert not has_room(lane)
    assert [found.message["number"] for found in lane.take_back()] == [1]


async def test_what_has_not_begun_is_taken_back(slots: Slots) -> None:
    """First what was taken last, in order; then what was held, in the order of its time."""
    lane = Lane("jobs", 1, 5, slots.work)
    for number in (1, 2, 3):
        lane.put(delivery(number))
    lane.hold(delivery(4), 60)
    lane.hold(delivery(5), 30)
    lane.stop()
    assert not has_room(lane)
    assert [found.message["number"] for found in lane.take_back()] == [2, 3, 5, 4]
    await slots.end(1)
    assert slots.begun == [1]


async def test_a_bug_is_logged(slots: Slots, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing that a job's task raises is lost in silence, and its slot is free again."""
    lane = Lane("jobs", 1, 0, slots.work)
    lane.put(delivery(-1))
    await slots.end(-1)
    assert caplog.messages == ["A job of channel 'jobs' was lost"]
    assert has_room(lane)
