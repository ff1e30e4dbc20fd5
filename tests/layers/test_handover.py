"""Handover: one task awaits what another thread gives it, once."""

import asyncio
import contextvars
import threading
from typing import Any

import pytest
import uvloop

from fairway.layers.handover import Handover
from fairway.layers.io import io

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nobody's")


async def wait_for(handover: Handover[Any]) -> Any:
    return await handover


@pytest.fixture
async def handover() -> Handover[Any]:
    return Handover()


async def test_given_while_it_waits(handover: Handover[Any]) -> None:
    """What another thread gives wakes the task, on its own thread and in its own context."""
    variable.set("the task's")
    io.call(handover.give, "value")
    assert await handover == "value"
    assert variable.get() == "the task's"
    assert threading.current_thread() is threading.main_thread()


async def test_given_before(handover: Handover[Any]) -> None:
    """What is there already is found."""
    assert [handover.waits, handover.give("value"), handover.waits] == [True, True, False]
    assert await handover == "value"


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_given_at_any_moment(loop: Any) -> None:
    """It makes no difference whether giving or waiting comes first."""

    async def wait() -> list[int]:
        found = []
        for number in range(1000):
            handover: Handover[int] = Handover()
            io.call(handover.give, number)
            for _ in range(number % 7):
                await asyncio.sleep(0)
            found.append(await handover)
        return found

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(wait()) == list(range(1000))


async def test_given_twice(handover: Handover[Any]) -> None:
    """Who comes second is too late, and is told so."""
    assert handover.give("value")
    assert not handover.give("another")
    assert not handover.give(None, ValueError("late"))
    assert await handover == "value"
    assert handover.leave() == "value"


async def test_an_error(handover: Handover[Any]) -> None:
    """What is given in place of a value is raised."""
    waiting = asyncio.ensure_future(wait_for(handover))
    await asyncio.sleep(0)
    assert handover.give(None, ValueError("reason"))
    with pytest.raises(ValueError, match=r"^reason$"):
        await waiting


async def test_cancelled(handover: Handover[Any]) -> None:
    """A task that is cancelled while it waits is given nothing, and has been given nothing."""
    waiting = asyncio.ensure_future(wait_for(handover))
    await asyncio.sleep(0)
    waiting.cancel("reason")
    assert not handover.give("value")
    with pytest.raises(asyncio.CancelledError, match=r"^reason$"):
        await waiting
    assert handover.leave() is None


async def test_cancelled_before_it_waits(handover: Handover[Any]) -> None:
    """The same for one that had not come so far."""

    async def wait() -> None:
        current = asyncio.current_task()
        assert current is not None
        current.cancel()
        await handover

    with pytest.raises(asyncio.CancelledError):
        await asyncio.ensure_future(wait())
    assert not handover.give("value")
    assert handover.leave() is None


async def test_cancelled_too_late(handover: Handover[Any]) -> None:
    """A task that is cancelled at the moment when it is given something finds it."""
    waiting = asyncio.ensure_future(wait_for(handover))
    await asyncio.sleep(0)
    assert handover.give("value")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert handover.leave() == "value"


async def test_timeout(handover: Handover[Any]) -> None:
    """A deadline ends the waiting as it would a future's."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wait_for(handover), 0.001)
    assert not handover.give("value")


async def test_on_the_thread_that_gives() -> None:
    """A task of that thread's own event loop is woken without the way round."""

    async def there() -> Any:
        handover: Handover[Any] = Handover()
        asyncio.get_running_loop().call_soon(handover.give, "value")
        return await handover

    assert await io.run(there()) == "value"


async def test_a_closed_loop() -> None:
    """Nobody waits on an event loop that was closed."""

    def elsewhere() -> tuple[Handover[Any], bool]:
        loop = asyncio.new_event_loop()

        async def begin() -> Handover[Any]:
            handover: Handover[Any] = Handover()
            waiting.append(asyncio.ensure_future(wait_for(handover)))
            await asyncio.sleep(0)
            return handover

        waiting: list[asyncio.Task[Any]] = []
        handover = loop.run_until_complete(begin())
        loop.close()
        given = handover.give("value")
        # Nobody destroys a task that waits, without a word; this one is let go of on purpose.
        waiting[0]._log_destroy_pending = False  # type: ignore[attr-defined]  # as asyncio does it
        return handover, given

    handover, given = await asyncio.to_thread(elsewhere)
    assert not given
    assert not handover.waits
