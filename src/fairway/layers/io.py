"""The thread on which a process talks to others, whatever threads and event loops it has itself.

A channel layer is used from the server's loop, from short loops of ``async_to_sync()``, from
threads without any, and after a fork. Connections belong to one loop. So there is one loop for them
alone: it starts with the first connection, runs in a daemon thread, and is made anew in a forked
child.
"""

import asyncio
import atexit
import concurrent.futures
import os
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from fairway import forks, native

if TYPE_CHECKING:
    from _typeshed import HasFileno

new_uvloop: Callable[[], asyncio.AbstractEventLoop] | None
try:
    from uvloop import new_event_loop as new_uvloop
except ImportError:  # not on every system
    new_uvloop = None

T = TypeVar("T")

#: Seconds that the end of a process waits for connections to be closed.
GOODBYE: Final = 2.0


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop that waits on its thread for sockets, and for nothing else.

    Raises:
        RuntimeError: There is none for this process.
    """
    if new_uvloop is not None:
        return new_uvloop()
    if native.replaced_by() == "gevent":
        raise RuntimeError(
            "gevent has replaced what asyncio's event loop waits for sockets with, and a channel "
            "layer would wait for ever. Install uvloop, which gevent leaves alone."
        )
    return asyncio.new_event_loop()


class _LoopThread:
    """An event loop and the thread that it runs in.

    Attributes:
        loop: The loop.
        ident: The thread, once the loop runs.

    Raises:
        RuntimeError: The system starts no further thread, or there is no loop for this process.
    """

    def __init__(self) -> None:
        self.loop = new_event_loop()
        self.ident = 0
        try:
            self._ended = native.start_thread(self._run, "fairway-io")
        except RuntimeError:
            self.loop.close()  # whoever waited for it to do something would wait for ever
            raise

    def _run(self) -> None:
        self.ident = native.get_ident()
        loop = self.loop
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    def end(self, goodbyes: list[Callable[[], Coroutine[Any, Any, None]]]) -> None:
        """Say goodbye, end the loop, and wait for the thread to end."""
        if self._ended.locked():
            asyncio.run_coroutine_threadsafe(_part(goodbyes), self.loop)
            if self._ended.acquire(timeout=2 * GOODBYE):
                self._ended.release()  # for whoever asks later


class InputOutput:
    """An event loop in a thread of its own, started when first needed."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        # A signal handler that sends may come while it is held, in the same thread, ...
        self._lock = native.RLock()
        # ... and has started a thread before that of whom it interrupted. The first one counts.
        self._threads: list[_LoopThread] = []
        self._goodbyes: set[Callable[[], Coroutine[Any, Any, None]]] = set()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, running.

        Raises:
            RuntimeError: The system starts no further thread, or there is no loop for this process;
                the next use tries again.
        """
        forks.notice()
        threads = self._threads
        if not threads:
            with self._lock:
                threads = self._threads
                if not threads:
                    threads.append(_LoopThread())
        return threads[0].loop

    @property
    def running(self) -> asyncio.AbstractEventLoop | None:
        """The loop, if it has been started; for what happens on its thread."""
        threads = self._threads
        return threads[0].loop if threads else None

    @property
    def here(self) -> bool:
        """Whether the caller is on the thread itself."""
        threads = self._threads
        return bool(threads) and threads[0].ident == native.get_ident()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> "concurrent.futures.Future[T]":
        """Begin a coroutine there; in the order of calls."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and wait for it on the caller's loop; cancelling cancels it."""
        if self.here:
            return await coroutine
        return await asyncio.wrap_future(self.submit(coroutine))

    def run_sync(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine there and block for it.

        Raises:
            TimeoutError: It took longer than ``timeout`` seconds; it has been cancelled.
        """
        loop, running = self.loop, _Running(coroutine)
        loop.call_soon_threadsafe(running.begin)
        try:
            late = not running.ended.acquire(timeout=-1 if timeout is None else timeout)
            if late:
                # What is there by now is a result, and not lost.
                loop.call_soon_threadsafe(running.cancel)
                running.ended.acquire()
        except BaseException:  # Ctrl-C, say
            loop.call_soon_threadsafe(running.cancel)
            raise
        try:
            return running.result()
        except asyncio.CancelledError:
            raise (TimeoutError if late else concurrent.futures.CancelledError) from None

    def run_verb(
        self,
        owner: str,
        verb: str,
        coroutine: Coroutine[Any, Any, T],
        timeout: float | None,
    ) -> T:
        """The same for ``<owner>.sync.<verb>()``, which is refused where it would stop a loop.

        Raises:
            RuntimeError: An event loop runs in this thread; the message says what to write.
            TimeoutError: As for :meth:`run_sync`.
        """
        if native.running_loop() is None:
            return self.run_sync(coroutine, timeout)
        coroutine.close()
        raise RuntimeError(
            f"{owner}.sync.{verb}() was called in an event loop, which it would stop. "
            f"Use: await {owner}.{verb}(…)"
        )

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function there, soon; in the order of calls."""
        self.loop.call_soon_threadsafe(function, *arguments)

    def at_exit(self, goodbye: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a coroutine function there when the process ends, to close connections."""
        self._goodbyes.add(goodbye)

    def no_exit(self, goodbye: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Take that back."""
        self._goodbyes.discard(goodbye)

    def stop(self) -> None:
        """Say goodbye, end the loop and its thread; the next use starts it again."""
        with self._lock:
            threads, self._threads = self._threads, []
            goodbyes = list(self._goodbyes)
            self._goodbyes.clear()
        for thread in threads:
            thread.end(goodbyes)
            goodbyes = []  # said on the first, which has the connections

    def forget_parent(self) -> None:
        """In a forked child: the thread is the parent's, and so is its loop."""
        self._begin()


def let_go(inherited: "HasFileno") -> None:
    """In a forked child: hold a connection of the parent open no longer, without a word on it.

    As long as one process holds it, the other end is not told that it has ended. It is not closed:
    the number stays taken until its owner lets go of it, which an event loop of the parent may be.
    """
    if inherited.fileno() >= 0:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, inherited.fileno())
        os.close(null)


class _Running(Generic[T]):
    """A coroutine that a thread blocks for.

    The two futures of ``run_coroutine_threadsafe()`` take as long as most of what is done.

    Attributes:
        ended: A lock that is released when it has ended.
    """

    __slots__ = ("_coroutine", "_task", "ended")

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self.ended = native.new_waitable()

    def begin(self) -> None:
        """On the thread that has the loop, as the next two."""
        self._task = asyncio.get_running_loop().create_task(self._coroutine)
        self._task.add_done_callback(self._end)

    def cancel(self) -> None:
        self._task.cancel()

    def _end(self, _task: "asyncio.Task[T]") -> None:
        self.ended.release()

    def result(self) -> T:
        """Once it has ended."""
        return self._task.result()


async def _part(goodbyes: list[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    parting = asyncio.gather(*(goodbye() for goodbye in goodbyes), return_exceptions=True)
    await asyncio.wait([parting], timeout=GOODBYE)
    asyncio.get_running_loop().stop()


#: The one of this process.
io: Final = InputOutput()
atexit.register(io.stop)
forks.in_child(io.forget_parent)
