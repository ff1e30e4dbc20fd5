"""Readers of queues: woken, one at a time, and able to stop at any moment."""

import asyncio
import threading
from typing import cast

import pytest

from fairway._types import Event
from fairway.layers.io import io
from fairway.layers.redis import readers
from fairway.layers.redis.command import Command
from fairway.layers.redis.keys import Keys
from fairway.layers.redis.node import Router
from fairway.layers.redis.readers import Reader, Taken, Waiter
from fairway.layers.redis.scripts import PASS_ON, TAKE
from fairway.layers.redis.subscriptions import Certain, Handler
from tests.layers.redis.conftest import MakeLayer
from tests.layers.redis.servers import RedisServer, eventually, until, within


class Nowhere:
    """A router that keeps what it is asked to send."""

    publish_command = "PUBLISH"

    def __init__(self) -> None:
        self.sent: list[Command] = []

    def send(self, command: Command) -> None:
        self.sent.append(command)

    def subscribe(self, name: str, channel: bytes, handler: Handler, *certain: Certain) -> None:
        pass

    def unsubscribe(self, name: str, channel: bytes) -> None:
        pass


def message(number: int = 0) -> Event:
    return {"type": "test.message", "number": number}


@pytest.fixture
def never_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers are woken, or wait for ever."""
    monkeypatch.setattr(readers, "ASK_AGAIN", 3600.0)


async def in_line(server: RedisServer, prefix: str, count: int, queue: str = "jobs") -> None:
    """Wait until so many processes wait at the server."""
    key = f"{prefix}:queue:{{{queue}}}:waiting"
    await eventually(lambda: server.ask("ZCARD", key) == count)


async def make_reader(router: Nowhere) -> Reader:
    """A reader, on the thread that it belongs to."""
    return Reader("jobs", cast("Router", router), Keys("p", "me"), 60_000, lambda _: None)


async def close_reader(reader: Reader) -> None:
    """Let go of it there."""
    reader.close(ConnectionError())


def test_timer() -> None:
    """When it is looked after is changed by one thread at a time: replies are read on any."""
    reader = io.run_sync(make_reader(Nowhere()))
    setting = threading.Thread(target=reader._set_timer, args=(1.0,), kwargs={"sooner": True})
    with reader._lock:
        setting.start()
        setting.join(0.1)
        assert setting.is_alive()
    setting.join()
    io.run_sync(close_reader(reader))


async def test_called_for_one_who_left() -> None:
    """A call for somebody who was cancelled in this moment goes on to another process."""
    router = Nowhere()
    reader = await io.run(make_reader(router))
    waiter = Waiter()
    waiting = asyncio.ensure_future(receive(waiter))
    await asyncio.sleep(0)
    reader.add(waiter)
    (asked,) = router.sent
    asked.finish([0, -1])
    waiting.cancel()  # the task has yet to hear of it, and to say so here
    reader._wake(b"", b"")
    assert [command.script for command in router.sent] == [TAKE, PASS_ON]
    await asyncio.gather(waiting, return_exceptions=True)
    reader.forget(waiter)
    assert len(router.sent) == 2
    await io.run(close_reader(reader))


async def receive(waiter: Waiter) -> Taken:
    """What somebody is given."""
    return await waiter


@pytest.mark.usefixtures("never_asks_again")
async def test_woken(make_layer: MakeLayer, shared: RedisServer, prefix: str) -> None:
    """A waiting reader is woken by what is pushed; it does not poll."""
    layer, other = make_layer(shared), make_layer(shared)
    for number in range(3):
        waiting = asyncio.ensure_future(layer.receive("jobs"))
        await in_line(shared, prefix, 1)
        await other.send("jobs", message(number))
        assert await within(waiting) == message(number)


@pytest.mark.usefixtures("never_asks_again")
@pytest.mark.row("3.2 receive", "7 16")
async def test_one_is_woken(make_layer: MakeLayer, shared: RedisServer, prefix: str) -> None:
    """Of several waiting processes each message wakes one: who has waited longest."""
    layers = [make_layer(shared) for _ in range(3)]
    waiting = []
    for number, layer in enumerate(layers):
        waiting.append(asyncio.ensure_future(layer.receive("jobs")))
        await in_line(shared, prefix, number + 1)
    other = make_layer(shared)
    for number in range(3):
        await other.send("jobs", message(number))
    found = await within(asyncio.gather(*waiting))
    assert sorted(m["number"] for m in found) == [0, 1, 2]


@pytest.mark.usefixtures("never_asks_again")
async def test_several_in_one_process(make_layer: MakeLayer, shared: RedisServer) -> None:
    """Readers of one process are served in their order."""
    layer, other = make_layer(shared), make_layer(shared)
    waiting = [asyncio.ensure_future(layer.receive("jobs")) for _ in range(3)]
    await asyncio.sleep(0)
    for number in range(3):
        await other.send("jobs", message(number))
    found = await within(asyncio.gather(*waiting))
    assert [m["number"] for m in found] == [0, 1, 2]


@pytest.mark.usefixtures("never_asks_again")
async def test_passed_on(make_layer: MakeLayer, shared: RedisServer, prefix: str) -> None:
    """A process whose reader has stopped waiting is not called in place of another."""
    first, second, other = (make_layer(shared) for _ in range(3))
    leaving = asyncio.ensure_future(first.receive("jobs"))
    await in_line(shared, prefix, 1)
    staying = asyncio.ensure_future(second.receive("jobs"))
    await in_line(shared, prefix, 2)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await other.send("jobs", message(1))
    assert await within(staying) == message(1)


@pytest.mark.usefixtures("never_asks_again")
async def test_calls_were_missed(make_layer: MakeLayer, server: RedisServer, prefix: str) -> None:
    """Who has been away asks again, and is in line no more when it gets something."""
    layer, other = make_layer(server), make_layer(server)
    await other.send("others", message(1))
    waiting = asyncio.ensure_future(layer.receive("jobs"))
    await in_line(server, prefix, 1)
    queues = [f"{prefix}:queue:{{{name}}}" for name in ("others", "jobs")]
    server.ask("RPOPLPUSH", *queues)  # nobody is called
    server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    assert await within(waiting) == message(1)
    assert server.ask("ZCARD", f"{queues[1]}:waiting") == 0


@pytest.mark.usefixtures("never_asks_again")
async def test_a_process_that_died(make_layer: MakeLayer, shared: RedisServer, prefix: str) -> None:
    """A process that is gone, and was first in line, keeps nothing from the others."""
    gone, layer, other = (make_layer(shared) for _ in range(3))
    lost = asyncio.ensure_future(gone.receive("jobs"))
    await in_line(shared, prefix, 1)
    waiting = asyncio.ensure_future(layer.receive("jobs"))
    await in_line(shared, prefix, 2)
    await gone.close()
    await asyncio.gather(lost, return_exceptions=True)
    await other.send("jobs", message(1))
    assert await within(waiting) == message(1)


@pytest.mark.pain(4, 23)
@pytest.mark.row("3.1 receive")
@pytest.mark.parametrize("limit", [1, 3])
async def test_cancelled_at_any_moment(
    make_layer: MakeLayer, shared: RedisServer, limit: int
) -> None:
    """Cancelling a reader loses nothing, whenever it happens, and changes no order."""
    layer, other = make_layer(shared), make_layer(shared, capacity=1000)
    count = 200
    found: list[int] = []

    async def read() -> None:
        found.extend(each["number"] for each in await layer.receive_many("jobs", limit))

    async def send() -> None:
        for number in range(count):
            await other.send("jobs", message(number))

    sending = asyncio.ensure_future(send())
    turns = 0
    while len(found) < count:
        reading = asyncio.ensure_future(read())
        # A little later each time, so that each step between here and the server is hit.
        for _ in range(turns % 40):
            await asyncio.sleep(0)
        if turns % 40 == 39:
            await within(reading)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        turns += 1
    await within(sending)
    assert sorted(found) == list(range(count))


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("turns", range(10))
async def test_several_for_one_who_left(
    make_layer: MakeLayer, shared: RedisServer, turns: int, *, busy: bool
) -> None:
    """What somebody wanted who has left goes back to its place before anybody else asks.

    Who was next in line has asked before, if it was under way already.
    """
    layer = make_layer(shared, capacity=100)
    for number in range(20):
        await layer.send("jobs", message(number))
    many = asyncio.ensure_future(layer.receive_many("jobs", 15))
    one = asyncio.ensure_future(layer.receive("jobs"))
    for _ in range(turns):
        await asyncio.sleep(0)
    if busy and turns:  # both are served while this loop is told of nothing
        until(lambda: shared.ask("LLEN", f"{layer.prefix}:queue:{{jobs}}") == 4)
    many.cancel()
    await asyncio.gather(many, return_exceptions=True)
    found = [] if many.cancelled() else many.result()
    next_one = await within(one)
    while len(found) < 19:
        found += await within(layer.receive_many("jobs", 20))
    assert next_one in (message(0), message(15))
    numbers = [number for number in range(20) if message(number) != next_one]
    assert found == [message(number) for number in numbers]


@pytest.mark.parametrize("turns", range(10))
async def test_asked_again_at_once(make_layer: MakeLayer, shared: RedisServer, turns: int) -> None:
    """Who was cancelled and asks again gets what it would have had."""
    layer = make_layer(shared, capacity=100)
    for number in range(20):
        await layer.send("jobs", message(number))

    async def insist() -> list[Event]:
        try:
            return await layer.receive_many("jobs", 15)
        except asyncio.CancelledError:
            return await layer.receive_many("jobs", 10)

    insisting = asyncio.ensure_future(insist())
    await asyncio.sleep(0)  # or it would never begin
    for _ in range(turns):
        await asyncio.sleep(0)
    insisting.cancel()
    found = await within(insisting)
    while len(found) < 20:
        found += await within(layer.receive_many("jobs", 20))
    assert found == [message(number) for number in range(20)]


async def test_closed_behind_one_who_left(make_layer: MakeLayer, server: RedisServer) -> None:
    """What is under way to somebody who has left goes back before the connection ends."""
    layer, other = make_layer(server, capacity=100), make_layer(server)
    for number in range(20):
        await layer.send("jobs", message(number))
    assert await within(layer.receive("jobs")) == message(0)  # so that it is connected
    with server.frozen():
        many = asyncio.ensure_future(layer.receive_many("jobs", 15))
        await asyncio.sleep(0)  # it has asked
        many.cancel()
        await asyncio.gather(many, return_exceptions=True)
        closing = asyncio.ensure_future(layer.close())
        await asyncio.sleep(0.01)
    await within(closing)
    found: list[Event] = []
    while len(found) < 19:
        found += await within(other.receive_many("jobs", 20))
    assert found == [message(number) for number in range(1, 20)]


async def test_cancelled_lease(make_layer: MakeLayer, shared: RedisServer) -> None:
    """A cancelled reader of jobs counts as no attempt."""
    layer = make_layer(shared)
    for turn in range(30):
        await layer.send("jobs", message(turn))
        reading = asyncio.ensure_future(layer.receive_job("jobs", lease=600))
        for _ in range(turn):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        if reading.cancelled():
            reading = asyncio.ensure_future(layer.receive_job("jobs", lease=600))
        job = await within(reading)
        assert (job.message, job.attempt) == (message(turn), 1)
        assert await job.acknowledge()


@pytest.mark.usefixtures("never_asks_again")
async def test_due(make_layer: MakeLayer, shared: RedisServer) -> None:
    """A reader that waits gets what becomes due, and what comes back from a lease."""
    layer = make_layer(shared)
    waiting = asyncio.ensure_future(layer.receive("jobs"))
    await layer.send("jobs", message(1), delay=0.2)
    assert await within(waiting) == message(1)
    await layer.send("jobs", message(2))
    lost = await within(layer.receive_job("jobs", lease=0.2))
    job = await within(layer.receive_job("jobs", lease=60))
    assert (job.message, job.attempt) == (message(2), 2)
    assert not await lost.acknowledge()
    assert await job.give_back(delay=0.2)
    job = await within(layer.receive_job("jobs", lease=60))
    assert (job.message, job.attempt) == (message(2), 3)
    assert await job.extend(60)
    assert await job.acknowledge()


async def test_both_kinds_of_reader(make_layer: MakeLayer, shared: RedisServer) -> None:
    """Some take for good, some on lease; each gets what it asked for."""
    layer = make_layer(shared)
    plain = asyncio.ensure_future(layer.receive("jobs"))
    leased = asyncio.ensure_future(layer.receive_job("jobs", lease=60))
    for number in range(2):
        await layer.send("jobs", message(number))
    job = await within(leased)
    assert {(await within(plain))["number"], job.message["number"]} == {0, 1}
    assert await job.acknowledge()


async def test_not_listened_to_for_ever(
    make_layer: MakeLayer, shared: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue that nobody reads any more is let go of."""
    monkeypatch.setattr(readers, "LINGER", 0.05)
    layer = make_layer(shared)
    await layer.send("jobs", message())
    await within(layer.receive("jobs"))
    await eventually(lambda: layer.stats()["subscriptions"] == 0)
    await layer.send("jobs", message(1))
    assert await within(layer.receive("jobs")) == message(1)


async def test_stopped_before_it_asked(
    make_layer: MakeLayer, shared: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is one that somebody only had a look at."""
    monkeypatch.setattr(readers, "LINGER", 0.05)
    layer = make_layer(shared)
    for number in range(20):
        reading = asyncio.ensure_future(layer.receive(f"reply-{number}"))
        await asyncio.sleep(0)
        reading.cancel()
    await layer.send("jobs", message())
    await within(layer.receive("jobs"))
    await eventually(lambda: layer.stats()["subscriptions"] == 0)


async def test_expired(
    make_layer: MakeLayer, shared: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody took in time is dropped, counted, and logged once per burst."""
    brief, layer = make_layer(shared, expiry=0.05), make_layer(shared)
    for number in range(3):
        await brief.send("jobs", message(number))
    await asyncio.sleep(0.06)  # the time has to pass
    await layer.send("jobs", message(9))
    assert await within(layer.receive("jobs")) == message(9)
    assert layer.stats()["expired"] == 3
    assert [record.getMessage() for record in caplog.records] == [
        "Channel jobs: 3 messages were dropped, since nobody received them in time ('expiry')."
    ]
