"""What holds for all tests."""

import signal
from collections.abc import Iterator

import pytest

from tests.exploring import load_profile

load_profile()  # before any test is imported: settings are made with the tests


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    """Signals mean the same before and after a test, and are not ignored, whoever started pytest.

    A server that a fixture ends puts back what it found, which is the handler of an event loop that
    is closed by then; and what ``nohup`` ignores, the processes of a test would ignore, too.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, signal.default_int_handler)
