"""Applications at work."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from asgiref.sync import sync_to_async

from fairway._types import ASGIApplication, Event, Receive, Scope, Send
from fairway.server.application.threads import ThreadPool
from fairway.worker import CurrentJob, current_job
from fairway.worker.instances import Instance, Instances
from tests.worker.tools import PATIENCE, Recorder

JOB = CurrentJob("jobs", 1, 0)


@pytest.fixture
async def threads() -> AsyncIterator[ThreadPool]:
    pool = ThreadPool(1)
    async with asyncio.timeout(PATIENCE):
        yield pool
    pool.close()


class Host:
    """A worker, as far as instances know it."""

    def __init__(self, application: ASGIApplication, max_applications: int) -> None:
        self.application = application
        self.max_applications = max_applications

    async def application_send(self, scope: Scope, message: Event) -> None:
        """Take nothing."""


async def _send(scope: Scope, message: Event) -> None:
    """Take what an application sends."""


def test_outside_of_a_worker_there_is_no_job() -> None:
    """A view may call the same function as a handler."""
    assert current_job() is None


async def test_the_current_job_is_known_everywhere(threads: ThreadPool) -> None:
    """In async code, in its threads, and not between two jobs."""
    seen: list[CurrentJob | None] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(current_job())
        while True:
            await receive()
            seen.append(current_job())
            seen.append(await sync_to_async(current_job)())

    instance = Instance(application, {"type": "channel"}, threads, _send)
    await asyncio.sleep(0)
    other = CurrentJob("jobs", 2, 1)
    assert await instance.work_on({"type": "x"}, JOB) is None
    assert await instance.work_on({"type": "x"}, other) is None
    assert seen == [None, JOB, JOB, other, other]
    assert await instance.end(PATIENCE)


async def test_what_it_raises_is_told(threads: ThreadPool) -> None:
    """Exceptions, the wish to end the process, and its own cancellation."""
    for error in (LookupError("x"), SystemExit(3), asyncio.CancelledError()):

        async def application(
            scope: Scope, receive: Receive, send: Send, error: BaseException = error
        ) -> None:
            await receive()
            raise error

        instance = Instance(application, {"type": "channel"}, threads, _send)
        failure = await instance.work_on({"type": "x"}, JOB)
        assert type(failure) is type(error)
        assert instance.ended


async def test_a_failure_between_jobs_is_logged(
    threads: ThreadPool, caplog: pytest.LogCaptureFixture
) -> None:
    """It costs no job, but somebody should know."""
    go_on = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        waiting = asyncio.ensure_future(receive())
        await go_on.wait()
        waiting.cancel()
        raise LookupError("x")

    instance = Instance(application, {"type": "channel", "channel": "jobs"}, threads, _send)
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.wait({instance._task})
    assert caplog.messages == ["The application of channel 'jobs' failed between two jobs."]


async def test_those_that_ended_are_not_lent(threads: ThreadPool) -> None:
    """An instance is used again as long as it lives."""
    application = Recorder()
    instances = Instances(Host(application, 10), threads, PATIENCE)
    first = await instances.lend("jobs")
    await first.work_on({"type": "x", "number": 1}, JOB)
    instances.give_back(first)
    assert await instances.lend("jobs") is first
    await first.work_on({"type": "leave", "number": 2}, JOB)
    instances.give_back(first)
    second = await instances.lend("jobs")
    assert second is not first
    instances.give_back(second)
    await second.end(PATIENCE)
    third = await instances.lend("jobs")
    assert third is not second
    instances.give_back(third)
    await instances.end()
    assert third.ended


async def test_other_channels_have_other_instances(threads: ThreadPool) -> None:
    """Each with its scope."""
    instances = Instances(Host(Recorder(), 10), threads, PATIENCE)
    instances.scopes["mails"] = {"type": "channel", "channel": "mails", "more": 1}
    one, other = await instances.lend("jobs"), await instances.lend("mails")
    assert one.scope == {"type": "channel", "channel": "jobs"}
    assert other.scope == {"type": "channel", "channel": "mails", "more": 1}
    for instance in (one, other):
        instances.give_back(instance)
    assert await instances.lend("mails") is other
    instances.give_back(other)
    await instances.end()
