"""What tests of layers share."""

import pytest

from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    """A clock that the test sets."""
    return Clock()
