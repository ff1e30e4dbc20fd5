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
    """Ctrl-C means the same before and after a test, and is not ignored, whoever started pytest.

    A server that a fixture ends puts back what it found, which is the handler of an event loop that
    is closed by then.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, signal.default_int_handler)
