"""``manage.py runworker``."""

import asyncio
import logging
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from fairway._types import Event, Receive, Scope, Send
from fairway.layers import InMemoryChannelLayer, channel_layers
from fairway.management.commands.runworker import Command
from fairway.routing import ChannelNameRouter, ProtocolTypeRouter
from fairway.worker import Worker

# pytest-django's `settings` fixture; its attributes are any setting.
Settings = Any

received: list[tuple[Scope, Event]] = []
complete = asyncio.Event()


async def remember(scope: Scope, receive: Receive, send: Send) -> None:
    """Keep two messages, and tell when they are there."""
    received.append((scope, await receive()))
    received.append((scope, await receive()))
    complete.set()


application = ProtocolTypeRouter({"channel": ChannelNameRouter({"jobs": remember, "mails": remember})})


class Layer:
    """A layer of somebody else's."""


@pytest.fixture(autouse=True)
def _project(settings: Settings) -> None:
    settings.ASGI_APPLICATION = f"{__name__}.application"
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": "fairway.layers.InMemoryChannelLayer"},
        "jobs": {"BACKEND": f"{__name__}.Layer"},
    }
    received.clear()


class RecordingWorker(Worker):
    """A worker that is made and not run."""

    made: "RecordingWorker"

    def run(self) -> None:
        """Keep itself."""
        RecordingWorker.made = self


class Recording(Command):
    """A command whose worker does nothing."""

    worker_class = RecordingWorker


def test_it_makes_a_worker_of_the_settings(caplog: pytest.LogCaptureFixture) -> None:
    """The worker gets the default application, the channels, and the layer that was asked for."""
    caplog.set_level(logging.INFO, logger="django.channels.worker")
    call_command(Recording(), "jobs", "mails", layer="jobs")
    worker = RecordingWorker.made
    assert worker.application is application
    assert worker.channels == ["jobs", "mails"]
    assert isinstance(worker.channel_layer, Layer)
    assert caplog.messages == ["Running worker for channels ['jobs', 'mails']"]


def test_the_in_memory_layer_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody could send to such a worker, which would wait in silence."""
    call_command(Recording(), "jobs")
    assert isinstance(RecordingWorker.made.channel_layer, InMemoryChannelLayer)
    assert caplog.messages[0] == (
        "The in-memory channel layer does not reach other processes: "
        "this worker gets only what is sent from inside itself."
    )


def test_an_unknown_layer_is_an_error() -> None:
    """Without such a layer there is nothing to listen to."""
    with pytest.raises(CommandError) as caught:
        call_command(Recording(), "jobs", layer="missing")
    assert str(caught.value) == "There is no 'missing' in CHANNEL_LAYERS, only 'default', 'jobs'."


def test_no_layers_are_an_error(settings: Settings) -> None:
    """A project that wants no layer can have no worker."""
    settings.CHANNEL_LAYERS = {}
    with pytest.raises(CommandError) as caught:
        call_command(Recording(), "jobs")
    assert str(caught.value) == "You do not have any CHANNEL_LAYERS configured."


def test_a_name_that_no_channel_can_have_is_an_error() -> None:
    """A name that the layer refuses would make the worker fail for ever."""
    with pytest.raises(CommandError) as caught:
        call_command(Recording(), "jobs", "my jobs")
    assert str(caught.value) == (
        "Cannot listen on 'my jobs': Channel name must be a valid unicode string with length < 100 "
        "containing only ASCII alphanumerics, hyphens, underscores, or periods."
    )


def test_channels_are_required() -> None:
    """A worker for no channel is refused."""
    with pytest.raises(CommandError, match="the following arguments are required: channels"):
        call_command(Recording())


async def test_messages_reach_the_application() -> None:
    """What is sent to a channel arrives at the application that its name leads to."""
    layer = channel_layers["default"]
    await layer.send("jobs", {"type": "job", "number": 1})
    await layer.send("jobs", {"type": "job", "number": 2})
    call_command(Recording(), "jobs")
    working = asyncio.create_task(RecordingWorker.made.handle())
    async with asyncio.timeout(10):
        await complete.wait()
    working.cancel()
    await asyncio.wait({working})
    scope = {"type": "channel", "channel": "jobs"}
    assert received == [(scope, {"type": "job", "number": number}) for number in (1, 2)]
