"""An access record in the words of Daphne, whose action loggers are told of protocol and action."""

from collections.abc import Mapping
from typing import Any

from fairway.server.observing.access import AccessRecord


def details_of(record: AccessRecord) -> dict[str, Any]:
    """What is said beside protocol and action.

    Returns:
        ``path`` and ``client``, which is None where there is none; for HTTP also ``status``,
        ``method``, ``time_taken`` (seconds) and ``size`` (bytes of the body).
    """
    details: dict[str, Any] = {"path": record.path, "client": record.client or None}
    if record.protocol == "http":
        details |= {
            "status": record.status,
            "method": record.method,
            "time_taken": record.duration,
            "size": record.size,
        }
    return details


def record_of(protocol: str, action: str, details: Mapping[str, Any]) -> AccessRecord:
    """The record again, as far as the details go."""
    return AccessRecord(
        protocol=protocol,
        action=action,
        method=details.get("method", "GET"),
        path=details["path"],
        http_version="1.1",
        status=details.get("status", 0),
        client=details["client"] or "",
        size=details.get("size", 0),
        duration=details.get("time_taken", 0.0),
    )
