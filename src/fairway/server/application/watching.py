"""Work that is done for a client, and given up when the client goes."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fairway._types import Receive
from fairway.delivery import Mailbox


class _Watch:
    """Cancels a task when its client goes, and knows that cancellation again."""

    __slots__ = ("_before", "_task", "told")

    def __init__(self, task: "asyncio.Task[Any]") -> None:
        self._task = task
        self._before = task.cancelling()
        self.told = False

    def tell(self, _: object = None) -> None:
        """The client is gone."""
        # What the task itself has sent may have been the end: then the server is done with it, too.
        if not (self.told or self.overruled or asyncio.current_task() is self._task):
            self.told = True
            self._task.cancel()

    @property
    def overruled(self) -> bool:
        """Whether somebody else has cancelled the task."""
        return self._task.cancelling() > self._before

    def end(self) -> None:
        """The task has done its work, so that it is too late to tell it."""
        if self.told:
            self._task.uncancel()
        self.told = True


async def while_connected(
    work: Coroutine[Any, Any, None],
    receive: Receive,
    listen: Callable[[Receive], Coroutine[Any, Any, None]],
) -> None:
    """Do ``work`` in this task, and cancel it when the client goes: nobody is left to hear it.

    Fairway's server tells that by itself. Another one is asked, by a task that has ended when this
    returns; for a small view that is a third of its time.

    Args:
        work: What to do.
        receive: The request's, of which nothing is left but its end.
        listen: Returns when the client of another server has gone.

    Raises:
        asyncio.CancelledError: This task was cancelled for another reason, even if ``work`` has
            taken no notice.
        Exception: What ``work`` raised, or ``listen``.
    """
    task = asyncio.current_task()
    assert task is not None
    watch = _Watch(task)
    listening: asyncio.Task[None] | None = None
    if not isinstance(receive, Mailbox):
        listening = asyncio.ensure_future(listen(receive))
        listening.add_done_callback(watch.tell)
    elif receive.disconnected:
        asyncio.get_running_loop().call_soon(watch.tell)
    else:
        receive.on_disconnect = watch.tell
    try:
        await work
    except asyncio.CancelledError:
        if not watch.told:
            raise
    finally:
        watch.end()
        if listening is not None:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        elif isinstance(receive, Mailbox):
            receive.on_disconnect = None
    if watch.overruled:
        raise asyncio.CancelledError
    if listening is not None and not listening.cancelled():
        listening.result()
