"""Log records as JSON."""

import json
import logging
import sys
from typing import Any

from fairway.server.observing.logs import JSONFormatter, timestamp

WHEN = 1750000000.25


def record(message: str, *args: object, **more: Any) -> logging.LogRecord:
    """A warning of that moment."""
    found = logging.getLogger("fairway.test").makeRecord(
        "fairway.test", logging.WARNING, __file__, 1, message, args, None, extra=more or None
    )
    found.created = WHEN
    return found


def read(found: logging.LogRecord) -> dict[str, Any]:
    """What stands on its line."""
    line = JSONFormatter().format(found)
    assert line.isascii()
    assert line.isprintable()
    parsed: dict[str, Any] = json.loads(line)
    return parsed


def test_record() -> None:
    """When, how grave, who and what; and what was given beside it."""
    assert read(record("%d of %s", 3, "é\n", request_id="4711", peer=("192.0.2.1", 1))) == {
        "time": "2025-06-15T15:06:40.250Z",
        "level": "WARNING",
        "logger": "fairway.test",
        "message": "3 of é\n",
        "request_id": "4711",
        "peer": ["192.0.2.1", 1],
    }


def test_what_json_does_not_know() -> None:
    """It is said as text."""
    assert read(record("x", thing={1}))["thing"] == "{1}"


def test_credential() -> None:
    """What a token in a query says is left out of objects, such as the request of Django's 404."""

    class Request:
        def __repr__(self) -> str:
            return "<ASGIRequest: GET '/a?q=1&my_token=secret&Token=x'>"

    assert read(record("x", request=Request()))["request"] == (
        "<ASGIRequest: GET '/a?q=1&my_token=***&Token=***'>"
    )


def test_exception() -> None:
    """A traceback is one text, on the same line."""
    found = record("failed")
    try:
        raise ValueError("no")
    except ValueError:
        found.exc_info = sys.exc_info()
    text = read(found)["exception"]
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith("\nValueError: no")


def test_stack() -> None:
    """So is a stack."""
    found = record("here")
    found.stack_info = "Stack (most recent call last):\n  ..."
    assert read(found)["stack"] == found.stack_info


def test_timestamp() -> None:
    """In UTC, whatever the local time is."""
    assert timestamp(0) == "1970-01-01T00:00:00.000Z"
