"""Which method handles which message: a table made with the class, never ``getattr`` on what came.

A message's type may come from anywhere, so it must not be able to name any method it likes.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from fairway._types import Event

_MARK: Final = "_fairway_handles"
_HOUSE: Final = "fairway."
#: Handlers of ours that a message from a channel layer may reach. Every other method of ours is for
#: the client's events or for the consumer itself.
_OPEN_TO_LAYER: Final = frozenset({"websocket_receive", "websocket_send", "websocket_close"})
#: What only a server may tell, also where a project's own class defines the handler.
_SERVER_ONLY: Final = frozenset(
    {
        "websocket_connect",
        "websocket_disconnect",
        "http_request",
        "http_disconnect",
        "poll_connect",
        "poll_disconnect",
    }
)

#: Characters of a type that are shown.
_LONGEST: Final = 200

F = TypeVar("F", bound=Callable[..., Any])


class NoHandler(ValueError):
    """A message has a type that its consumer has no handler for."""


class MalformedType(NoHandler):
    """A message has no type, or one that no handler could have."""


def get_handler_name(message: Event) -> str:
    """The name of the method that handles a message: its type, with ``_`` for ``.``.

    Raises:
        ValueError: It has no type, or one that is no text or begins with an underscore.
    """
    if "type" not in message:
        raise MalformedType("Incoming message has no 'type' attribute")
    kind = message["type"]
    if not isinstance(kind, str):
        raise MalformedType(f"Malformed type in message (not text but {type(kind).__name__})")
    name = kind.replace(".", "_")
    if name.startswith("_"):
        raise MalformedType("Malformed type in message (leading underscore)")
    return name


def handles(*types: str) -> Callable[[F], F]:
    """Mark a method as the handler of these message types, whatever its name is.

    Once a class marks any method, messages from channel layers reach its marked methods only.
    """

    def mark(method: F) -> F:
        setattr(method, _MARK, types)
        return method

    return mark


class HandlerTable:
    """The handlers of one consumer class, by message type.

    Made when the class is; made anew when a message asks for a method that the class has got since,
    from a decorator say.

    Args:
        consumer_class: Whose methods.
    """

    __slots__ = ("_class", "_client", "_layer", "_marked")

    def __init__(self, consumer_class: type) -> None:
        self._class = consumer_class
        self._look()

    def _look(self) -> None:
        consumer_class = self._class
        client: dict[str, str] = {}
        marked: dict[str, str] = {}
        # As inspect.getattr_static() finds them, in a seventh of its time: each class of a project
        # waits for this when it is imported.
        attributes: dict[str, Any] = {}
        for base in reversed(consumer_class.__mro__):
            attributes |= vars(base)
        for name in sorted(attributes):
            method = attributes[name]
            if name.startswith("_") or not _is_method(method):
                continue
            client[name] = name
            marked |= dict.fromkeys(getattr(method, _MARK, ()), name)
        ours = {
            name
            for base in consumer_class.__mro__
            if is_ours(base) or base is object
            for name in vars(base)
        }
        open_names = {name: name for name in _OPEN_TO_LAYER if name in client}
        theirs = {name: name for name in client if name not in ours | _SERVER_ONLY}
        self._client = _by_type(client) | marked
        self._layer = _by_type(open_names) | (marked or _by_type(theirs))
        self._marked = bool(marked)

    def __contains__(self, kind: str) -> bool:
        """Whether a channel layer's messages of this type are handled."""
        return kind in self._layer

    @property
    def marked(self) -> bool:
        """Whether messages from channel layers reach marked methods only."""
        return self._marked

    def find(self, message: Event, *, from_layer: bool) -> str:
        """The name of the method that handles ``message``.

        Args:
            message: An ASGI event or a channel layer's message.
            from_layer: Which of the two; a layer's reaches fewer methods.

        Raises:
            ValueError: There is none.
        """
        table = self._layer if from_layer else self._client
        kind = message.get("type")
        found = table.get(kind) if type(kind) is str else None
        if found is None:  # a rare spelling, a method that is new, or a mistake
            name = get_handler_name(message)
            if name not in self._client and _has_method(self._class, name):
                self._look()
                return self.find(message, from_layer=from_layer)
            found = table.get(name)
            if found is None:
                raise NoHandler(f"No handler for message type {_shown(kind)}")
        return found

    def find_in(self, consumer: object, message: Event, *, from_layer: bool) -> Any:
        """The handler that an instance has of its own, where its class has none.

        A layer's message reaches what was assigned to the instance under a public name that is not
        one of ours; a server's event also what ``__getattr__`` makes.

        Raises:
            ValueError: There is none.
        """
        name = get_handler_name(message)
        if not from_layer:
            found = getattr(consumer, name, None)
        elif self._marked or name in _SERVER_ONLY or is_ours_by_name(self._class, name):
            found = None
        else:
            found = vars(consumer).get(name)
        if not callable(found) or isinstance(found, type):
            raise NoHandler(f"No handler for message type {_shown(message.get('type'))}")
        return found


def _shown(kind: Any) -> str:
    """A type as it stands in a line of the log: a project may take it from what a client sent."""
    text = str(kind)
    return text if text.isprintable() and len(text) <= _LONGEST else f"{text[:_LONGEST]!r}"


def _by_type(methods: dict[str, str]) -> dict[str, str]:
    """Methods also by the usual spelling of their type: 0.15 µs less for each message."""
    return {name.replace("_", "."): name for name in methods} | methods


def _has_method(consumer_class: type, name: str) -> bool:
    # Not by inspect.getattr_static(), which finds those of metaclasses, too: each class has mro().
    for base in consumer_class.__mro__:
        if name in vars(base):
            return _is_method(vars(base)[name])
    return False


def _is_method(attribute: Any) -> bool:
    """Whether what stands in a class can be called with a message, or gives what can.

    The latter are descriptors, such as ``functools.partialmethod``. A nested class is no method.
    """
    function = getattr(attribute, "__func__", attribute)
    if isinstance(function, type):
        return False
    return callable(function) or hasattr(type(function), "__get__")


def is_ours_by_name(consumer_class: type, name: str) -> bool:
    """Whether this package defines or declares something of that name for a consumer."""
    return any(
        name in vars(base) or name in vars(base).get("__annotations__", {})
        for base in consumer_class.__mro__
        if is_ours(base)
    )


def is_ours(thing: Any) -> bool:
    """Whether a class, or a function found in one, is defined in this package."""
    function = getattr(thing, "__func__", thing)
    return str(getattr(function, "__module__", "")).startswith(_HOUSE)
