"""Where a task or a thread hangs, as text for the log."""

import asyncio
import threading
from collections.abc import AsyncIterator, Generator
from typing import Any

import pytest

from fairway.server.application.stacks import format_stack, format_thread
from tests.server.running import DEADLINE


async def innermost(event: asyncio.Event) -> None:
    await event.wait()


async def outermost(event: asyncio.Event) -> None:
    await innermost(event)


async def suspended(task: "asyncio.Task[Any]") -> None:
    """Let a task run until it waits for something."""
    await asyncio.sleep(0)
    assert not task.done()


class TestFormatStack:
    """The awaits of a task."""

    async def test_all_awaits(self) -> None:
        """Every coroutine on the way is there with file, line and source, innermost last."""
        event = asyncio.Event()
        task = asyncio.ensure_future(outermost(event))
        await suspended(task)
        lines = format_stack(task).splitlines()
        names = [line.rpartition(" in ")[2] for line in lines if line.startswith("  File ")]
        assert names == ["outermost", "innermost", "wait"]
        line = innermost.__code__.co_firstlineno + 1
        assert lines[2:4] == [
            f'  File "{__file__}", line {line}, in innermost',
            "    await event.wait()",
        ]
        event.set()
        await task

    async def test_awaitable_object(self) -> None:
        """An object whose ``__await__`` is a generator is on the way, too."""

        class Awaitable:
            def __await__(self) -> Generator[Any, None, None]:
                yield from asyncio.sleep(DEADLINE).__await__()

        async def outer() -> None:
            await Awaitable()

        task = asyncio.ensure_future(outer())
        await suspended(task)
        text = format_stack(task)
        assert "in outer" in text
        assert "in __await__" in text
        task.cancel()

    async def test_ends_in_a_future(self) -> None:
        """What is awaited at the end need not be a coroutine."""

        async def numbers() -> AsyncIterator[int]:
            yield await asyncio.get_running_loop().create_future()

        async def outer() -> None:
            async for _ in numbers():
                return

        task = asyncio.ensure_future(outer())
        await suspended(task)
        assert "in outer" in format_stack(task)
        task.cancel()

    async def test_ended(self) -> None:
        """A task that has ended is nowhere."""
        event = asyncio.Event()
        event.set()
        task = asyncio.ensure_future(outermost(event))
        await task
        assert format_stack(task) == "  (no Python frame)"


class TestFormatThread:
    """The calls of a thread."""

    def test_calls(self) -> None:
        """Every call is there, innermost last."""
        entered, leave = threading.Event(), threading.Event()

        def inner() -> None:
            entered.set()
            leave.wait(DEADLINE)

        thread = threading.Thread(target=inner)
        thread.start()
        assert entered.wait(DEADLINE)
        assert thread.ident is not None
        text = format_thread(thread.ident)
        leave.set()
        thread.join()
        assert f'File "{__file__}", line {inner.__code__.co_firstlineno + 2}, in inner' in text
        assert text.index("in inner") > text.index("in run")
        assert text == text.rstrip()

    def test_ended(self) -> None:
        """A thread that has ended has none."""
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        assert thread.ident is not None
        assert format_thread(-1) == ""


@pytest.mark.parametrize("identifier", [0, -1])
def test_no_such_thread(identifier: int) -> None:
    """Nor has one that never was."""
    assert format_thread(identifier) == ""
