"""What holds for all tests."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

# Examples are the same in each run, and no test depends on speed. To look for new counterexamples:
# HYPOTHESIS_PROFILE=explore make test ARGS="-k fuzz"
settings.register_profile("fairway", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fairway"))


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
