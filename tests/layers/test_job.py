"""Job: a message on lease, on the in-memory layer."""

import pytest

from fairway.layers import InMemoryChannelLayer
from tests.clock import Clock


@pytest.fixture
async def layer(clock: Clock) -> InMemoryChannelLayer:
    layer = InMemoryChannelLayer(clock=clock)
    for number in (1, 2):
        await layer.send("jobs", {"type": "work", "number": number})
    return layer


async def test_acknowledged(layer: InMemoryChannelLayer, clock: Clock) -> None:
    """What is done does not come back."""
    job = await layer.receive_job("jobs", lease=30)
    assert (job.message, job.attempt) == ({"type": "work", "number": 1}, 1)
    assert await job.acknowledge()
    clock.now += 50
    assert (await layer.receive_job("jobs", lease=30)).message["number"] == 2


async def test_given_back(layer: InMemoryChannelLayer) -> None:
    """What is given back is the next one's, who is told that it is not the first."""
    assert await (await layer.receive_job("jobs", lease=30)).give_back()
    job = await layer.receive_job("jobs", lease=30)
    assert (job.message["number"], job.attempt) == (1, 2)


async def test_given_back_for_later(layer: InMemoryChannelLayer, clock: Clock) -> None:
    """It can wait before it is anyone's again."""
    assert await (await layer.receive_job("jobs", lease=30)).give_back(delay=10)
    assert (await layer.receive("jobs"))["number"] == 2
    clock.now += 10
    job = await layer.receive_job("jobs", lease=30)
    assert (job.message["number"], job.attempt) == (1, 2)


async def test_lease_that_runs_out(layer: InMemoryChannelLayer, clock: Clock) -> None:
    """A worker that was killed gives nothing back, so it comes back by itself."""
    first = await layer.receive_job("jobs", lease=30)
    clock.now += 30
    again = await layer.receive_job("jobs", lease=30)
    assert (again.message["number"], again.attempt) == (1, 2)
    assert not await first.acknowledge()
    assert not await first.give_back()
    assert not await first.extend(30)


async def test_extended(layer: InMemoryChannelLayer, clock: Clock) -> None:
    """Who needs longer says so."""
    job = await layer.receive_job("jobs", lease=30)
    clock.now += 20
    assert await job.extend(30)
    clock.now += 20
    assert (await layer.receive_job("jobs", lease=30)).message["number"] == 2
    assert await job.acknowledge()


async def test_delayed(layer: InMemoryChannelLayer, clock: Clock) -> None:
    """A message may be sent for later; the others do not wait for it."""
    await layer.flush()
    await layer.send("jobs", {"type": "later"}, delay=10)
    await layer.send("jobs", {"type": "now"})
    assert await layer.receive("jobs") == {"type": "now"}
    clock.now += 10
    assert await layer.receive("jobs") == {"type": "later"}


async def test_what_cannot_wait(layer: InMemoryChannelLayer) -> None:
    """A connection's channel is not for later, nor for leases."""
    name = await layer.new_channel()
    for delay in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match=rf"^A delay is a number of seconds, not {delay}\.$"):
            await layer.send("jobs", {"type": "x"}, delay=delay)
    with pytest.raises(ValueError, match="belongs to one process: nothing waits for it"):
        await layer.send(name, {"type": "x"}, delay=1)
    with pytest.raises(RuntimeError, match="cannot lease"):
        await layer.receive_job(name, lease=1)
