"""The system check of ``ASGI_APPLICATION``; see :mod:`fairway.checks`."""

import inspect
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage
from django.db import Error as DatabaseError

from fairway.checks.paths import Unresolved, resolve


def check_asgi_application(**kwargs: Any) -> list[CheckMessage]:
    """Find out whether ``ASGI_APPLICATION`` leads to an application (E001 to E005, W001, W011).

    The application is imported, as the server would do. Whatever that raises becomes a message.
    """
    path = getattr(settings, "ASGI_APPLICATION", None)
    example = f"{_project_package()}.asgi.application"
    if path is None:
        return [
            checks.Warning(
                "ASGI_APPLICATION is not set, so runserver has nothing to serve.",
                hint=f'Add ASGI_APPLICATION = "{example}" to your settings.',
                id="fairway.W001",
            )
        ]
    found = resolve(path)
    if isinstance(found, Unresolved):
        if isinstance(found.error, DatabaseError):
            return [_asks_the_database(path, found)]
        ids = {"path": "E001", "module": "E002", "name": "E003", "raised": "E004"}
        return [
            checks.Error(
                f"ASGI_APPLICATION is {path!r}, but {found.reason}.",
                hint=found.hint or f'Write the path of your application, such as "{example}".',
                id=f"fairway.{ids[found.kind]}",
            )
        ]
    if wrong := _why_not_asgi(found.value, example):
        reason, hint = wrong
        message = f"ASGI_APPLICATION is {path!r}, which {reason}."
        return [checks.Error(message, hint=hint, id="fairway.E005")]
    return []


def _asks_the_database(path: object, found: Unresolved) -> CheckMessage:
    # No error: it would stop `migrate`, which makes the table that is missing.
    return checks.Warning(
        f"ASGI_APPLICATION is {path!r}, but {found.reason}.",
        hint=f"{found.hint}\nIf tables are missing, run migrate. A query that stands in a function "
        "is not made before it is needed.",
        id="fairway.W011",
    )


def _project_package() -> str:
    """The package that probably has ``asgi.py``: the one of the root URLconf."""
    urlconf = getattr(settings, "ROOT_URLCONF", None)
    return (urlconf.rpartition(".")[0] if isinstance(urlconf, str) else "") or "mysite"


def _why_not_asgi(application: object, example: str) -> tuple[str, str] | None:
    """Say why an object is not an ASGI application, and what to write, such as ``example``.

    Whether a call works can be seen from the signature alone; what the application then does with
    ``scope``, ``receive`` and ``send`` cannot.
    """
    if isinstance(application, type) and hasattr(application, "as_asgi"):
        name = application.__qualname__
        return (
            f"is the consumer class {name}, not an application",
            f'Route to {name}.as_asgi() in a URLRouter, and name what is around it: "{example}".',
        )
    if not callable(application):
        return (
            f"is of type {type(application).__name__} and cannot be called",
            f'Write the path of your ASGI application, such as "{example}".',
        )
    # Three arguments are ASGI 3, one is ASGI 2.
    if _accepts(application, 3) or _accepts(application, 1):
        return None
    if _accepts(application, 2):
        return (
            "takes two arguments, so it seems to be a WSGI application",
            f'Make one with fairway.http.get_asgi_application(), and name it: "{example}".',
        )
    return (
        "cannot be called with scope, receive and send",
        f'Write the path of your ASGI application, such as "{example}".',
    )


def _accepts(function: Callable[..., object], count: int) -> bool:
    """Whether a function takes so many positional arguments; True where nobody can tell."""
    try:
        # Of the call itself: as_asgi() names the consumer class as what it wraps.
        signature = inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True
