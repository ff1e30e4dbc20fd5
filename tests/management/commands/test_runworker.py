"""``manage.py runworker``."""

import asyncio
import contextlib
import logging
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import django
import pytest
from asgiref.sync import async_to_sync
from django.core.management import call_command
from django.core.management.base import CommandError

from fairway._types import ASGIApplication, Event, Receive, Scope, Send
from fairway.layers import (
    ChannelLayer,
    InMemoryChannelLayer,
    LocalChannelLayer,
    channel_layers,
)
from fairway.layers.redis import RedisChannelLayer
from fairway.management.commands.runworker import Command
from fairway.routing import ChannelNameRouter, ProtocolTypeRouter
from fairway.worker import Worker, job
from tests.layers.redis.servers import RedisServer
from tests.management.commands.project import Process, Project

# pytest-django's `settings` fixture; its attributes are any setting.
Settings = Any

received: list[tuple[Scope, Event]] = []
complete = asyncio.Event()


async def remember(scope: Scope, receive: Receive, send: Send) -> None:
    """Keep two messages, and tell when they are there."""
    received.append((scope, await receive()))
    received.append((scope, await receive()))
    complete.set()


application = ProtocolTypeRouter(
    {"channel": ChannelNameRouter({"jobs": remember, "mails": remember})}
)


without_channels = ProtocolTypeRouter({"http": remember})
badly_buried = ChannelNameRouter({"jobs": job(dead_letter="no name")(partial(remember))})
careful = ChannelNameRouter({"jobs": job(acknowledge=True)(partial(remember))})


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

    worker_class: type[Worker] = RecordingWorker


@pytest.mark.row("1.8 runworker", "0 channels.management.commands.runworker")
def test_it_makes_a_worker_of_the_settings(caplog: pytest.LogCaptureFixture) -> None:
    """The worker gets the default application, the channels, and the layer that was asked for."""
    caplog.set_level(logging.INFO, logger="django.channels.worker")
    call_command(Recording(), "jobs", "mails", layer="jobs")
    worker = RecordingWorker.made
    assert worker.application is application
    assert worker.channels == ["jobs", "mails"]
    assert isinstance(worker.channel_layer, Layer)
    assert caplog.messages == ["Running worker for channels ['jobs', 'mails']"]


@pytest.mark.row("1.8 runworker")
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


@pytest.mark.row("1.8 runworker")
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


NO_ROUTE = (
    "Nothing handles channel 'images': the ChannelNameRouter in ASGI_APPLICATION knows 'jobs', "
    "'mails'."
)
NO_NUMBER = (
    "Cannot understand 'jobs={}': after '=' comes how many jobs of the channel run at once, as in "
    "'jobs=4'."
)


@pytest.mark.parametrize(
    ("channel", "error"),
    [
        ("images", NO_ROUTE),
        ("jobs=many", NO_NUMBER.format("many")),
        ("jobs=0", NO_NUMBER.format("0")),
        ("jobs=", NO_NUMBER.format("")),
    ],
)
def test_what_could_not_work_is_an_error(channel: str, error: str) -> None:
    """A channel without a consumer, or a number that is none."""
    with pytest.raises(CommandError) as caught:
        call_command(Recording(), channel)
    assert str(caught.value) == error


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"concurrency": 0}, "--concurrency must be 1 or more."),
        ({"lease": 0.0}, "lease must be more than 0, and prefetch 0 or more."),
    ],
)
def test_options_that_could_not_work_are_errors(options: dict[str, float], error: str) -> None:
    """Numbers have limits."""
    with pytest.raises(CommandError) as caught:
        call_command(Recording(), "jobs", **options)
    assert str(caught.value) == error


def test_a_project_without_channels_is_told_what_to_write(settings: Settings) -> None:
    """The routes of channels stand beside those of WebSockets."""
    settings.ASGI_APPLICATION = f"{__name__}.without_channels"
    with pytest.raises(CommandError) as caught:
        call_command(Recording(), "jobs")
    assert str(caught.value) == (
        "Nothing handles channel 'jobs': the application in ASGI_APPLICATION has no routes for "
        'channels. Add "channel": ChannelNameRouter({…}) to its ProtocolTypeRouter.'
    )


def test_dead_letters_need_a_valid_name(settings: Settings) -> None:
    """A channel that nobody can send to is refused before the first job fails."""
    settings.ASGI_APPLICATION = f"{__name__}.badly_buried"
    with pytest.raises(CommandError) as caught:
        call_command(Recording(), "jobs")
    assert str(caught.value).startswith(
        "The dead_letter 'no name' for channel 'jobs' is no name: Channel name must be"
    )


def test_acknowledgement_needs_a_layer_that_can(settings: Settings) -> None:
    """A layer of somebody else's may not be able to."""
    settings.ASGI_APPLICATION = f"{__name__}.careful"
    with pytest.raises(CommandError, match="asks for acknowledgement, which Layer cannot do"):
        call_command(Recording(), "jobs", layer="jobs")


@pytest.mark.skipif(django.VERSION >= (6, 0), reason="Django 6.0 and newer have django.tasks")
def test_tasks_need_a_newer_django() -> None:
    """``--tasks`` says what it needs."""
    with pytest.raises(CommandError) as caught:
        call_command(Recording(), tasks=True)
    assert str(caught.value) == "--tasks needs Django 6.0 or newer, which has django.tasks."


@pytest.mark.pain(23)
def test_concurrency() -> None:
    """Each channel may say how many of its jobs run at once; --concurrency is for the others."""
    call_command(Recording(), "jobs=4", "mails", concurrency=2, prefetch=3, graceful_timeout=7.0)
    worker = RecordingWorker.made
    assert worker.channels == ["jobs", "mails"]
    assert worker.concurrency == {"jobs": 4, "mails": 2}
    assert (worker.prefetch, worker.graceful_timeout) == (3, 7.0)


def test_a_worker_class_of_channels_will_do() -> None:
    """One that knows nothing but Channels' arguments gets nothing else, if nothing is asked for."""

    class Old(RecordingWorker):
        def __init__(
            self,
            application: ASGIApplication,
            channels: list[str],
            channel_layer: InMemoryChannelLayer,
            max_applications: int = 1000,
        ) -> None:
            super().__init__(application, channels, channel_layer, max_applications)

    class WithOld(Recording):
        worker_class = Old

    call_command(WithOld(), "jobs")
    assert isinstance(RecordingWorker.made, Old)


@pytest.mark.row("1.8 runworker", "1.5 ChannelNameRouter")
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


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose layer has three jobs, which tell of themselves and wait to be let go on."""
    project = Project(tmp_path)
    settings = project.read("settings.py")
    project.write(
        "settings.py",
        settings.replace("fairway.layers.InMemoryChannelLayer", "jobs.Layer"),
    )
    project.write(
        "jobs.py",
        """
        import os

        from fairway.consumer import SyncConsumer
        from fairway.layers import InMemoryChannelLayer
        from fairway.worker import job


        def say(*words):
            # A line at once: several threads write.
            os.write(1, (" ".join(map(str, words)) + "\\n").encode())


        class Layer(InMemoryChannelLayer):
            filled = False

            async def receive(self, channel):
                if not self.filled:
                    self.filled = True
                    for number in (1, 2, 3):
                        await self.send(channel, {"type": "work", "number": number})
                say("receiving")
                return await super().receive(channel)

            async def send(self, channel, message, *, delay=0.0):
                say("sent", message["number"])
                await super().send(channel, message, delay=delay)


        class Consumer(SyncConsumer):
            def work(self, message):
                say("begun", message["number"])
                with open(f"go{message['number']}") as pipe:
                    pipe.read()
                say("done", message["number"])
        """,
    )
    project.write(
        "asgi.py",
        """
        from fairway.routing import ChannelNameRouter, ProtocolTypeRouter
        from jobs import Consumer

        application = ProtocolTypeRouter(
            {"channel": ChannelNameRouter({"jobs": Consumer.as_asgi()})}
        )
        """,
    )
    for number in (1, 2, 3):
        os.mkfifo(tmp_path / f"go{number}")
    return project


def let_go(project: Project, number: int) -> None:
    """Let a job go on, which is waiting."""
    (project.directory / f"go{number}").write_text("")


@pytest.mark.pain(23)
class TestSignals:
    @pytest.mark.parametrize(
        ("number", "line"),
        [
            (signal.SIGTERM, "Exiting due to SIGTERM"),
            (signal.SIGINT, "Exiting due to Ctrl-C/interrupt"),
        ],
    )
    def test_the_first_lets_the_running_job_finish(
        self, project: Project, number: signal.Signals, line: str
    ) -> None:
        """The job that runs is finished, no other is begun, and all is well."""
        with project.manage("runworker", "jobs") as process:
            process.wait_for("begun 1")
            process._process.send_signal(number)
            process.wait_for(line)
            process.wait_for(r"Waiting up to 30 s for running jobs to finish: 1\.")
            let_go(project, 1)
            assert process.finish() == 0
        assert "done 1" in process.seen
        assert "begun 2" not in process.seen

    def test_an_idle_worker_ends_at_once(self, project: Project) -> None:
        """There is nothing to wait for."""
        project.write("jobs.py", project.read("jobs.py").replace("(1, 2, 3)", "()"))
        with project.manage("runworker", "jobs") as process:
            process.wait_for("receiving")
            process._process.send_signal(signal.SIGTERM)
            assert process.finish() == 0

    def test_the_second_ends_it_now(self, project: Project) -> None:
        """The job is interrupted, the log says where it was, the status says that it was."""
        with project.manage("runworker", "jobs", "--graceful-timeout", "600") as process:
            process.wait_for("begun 1")
            process._process.send_signal(signal.SIGTERM)
            process.wait_for("Waiting up to 600 s")
            process._process.send_signal(signal.SIGTERM)
            process.wait_for(
                r"Job of type 'work' \(19 bytes\) from channel 'jobs' is interrupted, as the "
                "worker ends; it is lost"
            )
            process.wait_for("Its sync code, which cannot be cancelled, is here:")
            process.wait_for("in work")
            assert process.finish() == 1

    def test_the_time_of_grace_ends(self, project: Project) -> None:
        """A job that takes longer is interrupted; what asked for retries goes back first."""
        code = project.read("jobs.py")
        project.write(
            "jobs.py", code.replace("    def work(", "    @job(retries=1)\n    def work(")
        )
        with project.manage("runworker", "jobs", "--graceful-timeout", "0.01") as process:
            process.wait_for("begun 1")
            process._process.send_signal(signal.SIGTERM)
            process.wait_for("it goes back to the channel")
            process.wait_for("sent 1")
            assert process.finish() == 1

    def test_what_was_taken_and_not_begun_goes_back(self, project: Project) -> None:
        """In the order in which it was taken."""
        with project.manage("runworker", "jobs", "--prefetch", "2", "-v", "2") as process:
            for number in (1, 2, 3):
                process.wait_for(f"sent {number}")
            for _ in range(3):
                process.wait_for("Job of type 'work' from channel 'jobs' was taken")
            process._process.send_signal(signal.SIGTERM)
            process.wait_for("sent 2")
            process.wait_for("sent 3")
            let_go(project, 1)
            assert process.finish() == 0


@pytest.mark.pain(23)
def test_the_first_process_of_a_container_can_be_ended_while_it_starts(project: Project) -> None:
    """The system keeps such a signal from it, unless it is handled."""
    manage = project.read("manage.py")
    project.write(
        "manage.py", manage.replace("import os, sys", "import os, sys; os.getpid = lambda: 1")
    )
    project.write("asgi.py", "import time; print('starting', flush=True); time.sleep(3600)")
    with project.manage("runworker", "jobs") as process:
        process.wait_for("starting")
        process._process.send_signal(signal.SIGTERM)
        assert process.finish() == 128 + signal.SIGTERM


def test_jobs_of_a_channel_run_at_once(project: Project) -> None:
    """Three jobs of one channel have begun before the first one ends."""
    with project.manage("runworker", "jobs=3") as process:
        for _ in range(3):
            process.wait_for("begun")
        for number in (3, 1, 2):
            let_go(project, number)
            process.wait_for(f"done {number}")
        process.interrupt()
        assert process.finish() == 0


@contextlib.contextmanager
def local() -> Iterator[dict[str, object]]:
    """Options of a layer for the processes of one test; its path is short, as Unix sockets want."""
    with tempfile.TemporaryDirectory(prefix="fw-") as path:
        yield {"path": path}


@contextlib.contextmanager
def redis() -> Iterator[dict[str, object]]:
    """The same where they meet in a Redis of their own."""
    with RedisServer() as server:
        yield {"hosts": [f"redis://127.0.0.1:{server.port}"]}


@pytest.mark.pain(23)
@pytest.mark.parametrize(
    ("backend", "meet"),
    [(LocalChannelLayer, local), (RedisChannelLayer, redis)],
    ids=["local", "redis"],
)
class TestAcrossProcesses:
    @pytest.fixture
    def layer(
        self,
        project: Project,
        backend: type[ChannelLayer],
        meet: Callable[[], AbstractContextManager[dict[str, Any]]],
    ) -> Iterator[ChannelLayer]:
        """The layer, here and in the project, whose jobs wait to be let go on."""
        project.write(
            "jobs.py",
            """
            import os
            from fairway.consumer import SyncConsumer
            from fairway.worker import current_job, job


            class Consumer(SyncConsumer):
                def once(self, message):
                    self.work(message)

                @job(acknowledge=True)
                def kept(self, message):
                    self.work(message)

                def work(self, message):
                    number, attempt = message["number"], current_job().attempt
                    os.write(1, f"begun {number} attempt {attempt}\\n".encode())
                    with open(f"go{number}") as pipe:
                        pipe.read()
                    os.write(1, f"done {number}\\n".encode())
            """,
        )
        with meet() as options:
            entry = f'"BACKEND": "{backend.__module__}.{backend.__name__}", "CONFIG": {options!r}'
            settings = project.read("settings.py").replace('"BACKEND": "jobs.Layer"', entry)
            project.write("settings.py", settings)
            layer = backend(**options)
            yield layer
            async_to_sync(layer.close)()

    def test_jobs_wait_for_a_worker(self, project: Project, layer: ChannelLayer) -> None:
        """Sent by a process before there is a worker, done by one, then by the next."""
        for number in (1, 2):
            layer.sync.send("jobs", {"type": "once", "number": number})
        with project.manage("runworker", "jobs") as process:
            process.wait_for("begun 1 attempt 1")
            process._process.send_signal(signal.SIGTERM)
            process.wait_for("Waiting up to 30 s")
            let_go(project, 1)
            assert process.finish() == 0
        with project.manage("runworker", "jobs") as process:
            process.wait_for("begun 2 attempt 1")
            let_go(project, 2)
            process.wait_for("done 2")

    def test_a_job_of_a_killed_worker_is_done_by_another(
        self, project: Project, layer: ChannelLayer
    ) -> None:
        """SIGKILL in the middle of a job with acknowledgement: it comes again as its lease ends."""
        layer.sync.send("jobs", {"type": "kept", "number": 1})
        with (
            project.manage("runworker", "jobs", "--lease", "2") as first,
            project.manage("runworker", "jobs", "--lease", "2") as second,
        ):
            begun = first if _begins(first, second) else second
            begun._process.kill()
            begun.finish()
            other = second if begun is first else first
            other.wait_for("begun 1 attempt 2")
            let_go(project, 1)
            other.wait_for("done 1")


def _begins(first: Process, second: Process) -> bool:
    """Whether it is the first one of two workers that begins."""
    for _ in range(600):
        for process in (first, second):
            with contextlib.suppress(TimeoutError):
                process.wait_for("begun 1 attempt 1", seconds=0.1)
                return process is first
    raise TimeoutError("nobody begins")


def test_reload(project: Project) -> None:
    """With --reload the worker starts anew when its code changes, and ends with Ctrl-C."""
    code = project.read("jobs.py").replace("(1, 2, 3)", "()")
    project.write("jobs.py", code)
    with project.manage("runworker", "jobs", "--reload") as process:
        process.wait_for("receiving")
        change(project, process, "jobs.py", code + "\nsay('changed')\n")
        process.wait_for("receiving")
        process.interrupt()
        assert process.finish() == 0


def change(project: Project, process: Process, name: str, text: str) -> None:
    """Save a file, again and again until the worker tells that it has been imported anew.

    What changes while the autoreloader is still looking at its files for the first time, it does
    not notice; when it is done with that, nothing tells.
    """
    for _ in range(60):
        project.write(name, text)
        with contextlib.suppress(TimeoutError):
            process.wait_for("changed", seconds=1)
            return
    raise TimeoutError("the change was not noticed")
