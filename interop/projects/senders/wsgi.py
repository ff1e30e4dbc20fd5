"""An application that says what its path tells, and something when it is loaded."""

from collections.abc import Callable
from typing import Any

from senders import jobs

jobs.say("awake", "sync")


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Say it: ``/<way>/<text>/``."""
    _, way, text, _ = environ["PATH_INFO"].split("/")
    jobs.say(text, way)
    start_response("200 OK", [])
    return [b"said"]
