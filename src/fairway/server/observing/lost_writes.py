"""What asyncio says of writes to a connection that is lost: nothing that helps anybody.

An application hears in a turn of the event loop that its client has gone. What it writes until then
is dropped, and from the fifth time on asyncio logs a line each time, which does not say of which
connection; uvloop does so with TLS only. A client that goes in the middle of a stream is no news.
"""

import contextlib
import logging
from collections.abc import Iterator
from typing import Final

_MESSAGES: Final = frozenset({"socket.send() raised exception.", "SSL connection is closed"})


class _LostWrites(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.msg not in _MESSAGES


@contextlib.contextmanager
def unmentioned() -> Iterator[None]:
    """Writes that are lost are not logged meanwhile; all else that asyncio says is."""
    logger = logging.getLogger("asyncio")
    lost_writes = _LostWrites()  # one for each server of a process
    logger.addFilter(lost_writes)
    try:
        yield
    finally:
        logger.removeFilter(lost_writes)
