"""A server in the test's own event loop, a watch over the log, and a count of what there is."""

import asyncio
import gc
import logging
from collections.abc import Callable, Iterator, Mapping

import pytest
import uvloop

from tests.faults.census import Census
from tests.server.conftest import logs, serve

__all__ = ["Log", "census", "log", "logs", "serve"]


#: Test modules that run on both kinds of event loop: they depend on how transports behave.
ON_BOTH_LOOPS = {"test_cuts", "test_descriptors"}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loops on which a test runs."""
    if item.path.stem in ON_BOTH_LOOPS:
        return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


class Log:
    """Warnings and errors of all loggers, as lines.

    Nobody else is told of them: pytest would keep each record, with the frames of its traceback and
    every object in them, which are just what a test here must see go.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []

    def handle(self, record: logging.LogRecord) -> None:
        """Keep what a record says."""
        if record.levelno >= logging.WARNING:
            self._lines.append(f"{record.levelname} {record.getMessage()}")

    def take(self) -> list[str]:
        """The lines since the last call."""
        lines, self._lines = self._lines, []
        return lines


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """What is logged as a warning or an error; a test fails that leaves a line there."""
    log = Log()
    monkeypatch.setattr(logging.Logger, "handle", lambda _, record: log.handle(record))
    yield log
    assert log.take() == []


@pytest.fixture
def census() -> Iterator[Census]:
    """Counts what a server leaves behind."""
    yield Census()
    gc.unfreeze()
