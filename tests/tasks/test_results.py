"""Where results are kept."""

import pytest
from django.tasks.exceptions import TaskResultDoesNotExist

from fairway.tasks.results import Results
from tests.tasks import jobs
from tests.tasks.tools import tasks


async def test_without_a_cache_nothing_is_kept() -> None:
    """And nothing goes wrong."""
    with tasks():
        result = await jobs.add.aenqueue(1)
        results = Results(None, 60)
        assert not results.kept
        results.put(result)
        await results.aput(result)
        await results.aput_record({})
        results.drop(result)
        await results.adrop(result)
        assert await results.known({"id": result.id}) == {"id": result.id}


async def test_what_is_dropped_is_gone() -> None:
    """For sync and async code."""
    with tasks():
        result = await jobs.add.aenqueue(1)
        results = Results("default", 60)
        results.put(result)
        assert results.get(result.id) == result
        results.drop(result)
        with pytest.raises(TaskResultDoesNotExist):
            results.get(result.id)
        await results.aput(result)
        await results.adrop(result)
        with pytest.raises(TaskResultDoesNotExist):
            await results.aget(result.id)
