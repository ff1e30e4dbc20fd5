"""What becomes of jobs, with layers that refuse and fail."""

import asyncio

import pytest

from fairway._types import Event
from fairway.layers import InMemoryChannelLayer
from fairway.worker import JobPolicy
from fairway.worker.outcomes import Outcomes, describe
from fairway.worker.slots import Slots
from fairway.worker.source import Delivery, SturdyLayer


class ChannelFull(Exception):
    """That of Channels, which is not ours."""


class Full:
    """A foreign layer that takes nothing."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def receive(self, channel: str) -> Event:
        """Never called here."""
        raise NotImplementedError

    async def send(self, channel: str, message: Event) -> None:
        """Refuse."""
        raise self.error


async def work(slots: Slots, delivery: Delivery) -> None:
    raise AssertionError("nothing is begun here")


def delivery(attempt: int = 1) -> Delivery:
    return Delivery("jobs", {"type": "work"}, attempt, None)


@pytest.mark.parametrize(
    "error", [ChannelFull("jobs"), TypeError("too long"), ValueError("too large")]
)
async def test_what_does_not_go_back_is_logged(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """A job that the layer does not take is lost, and says so."""
    outcomes = Outcomes(SturdyLayer(Full(error), 60))
    await outcomes.given_back(delivery())
    assert outcomes.counts["jobs"] == {"failed": 1}
    assert caplog.messages == [
        f"Job of type 'work' (11 bytes) is lost, as channel 'jobs' did not take it: {error!r}."
    ]


async def test_a_layer_that_is_down_at_the_end_loses_it(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever is cut off while trying says what is lost."""
    outcomes = Outcomes(SturdyLayer(Full(ConnectionError("gone")), 60))
    trying = asyncio.create_task(outcomes.given_back(delivery()))
    await asyncio.sleep(0)
    trying.cancel()
    await asyncio.wait({trying})
    assert caplog.messages[-1] == (
        "Job of type 'work' (11 bytes) is lost, as channel 'jobs' did not take it: the worker ends "
        "while the layer is down."
    )


async def test_channels_of_one_process_cannot_delay() -> None:
    """A retry on such a channel waits in the worker, whatever the layer can."""
    layer = InMemoryChannelLayer()
    channel = await layer.new_channel()
    slots = Slots(channel, 1, 0, work)
    outcomes = Outcomes(SturdyLayer(layer, 60))
    job = Delivery(channel, {"type": "work"}, 1, None)
    await outcomes.failed(slots, job, JobPolicy(retries=1), ValueError(), 60.0)
    (held,) = slots.take_back()
    assert (held.message, held.attempt) == ({"type": "work"}, 2)


@pytest.mark.parametrize(
    ("attempt", "left"), [(1, [{"type": "work", "__fairway_attempt__": 2}]), (2, [])]
)
async def test_what_is_cut_off_goes_back_if_it_may(attempt: int, left: list[Event]) -> None:
    """A retry that is left is used; without one it is lost."""
    layer = InMemoryChannelLayer()
    outcomes = Outcomes(SturdyLayer(layer, 60))
    await outcomes.cut_off(delivery(attempt), JobPolicy(retries=1))
    found = [await layer.receive("jobs") for _ in left]
    assert found == left
    assert outcomes.counts["jobs"] == ({"requeued": 1} if left else {"failed": 1})


def test_exceptions_are_a_line() -> None:
    """Their class and what they say, if anything."""
    assert describe(ValueError("x")) == "ValueError: x"
    assert describe(asyncio.CancelledError()) == "CancelledError"
