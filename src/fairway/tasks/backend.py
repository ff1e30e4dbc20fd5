"""The backend: a task that is enqueued becomes a message on its queue's channel."""

from typing import Any, Final, ParamSpec, TypeVar

from asgiref.sync import async_to_sync
from django.core import checks
from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage
from django.tasks import task_backends
from django.tasks.backends.base import BaseTaskBackend
from django.tasks.base import Task, TaskResult, TaskResultStatus
from django.tasks.exceptions import InvalidTask
from django.tasks.signals import task_enqueued
from django.utils import timezone
from django.utils.crypto import get_random_string

from fairway import native
from fairway._types import Event
from fairway.layers import BaseChannelLayer, InMemoryChannelLayer, channel_layers, get_channel_layer
from fairway.tasks.options import TaskOptions
from fairway.tasks.records import TASK_TYPE, AnyResult, AnyTask, change, load_task, to_record
from fairway.tasks.results import Results
from fairway.worker.source import can_acknowledge, can_delay

P = ParamSpec("P")
R = TypeVar("R")

#: Below these a layer is fit for messages to people who are there, not for tasks: they wait.
MIN_EXPIRY: Final = 600.0
MIN_CAPACITY: Final = 1000


class ChannelLayerBackend(BaseTaskBackend):
    """Sends tasks through a channel layer to ``manage.py runworker``.

    A task of queue ``"default"`` goes to the channel ``"tasks.default"``. Async tasks and
    ``takes_context`` are supported; ``run_after`` where the layer can delay messages; results
    (``get_result()``, ``refresh()``) where ``OPTIONS`` names a cache. Priorities are not: a channel
    is first in, first out. For urgent tasks make a queue, with workers of its own.

    Delivery is at-most-once, or at-least-once with ``"ACKNOWLEDGE": True``. A task that no worker
    takes before the layer's ``expiry`` is dropped, so set that high enough.

    Args:
        alias: The backend's alias in ``TASKS``.
        params: Its entry there. ``OPTIONS`` are those of
            :class:`~fairway.tasks.options.TaskOptions`, in capitals.
    """

    supports_async_task = True
    supports_priority = False

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.settings, self._complaints = TaskOptions.from_mapping(self.options)
        self.results = Results(self.settings.results, self.settings.results_ttl)

    @property
    def supports_defer(self) -> bool:  # type: ignore[override]  # read only: the layer decides
        """Whether tasks may have a ``run_after``: whether the layer can delay messages."""
        return can_delay(get_channel_layer(self.settings.layer))

    @property
    def supports_get_result(self) -> bool:  # type: ignore[override]  # read only: RESULTS decides
        """Whether results are kept: whether ``RESULTS`` names a cache."""
        return self.results.kept

    def channel_for(self, queue_name: str) -> str:
        """The channel of a queue."""
        return self.settings.prefix + queue_name

    def serves(self, channel: str) -> bool:
        """Whether a channel is that of one of the queues."""
        queue_name = channel.removeprefix(self.settings.prefix)
        return channel == self.channel_for(queue_name) and (
            not self.queues or queue_name in self.queues
        )

    # ------------------------------------------------------------------ enqueueing

    def enqueue(
        self, task: "Task[P, R]", args: list[Any], kwargs: dict[str, Any]
    ) -> "TaskResult[P, R]":
        """Send a task to the workers, at once: inside a transaction, use ``on_commit()``.

        Raises:
            ChannelFull: Its queue's channel holds as many messages as it may.
            InvalidTask: The task is not valid for this backend, or a worker could not find it.
            RuntimeError: It was called in an event loop.
        """
        if native.running_loop() is not None:
            raise RuntimeError(
                "enqueue() was called in an event loop, which it would stop. "
                "Use: await task.aenqueue(…)"
            )
        result = self._new_result(task, args, kwargs)
        layer, channel, delay = self._destination(task)
        self.results.put(result)  # before a worker can know of it
        try:
            _send(layer, channel, _message(result), delay)
        except BaseException:
            self.results.drop(result)
            raise
        task_enqueued.send(type(self), task_result=result)
        return result

    async def aenqueue(
        self, task: "Task[P, R]", args: list[Any], kwargs: dict[str, Any]
    ) -> "TaskResult[P, R]":
        """Send a task to the workers; see :meth:`enqueue`."""
        result = self._new_result(task, args, kwargs)
        layer, channel, delay = self._destination(task)
        await self.results.aput(result)
        try:
            await layer.send(channel, _message(result), **_delayed(delay))
        except BaseException:
            await self.results.adrop(result)
            raise
        await task_enqueued.asend(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> AnyResult:
        """The result of that id, as it is now.

        Raises:
            NotImplementedError: ``OPTIONS`` names no cache in ``RESULTS``.
            TaskResultDoesNotExist: There is none, or it is older than ``RESULTS_TTL``.
        """
        if self.results.kept:
            return self.results.get(result_id)
        return super().get_result(result_id)

    async def aget_result(self, result_id: str) -> AnyResult:
        """The result of that id; see :meth:`get_result`."""
        if self.results.kept:
            return await self.results.aget(result_id)
        return super().get_result(result_id)

    def _new_result(
        self, task: "Task[P, R]", args: list[Any], kwargs: dict[str, Any]
    ) -> "TaskResult[P, R]":
        self.validate_task(task)
        if task.func.__module__ == "__main__" or load_task(task.module_path).func is not task.func:
            raise InvalidTask(
                f"A worker could not find the task {task.module_path!r}. Define it in a module, "
                "with @task, under the name of its function."
            )
        result: TaskResult[P, R] = TaskResult(
            task=task,
            id=get_random_string(32),
            status=TaskResultStatus.READY,
            enqueued_at=None,
            started_at=None,
            finished_at=None,
            last_attempted_at=None,
            args=list(args),
            kwargs=kwargs,
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )
        change(result, enqueued_at=timezone.now())
        return result

    def _destination(self, task: AnyTask) -> tuple[Any, str, float]:
        layer = get_channel_layer(self.settings.layer)
        if layer is None:
            raise InvalidTask(f"There is no {self.settings.layer!r} in CHANNEL_LAYERS.")
        delay = 0.0
        if task.run_after is not None:
            delay = (task.run_after - timezone.now()).total_seconds()
        return layer, self.channel_for(task.queue_name), max(0.0, delay)

    # ------------------------------------------------------------------ checking

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """Find out whether this entry of ``TASKS`` can work (E014 to E017, W004, W005)."""
        where = f"TASKS[{self.alias!r}]"
        messages: list[CheckMessage] = [
            checks.Error(
                f"{where}['OPTIONS']: {complaint}.",
                hint=f"Options are {', '.join(map(str.upper, TaskOptions.__slots__))}.",
                id="fairway.E014",
            )
            for complaint in self._complaints
        ]
        messages += self._check_results(where)
        messages += self._check_channels(where)
        if self.settings.layer not in channel_layers:
            return [
                *messages,
                checks.Error(
                    f"{where} uses the channel layer {self.settings.layer!r}, which is not in "
                    "CHANNEL_LAYERS.",
                    hint='Set OPTIONS = {"LAYER": …} to one that is.',
                    id="fairway.E015",
                ),
            ]
        return messages + self._check_layer(where, channel_layers[self.settings.layer])

    def _check_results(self, where: str) -> list[CheckMessage]:
        alias = self.settings.results
        if alias is None:
            return []
        if alias not in caches.settings:
            return [
                checks.Error(
                    f"{where} keeps results in the cache {alias!r}, which is not in CACHES.",
                    hint='Set OPTIONS = {"RESULTS": …} to one that is.',
                    id="fairway.E015",
                )
            ]
        if isinstance(caches[alias], LocMemCache | DummyCache):
            return [
                checks.Warning(
                    f"{where} keeps results in the cache {alias!r}, which other processes do not "
                    "see: nobody but the worker itself could get them.",
                    hint="Use a cache that processes share, such as Redis, files or the database.",
                    id="fairway.W005",
                )
            ]
        return []

    def _check_channels(self, where: str) -> list[CheckMessage]:
        messages: list[CheckMessage] = []
        channels = [self.channel_for(queue_name) for queue_name in sorted(self.queues)]
        for channel in channels:
            try:
                BaseChannelLayer().require_valid_channel_name(channel)
            except TypeError as error:
                messages.append(
                    checks.Error(
                        f"{where}: no channel can be named {channel!r}. {error}",
                        hint="Rename the queue.",
                        id="fairway.E015",
                    )
                )
        messages += [
            checks.Error(
                f"{where} and TASKS[{other.alias!r}] use the same channels.",
                hint='Give one of them another "PREFIX" in OPTIONS, or other QUEUES.',
                id="fairway.E016",
            )
            for other in task_backends.all()
            if isinstance(other, ChannelLayerBackend)
            and other.alias < self.alias
            and other.settings.layer == self.settings.layer
            and any(map(other.serves, channels))
        ]
        return messages

    def _check_layer(self, where: str, layer: BaseChannelLayer) -> list[CheckMessage]:
        messages: list[CheckMessage] = []
        if self.settings.acknowledge and not can_acknowledge(layer):
            messages.append(
                checks.Error(
                    f"{where} asks for acknowledgement, which {type(layer).__name__} cannot do.",
                    hint='Take "ACKNOWLEDGE" out of OPTIONS, or use a layer that can.',
                    id="fairway.E017",
                )
            )
        channel = self.channel_for(min(self.queues, default=""))
        expiry = getattr(layer, "expiry", MIN_EXPIRY)
        get_capacity = getattr(layer, "get_capacity", lambda channel: MIN_CAPACITY)
        capacity = get_capacity(channel)
        in_memory = isinstance(layer, InMemoryChannelLayer)  # a worker never sees it anyway
        if not in_memory and (expiry < MIN_EXPIRY or capacity < MIN_CAPACITY):
            messages.append(
                checks.Warning(
                    f"{where} sends tasks through the channel layer {self.settings.layer!r}, which "
                    f"drops what no worker takes within {expiry:g} s, and refuses more than "
                    f"{capacity} waiting tasks.",
                    hint='Give tasks a layer of their own ("LAYER" in OPTIONS), with '
                    '"CONFIG": {"expiry": 86400, "capacity": 100_000}, say.',
                    id="fairway.W004",
                )
            )
        return messages


def _message(result: AnyResult) -> Event:
    return {"type": TASK_TYPE, **to_record(result)}


def _delayed(delay: float) -> dict[str, float]:
    # Foreign layers do not know the argument.
    return {"delay": delay} if delay else {}


def _send(layer: Any, channel: str, message: Event, delay: float) -> None:
    """Send from code without an event loop."""
    sync = getattr(layer, "sync", None)
    send = async_to_sync(layer.send) if sync is None else sync.send
    send(channel, message, **_delayed(delay))
