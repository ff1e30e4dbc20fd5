"""A task's result as plain data: what crosses the layer, and what a cache keeps."""

import dataclasses
from datetime import datetime
from traceback import format_exception
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from django.tasks.base import Task, TaskError, TaskResult, TaskResultStatus
from django.tasks.exceptions import InvalidTask
from django.utils.module_loading import import_string

if TYPE_CHECKING:  # they are generic for type checkers only
    AnyTask: TypeAlias = Task[..., Any]
    AnyResult: TypeAlias = TaskResult[..., Any]
else:
    AnyTask, AnyResult = Task, TaskResult

#: A task's result as text, numbers, booleans, None, lists and dictionaries with text keys: also a
#: layer that carries JSON and nothing else carries it.
Record = dict[str, Any]

#: The type of the messages that carry tasks.
TASK_TYPE: Final = "task.run"

_TIMES: Final = ("enqueued_at", "started_at", "finished_at", "last_attempted_at")


def to_record(result: AnyResult) -> Record:
    """A result as plain data."""
    record: Record = {
        "id": result.id,
        "task": result.task.module_path,
        "priority": result.task.priority,
        "queue_name": result.task.queue_name,
        "run_after": _to_text(result.task.run_after),
        "backend": result.backend,
        "args": result.args,
        "kwargs": result.kwargs,
        "status": str(result.status.value),
        "errors": [[error.exception_class_path, error.traceback] for error in result.errors],
        "worker_ids": list(result.worker_ids),
        "return_value": result._return_value,  # type: ignore[attr-defined]  # noqa: SLF001  else it raises
    }
    return record | {name: _to_text(getattr(result, name)) for name in _TIMES}


def from_record(record: Record) -> AnyResult:
    """The result again.

    Raises:
        InvalidTask: The task is not there any more, or not valid for its backend.
    """
    task = dataclasses.replace(
        load_task(record["task"]),
        priority=record["priority"],
        queue_name=record["queue_name"],
        run_after=_from_text(record["run_after"]),
        backend=record["backend"],
    )
    result = TaskResult(
        task=task,
        id=record["id"],
        status=TaskResultStatus(record["status"]),
        enqueued_at=_from_text(record["enqueued_at"]),
        started_at=_from_text(record["started_at"]),
        finished_at=_from_text(record["finished_at"]),
        last_attempted_at=_from_text(record["last_attempted_at"]),
        args=record["args"],
        kwargs=record["kwargs"],
        backend=record["backend"],
        errors=[
            TaskError(exception_class_path=path, traceback=text) for path, text in record["errors"]
        ],
        worker_ids=list(record["worker_ids"]),
    )
    change(result, _return_value=record["return_value"])
    return result


def change(result: AnyResult, **values: object) -> None:
    """Change a result, which is frozen for everybody but its backend."""
    for name, value in values.items():
        object.__setattr__(result, name, value)


def load_task(path: str) -> AnyTask:
    """The task of this dotted path. It is imported, but nothing that is no task is ever called.

    Raises:
        InvalidTask: There is none.
    """
    try:
        found = import_string(path)
    except ImportError as error:
        raise InvalidTask(f"Task {path!r} cannot be imported: {error}") from error
    if not isinstance(found, Task):
        raise InvalidTask(f"{path!r} is no task. Decorate the function with @task.")
    return found


def task_error(error: BaseException) -> TaskError:
    """An exception as the results of tasks keep it."""
    kind = type(error)
    return TaskError(
        exception_class_path=f"{kind.__module__}.{kind.__qualname__}",
        traceback="".join(format_exception(error)),
    )


def _to_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _from_text(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
