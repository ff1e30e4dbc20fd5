"""Applications at work: one instance per job slot, fed through a mailbox."""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

from asgiref.sync import ThreadSensitiveContext

from fairway._types import ASGIApplication, Event, Scope
from fairway.delivery import Mailbox
from fairway.later import create_task_later
from fairway.server.application.stacks import format_stack, format_thread
from fairway.server.application.threads import LentThread, ThreadPool

logger = logging.getLogger("django.channels.worker")


class CurrentJob(NamedTuple):
    """The job that a handler is working on.

    Attributes:
        channel: Where it was sent to.
        attempt: Which attempt this is, from 1.
        retries_left: How often it is tried again if it fails now, a count.
    """

    channel: str
    attempt: int
    retries_left: int


_instance: contextvars.ContextVar["Instance | None"] = contextvars.ContextVar(
    "fairway_worker_instance", default=None
)


def current_job() -> CurrentJob | None:
    """The job that the calling handler is working on, sync or async; None outside of a worker."""
    instance = _instance.get()
    return instance.current if instance is not None else None


class Instance:
    """One running application.

    It is started with a channel's scope and gets one job after the other. It is done with a job
    when it asks for the next event or ends. Its sync code runs in order, in a thread of the pool.

    Args:
        application: The ASGI application.
        scope: Its scope.
        pool: Where its sync code runs.
        send: What its ``send`` does.

    Attributes:
        scope: Its scope.
        current: What it is working on, or None.
    """

    def __init__(
        self,
        application: ASGIApplication,
        scope: Scope,
        pool: ThreadPool,
        send: Callable[[Scope, Event], Awaitable[None]],
    ) -> None:
        self.scope = scope
        self.current: CurrentJob | None = None
        self._application = application
        self._send_hook = send
        self._thread = LentThread(pool, str(scope.get("channel", "")))
        self._loop = asyncio.get_running_loop()
        self._mailbox = Mailbox(self._loop)
        self._mailbox.on_park = self._rest
        # Resolved when it is done with its job. Not an asyncio.Event: that asks for the loop again
        # each time, which is a system call with Python 3.11.
        self._done: asyncio.Future[None] | None = None
        # Later: it is given its job before it begins.
        self._task = create_task_later(self._loop, self._run())
        self._task.add_done_callback(lambda _: self._rest())

    @property
    def ended(self) -> bool:
        """Whether the application has returned or raised."""
        return self._task.done()

    async def work_on(self, message: Event, current: CurrentJob) -> BaseException | None:
        """Give it a job, and wait until it asks for another one or ends.

        Returns:
            What it raised, or None.
        """
        self.current = current
        self._done = self._loop.create_future()
        self._mailbox.put_event(message)
        try:
            await self._done
        finally:
            self.current = None
        return self.failure

    @property
    def failure(self) -> BaseException | None:
        """What the application ended with, if it raised."""
        if not self._task.done():
            return None
        if self._task.cancelled():
            return asyncio.CancelledError("the application cancelled itself")
        return self._task.result()

    def where(self) -> str:
        """The stack of what it is doing, as indented text; that of its thread too."""
        text = format_stack(self._task)
        thread = self._thread.thread
        if thread is not None and (calls := format_thread(thread)):
            text += f"\nIts sync code, which cannot be cancelled, is here:\n{calls}"
        return text

    async def end(self, seconds: float) -> bool:
        """Cancel it and wait for its clean-up; says whether it ended within ``seconds``."""
        self._task.cancel()
        done, _ = await asyncio.wait({self._task}, timeout=seconds)
        return bool(done)

    def _rest(self) -> None:
        """It asks for the next event, or has ended."""
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    async def _run(self) -> BaseException | None:
        _instance.set(self)
        try:
            async with ThreadSensitiveContext(executor=self._thread):
                await self._application(self.scope, self._mailbox, self._send)
        # SystemExit, too: sys.exit() in a job is the end of that job, not of the worker.
        except (Exception, SystemExit) as error:
            if self.current is None:
                logger.error(
                    "The application of channel %r failed between two jobs.",
                    self.scope.get("channel"),
                    exc_info=error,
                )
            return error
        return None

    async def _send(self, event: Event) -> None:
        await self._send_hook(self.scope, event)


# Any: what a subclass of the worker may look into, as those of Channels' workers do.
ApplicationDetails: TypeAlias = dict[str, Any]


class Host(Protocol):
    """What instances need to know of their worker, which may change it at any time."""

    application: ASGIApplication
    max_applications: int

    async def application_send(self, scope: Scope, message: Event) -> None:
        """Take what an application sends."""


class Instances:
    """The instances of all channels; how many are kept between jobs is bounded.

    Args:
        host: The worker.
        threads: Where their sync code runs.
        farewell: Seconds that an idle instance has to end in.

    Attributes:
        scopes: Scopes of channels whose scope is not the usual one.
    """

    def __init__(self, host: Host, threads: ThreadPool, farewell: float) -> None:
        self.scopes: dict[str, Scope] = {}
        self._host = host
        self._threads = threads
        self._farewell = farewell
        self._idle: dict[Instance, str] = {}  # by channel, the one idle longest first
        self._working: dict[Instance, str] = {}

    def scope(self, channel: str) -> Scope:
        """The scope of a channel's instances."""
        return self.scopes.get(channel) or {"type": "channel", "channel": channel}

    async def lend(self, channel: str) -> Instance:
        """An instance of a channel: the one that worked last, or a new one."""
        for instance, its_channel in reversed(list(self._idle.items())):
            if its_channel == channel:
                del self._idle[instance]
                if not instance.ended:
                    self._working[instance] = channel
                    return instance
        while self._idle and len(self._idle) + len(self._working) >= self._host.max_applications:
            oldest = next(iter(self._idle))
            del self._idle[oldest]
            await oldest.end(self._farewell)
        instance = Instance(
            self._host.application,
            self.scope(channel),
            self._threads,
            self._host.application_send,
        )
        self._working[instance] = channel
        return instance

    def give_back(self, instance: Instance) -> None:
        """Its job is done with."""
        channel = self._working.pop(instance)
        if not instance.ended:
            self._idle[instance] = channel

    async def end(self) -> None:
        """End those that are idle."""
        idle, self._idle = list(self._idle), {}
        await asyncio.gather(*(instance.end(self._farewell) for instance in idle))
