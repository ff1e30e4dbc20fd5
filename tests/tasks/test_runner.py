"""Running: what becomes of a task in the worker."""

import asyncio
import logging
from typing import Any

import pytest
from django.tasks import TaskResultStatus, task_backends

from fairway.layers import InMemoryChannelLayer, channel_layers
from tests.tasks import jobs
from tests.tasks.tools import Recording, at_work, signals, tasks
from tests.worker.tools import stopping, until


@pytest.fixture(autouse=True)
def _fresh(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    jobs.ran.clear()
    jobs.begun.clear()


async def outcome(task: Any, *args: Any, **options: Any) -> Any:
    """Enqueue a task with results kept, have it worked on, and return its result then."""
    with tasks(RESULTS="default", **options):
        result = await task.aenqueue(*args)
        async with at_work() as worker:
            await until(lambda: worker.stats()["done"] or worker.stats()["dead"] or ended(worker))
        await result.arefresh()
        return result


def ended(worker: Any) -> bool:
    stats = worker.stats()
    return bool(stats["failed"] > stats["retried"])


async def test_a_task_runs_in_a_worker() -> None:
    """In a thread; its result has what it returned, and when and by whom."""
    with signals() as seen:
        result = await outcome(jobs.add, 1, 2)
    assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, 3)
    assert (result.attempts, len(result.worker_ids)) == (1, 1)
    assert result.enqueued_at <= result.started_at == result.last_attempted_at
    assert result.started_at <= result.finished_at
    assert jobs.ran == [False]
    assert seen == [
        ("enqueued", "add", "READY"),
        ("started", "add", "RUNNING"),
        ("finished", "add", "SUCCESSFUL"),
    ]


async def test_an_async_task_runs_on_the_loop() -> None:
    """Without a thread."""
    result = await outcome(jobs.aadd, 1, 2)
    assert result.return_value == 3
    assert jobs.ran == [True]


async def test_the_context_comes_first() -> None:
    """``takes_context`` gives the attempt and the result."""
    result = await outcome(jobs.contextual, "word")
    assert result.return_value == [1, result.id, "word"]


async def test_queues_are_worked_on_side_by_side() -> None:
    """Each channel has its own slot."""
    with tasks():
        await jobs.mail.using(queue_name="mails").aenqueue()
        await jobs.add.aenqueue(1)
        async with at_work() as worker:
            await until(lambda: worker.stats()["done"] == 2)
            assert worker.stats("tasks.mails")["done"] == 1


@pytest.mark.django_db(transaction=True)
async def test_sync_tasks_use_the_database() -> None:
    """In their thread."""
    assert (await outcome(jobs.query)).return_value == 42


async def test_a_failure_is_recorded_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """With its traceback, by Django's own logger; the worker does not say it again."""
    with signals() as seen:
        result = await outcome(jobs.failing, "no sense")
    assert result.status == TaskResultStatus.FAILED
    (error,) = result.errors
    assert error.exception_class is ValueError
    assert error.traceback.startswith("Traceback (most recent call last):\n")
    assert error.traceback.endswith("ValueError: no sense\n")
    with pytest.raises(ValueError, match="Task failed"):
        result.return_value  # noqa: B018  reading it is the test
    assert seen[-1] == ("finished", "failing", "FAILED")
    errors = [record for record in caplog.records if record.levelno >= logging.WARNING]
    (record,) = errors
    assert record.name == "django.tasks"
    assert record.getMessage() == f"Task id={result.id} path=tests.tasks.jobs.failing state=FAILED"
    assert record.exc_info is not None
    assert repr(record.exc_info[1]) == "ValueError('no sense')"


@pytest.mark.parametrize(
    ("task", "error"),
    [
        (jobs.leaving, SystemExit),
        (jobs.stopping, StopIteration),
        (jobs.acancelled, asyncio.CancelledError),
        (jobs.complicated, TypeError),
    ],
)
async def test_whatever_it_raises_the_worker_goes_on(task: Any, error: type) -> None:
    """Neither ``sys.exit()`` nor what no future can carry harms another task."""
    with tasks(RESULTS="default"):
        result = await task.aenqueue()
        await jobs.add.aenqueue(1)
        async with at_work() as worker:
            await until(lambda: worker.stats()["done"])
            assert worker.stats()["failed"] == 1
        await result.arefresh()
    assert result.errors[0].exception_class is error


async def test_retries(caplog: pytest.LogCaptureFixture) -> None:
    """A task that fails is READY again, and its next attempt knows that it is the second."""
    with signals() as seen:
        result = await outcome(jobs.flaky, RETRIES=1, BACKOFF=0)
    assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, "done")
    assert jobs.ran == [1, 2]
    assert (result.attempts, len(result.errors)) == (2, 1)
    assert result.started_at <= result.last_attempted_at
    assert [(name, status) for name, _, status in seen] == [
        ("enqueued", "READY"),
        ("started", "RUNNING"),
        ("started", "RUNNING"),
        ("finished", "SUCCESSFUL"),
    ]
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "failed: ConnectionError: gone; retry 1 of 1 comes in 0.0 s." in record.getMessage()


async def test_retries_without_results() -> None:
    """The number of the attempt is known all the same; who made the others is not."""
    with tasks(RETRIES=1, BACKOFF=0):
        await jobs.flaky.aenqueue()
        async with at_work() as worker:
            await until(lambda: worker.stats()["done"])
    assert jobs.ran == [1, 2]


async def test_dead_letters() -> None:
    """A task that failed for good is found on the channel, with why."""
    with tasks(DEAD_LETTER="failed") as backend:
        await jobs.failing.aenqueue("no sense")
        async with at_work():
            letter = await channel_layers[backend.settings.layer].receive("failed")
    assert letter["error"] == "ValueError: no sense"
    assert letter["message"]["task"] == "tests.tasks.jobs.failing"


async def test_acknowledgement() -> None:
    """A task of a worker that was killed runs again."""
    now = [0.0]
    layer = InMemoryChannelLayer(clock=lambda: now[0])
    with tasks(layer, ACKNOWLEDGE=True):
        await jobs.contextual.aenqueue("word")
        await layer.receive_job("tasks.default", lease=10)
        now[0] = 11
        async with at_work() as worker:
            await until(lambda: worker.stats()["done"])


@pytest.mark.parametrize(
    ("options", "status"),
    [({}, "FAILED"), ({"ACKNOWLEDGE": True}, "READY"), ({"RETRIES": 1}, "READY")],
)
async def test_a_task_that_is_cut_off(options: dict[str, Any], status: str) -> None:
    """The worker ends before it: it failed, or waits for the next worker if that was asked for."""
    from fairway.tasks import task_channels, with_tasks

    with tasks(RESULTS="default", **options):
        result = await jobs.hanging.aenqueue()
        channels = task_channels()
        application = with_tasks(lambda: pytest.fail("not needed"), channels)
        async with stopping(
            application, channel_layers["default"], channels, graceful_timeout=0
        ) as worker:
            await until(jobs.begun.is_set)
            worker.stop()
        await result.arefresh()
        assert result.status == status
        assert worker.stats()["requeued"] == (status == "READY")


class TestWhatCannotBegin:
    async def test_a_task_that_is_not_there_any_more(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It failed, and the log says why; the next one runs."""
        layer = Recording()
        with tasks(layer, RESULTS="default") as backend:
            result = await jobs.add.aenqueue(1)
            message = layer.sent[0][1]
            await layer.receive("tasks.default")
            await backend.results.aput_record({**message, "task": "tests.tasks.jobs.gone"})
            await layer.send("tasks.default", {**message, "task": "tests.tasks.jobs.gone"})
            await jobs.add.aenqueue(1)
            async with at_work() as worker:
                await until(lambda: worker.stats()["done"])
                assert worker.stats()["failed"] == 1
            record = await backend.results._cache.aget(f"fairway.tasks.{result.id}")
        assert record["status"] == "FAILED"
        assert record["errors"][0][0] == "django.tasks.exceptions.InvalidTask"
        (line,) = [text for text in caplog.messages if "InvalidTask" in text]
        assert "Task 'tests.tasks.jobs.gone' cannot be imported" in line

    @pytest.mark.parametrize("path", ["os.getcwd", "tests.tasks.jobs.plain"])
    async def test_what_is_no_task_is_not_called(self, path: str) -> None:
        """A message names tasks, and nothing else that could be imported."""
        layer = Recording()
        with tasks(layer):
            await jobs.add.aenqueue(1)
            await layer.receive("tasks.default")
            await layer.send("tasks.default", {**layer.sent[0][1], "task": path})
            async with at_work() as worker:
                await until(lambda: worker.stats()["failed"])

    async def test_what_is_no_message_of_ours(self, caplog: pytest.LogCaptureFixture) -> None:
        """It is logged, and costs itself alone."""
        with tasks():
            await channel_layers["default"].send("tasks.default", {"type": "hello"})
            async with at_work() as worker:
                await until(lambda: worker.stats()["failed"])
        assert "ValueError: This channel is for tasks, not for 'hello'" in caplog.text


def test_every_thread_has_its_backend() -> None:
    """Django makes one for each; they are equal in what they do."""
    with tasks():
        assert task_backends["default"] is task_backends["default"]
