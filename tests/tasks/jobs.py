"""Tasks for the tests, as a project has them in ``tasks.py``."""

import asyncio
import threading
from typing import Any

from django.db import connection
from django.tasks import TaskContext, task

ran: list[object] = []
begun = threading.Event()


@task()
def add(one: int, other: int = 0) -> int:
    """Add, in a thread."""
    ran.append(threading.current_thread() is threading.main_thread())
    return one + other


@task
async def aadd(one: int, other: int = 0) -> int:
    """Add, on the loop."""
    ran.append(threading.current_thread() is threading.main_thread())
    return one + other


@task(takes_context=True)
def contextual(context: "TaskContext[..., Any]", word: str) -> list[object]:
    """Tell the context."""
    return [context.attempt, context.task_result.id, word]


@task()
def mail() -> None:
    """Be sent to another queue."""
    ran.append("mail")


@task()
def failing(message: str = "nonsense") -> None:
    """Fail."""
    ran.append("failing")
    raise ValueError(message)


@task(takes_context=True)
def flaky(context: "TaskContext[..., Any]") -> str:
    """Fail the first time."""
    ran.append(context.attempt)
    if context.attempt == 1:
        raise ConnectionError("gone")
    return "done"


@task()
def leaving() -> None:
    """Want to end the process."""
    raise SystemExit(3)


@task()
def stopping() -> None:
    """Raise what no future can carry."""
    raise StopIteration


@task()
async def acancelled() -> None:
    """Cancel itself."""
    raise asyncio.CancelledError


@task()
def complicated() -> object:
    """Return what no JSON can carry."""
    return object()


@task()
async def hanging() -> None:
    """Hang."""
    begun.set()
    await asyncio.Event().wait()


@task()
def query() -> int:
    """Use the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 40 + 2")
        found: int = cursor.fetchone()[0]
    return found


def plain() -> None:
    """Be no task."""


renamed = task()(plain)
