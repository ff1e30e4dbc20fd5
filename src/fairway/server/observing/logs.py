"""Log records as JSON, one object on a line."""

import datetime
import json
import logging
import os
import re
import time
from typing import Any, Final

#: What every record has by itself; whatever else it has was given to it as ``extra``.
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
#: A parameter of a query whose name ends in "token": a credential. Objects may show theirs.
_TOKEN: Final = re.compile(r"""(?i)(?<=token=)[^&\s'"<>]+""")


class JSONFormatter(logging.Formatter):
    """Formats a record as an object: when, how grave, who says what, and what was given beside it.

    ``time`` is ISO 8601 in UTC, with milliseconds. Nothing in a message can begin another line:
    JSON has no control characters in texts.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        found: dict[str, Any] = {
            "time": timestamp(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        found |= {
            name: value
            for name, value in vars(record).items()
            if name not in _OWN and name not in found
        }
        if record.exc_info:
            record.exc_text = record.exc_text or self.formatException(record.exc_info)
        if record.exc_text:
            found["exception"] = record.exc_text
        if record.stack_info:
            found["stack"] = self.formatStack(record.stack_info)
        return to_line(found)


def timestamp(when: float) -> str:
    """A moment as ISO 8601 in UTC, with milliseconds.

    Args:
        when: Seconds since the epoch.
    """
    moment = datetime.datetime.fromtimestamp(when, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def time_zone() -> str | None:
    """The one in which this process says what time it is, as TZ has it; None for the machine's."""
    return os.environ.get("TZ")


def use_time_zone(zone: str | None) -> None:
    """Say what time it is as another process does, such as a worker whose Django has a TIME_ZONE.

    Args:
        zone: What :func:`time_zone` says there.
    """
    if zone == time_zone() or not hasattr(time, "tzset"):  # Windows has no such function
        return
    if zone is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = zone
    time.tzset()


def to_line(found: dict[str, Any]) -> str:
    """An object on one line of ASCII; what JSON does not know is said as text.

    Django gives its warnings the request, whose text has the query. A token in it is left out, as
    in the access log.
    """
    return json.dumps(found, default=_as_text, separators=(",", ":"))


def _as_text(thing: object) -> str:
    return _TOKEN.sub("***", str(thing))
