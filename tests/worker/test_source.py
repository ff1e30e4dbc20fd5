"""What the worker knows of its layer, and how it bears its failures."""

import asyncio

import pytest

import fairway.worker.source
from fairway._types import Event
from fairway.exceptions import ChannelFull
from fairway.layers import InMemoryChannelLayer
from fairway.worker.source import SturdyLayer, as_delivery, can_acknowledge, can_delay, size_of
from tests.worker.tools import Layer


def test_abilities_are_declared() -> None:
    """A layer that says nothing of itself can do nothing beyond the contract."""
    assert can_acknowledge(InMemoryChannelLayer())
    assert can_delay(InMemoryChannelLayer())
    assert not can_acknowledge(Layer())
    assert not can_delay(Layer())
    assert not can_delay(None)


def test_unknown_names_of_foreign_layers_are_left_alone() -> None:
    """A layer that makes connections for any name is not asked before an event loop runs."""

    class Connecting:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError("no running event loop")

    assert not can_acknowledge(Connecting())
    assert not can_delay(Connecting())


class Watching(InMemoryChannelLayer):
    """A layer of a project's, which wants to see what is received."""

    async def receive(self, channel: str) -> Event:
        return await super().receive(channel)


def test_how_many_at_once() -> None:
    """Several where nobody would miss them: one of other layers, on lease, and past a receive()."""
    assert SturdyLayer(InMemoryChannelLayer(), 60.0).at_once(3, on_lease=False) == 3
    assert SturdyLayer(InMemoryChannelLayer(), 60.0).at_once(3, on_lease=True) == 1
    assert SturdyLayer(Watching(), 60.0).at_once(3, on_lease=False) == 1
    assert SturdyLayer(Layer(), 60.0).at_once(3, on_lease=False) == 1


def test_sizes() -> None:
    """Bytes as our layers carry them; what they do not carry has some size too."""
    assert size_of({"type": "x"}) == 8
    assert size_of({"type": object}) == len("{'type': <class 'object'>}")


@pytest.mark.parametrize(
    ("message", "attempt"),
    [({}, 1), ({"__fairway_attempt__": 3}, 3), ({"__fairway_attempt__": 0}, 1)],
)
def test_the_attempt_travels_with_the_message(message: Event, attempt: int) -> None:
    """It is taken out when the message comes, and put in again when it goes back."""
    sent = {"type": "x", **message}
    delivery = as_delivery("jobs", sent)
    assert (delivery.message, delivery.attempt, delivery.kind) == ({"type": "x"}, attempt, "x")
    back = {} if attempt == 1 else {"__fairway_attempt__": attempt}
    assert delivery.as_it_came() == {"type": "x", **back}
    assert sent == {"type": "x", **message}


class TestInsisting:
    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fairway.worker.source, "FIRST_DELAY", 0.001)
        monkeypatch.setattr(fairway.worker.source, "MAX_DELAY", 0.002)

    async def test_it_goes_on_until_it_works(self, caplog: pytest.LogCaptureFixture) -> None:
        """Each failure is logged with the channel."""
        failures = [ConnectionError("gone")] * 3

        async def call() -> str:
            if failures:
                raise failures.pop()
            return "done"

        assert await SturdyLayer(Layer(), 60).insist("jobs", call) == "done"
        assert len(caplog.messages) == 3
        assert caplog.messages[0].startswith(
            "The channel layer failed for channel 'jobs': ConnectionError('gone'). Trying again in "
        )

    async def test_answers_are_not_failures(self, caplog: pytest.LogCaptureFixture) -> None:
        """A full channel is what the layer says, not that it cannot speak."""

        async def call() -> None:
            raise ChannelFull("jobs")

        with pytest.raises(ChannelFull):
            await SturdyLayer(Layer(), 60).insist(
                "jobs", call, unless=lambda error: isinstance(error, ChannelFull)
            )
        assert caplog.messages == []

    async def test_it_can_be_cancelled(self) -> None:
        """Between two attempts, too."""

        async def call() -> None:
            raise ConnectionError("gone")

        trying = asyncio.create_task(SturdyLayer(Layer(), 60).insist("jobs", call))
        await asyncio.sleep(0)
        trying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trying
