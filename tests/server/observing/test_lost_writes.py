"""Writes to connections that are lost are no news."""

import logging

from fairway.server.observing.lost_writes import unmentioned
from tests.server.running import Logs

LOGGER = logging.getLogger("asyncio")
LOST = "socket.send() raised exception."


def test_unmentioned(logs: Logs) -> None:
    """Of asyncio's lines those are left out that say that somebody has gone, and no others."""
    with unmentioned():
        LOGGER.warning(LOST)
        LOGGER.warning("SSL connection is closed")
        LOGGER.warning("Something else")
        LOGGER.error("Task was destroyed but it is pending!")
    assert logs.take() == [
        "WARNING Something else", "ERROR Task was destroyed but it is pending!"
    ]  # fmt: skip


def test_afterwards(logs: Logs) -> None:
    """It ends with the last server of the process."""
    with unmentioned():
        with unmentioned():
            pass
        LOGGER.warning(LOST)
    assert logs.take() == []
    LOGGER.warning(LOST)
    assert logs.take() == [f"WARNING {LOST}"]
