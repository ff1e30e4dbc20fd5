"""From channels to the tasks of their queues, beside what the project routes itself."""

from collections.abc import Callable, Iterable

from django.tasks import task_backends

from fairway import DEFAULT_CHANNEL_LAYER
from fairway._types import ASGIApplication, Receive, Scope, Send
from fairway.tasks.backend import ChannelLayerBackend
from fairway.tasks.runner import TaskRunner
from fairway.worker.routes import channel_names


def task_channels(layer: str = DEFAULT_CHANNEL_LAYER) -> list[str]:
    """The channels of all queues in ``TASKS`` that go through a channel layer.

    Args:
        layer: The layer's alias.
    """
    return [
        backend.channel_for(queue_name)
        for backend in _backends(layer)
        for queue_name in sorted(backend.queues)
    ]


def with_tasks(
    application: Callable[[], ASGIApplication],
    channels: Iterable[str],
    layer: str = DEFAULT_CHANNEL_LAYER,
) -> ASGIApplication:
    """What handles some channels: tasks those of queues, the application all others.

    Args:
        application: Returns the application; not called if all channels are those of queues, so
            that a project which has nothing but tasks needs none.
        channels: The names.
        layer: The alias of the layer that they belong to.
    """
    runners: dict[str, ASGIApplication] = {}
    for channel in channels:
        backend = next((found for found in _backends(layer) if found.serves(channel)), None)
        if backend is not None:
            runners[channel] = TaskRunner(backend)
    others = [channel for channel in channels if channel not in runners]
    if not runners:
        return application()
    return TasksAndOthers(runners, application() if others else None)


class TasksAndOthers:
    """An ASGI application for the channels of a worker.

    Args:
        runners: The applications of queues, by channel.
        inner: The application for all other channels, or None.
    """

    def __init__(self, runners: dict[str, ASGIApplication], inner: ASGIApplication | None) -> None:
        self._runners = runners
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run what the channel is for."""
        application = self._runners.get(scope["channel"], self._inner)
        if application is None:
            raise ValueError(f"No application configured for channel name {scope['channel']!r}")
        await application(scope, receive, send)

    def application_for_channel(self, channel: str) -> object | None:
        """Answer the worker's question which application serves a channel."""
        return self._runners.get(channel, self._inner)

    def channel_names(self) -> Iterable[str] | None:
        """Answer the worker's question which channels there are."""
        names = set() if self._inner is None else channel_names(self._inner)
        return None if names is None else {*names, *self._runners}


def _backends(layer: str) -> list[ChannelLayerBackend]:
    return [
        backend
        for backend in task_backends.all()
        if isinstance(backend, ChannelLayerBackend) and backend.settings.layer == layer
    ]
