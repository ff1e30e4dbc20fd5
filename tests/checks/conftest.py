"""A project that is all right, as long as a test says nothing else."""

import pytest

from tests.checks.running import Settings


@pytest.fixture(autouse=True)
def _good_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ASGI_APPLICATION = "tests.checks.running.asgi"
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
