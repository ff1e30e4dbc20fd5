"""What to write instead, where an exception or a log line alone would not tell a newcomer."""

import inspect
import traceback
from types import FrameType
from typing import Any, Final

from django.core.exceptions import SynchronousOnlyOperation

from fairway._types import Event, Scope
from fairway.consuming.handlers import NoHandler, get_handler_name, is_ours, is_ours_by_name
from fairway.layers import channel_layers

#: What puts a key into the scope that a consumer misses.
_GIVEN_BY: Final = {
    "user": "AuthMiddlewareStack(…), from fairway.auth",
    "session": "SessionMiddlewareStack(…), from fairway.sessions",
    "cookies": "CookieMiddleware(…), from fairway.sessions",
    "url_route": "URLRouter([…]), from fairway.routing",
}
#: What consumers ask of their channel layer.
_LAYER_METHODS: Final = frozenset(
    {"group_add", "group_discard", "group_send", "new_channel", "receive", "send", "sync"}
)
#: What is looked for on a consumer, and where it is.
_ELSEWHERE: Final = {
    "request": "A consumer has no request. What a view finds there is in self.scope, such as "
    'self.scope["user"], self.scope["headers"] and self.scope["query_string"].',
    "send_json": "JsonWebsocketConsumer and AsyncJsonWebsocketConsumer have send_json(); other "
    "consumers send text.",
}
#: How asyncio begins to say that there is no event loop in this thread.
_NO_LOOP: Final = ("There is no current event loop", "no running event loop")
#: What a consumer has only when it serves a connection.
_OF_CONNECTION: Final = frozenset({"scope", "channel_layer", "channel_name"})


def advise_on_error(consumer: object, scope: Scope, error: Exception) -> str | None:
    """What may mend an exception of a consumer; None if its own words are enough.

    Args:
        consumer: Whose exception.
        scope: Of its connection.
        error: What it raised.
    """
    if isinstance(error, NoHandler):
        return _advise_on_event(consumer, scope)
    if isinstance(error, KeyError):
        return _advise_on_scope(scope, error)
    if isinstance(error, TypeError) and "await" in str(error):
        return _advise_on_awaiting(type(consumer), error)
    if isinstance(error, TypeError) and "'text' in websocket.send" in str(error):
        return (
            "send() takes text: json.dumps() makes it of a dictionary, as send_json() of "
            "JsonWebsocketConsumer and AsyncJsonWebsocketConsumer does by itself."
        )
    if isinstance(error, RuntimeError) and str(error).startswith(_NO_LOOP):
        return (
            "Sync handlers run in threads, which have no event loop. What needs one is for an "
            "async consumer: AsyncWebsocketConsumer instead of WebsocketConsumer, say."
        )
    if isinstance(error, TypeError) and "argument" in str(error):
        return _advise_on_arguments(type(consumer), error)
    if isinstance(error, AttributeError):
        if error.obj is consumer and error.name in _ELSEWHERE:
            return _ELSEWHERE[error.name]
        return _advise_on_layer(consumer, error)
    if isinstance(error, SynchronousOnlyOperation):
        return (
            "In async code the ORM's methods begin with an a, such as aget() and acount(), and "
            '"async for" goes through a queryset. Everything else stands in a function of its own, '
            "with @database_sync_to_async from fairway.db."
        )
    return None


def advise_on_making(error: Exception) -> str | None:
    """What may mend an exception of a consumer's constructor; None if its own words are enough.

    Args:
        error: What it raised.
    """
    missing = error.name if isinstance(error, AttributeError) else None
    if missing in _OF_CONNECTION or (isinstance(error, TypeError) and "'scope'" in str(error)):
        return (
            "A consumer is made before it has a connection: __init__() gets no scope, and "
            "self.scope, self.channel_layer and self.channel_name are there from connect() on."
        )
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


def _advise_on_event(consumer: object, scope: Scope) -> str | None:
    """Say what a server's first event wants of a consumer; what comes later is rarer."""
    kind = scope.get("type")
    others = {"http": "websocket", "websocket": "http"}
    first = {"http": "http_request", "websocket": "websocket_connect"}
    if kind not in first or hasattr(consumer, first[kind]):
        return None
    if hasattr(consumer, first[others[kind]]):
        return f'It serves no {kind}: route to it under "{others[kind]}" of the ProtocolTypeRouter.'
    return f"Write {first[kind]}(self, event), or derive the consumer from a generic one."


def _advise_on_scope(scope: Scope, error: KeyError) -> str | None:
    key = error.args[0] if error.args else None
    line = "".join(place.line or "" for place in traceback.extract_tb(error.__traceback__)[-1:])
    route = scope.get("url_route")
    captured = route.get("kwargs") if isinstance(route, dict) else None
    if "kwargs" in line and isinstance(captured, dict) and key not in captured:
        names = ", ".join(map(repr, captured)) or "nothing"
        return f"The route captures {names} from the path, and no {key!r}."
    if key in scope or key not in _GIVEN_BY or "scope" not in line:
        return None  # or some other dictionary
    return f"What puts {key!r} into the scope is {_GIVEN_BY[key]}: wrap it around this consumer."


def _advise_on_layer(consumer: object, error: AttributeError) -> str | None:
    """Say which channel layers there are, where the consumer has none."""
    alias = getattr(consumer, "channel_layer_alias", None)
    missing = getattr(consumer, "channel_layer", consumer) is None
    if not missing or error.obj is not None or error.name not in _LAYER_METHODS:
        return None
    aliases = ", ".join(map(repr, channel_layers.configs))
    return (
        f"There is no channel layer {alias!r}, as CHANNEL_LAYERS has {aliases or 'none'}: add it "
        "there, or name another as channel_layer_alias of the consumer."
    )


def _advise_on_arguments(consumer_class: type, error: TypeError) -> str | None:
    """Write out how a method is called that takes something else.

    It has not begun to run, so no line of it is in the traceback.
    """
    if _last_frame_of_ours(error) is None:
        return None
    name = str(error).partition("()")[0].rpartition(".")[2]
    theirs = inspect.getattr_static(consumer_class, name, None)
    if not inspect.isfunction(theirs) or is_ours(theirs):
        return None
    ours = [vars(base)[name] for base in consumer_class.__mro__ if name in vars(base)][1:]
    given = "self, event"  # a handler of the project's own
    if version := next(filter(inspect.isfunction, filter(is_ours, ours)), None):
        parameters = inspect.signature(version).parameters.values()
        given = ", ".join(str(each.replace(annotation=each.empty)) for each in parameters)
    kind = "async def" if inspect.iscoroutinefunction(theirs) else "def"
    return f"Write {kind} {name}({given}): so it is called."


def _last_frame_of_ours(error: Exception) -> FrameType | None:
    """Where the exception was raised, if that is in this package."""
    *_, (last, _) = traceback.walk_tb(error.__traceback__)
    return last if str(last.f_globals.get("__name__")).startswith("fairway.") else None


def _advise_on_awaiting(consumer_class: type, error: TypeError) -> str | None:
    """Name the methods that are ``def`` where they should be ``async def``.

    Such a one has run already when its result is awaited, so no line of it is in the traceback.
    """
    last = _last_frame_of_ours(error)
    if last is None:
        return None
    names = [name for name in dir(consumer_class) if _should_be_async(consumer_class, name)]
    names = names or _plain_handler(last)
    if not names:
        return None
    return (
        f"Write {', '.join(f'async def {name}()' for name in names)}: what it returns is awaited."
    )


def _plain_handler(dispatching: FrameType) -> list[str]:
    """The handler that ``dispatch()`` had found, if it is a plain function."""
    function = getattr(dispatching.f_locals.get("handler"), "__func__", None)
    if not inspect.isfunction(function) or inspect.iscoroutinefunction(function):
        return []
    return [function.__name__]


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
