"""From channels to tasks, and to the project's own consumers."""

from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from fairway._types import Receive, Scope, Send
from fairway.management.commands.runworker import Command
from fairway.routing import ChannelNameRouter, ProtocolTypeRouter
from fairway.tasks import task_channels, with_tasks
from fairway.tasks.routes import TasksAndOthers
from fairway.tasks.runner import TaskRunner
from fairway.worker import Worker
from fairway.worker.routes import application_for, channel_names
from tests.tasks.tools import BACKEND, tasks

seen: list[str] = []


async def consumer(scope: Scope, receive: Receive, send: Send) -> None:
    """Tell that it was called."""
    seen.append(scope["channel"])


application = ProtocolTypeRouter({"channel": ChannelNameRouter({"jobs": consumer})})


def test_channels_of_all_queues() -> None:
    """Those of one layer."""
    with tasks():
        assert task_channels() == ["tasks.default", "tasks.mails"]
        assert task_channels("other") == []


def test_nothing_is_wrapped_without_need() -> None:
    """A worker without queues gets the project's application itself."""
    with tasks():
        assert with_tasks(lambda: application, ["jobs"]) is application


def test_any_queue_if_none_is_named() -> None:
    """``"QUEUES": []`` means that every name is a queue."""
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "QUEUES": []}}):
        routed = with_tasks(lambda: application, ["tasks.anything", "jobs"])
        assert isinstance(application_for(routed, "tasks.anything"), TaskRunner)
        assert application_for(routed, "jobs") is consumer
        assert channel_names(routed) == {"tasks.anything", "jobs"}


async def test_each_goes_where_it_belongs() -> None:
    """Tasks to their runner, others to the consumer, unknown ones nowhere."""
    with tasks():
        routed: Any = with_tasks(lambda: application, ["tasks.default", "jobs"])
        await routed({"type": "channel", "channel": "jobs"}, None, None)
        assert seen == ["jobs"]
        alone = TasksAndOthers({}, None)
        assert alone.channel_names() == set()
        assert alone.application_for_channel("jobs") is None
        with pytest.raises(ValueError, match="No application configured for channel name 'jobs'"):
            await alone({"type": "channel", "channel": "jobs"}, None, None)  # type: ignore[arg-type]


class RecordingWorker(Worker):
    """A worker that is made and not run."""

    made: "RecordingWorker"

    def run(self) -> None:
        """Keep itself."""
        RecordingWorker.made = self


class Recording(Command):
    worker_class = RecordingWorker


class TestRunworker:
    def test_queues_need_no_route(self) -> None:
        """Named or not, with nothing else in the project."""
        with tasks(), override_settings(ASGI_APPLICATION=None):
            call_command(Recording(), "tasks.mails=2")
            assert RecordingWorker.made.concurrency == {"tasks.mails": 2}
            call_command(Recording(), tasks=True, concurrency=3)
            assert RecordingWorker.made.concurrency == {"tasks.default": 3, "tasks.mails": 3}

    def test_beside_the_projects_own_channels(self) -> None:
        """One process may do both."""
        with tasks(), override_settings(ASGI_APPLICATION=f"{__name__}.application"):
            call_command(Recording(), "jobs", "tasks.mails=2", tasks=True)
            assert RecordingWorker.made.concurrency == {
                "jobs": 1,
                "tasks.mails": 2,
                "tasks.default": 1,
            }
            with pytest.raises(CommandError) as caught:
                call_command(Recording(), "tasks.other", "tasks.mails")
        assert str(caught.value) == (
            "Nothing handles channel 'tasks.other': the ChannelNameRouter in ASGI_APPLICATION "
            "knows 'jobs', 'tasks.mails'."
        )

    def test_no_queues(self) -> None:
        """Asking for tasks where there are none is a mistake."""
        with override_settings(TASKS={}), pytest.raises(CommandError) as caught:
            call_command(Recording(), tasks=True)
        assert str(caught.value) == (
            "No queue of a fairway.tasks.ChannelLayerBackend in TASKS uses layer 'default'."
        )
