"""ChannelQueue: first in, first out, bounded, expiring, for any thread and event loop."""

import asyncio
import threading
import time

import pytest

from fairway.delivery import ChannelQueue
from tests.clock import Clock


def new_queue(capacity: int = 10, clock: Clock | None = None) -> ChannelQueue:
    return ChannelQueue("jobs", capacity, 60, clock or Clock())


async def take(queue: ChannelQueue) -> bytes:
    """The next message alone."""
    (payload,) = await queue.get(1)
    return payload


async def test_first_in_first_out() -> None:
    """Messages come out in the order in which they were put in."""
    queue = new_queue()
    for payload in (b"1", b"2", b"3"):
        assert queue.put_message(payload)
    assert [await take(queue) for _ in range(3)] == [b"1", b"2", b"3"]
    assert queue.idle


async def test_capacity(caplog: pytest.LogCaptureFixture) -> None:
    """A full queue takes nothing more, and says so once in the log."""
    queue = new_queue(capacity=2)
    assert [queue.put_message(b"x") for _ in range(4)] == [True, True, False, False]
    assert [record.getMessage() for record in caplog.records] == [
        (
            "Channel jobs holds 2 messages, which is its capacity; what is sent to it now is "
            "refused. Receive faster, or raise 'capacity' or 'channel_capacity'."
        )
    ]
    await take(queue)
    assert queue.put_message(b"y")


async def test_expiry() -> None:
    """A message that nobody took in time is dropped, and makes room."""
    clock = Clock()
    queue = new_queue(capacity=1, clock=clock)
    queue.put_message(b"old")
    clock.now += 59.9
    assert queue.drop_expired() is False
    clock.now += 0.1
    assert queue.put_message(b"new")
    assert queue.expired == 1
    assert await take(queue) == b"new"
    assert queue.drop_expired() is False


async def test_expired_messages_are_not_delivered() -> None:
    """A reader that comes too late waits for the next message."""
    clock = Clock()
    queue = new_queue(clock=clock)
    queue.put_message(b"old")
    clock.now += 60
    reader = asyncio.ensure_future(take(queue))
    await asyncio.sleep(0)
    assert not reader.done()
    queue.put_message(b"new")
    assert await reader == b"new"


async def test_each_message_has_one_reader() -> None:
    """Several readers share the messages; none is read twice."""
    queue = new_queue()
    readers = [asyncio.ensure_future(take(queue)) for _ in range(3)]
    await asyncio.sleep(0)
    for payload in (b"1", b"2", b"3"):
        queue.put_message(payload)
    assert sorted(await asyncio.gather(*readers)) == [b"1", b"2", b"3"]


async def test_cancelled_reader_loses_nothing() -> None:
    """A reader that is cancelled when its message is there leaves it to the next reader."""
    queue = new_queue()
    first, second = (asyncio.ensure_future(take(queue)) for _ in range(2))
    await asyncio.sleep(0)
    queue.put_message(b"1")
    first.cancel()
    assert await second == b"1"
    with pytest.raises(asyncio.CancelledError):
        await first
    assert queue.idle


async def test_readers_of_other_loops() -> None:
    """A reader in another thread's event loop is woken there."""
    queue = new_queue()
    waiting = threading.Event()
    result: list[bytes] = []

    async def read() -> None:
        reader = asyncio.ensure_future(take(queue))
        await asyncio.sleep(0)
        waiting.set()
        result.append(await reader)

    thread = threading.Thread(target=asyncio.run, args=(read(),))
    thread.start()
    await asyncio.to_thread(waiting.wait)
    queue.put_message(b"across")
    await asyncio.to_thread(thread.join)
    assert result == [b"across"]


def test_reader_whose_loop_was_closed() -> None:
    """A reader that disappeared with its loop does not swallow the next message."""
    queue = new_queue()
    loop = asyncio.new_event_loop()
    reader = loop.create_task(take(queue))
    loop.run_until_complete(asyncio.sleep(0))
    reader._log_destroy_pending = False  # type: ignore[attr-defined]  # it is abandoned on purpose
    loop.close()
    queue.put_message(b"kept")
    assert asyncio.run(take(queue)) == b"kept"
    reader.get_coro().close()  # it will never run


async def test_one_line_for_each_burst(caplog: pytest.LogCaptureFixture) -> None:
    """A reader that stays behind is one burst, until it has caught up."""
    queue = new_queue(capacity=2)
    for _ in range(5):
        while queue.put_message(b"x"):
            pass
        await take(queue)
    assert len(caplog.records) == 1
    await take(queue)
    while queue.put_message(b"x"):
        pass
    assert len(caplog.records) == 2


async def test_expired_messages_are_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """What nobody received in time is one line in the log, until somebody receives again."""
    clock = Clock()
    queue = new_queue(clock=clock)
    for _ in range(3):
        queue.put_message(b"x")
        queue.put_message(b"x")
        clock.now += 61
        queue.drop_expired()
    assert [record.getMessage() for record in caplog.records] == [
        "Channel jobs: 2 messages were dropped, since nobody received them within 60 s ('expiry')."
    ]
    assert queue.expired == 6


async def test_clear() -> None:
    """Cleared, it holds nothing; who waits for a message gets the next one."""
    queue = new_queue()
    queue.put_message(b"old")
    queue.clear()
    reader = asyncio.ensure_future(take(queue))
    await asyncio.sleep(0)
    queue.clear()
    queue.put_message(b"new")
    assert await reader == b"new"


def test_reading() -> None:
    """A queue that somebody is about to read is not idle, until the last one has read."""
    queue = new_queue()
    queue.begin_reading()
    queue.begin_reading()
    queue.end_reading()
    assert not queue.idle
    queue.end_reading()
    assert queue.idle


class TestTime:
    """A message for later, and a message on lease."""

    async def test_waiting_for_what_is_due(self) -> None:
        """A reader that waits is woken when a delayed message is due, in the order of times."""
        queue = ChannelQueue("jobs", 10, 60, time.monotonic)
        reading = asyncio.ensure_future(take(queue))
        await asyncio.sleep(0)
        queue.put_message(b"later", delay=0.02)
        queue.put_message(b"sooner", delay=0.01)
        assert await reading == b"sooner"
        assert await take(queue) == b"later"
        assert queue.idle

    async def test_waiting_for_a_lease_to_run_out(self) -> None:
        """A reader that waits gets what another one took and never finished."""
        queue = ChannelQueue("jobs", 10, 60, time.monotonic)
        queue.put_message(b"1")
        assert (await queue.lease(0.01)).attempt == 1
        assert not queue.idle
        again = await queue.lease(60)
        assert (again.payload, again.attempt) == (b"1", 2)

    async def test_delayed_messages_count(self) -> None:
        """What waits for its time is waiting, too: the queue's capacity holds for it."""
        queue = new_queue(capacity=2)
        assert [queue.put_message(b"x", delay=5) for _ in range(3)] == [True, True, False]

    async def test_expiry_of_delayed_messages(self) -> None:
        """A message's expiry begins when it is due."""
        clock = Clock()
        queue = new_queue(clock=clock)
        queue.put_message(b"1", delay=100)
        clock.now += 150
        assert await take(queue) == b"1"
        queue.put_message(b"2", delay=100)
        clock.now += 160
        assert queue.drop_expired()

    async def test_returned_messages_do_not_expire_at_once(self) -> None:
        """A message that somebody began with is wanted, however old it is."""
        clock = Clock()
        queue = new_queue(clock=clock)
        queue.put_message(b"1")
        lease = await queue.lease(100)
        clock.now += 90
        assert queue.give_back(lease.ticket)
        clock.now += 50
        assert await take(queue) == b"1"

    async def test_tickets_end(self) -> None:
        """A lease is ended once."""
        queue = new_queue()
        queue.put_message(b"1")
        ticket = (await queue.lease(60)).ticket
        assert queue.extend(ticket, 60)
        assert [queue.acknowledge(ticket) for _ in range(2)] == [True, False]
        assert not queue.extend(ticket, 60)
        assert not queue.give_back(ticket)

    async def test_run_out(self) -> None:
        """A lease that has run out cannot be ended, whether or not somebody looked since."""
        clock = Clock()
        queue = new_queue(clock=clock)
        queue.put_message(b"1")
        ticket = (await queue.lease(30)).ticket
        clock.now += 30
        ended = queue.acknowledge(ticket), queue.extend(ticket, 60), queue.give_back(ticket)
        assert (ended, await take(queue)) == ((False, False, False), b"1")

    async def test_expired_behind_others(self) -> None:
        """Expired messages make room also where one in front, that came back, is still wanted."""
        clock = Clock()
        queue = new_queue(capacity=2, clock=clock)
        queue.put_message(b"1")
        queue.put_message(b"2")
        lease = await queue.lease(100)
        clock.now += 50
        assert queue.give_back(lease.ticket)
        clock.now += 20
        assert queue.put_message(b"3")
        assert [await take(queue) for _ in range(2)] == [b"1", b"3"]
