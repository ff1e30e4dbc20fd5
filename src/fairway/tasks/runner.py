"""Runs tasks: the application behind a queue's channel."""

import asyncio
import os
import socket
from inspect import iscoroutinefunction
from typing import Any

from django.dispatch import Signal
from django.tasks.base import TaskContext, TaskResultStatus
from django.tasks.signals import task_finished, task_started
from django.utils import timezone
from django.utils.json import normalize_json

from fairway._types import Event, Receive, Scope, Send
from fairway.db import aclose_old_connections, database_sync_to_async
from fairway.tasks.backend import ChannelLayerBackend
from fairway.tasks.records import TASK_TYPE, AnyResult, Record, change, from_record, task_error
from fairway.worker.instances import current_job
from fairway.worker.policy import JobFailed, job


class TaskRunner:
    """An ASGI application that runs the tasks of one backend, one after the other.

    Args:
        backend: Whose tasks.
    """

    def __init__(self, backend: ChannelLayerBackend) -> None:
        self.backend = backend
        self._policy = backend.settings.policy()
        self._worker_id = f"{socket.gethostname()}:{os.getpid()}"
        settings = backend.settings
        job(
            retries=settings.retries,
            backoff=settings.backoff,
            max_backoff=settings.max_backoff,
            dead_letter=settings.dead_letter,
            acknowledge=settings.acknowledge,
        )(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run each task that comes.

        Raises:
            JobFailed: A task failed for good, which has been recorded and logged.
            Exception: What a task raised that is tried again, or why it could not be begun.
        """
        while True:
            await self._run(await receive())

    async def _run(self, message: Event) -> None:
        if message["type"] != TASK_TYPE:
            raise ValueError(f"This channel is for tasks, not for {message['type']!r}.")
        record = await self.backend.results.known(message)
        current = current_job()
        attempt = 1 if current is None else current.attempt
        try:
            result = from_record(record)
        except Exception as error:
            await self._not_begun(record, error)
            raise
        await self._begin(result, attempt)
        try:
            value, raised = await self._call(result)
            if raised is not None:
                raise raised
            value = normalize_json(value)
        # Whatever it is, SystemExit too: it is the end of the task, not of the worker.
        except BaseException as error:
            cut_off = _is_cut_off(error)
            await self._failed(result, error, again=self._comes_again(error, attempt, cut_off))
            if cut_off:
                raise
            if result.status == TaskResultStatus.READY:
                raise  # the worker logs it, with when it is tried again
            raise JobFailed(f"Task {result.task.module_path} failed") from error
        change(result, status=TaskResultStatus.SUCCESSFUL, _return_value=value)
        await self._finished(result)

    async def _begin(self, result: AnyResult, attempt: int) -> None:
        now = timezone.now()
        # Who made the attempts before is known if results are kept; how many there were, always.
        before = (result.worker_ids + ["unknown"] * attempt)[: attempt - 1]
        change(
            result,
            status=TaskResultStatus.RUNNING,
            started_at=result.started_at or now,
            last_attempted_at=now,
            worker_ids=[*before, self._worker_id],
        )
        await self.backend.results.aput(result)
        await self._tell(task_started, result)

    async def _call(self, result: AnyResult) -> tuple[Any, BaseException | None]:
        """What the task returned, and what it raised: futures cannot carry every exception."""
        task = result.task
        context: list[Any] = [TaskContext(task_result=result)] if task.takes_context else []
        if not iscoroutinefunction(task.func):

            def call() -> tuple[Any, BaseException | None]:
                try:
                    return task.func(*context, *result.args, **result.kwargs), None
                except BaseException as error:  # noqa: BLE001  it is raised on the other side
                    return None, error

            return await database_sync_to_async(call)()
        await aclose_old_connections()
        try:
            return await task.func(*context, *result.args, **result.kwargs), None
        except BaseException as error:  # noqa: BLE001  as above
            return None, error
        finally:
            await aclose_old_connections()

    async def _failed(self, result: AnyResult, error: BaseException, *, again: bool) -> None:
        result.errors.append(task_error(error))
        if again:
            change(result, status=TaskResultStatus.READY)
            await self.backend.results.aput(result)
        else:
            change(result, status=TaskResultStatus.FAILED)
            await self._finished(result)

    async def _finished(self, result: AnyResult) -> None:
        change(result, finished_at=timezone.now())
        await self.backend.results.aput(result)
        await self._tell(task_finished, result)

    async def _tell(self, signal: Signal, result: AnyResult) -> None:
        # Not asend(), which runs receivers in tasks of their own: Django's logs the exception that
        # is being handled, which they would not see.
        await database_sync_to_async(signal.send)(type(self.backend), task_result=result)

    async def _not_begun(self, record: Record, error: Exception) -> None:
        """The task is not there any more, say."""
        found = task_error(error)
        failed: dict[str, Any] = {
            **record,
            "status": str(TaskResultStatus.FAILED.value),
            "finished_at": timezone.now().isoformat(),
            "errors": [*record.get("errors", ()), [found.exception_class_path, found.traceback]],
        }
        failed.pop("type", None)
        if "id" in failed:
            await self.backend.results.aput_record(failed)

    def _comes_again(self, error: BaseException, attempt: int, cut_off: bool) -> bool:
        if cut_off:
            return self._policy.acknowledge or attempt <= self._policy.retries
        return self._policy.retry_delay(error, attempt) is not None


def _is_cut_off(error: BaseException) -> bool:
    """Whether the worker ends, and not the task cancels itself."""
    task = asyncio.current_task()
    cancelled = isinstance(error, asyncio.CancelledError)
    return cancelled and task is not None and task.cancelling() > 0
