"""Dates as HTTP writes them (RFC 9110 §5.6.7)."""

from email.utils import formatdate

import pytest

from fairway.server.dates import http_date


def test_example_of_the_standard() -> None:
    """The example of §5.6.7."""
    assert http_date(784111777) == b"Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize("seconds", [0, *range(951_782_399, 983_318_400, 2_500_003), 4_102_444_800])
def test_like_the_standard_library(seconds: int) -> None:
    """Each month and weekday, a leap day and other centuries are what email.utils makes of them."""
    assert http_date(seconds).decode() == formatdate(seconds, usegmt=True)
