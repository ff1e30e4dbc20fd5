"""Tasks begin in a later turn of the loop, whatever its task factory thinks of that."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from typing import Any

import pytest

from fairway.later import create_task_later
from tests.eager import and_eager

here: ContextVar[str] = ContextVar("here", default="nowhere")

Main = Callable[[], Coroutine[Any, Any, None]]


@pytest.fixture(params=and_eager({"asyncio": asyncio.new_event_loop}).values())
def run(request: pytest.FixtureRequest) -> Callable[[Main], None]:
    """Runs a coroutine function on an event loop of each kind."""

    def run(main: Main) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main())

    return run


def test_begins_later(run: Callable[[Main], None]) -> None:
    """Nothing of the coroutine runs before the caller awaits something."""
    begun = []

    async def work() -> str:
        begun.append(asyncio.current_task())
        return "done"

    async def main() -> None:
        task = create_task_later(asyncio.get_running_loop(), work())
        assert begun == []
        assert not task.done()
        assert await task == "done"
        assert begun == [task]

    run(main)


def test_in_order(run: Callable[[Main], None]) -> None:
    """Tasks begin in the order in which they were made."""
    begun = []

    async def work(number: int) -> None:
        begun.append(number)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*[create_task_later(loop, work(number)) for number in range(3)])

    run(main)
    assert begun == [0, 1, 2]


def test_context(run: Callable[[Main], None]) -> None:
    """It runs in the context that is given, or in a copy of the caller's."""

    async def work() -> str:
        return here.get()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        here.set("main")
        assert await create_task_later(loop, work()) == "main"
        assert await create_task_later(loop, work(), Context()) == "nowhere"

    run(main)


def test_exception(run: Callable[[Main], None]) -> None:
    """What the coroutine raises is what the task ends with."""

    async def work() -> None:
        raise ValueError("no")

    async def main() -> None:
        with pytest.raises(ValueError, match=r"^no$"):
            await create_task_later(asyncio.get_running_loop(), work())

    run(main)


def test_cancelled_before_it_begins(run: Callable[[Main], None]) -> None:
    """A task that is cancelled at once runs nothing, and leaves no coroutine behind."""
    begun = []

    async def work() -> None:
        begun.append(1)

    async def main() -> None:
        task = create_task_later(asyncio.get_running_loop(), work())
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()

    run(main)
    assert begun == []


def test_the_factory_is_asked() -> None:
    """A loop's task factory makes these tasks, too: it may count or trace them."""
    made = []

    async def work() -> str:
        return "done"

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(factory)
        assert await create_task_later(loop, work()) == "done"
        assert len(made) == 1
        loop.set_task_factory(None)

    asyncio.run(main())
