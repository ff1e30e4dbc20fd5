"""Access records in Daphne's words, and back."""

import pytest

from fairway.server.observing.access import AccessRecord
from fairway.server.observing.actions import details_of, record_of

HTTP = AccessRecord("http", "complete", "GET", "/a?b=c", "1.1", 200, "192.0.2.1:5000", 123, 0.456)
SOCKET = AccessRecord("websocket", "connecting", "GET", "/ws/", "1.1", 0, "")


def test_http() -> None:
    """A request is told with its answer."""
    assert details_of(HTTP) == {
        "path": "/a?b=c",
        "client": "192.0.2.1:5000",
        "status": 200,
        "method": "GET",
        "time_taken": 0.456,
        "size": 123,
    }


def test_websocket() -> None:
    """A step of a WebSocket is told with path and client, which may be unknown."""
    assert details_of(SOCKET) == {"path": "/ws/", "client": None}


@pytest.mark.parametrize("record", [HTTP, SOCKET])
def test_back(record: AccessRecord) -> None:
    """What was told makes the record again."""
    assert record_of(record.protocol, record.action, details_of(record)) == record
