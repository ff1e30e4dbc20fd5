"""Dates as HTTP writes them (RFC 9110 §5.6.7)."""

import time
from typing import Final

__all__ = ["http_date"]

# Not time.strftime(), whose names are those of the locale that an application may have set; and not
# email.utils, with which a server takes 2 ms more to start.
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


def http_date(seconds: int) -> bytes:
    """A moment as an ``IMF-fixdate``, such as ``Sun, 06 Nov 1994 08:49:37 GMT``.

    Args:
        seconds: Since the epoch.
    """
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime(seconds)
    text = f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year:04}"
    return f"{text} {hour:02}:{minute:02}:{second:02} GMT".encode("ascii")
