"""Nothing here runs on another loop than an eager one, neither in the test nor beside it."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping

import pytest

from fairway.layers import io as io_module
from fairway.layers.io import io
from tests.eager import new_eager_loop

# asyncio.eager_task_factory came with Python 3.12; `make test-matrix` runs these tests there.
collect_ignore = [] if sys.version_info >= (3, 12) else ["test_layers.py"]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loop on which a test runs."""
    return {"eager": new_eager_loop}


@pytest.fixture(autouse=True)
def eager_io(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The thread for input and output of the layers has such a loop, too, as by a loop policy."""
    io.stop()
    monkeypatch.setattr(io_module, "new_event_loop", new_eager_loop)
    yield
    io.stop()
