"""The worker: takes jobs from channels, lets applications work on them, and ends in good order."""

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Protocol

from django.core.exceptions import ImproperlyConfigured

from fairway._types import ASGIApplication, Event, Scope
from fairway.consumer import AsyncConsumer
from fairway.layers.io import new_event_loop
from fairway.server.application.threads import ThreadPool
from fairway.worker.instances import ApplicationDetails, Instances
from fairway.worker.jobs import FAREWELL, Jobs, briefly
from fairway.worker.outcomes import Outcomes, Stats, describe
from fairway.worker.policy import JobPolicy, Policies
from fairway.worker.routes import application_for
from fairway.worker.slots import Slots
from fairway.worker.source import (
    Delivery,
    Source,
    SturdyLayer,
    as_delivery,
    can_acknowledge,
    size_of,
)

logger = logging.getLogger("django.channels.worker")

#: Seconds before a worker that prefetches asks for jobs again when there were fewer than it wanted:
#: to ask for each of them as it comes takes the layer, and the worker, longer than a tiny job does.
GATHERING_TIME: Final = 0.001


class Worker:
    """Hands each message of some named channels to the application.

    Every channel has as many job slots as its concurrency says, and each slot has an instance of
    the application with the scope ``{"type": "channel", "channel": name}``. A slot works on one job
    after the other, so with a concurrency of 1 the jobs of a channel are handled in order. What
    nobody works on stays in the layer, but for ``prefetch``. Sync code runs in threads, at most one
    for each slot.

    A job that fails is logged and costs itself alone; :func:`~fairway.worker.job` asks for retries,
    dead letters and acknowledgement. A message without ``type`` is logged and skipped. While the
    layer fails, that is logged and it is tried again, with back-off up to 30 s.

    Args:
        application: The ASGI application, usually a ``ProtocolTypeRouter`` whose ``"channel"``
            leads to a ``ChannelNameRouter``.
        channels: The names to listen to.
        channel_layer: Where to listen.
        max_applications: How many instances are kept. Beyond it the one that has been idle longest
            ends when another one is needed; a working instance never does.
        concurrency: Jobs of one channel at once: for all channels, or by channel (1 for others).
        prefetch: Jobs of one channel that are taken from the layer beyond those, a count. Then
            several are taken in one step, and where fewer are waiting than there is room for, they
            gather for a millisecond.
        graceful_timeout: Seconds that running jobs have for finishing once the worker stops.
        lease: Seconds after which jobs with acknowledgement come back if the worker was killed.

    Raises:
        ImproperlyConfigured: A handler asks for acknowledgement, and the layer cannot do it; or a
            consumer has a ``concurrency`` of its own.
        ValueError: There is no channel layer, or a number is too small.
    """

    def __init__(
        self,
        application: ASGIApplication,
        channels: Iterable[str],
        channel_layer: Source | None,
        max_applications: int = 1000,
        *,
        concurrency: int | Mapping[str, int] = 1,
        prefetch: int = 0,
        graceful_timeout: float = 30.0,
        lease: float = 60.0,
    ) -> None:
        if channel_layer is None:
            raise ValueError("Channel layer is not valid")
        self.application = application
        self.channels = list(channels)
        self.channel_layer = channel_layer
        self.max_applications = max_applications
        self.concurrency = _by_channel(self.channels, concurrency)
        self.prefetch = prefetch
        self.graceful_timeout = graceful_timeout
        self._layer = SturdyLayer(channel_layer, lease)
        self._policies = {
            channel: Policies(application_for(application, channel)) for channel in self.channels
        }
        self._refuse_what_cannot_be_kept()
        self._outcomes = Outcomes(self._layer)
        self._slots: dict[str, Slots] = {}
        self._threads = ThreadPool(max(1, sum(self.concurrency.values())))
        self._instances = Instances(self, self._threads, FAREWELL)
        self._jobs = Jobs(
            self._outcomes,
            self._instances,
            self._policy_of,
            self.application_exception,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._now = asyncio.Event()

    # ------------------------------------------------------------------ running

    def run(self) -> None:
        """Work until SIGTERM, SIGINT or :meth:`stop`, on an event loop of its own.

        In a thread other than the main one no signal is noticed.
        """
        try:
            # With uvloop where there is one: a worker mostly wakes up and asks its layer, which
            # takes a third less then.
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(self._run())
        except KeyboardInterrupt:
            logger.info("Exiting due to Ctrl-C/interrupt")

    async def handle(self) -> None:
        """Work until :meth:`stop` or until cancelled, which interrupts what is running."""
        self._loop = asyncio.get_running_loop()
        listeners = [
            asyncio.create_task(self.listener(channel)) for channel in dict.fromkeys(self.channels)
        ]
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            waiting = set(listeners)
            while waiting and not stopping.done():
                done, _ = await asyncio.wait(
                    {stopping, *waiting}, return_when=asyncio.FIRST_COMPLETED
                )
                for listener in done & waiting:
                    listener.result()  # raises what a listener of a subclass raised
                waiting -= done
            await self._end_listeners(listeners)
            await self._drain()
        finally:
            stopping.cancel()
            await self._end_listeners(listeners)
            await self._end_jobs()

    def stop(self) -> None:
        """Take no more jobs, finish the running ones, and return from :meth:`handle`.

        The second call interrupts the running ones. May be called from any thread.
        """
        if self._loop is None:
            self._begin_stop()
        else:
            with contextlib.suppress(RuntimeError):  # it has ended, and its loop is closed
                self._loop.call_soon_threadsafe(self._begin_stop)

    @property
    def cut_off(self) -> int:
        """How many jobs were interrupted because they took longer than ``graceful_timeout``."""
        return self._jobs.cut_off

    def stats(self, channel: str | None = None) -> Stats:
        """What this worker has done so far, for all channels or for one."""
        channels = self._outcomes.counts.keys() if channel is None else [channel]
        every = self._slots.values() if channel is None else [self._slots_of(channel)]
        counts = [self._outcomes.counts[name] for name in channels]
        return Stats(
            taken=sum(count["taken"] for count in counts),
            done=sum(count["done"] for count in counts),
            failed=sum(count["failed"] for count in counts),
            retried=sum(count["retried"] for count in counts),
            dead=sum(count["dead"] for count in counts),
            requeued=sum(count["requeued"] for count in counts),
            running=sum(slots.running for slots in every),
        )

    # ------------------------------------------------------------------ what subclasses override

    async def listener(self, channel: str) -> None:
        """Take the messages of one channel, each when there is a slot for it."""
        slots, task = self._slots_of(channel), asyncio.current_task()
        assert task is not None
        on_lease = self._policies[channel].acknowledge
        while not slots.stopped:
            limit = self._layer.at_once(await slots.room(), on_lease=on_lease)
            taken = await self._take(slots, on_lease, limit)
            await slots.take_on(taken, task)
            if self.prefetch and len(taken) < limit:
                await asyncio.sleep(GATHERING_TIME)

    def get_or_create_application_instance(self, scope_id: str, scope: Scope) -> "Inbox":
        """A queue with ``put_nowait()``, whose messages reach an application with this scope.

        For a ``listener()`` that was written for Channels. Its messages are handled one after the
        other, and wait in memory: nothing bounds them.
        """
        self._instances.scopes.setdefault(scope_id, scope)
        return _Inbox(self._slots_of(scope_id))

    async def application_send(self, scope: Scope, message: Event) -> None:
        """Refuse what the application sends; a subclass may know what to do with it.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            f"A worker has no client to send {message.get('type')!r} to; "
            "send to a channel or a group of the channel layer instead."
        )

    async def application_exception(
        self, exception: BaseException, application_details: ApplicationDetails
    ) -> None:
        """Log an exception that a job raised; a subclass may tell others about it.

        Args:
            exception: What the application let out.
            application_details: ``scope``, and of the job ``message``, ``attempt`` and ``fate``
                (text: what becomes of it now).
        """
        message = application_details["message"]
        logger.log(
            application_details.get("level", logging.ERROR),
            "Job of type %r (%d bytes) from channel %r failed: %s; %s.",
            message.get("type"),
            size_of(message),
            application_details["scope"].get("channel"),
            describe(exception),
            application_details["fate"],
            exc_info=exception,
        )

    # ------------------------------------------------------------------ a job

    async def _take(self, slots: Slots, on_lease: bool, limit: int) -> list[Delivery]:
        if self._layer.is_ours:  # which loses nothing when it is cancelled
            taken = await self._layer.take(slots.channel, on_lease=on_lease, limit=limit)
        else:
            taken = await self._take_carefully(slots, on_lease)
        self._outcomes.counts[slots.channel]["taken"] += len(taken)
        if logger.isEnabledFor(logging.DEBUG):
            for delivery in taken:
                logger.debug(
                    "Job of type %r from channel %r was taken.", delivery.kind, slots.channel
                )
        return taken

    async def _take_carefully(self, slots: Slots, on_lease: bool) -> list[Delivery]:
        """Take from a layer that may lose what it has just received when it is cancelled."""
        taking = asyncio.create_task(self._layer.take(slots.channel, on_lease=on_lease))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            taking.cancel()
            await asyncio.wait({taking})
            if not taking.cancelled() and taking.exception() is None:
                # It came in the last moment; the slots are stopped, and give it back.
                for delivery in taking.result():
                    self._outcomes.counts[slots.channel]["taken"] += 1
                    slots.put(delivery)
            raise

    # ------------------------------------------------------------------ starting and stopping

    async def _run(self) -> None:
        with self._signals():
            await self.handle()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Stop at SIGTERM and SIGINT, at once at the second; the third does what it always does."""
        numbers: list[signal.Signals] = []
        loop = asyncio.get_running_loop()

        def release() -> None:
            while numbers:
                loop.remove_signal_handler(numbers.pop())

        def caught(number: signal.Signals) -> None:
            if self._stopping.is_set():
                release()
            elif number == signal.SIGINT:
                logger.info("Exiting due to Ctrl-C/interrupt")
            else:
                logger.info("Exiting due to %s", number.name)
            self._begin_stop()

        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                try:
                    loop.add_signal_handler(number, caught, number)
                except NotImplementedError:  # on Windows
                    continue
                numbers.append(number)
        try:
            yield
        finally:
            release()

    def _begin_stop(self) -> None:
        if self._stopping.is_set():
            self._now.set()
        self._stopping.set()

    async def _end_listeners(self, listeners: "list[asyncio.Task[None]]") -> None:
        for slots in self._slots.values():
            slots.stop()
        working = self._working()
        idle = [listener for listener in listeners if listener not in working]
        for listener in idle:
            listener.cancel()
        await asyncio.gather(*idle, return_exceptions=True)

    async def _drain(self) -> None:
        """Give back what has not begun; let finish what has."""
        await self._give_back()
        running = self._working()
        if not running:
            return
        if not self._now.is_set():
            logger.info(
                "Waiting up to %g s for running jobs to finish: %d.",
                self.graceful_timeout,
                len(running),
            )
        now: asyncio.Task[object] = asyncio.create_task(self._now.wait())
        all_done: asyncio.Task[object] = asyncio.create_task(asyncio.wait(running))
        await asyncio.wait(
            {now, all_done},
            timeout=self.graceful_timeout,
            return_when=asyncio.FIRST_COMPLETED,
        )
        now.cancel()
        all_done.cancel()

    async def _end_jobs(self) -> None:
        """Interrupt what still runs; nothing of this worker is left."""
        running = self._working()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await briefly(self._give_back())
        await self._instances.end()
        self._threads.close()

    async def _give_back(self) -> None:
        """In order: what is on lease goes to the front, so the last one goes first."""
        for slots in self._slots.values():
            taken = list(slots.take_back())
            leased = [delivery for delivery in taken if delivery.lease is not None]
            for delivery in reversed(leased):
                await self._outcomes.given_back(delivery)
            for delivery in taken:
                if delivery not in leased:
                    await self._outcomes.given_back(delivery)

    def _working(self) -> "set[asyncio.Task[None]]":
        """The tasks of the running jobs, listeners among them."""
        return {task for slots in self._slots.values() for task in slots.tasks}

    def _slots_of(self, channel: str) -> Slots:
        slots = self._slots.get(channel)
        if slots is None:
            size = self.concurrency.get(channel, 1)
            slots = self._slots[channel] = Slots(channel, size, self.prefetch, self._jobs.settle)
        return slots

    def _policy_of(self, channel: str, message: Event) -> JobPolicy:
        policies = self._policies.get(channel)
        if policies is None:  # the channel of a listener that was written for Channels
            policies = self._policies[channel] = Policies(self.application)
        return policies.find(message)

    def _refuse_what_cannot_be_kept(self) -> None:
        if self._layer.lease <= 0 or self.prefetch < 0:
            raise ValueError("lease must be more than 0, and prefetch 0 or more.")
        layer = type(self.channel_layer).__name__
        for channel, policies in self._policies.items():
            consumer = policies.consumer_class
            if consumer and issubclass(consumer, AsyncConsumer) and consumer.concurrency > 1:
                # It asks for the next job before it is done with the one it has.
                raise ImproperlyConfigured(
                    f"{consumer.__name__} has a concurrency of {consumer.concurrency}, which is "
                    "for connections. In a worker each job has an instance of its own: take it "
                    f"away, and run as many at once with 'runworker {channel}="
                    f"{consumer.concurrency}'."
                )
            if policies.acknowledge and not can_acknowledge(self.channel_layer):
                raise ImproperlyConfigured(
                    f"A handler of channel {channel!r} asks for acknowledgement, which {layer} "
                    "cannot do. Use a layer that can, such as Fairway's own, or take "
                    "acknowledge=True away from @job(…)."
                )


class Inbox(Protocol):
    """What a listener that was written for Channels puts messages into."""

    def put_nowait(self, message: Event) -> None:
        """Hand a message to the application, after those before it."""


class _Inbox:
    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def put_nowait(self, message: Event) -> None:
        self._slots.put(as_delivery(self._slots.channel, message))


def _by_channel(channels: list[str], concurrency: int | Mapping[str, int]) -> dict[str, int]:
    if isinstance(concurrency, int):
        concurrency = dict.fromkeys(channels, concurrency)
    sizes = {channel: concurrency.get(channel, 1) for channel in channels}
    for channel, size in sizes.items():
        if size < 1:
            raise ValueError(f"The concurrency of channel {channel!r} must be 1 or more.")
    return sizes
