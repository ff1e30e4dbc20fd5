"""What is checked, and what the checks find."""

from typing import Any

from django.core.checks import run_checks

from fairway._types import Receive, Scope, Send
from fairway.checks import TAG

# pytest-django's `settings` fixture; its attributes are any setting.
Settings = Any


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI 3 application."""


def run() -> list[tuple[str | None, str, str | None]]:
    """The id, message and hint of all that Fairway's checks find."""
    return [(found.id, found.msg, found.hint) for found in run_checks(tags=[TAG])]
