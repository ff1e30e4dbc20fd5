"""Settings and layers for the tests of tasks."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from django.tasks import task_backends
from django.tasks.signals import task_enqueued, task_finished, task_started
from django.test import override_settings

from fairway._types import Event
from fairway.layers import InMemoryChannelLayer, channel_layers
from fairway.tasks import ChannelLayerBackend, task_channels, with_tasks
from fairway.worker import Worker
from tests.worker.tools import working

BACKEND = "fairway.tasks.ChannelLayerBackend"


class Recording(InMemoryChannelLayer):
    """Remembers what was sent; what is delayed comes at once."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sent: list[tuple[str, Event, float]] = []

    async def send(self, channel: str, message: Event, *, delay: float = 0.0) -> None:
        """Forget the delay."""
        self.sent.append((channel, message, delay))
        await super().send(channel, message)


class Foreign:
    """A layer of somebody else's, which can neither delay nor acknowledge, nor tell its limits."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Event]] = []

    async def send(self, channel: str, message: Event) -> None:
        """Remember it."""
        self.sent.append((channel, message))


@contextlib.contextmanager
def tasks(layer: object = None, **options: Any) -> Iterator[ChannelLayerBackend]:
    """A project with these OPTIONS, whose default layer is the one that is given."""
    entry = {"BACKEND": BACKEND, "QUEUES": ["default", "mails"], "OPTIONS": options}
    caches = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    with override_settings(TASKS={"default": entry}, CACHES=caches):
        before = channel_layers.set("default", layer or Recording())  # type: ignore[arg-type] # any
        try:
            found = task_backends["default"]
            assert isinstance(found, ChannelLayerBackend)
            yield found
        finally:
            channel_layers.backends.pop("default", None)
            if before is not None:
                channel_layers.set("default", before)


@contextlib.asynccontextmanager
async def at_work(**options: Any) -> AsyncIterator[Worker]:
    """A worker for all queues."""
    channels = task_channels()
    application = with_tasks(_no_application, channels)
    layer = channel_layers["default"]
    async with working(application, layer, channels, **options) as worker:
        yield worker


@contextlib.contextmanager
def signals() -> Iterator[list[tuple[str, str, str]]]:
    """The signals of tasks as they come: name, name of the task, status; all of our backend."""
    seen: list[tuple[str, str, str]] = []

    def receiver(name: str) -> Any:
        def receive(sender: object, task_result: Any, **kwargs: object) -> None:
            assert sender is ChannelLayerBackend
            seen.append((name, task_result.task.name, str(task_result.status.value)))

        return receive

    receivers = [
        (signal, receiver(name))
        for name, signal in (
            ("enqueued", task_enqueued),
            ("started", task_started),
            ("finished", task_finished),
        )
    ]
    for signal, receive in receivers:
        signal.connect(receive)
    try:
        yield seen
    finally:
        for signal, receive in receivers:
            signal.disconnect(receive)


def _no_application() -> Any:
    raise AssertionError("a project with nothing but tasks needs no ASGI_APPLICATION")
