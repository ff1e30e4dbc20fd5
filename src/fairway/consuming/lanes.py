"""Several events of one connection handled at the same time, in order where their key is the same.

Pure asyncio: what waits in a lane and how it is handled is the consumer's business.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Hashable, Iterator
from concurrent.futures import Executor
from typing import Any, Final, Generic, TypeVar

from fairway._types import Event

T = TypeVar("T")

#: Items taken from the mailbox that may wait for their lane, a count and their bytes. Beyond that
#: nothing is taken: the mailbox has budgets and policies for what waits, and pauses the client.
MAX_WAITING: Final = 100
MAX_WAITING_BYTES: Final = 64 * 1024


class Arrival:
    """An event on its way to its handler.

    Attributes:
        event: What is to be handled.
        from_layer: Whether it came from a channel layer, which reaches fewer handlers.
        executor: Where its sync code runs, if it has a place of its own.
    """

    __slots__ = ("event", "executor", "from_layer")

    def __init__(self, event: Event, *, from_layer: bool) -> None:
        self.event = event
        self.from_layer = from_layer
        self.executor: Executor | None = None


class Lanes(Generic[T]):
    """Runs handlers in tasks of its own: at most ``limit``, one at a time in each lane.

    Its owner takes items from somewhere while the lanes are not :attr:`full`, hands them to
    :meth:`start`, and looks at :attr:`failure` when it is told. It must end with :meth:`cancel`,
    after which no task is left.

    Args:
        handle: Handles one item; runs in a task of its own.
        limit: Most items handled at the same time.
        failed: Called when a handler has let an exception out.

    Attributes:
        failure: The first exception that a handler let out; the owner raises it.
    """

    __slots__ = (
        "_busy",
        "_changed",
        "_failed",
        "_handle",
        "_limit",
        "_tasks",
        "_waiting_bytes",
        "_waiting_count",
        "failure",
    )

    def __init__(
        self,
        handle: Callable[[T], Coroutine[Any, Any, None]],
        limit: int,
        failed: Callable[[], None],
    ) -> None:
        self.failure: BaseException | None = None
        self._handle = handle
        self._limit = limit
        self._failed = failed
        self._tasks: dict[asyncio.Task[None], tuple[Hashable, T]] = {}
        #: Keys of lanes where a handler runs, and what waits for it there.
        self._busy: dict[Hashable, deque[tuple[T, int]]] = {}
        self._waiting_count = self._waiting_bytes = 0
        self._changed: asyncio.Future[None] | None = None

    @property
    def full(self) -> bool:
        """Whether nothing may be started now."""
        return (
            len(self._tasks) >= self._limit
            or self._waiting_count >= MAX_WAITING
            or self._waiting_bytes >= MAX_WAITING_BYTES
        )

    @property
    def waiting(self) -> int:
        """How many items wait for their lane."""
        return self._waiting_count

    def running(self) -> Iterator[tuple[T, "asyncio.Task[None]"]]:
        """The items that are being handled, with their tasks."""
        return ((item, task) for task, (_, item) in self._tasks.items())

    def start(self, key: Hashable, item: T, size: int) -> None:
        """Handle an item: now, or behind those of its lane.

        Args:
            key: The lane; None for an item that need not wait for any other.
            item: What to handle.
            size: Its bytes.
        """
        if key is not None:
            queue = self._busy.get(key)
            if queue is not None:
                queue.append((item, size))
                self._waiting_count += 1
                self._waiting_bytes += size
                return
            self._busy[key] = deque()
        self._run(key, item)

    def _run(self, key: Hashable, item: T) -> None:
        task = asyncio.get_running_loop().create_task(self._handle(item))
        self._tasks[task] = (key, item)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        key, _ = self._tasks.pop(task)
        if not task.cancelled() and self.failure is None:
            self.failure = task.exception()
        if key is not None:
            queue = self._busy[key]
            if queue and self.failure is None:
                item, size = queue.popleft()
                self._waiting_count -= 1
                self._waiting_bytes -= size
                self._run(key, item)
            else:
                self._forget(queue)
                del self._busy[key]
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)
        if self.failure is not None:
            self._failed()

    def drop(self, unwanted: Callable[[T], bool]) -> None:
        """Forget those of the waiting items that nobody wants any more."""
        for queue in self._busy.values():
            kept = [(item, size) for item, size in queue if not unwanted(item)]
            self._forget(queue)
            queue.extend(kept)
            self._waiting_count += len(kept)
            self._waiting_bytes += sum(size for _, size in kept)

    def _forget(self, queue: deque[tuple[T, int]]) -> None:
        self._waiting_count -= len(queue)
        self._waiting_bytes -= sum(size for _, size in queue)
        queue.clear()

    async def change(self) -> None:
        """Wait until a handler has ended; at once if none runs."""
        if self._tasks:
            self._changed = asyncio.get_running_loop().create_future()
            await self._changed

    async def finish(self) -> None:
        """Wait until everything has been handled, or something failed."""
        while self._tasks and self.failure is None:
            await self.change()

    async def cancel(self) -> None:
        """Forget what waits, cancel the handlers, and wait until each has ended.

        A handler in a thread cannot be cancelled: it is waited for. What handlers raise now is
        forgotten, unless it is the first failure.
        """
        self.drop(lambda _: True)
        tasks = list(self._tasks)
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        while pending := [task for task in tasks if not task.done()]:
            await asyncio.wait(pending)
        await asyncio.sleep(0)  # _ended() runs in the next turn of the loop
