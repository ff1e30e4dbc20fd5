"""What to write instead, where an exception or a log line alone would not tell a newcomer."""

import inspect
import traceback
from typing import Any, Final

from fairway._types import Event, Scope
from fairway.consuming.handlers import get_handler_name, is_ours, is_ours_by_name

#: What puts a key into the scope that a consumer misses.
_GIVEN_BY: Final = {
    "user": "AuthMiddlewareStack(…), from fairway.auth",
    "session": "SessionMiddlewareStack(…), from fairway.sessions",
    "cookies": "CookieMiddleware(…), from fairway.sessions",
    "url_route": "URLRouter([…]), from fairway.routing",
}


def advise_on_error(consumer: object, scope: Scope, error: Exception) -> str | None:
    """What may mend an exception of a consumer; None if its own words are enough.

    Args:
        consumer: Whose exception.
        scope: Of its connection.
        error: What it raised.
    """
    if isinstance(error, KeyError):
        return _advise_on_scope(scope, error)
    if isinstance(error, TypeError) and "await" in str(error):
        return _advise_on_awaiting(type(consumer), error)
    return None


def advise_on_message(consumer_class: type, message: Event, *, marked: bool) -> str:
    """How a channel layer's message would find a handler.

    Args:
        consumer_class: That has none for it.
        message: As it came.
        marked: The class has handlers that are marked with ``@handles``.
    """
    try:
        name = get_handler_name(message)
    except ValueError:
        return f'"chat.message", say, as type calls chat_message(); it is {message.get("type")!r}'
    if is_ours_by_name(consumer_class, name):
        return f"{name}() is not for messages of channel layers"
    if not name.isidentifier():
        return "a type has letters, digits, underscores and dots"
    if marked:
        return f"mark its handler with @handles({message['type']!r})"
    return f"its handler would be {name}()"


def _advise_on_scope(scope: Scope, error: KeyError) -> str | None:
    key = error.args[0] if error.args else None
    if key in scope or key not in _GIVEN_BY:
        return None
    raised = traceback.extract_tb(error.__traceback__)[-1:]
    if not any("scope" in (place.line or "") for place in raised):
        return None  # some other dictionary
    return f"What puts {key!r} into the scope is {_GIVEN_BY[key]}: wrap it around this consumer."


def _advise_on_awaiting(consumer_class: type, error: TypeError) -> str | None:
    """Name the methods that are ``def`` where ours are ``async def``.

    Such a one has run already when its result is awaited, so no line of it is in the traceback.
    """
    last = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][-1:]
    if not any(str(frame.f_globals.get("__name__")).startswith("fairway.") for frame in last):
        return None
    names = [name for name in dir(consumer_class) if _should_be_async(consumer_class, name)]
    if not names:
        return None
    return (
        f"Write {', '.join(f'async def {name}()' for name in names)}: what it returns is awaited."
    )


def _should_be_async(consumer_class: type, name: str) -> bool:
    versions: list[Any] = [
        vars(base)[name] for base in consumer_class.__mro__ if name in vars(base)
    ]
    theirs, ours = versions[0], [version for version in versions if is_ours(version)]
    return (
        inspect.isfunction(theirs)
        and not inspect.iscoroutinefunction(theirs)
        and not is_ours(theirs)
        and any(inspect.iscoroutinefunction(version) for version in ours)
    )
