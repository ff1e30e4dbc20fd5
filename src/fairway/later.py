"""Tasks that begin in a turn of the event loop to come, and not within the call that makes them."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


def create_task_later(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, T],
    context: Context | None = None,
) -> "asyncio.Task[T]":
    """Do what ``loop.create_task()`` does without a task factory: the task begins later.

    With ``asyncio.eager_task_factory`` (Python 3.12) a task runs up to where it first waits, or to
    its end, before ``create_task()`` returns. So whoever makes a task for somebody else's code, or
    in the middle of something, or keeps it in a register that the task itself looks at, uses this.

    Args:
        loop: The running event loop.
        coroutine: What the task runs. If it is cancelled before it has begun, nothing of this runs.
        context: Where it runs; a copy of the caller's if there is none.
    """
    if loop.get_task_factory() is not None:
        coroutine = _later(coroutine)
    return loop.create_task(coroutine, context=context)


async def _later(coroutine: Coroutine[Any, Any, T]) -> T:
    # `create_task(eager_start=False)` would do, but came with Python 3.14. That a task of a factory
    # which is not eager waits for one turn more does no harm.
    try:
        await asyncio.sleep(0)
    except BaseException:  # cancelled, or its loop was closed
        coroutine.close()
        raise
    return await coroutine
