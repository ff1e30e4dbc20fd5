"""Importing the package, with and without ``django.tasks``."""

import importlib

import django
import pytest

WITHOUT_TASKS = django.VERSION < (6, 0)


@pytest.mark.skipif(not WITHOUT_TASKS, reason="this Django has django.tasks")
def test_an_older_django_is_refused() -> None:
    """The error says which Django it takes, and what to do without."""
    with pytest.raises(ImportError) as caught:
        importlib.import_module("fairway.tasks")
    assert str(caught.value) == (
        "fairway.tasks needs Django 6.0 or newer, which has django.tasks; this is Django "
        f"{django.get_version()}. Until then, send to a named channel: see fairway.worker."
    )


@pytest.mark.skipif(
    WITHOUT_TASKS,
    reason="django.tasks came with Django 6.0; make test-matrix runs all of tests/tasks there",
)
def test_a_newer_django_is_welcome() -> None:
    """The dotted path of the documentation leads to the backend."""
    module = importlib.import_module("fairway.tasks")
    assert module.__all__ == ["ChannelLayerBackend", "task_channels", "with_tasks"]
