"""Results as plain data, and back."""

import json

import pytest
from django.tasks import TaskResultStatus
from django.tasks.exceptions import InvalidTask
from django.utils import timezone

from fairway.tasks.records import change, from_record, load_task, task_error, to_record
from tests.tasks import jobs
from tests.tasks.tools import tasks


def test_there_and_back() -> None:
    """All that a result knows survives JSON."""
    with tasks():
        result = jobs.add.using(run_after=timezone.now()).enqueue(1, other=2)
        change(
            result,
            status=TaskResultStatus.SUCCESSFUL,
            started_at=timezone.now(),
            finished_at=timezone.now(),
            last_attempted_at=timezone.now(),
            worker_ids=["one", "two"],
            errors=[task_error(ValueError("x"))],
            _return_value=[3],
        )
        again = from_record(json.loads(json.dumps(to_record(result))))
    assert again == result
    assert again.return_value == [3]


@pytest.mark.parametrize("path", ["tests.tasks.gone.add", "tests.tasks.jobs.gone", "nonsense", ""])
def test_paths_that_lead_nowhere(path: str) -> None:
    """Are one error, whatever is missing."""
    with pytest.raises(InvalidTask, match=f"^Task '{path}' cannot be imported: "):
        load_task(path)
