"""Run an ASGI application inside a test, without a server."""

import asyncio
import contextlib
import logging
import time
from contextvars import Context
from typing import ClassVar, Final

from asgiref.compatibility import guarantee_single_callable

from fairway._types import ASGIApplication, Event, Receive, Scope, Send
from fairway.db import keep_connections
from fairway.later import create_task_later
from fairway.testing.diagnosis import describe

logger = logging.getLogger("fairway.testing")


class _Default(float):
    """A number of seconds that stands for :attr:`ApplicationCommunicator.default_timeout`."""


#: What ``timeout`` is where nothing is given: a second, unless ``default_timeout`` was changed.
DEFAULT_TIMEOUT: Final = _Default(1)


class ApplicationCommunicator:
    """Feeds ASGI events to one instance of an application and collects what it sends.

    The application starts with the first call that needs it, as a task with an empty context, so no
    context variable of the test leaks into it. Once it has failed, the next call of any method but
    ``stop(exceptions=False)`` raises its exception. No thread-sensitive context is entered: under
    Django's ``TestCase`` synchronous code of the application runs in the test's own thread and sees
    what the test has not committed.

    How long the methods wait is said in one place: ``ApplicationCommunicator.default_timeout = 10``
    (with pytest: the option ``fairway_timeout``) holds for every communicator, and for every call
    that gives no ``timeout`` of its own.

    Attributes:
        scope: The scope that the application is given; change it before the first call.
        input_queue: Events that wait for the application.
        output_queue: Events that the application sent and nobody has taken.
    """

    #: Seconds that methods wait for the application unless told otherwise; None is for ever.
    default_timeout: ClassVar[float | None] = 1.0

    def __init__(self, application: ASGIApplication, scope: Scope) -> None:
        if isinstance(application, type) and hasattr(application, "as_asgi"):
            raise TypeError(
                f"{application.__qualname__} is a consumer class, not an ASGI application: "
                f"pass {application.__qualname__}.as_asgi()."
            )
        # asgiref accepts applications of ASGI 2 too, and carries no types.
        self.application: ASGIApplication = guarantee_single_callable(application)  # type: ignore[no-untyped-call]
        self.scope = scope
        self.input_queue: asyncio.Queue[Event] = asyncio.Queue()
        self.output_queue: asyncio.Queue[Event] = asyncio.Queue()
        self._future: asyncio.Task[None] | None = None

    @property
    def future(self) -> "asyncio.Task[None]":
        """The application's task, started on first access."""
        if self._future is None:
            # Later: before it begins, this has to be known, and its connections kept.
            self._future = create_task_later(
                asyncio.get_running_loop(),
                _run(self.application, self.scope, self.input_queue.get, self.output_queue.put),
                Context(),
            )
            keep_connections(self._future)
        return self._future

    @property
    def started(self) -> bool:
        """Whether the application has been started."""
        return self._future is not None

    async def send_input(self, message: Event) -> None:
        """Give one event to the application."""
        self._raise_failure()
        await self.input_queue.put(message)

    async def receive_output(self, timeout: float | None = DEFAULT_TIMEOUT) -> Event:  # noqa: ASYNC109
        """Return the next event that the application sends.

        The application is left as it is when nothing comes: a later call can still receive.

        Args:
            timeout: Seconds to wait; ``None`` waits for ever.

        Raises:
            TimeoutError: Nothing came in time, or the application ended and nothing can come any
                more. The message says what the application waits for: file, line and function of
                every ``await``, of sync code in its thread, and the handler of a consumer.
        """
        timeout = self._seconds(timeout)
        self._raise_failure()
        getter = asyncio.create_task(self.output_queue.get())
        try:
            await asyncio.wait(
                {getter, self.future}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if getter.done():
                return getter.result()
        finally:
            getter.cancel()
        # The application may send its last event and end before the getter had its turn.
        if not self.output_queue.empty():
            return self.output_queue.get_nowait()
        self._raise_failure()
        if self.future.done():
            raise TimeoutError("The application has ended and sends nothing any more.")
        raise TimeoutError(f"The application sent nothing for {timeout} s. {self._describe()}")

    async def receive_nothing(self, timeout: float = 0.1, interval: float = 0.01) -> bool:  # noqa: ASYNC109
        """Tell whether the application stays silent.

        Args:
            timeout: Seconds of silence to wait for.
            interval: Seconds between two looks. At least one interval passes, however short
                ``timeout`` is, so the application has had its turn.
        """
        self._raise_failure()
        deadline = time.monotonic() + timeout
        while self.output_queue.empty():
            await asyncio.sleep(interval)
            if time.monotonic() >= deadline:
                return self.output_queue.empty()
        return False

    async def wait(self, timeout: float | None = DEFAULT_TIMEOUT) -> None:  # noqa: ASYNC109
        """Wait for the application to end by itself, and raise the exception it ended with.

        An application that has not ended in time is cancelled and waited for; a warning on the
        logger ``fairway.testing`` says what it was waiting for, as ``receive_output`` does.

        Args:
            timeout: Seconds to wait; ``None`` waits for ever.
        """
        timeout = self._seconds(timeout)
        future = self.future
        await asyncio.wait({future}, timeout=timeout)
        if not future.done():
            logger.warning(
                "The application had not ended after %s s; it is cancelled. %s",
                timeout,
                self._describe(),
            )
            future.cancel()
            await asyncio.wait({future})
        if not future.cancelled():
            future.result()

    def stop(self, exceptions: bool = True) -> None:
        """Cancel the application if it runs.

        Args:
            exceptions: Raise the exception of an application that has failed.
        """
        if self._future is None:
            return
        if not self._future.done():
            self._future.cancel()
        elif exceptions:
            self._future.result()

    def __del__(self) -> None:
        # Either __init__ raised or the event loop is closed: then nothing runs that one could stop.
        with contextlib.suppress(AttributeError, RuntimeError):
            self.stop(exceptions=False)

    def _seconds(self, timeout: float | None) -> float | None:
        return self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout

    def _describe(self) -> str:
        return describe(self.future, self.input_queue, self.output_queue)

    def _begin_anew(self) -> None:
        """Let the next call start the application once more, with the same scope."""
        self.stop(exceptions=False)
        self._future = None
        self.input_queue = asyncio.Queue()
        self.output_queue = asyncio.Queue()

    def _raise_failure(self) -> None:
        if self.future.done():
            self.future.result()


async def _run(application: ASGIApplication, scope: Scope, receive: Receive, send: Send) -> None:
    # Not a method: the task must not keep its communicator alive, whose end ends the task.
    await application(scope, receive, send)
