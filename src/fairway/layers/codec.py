"""Layer messages as bytes: encoded once by the sender, decoded by each reader for itself.

MessagePack carries text, bytes, numbers, booleans, None, lists and dictionaries; extension types
carry what Django projects send besides: dates, times, durations, UUIDs, decimals, sets, integers of
any size and dictionaries with any of these as keys. All of them come back as they were.

What has no type of its own on the other side comes back as the plain value that it is made of:

=============================================  =====================================================
a subclass of a type above, ``SafeString`` say an instance of that type
tuples, named ones too                         a list; in a set or as a key, a tuple
an enumeration's member                        its value
dataclasses, and what has a ``model_dump()``   a dictionary of its fields: a reader makes no object
                                               of a class that a message names
lazy text, as ``gettext_lazy()`` returns it    text, in the language that is active at the sender
``bytearray``, ``memoryview``                  bytes
a time in a zone                               the same moment with its offset, without the name
=============================================  =====================================================

Anything else is refused where it is sent, and the error says at which place of the message it was.
"""

import dataclasses
import datetime
import decimal
import enum
import uuid
from collections.abc import Iterable
from typing import Any, Final

import ormsgpack

from fairway._types import Event
from fairway.exceptions import MessageNotSerializable

_OPTIONS: Final = (
    ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_UUID
)
# Only for what _Preparation has seen: without a look at them, ormsgpack turns dates that are keys
# into text.
_PREPARED: Final = _OPTIONS | ormsgpack.OPT_NON_STR_KEYS

# Tags of the extension types. They are part of the format: never give one a new meaning.
_DATETIME, _DATE, _TIME, _TIMEDELTA, _UUID, _DECIMAL, _SET, _FROZENSET, _INT, _DICT = range(1, 11)

#: Ends a time that is the second of two equal ones, as when clocks are set back (PEP 495).
_FOLD: Final = b"~"

#: Bytes of a message up to which it is remembered while it may go to others, too.
_REMEMBERED: Final = 64 * 1024
#: Types whose values nobody can change.
_CONSTANT: Final = frozenset(
    {str, bytes, int, float, bool, type(None), datetime.datetime, datetime.date, datetime.time,
     datetime.timedelta, uuid.UUID, decimal.Decimal}
)  # fmt: skip

#: How deep a message may be nested; what is deeper is probably a circle.
_MAX_DEPTH: Final = 100


def encode(message: Event) -> bytes:
    """A message as bytes.

    Raises:
        MessageNotSerializable: It holds a value that cannot cross; the error names the place.
    """
    try:
        return ormsgpack.packb(message, _to_extension, _OPTIONS)
    except (ormsgpack.MsgpackEncodeError, RecursionError):
        # Rare values take the long way, which knows where it is when it meets one that cannot go.
        return ormsgpack.packb(_prepare(message, "$", 0), None, _PREPARED)


def decode(payload: bytes) -> Event:
    """The message that :func:`encode` was given, as a new object each time.

    Raises:
        ValueError: The bytes are no message.
    """
    global _seen, _copied  # noqa: PLW0603  each bound in one step, whatever the threads
    again = payload is _seen
    if again and payload is _copied[0]:
        return _copied[1].copy()
    message: Event = ormsgpack.unpackb(
        payload, ext_hook=_from_extension, option=ormsgpack.OPT_NON_STR_KEYS
    )
    if type(message) is not dict:
        raise ValueError(f"A layer message must be a dictionary, not {type(message).__name__}.")
    if not again:
        _seen = payload if len(payload) <= _REMEMBERED else None
    elif _CONSTANT.issuperset(map(type, message.values())):
        _copied = payload, message.copy()
    return message


# The members of a group decode the very same bytes, one after the other. From the third on they get
# copies where that makes no difference: 0.1 µs instead of 0.3 to 0.5.
_seen: bytes | None = None
_copied: tuple[bytes | None, Event] = (None, {})


# ---------------------------------------------------------------------- to the sender's bytes


def _to_extension(value: Any) -> ormsgpack.Ext:
    """What MessagePack has no type for, as an extension.

    Raises:
        TypeError: It has no extension either.
    """
    # A datetime is a date too, so it comes first.
    if isinstance(value, datetime.datetime):
        return ormsgpack.Ext(_DATETIME, _format(value))
    if isinstance(value, datetime.date):
        return ormsgpack.Ext(_DATE, value.isoformat().encode())
    if isinstance(value, datetime.time):
        if value.tzinfo is not None and value.utcoffset() is None:
            raise TypeError  # without a date, its zone has no offset: it would come back naive
        return ormsgpack.Ext(_TIME, _format(value))
    if isinstance(value, datetime.timedelta):
        parts = (value.days, value.seconds, value.microseconds)
        return ormsgpack.Ext(_TIMEDELTA, ormsgpack.packb(parts))
    if isinstance(value, uuid.UUID):
        return ormsgpack.Ext(_UUID, value.bytes)
    if isinstance(value, decimal.Decimal):
        return ormsgpack.Ext(_DECIMAL, str(value).encode())
    if isinstance(value, (set, frozenset)):
        return _members(value, list(value))
    if isinstance(value, int):  # beyond 64 bits
        length = value.bit_length() // 8 + 1
        return ormsgpack.Ext(_INT, value.to_bytes(length, "big", signed=True))
    raise TypeError


def _format(value: datetime.datetime | datetime.time) -> bytes:
    text = value.isoformat().encode()
    return text + _FOLD if value.fold else text


def _members(value: set[Any] | frozenset[Any], members: list[Any]) -> ormsgpack.Ext:
    tag = _SET if isinstance(value, set) else _FROZENSET
    return ormsgpack.Ext(tag, ormsgpack.packb(members, _to_extension, _PREPARED))


def _prepare(value: Any, path: str, depth: int) -> Any:
    """A value made of what ormsgpack knows, for one that holds something rarer.

    Raises:
        MessageNotSerializable: It holds a value that cannot cross.
    """
    if depth > _MAX_DEPTH:
        raise MessageNotSerializable(path, value)
    depth += 1
    try:
        value = _simplify(value)
    except Exception as error:  # what a property or a translation of the project's raises
        raise MessageNotSerializable(path, value) from error
    if isinstance(value, dict):
        return _prepare_dict(value, path, depth)
    if isinstance(value, (list, tuple)):
        return _prepare_all(value, path, depth)
    if isinstance(value, (set, frozenset)):
        return _members(value, _prepare_all(value, path, depth))
    try:
        ormsgpack.packb(value, None, _OPTIONS)
    except TypeError:
        pass
    else:
        return value
    try:
        return _to_extension(value)
    except TypeError:
        raise MessageNotSerializable(path, value) from None


def _simplify(value: Any) -> Any:
    """The plain value that one of a project's own types is made of; others as they are."""
    kind = type(value)
    if isinstance(value, enum.Enum):
        return _simplify(value.value)
    if dataclasses.is_dataclass(kind):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(kind)}
    if callable(getattr(kind, "model_dump", None)):
        return value.model_dump()
    if _is_lazy_text(value):
        return str(value)
    if isinstance(value, str):
        return str.__str__(value)  # str() would ask the subclass, which may return itself
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, bytes):
        return bytes(memoryview(value))
    return value


def _is_lazy_text(value: Any) -> bool:
    """Whether a value is Django's promise of a text, which this room knows by its name only."""
    return any(
        base.__name__ == "Promise" and base.__module__ == "django.utils.functional"
        for base in type(value).__mro__
    )


def _prepare_all(values: Iterable[Any], path: str, depth: int) -> list[Any]:
    return [_prepare(value, f"{path}[{index}]", depth) for index, value in enumerate(values)]


def place_in(path: str, key: object) -> str:
    """The place of a dictionary's value in a message, as errors name it."""
    # A client may have chosen the key: a line of the log is not its to break, nor to prevent.
    return f"{path}.{key}" if isinstance(key, str) and key.isprintable() else f"{path}[{key!r}]"


def _prepare_dict(value: dict[Any, Any], path: str, depth: int) -> Any:
    pairs = []
    for key, child in value.items():
        place = place_in(path, key)
        pairs.append((_prepare(key, place, depth), _prepare(child, place, depth)))
    if not all(isinstance(key, _PLAIN_KEYS) for key, _ in pairs):
        return ormsgpack.Ext(_DICT, ormsgpack.packb(pairs, None, _PREPARED))
    prepared = dict(pairs)
    if len(prepared) < len(value):  # two keys that are the same without their types
        raise MessageNotSerializable(path, value)
    return prepared


_PLAIN_KEYS: Final = (str, int, float, bytes, type(None))


# ---------------------------------------------------------------------- from the reader's bytes


def _from_extension(tag: int, data: bytes) -> Any:
    """The value of an extension; ormsgpack makes a ``ValueError`` of what this raises."""
    match tag:
        case 1:
            moment = datetime.datetime.fromisoformat(data.rstrip(_FOLD).decode())
            return moment.replace(fold=1) if data.endswith(_FOLD) else moment
        case 2:
            return datetime.date.fromisoformat(data.decode())
        case 3:
            time = datetime.time.fromisoformat(data.rstrip(_FOLD).decode())
            return time.replace(fold=1) if data.endswith(_FOLD) else time
        case 4:
            return datetime.timedelta(*ormsgpack.unpackb(data))
        case 5:
            return uuid.UUID(bytes=data)
        case 6:
            return decimal.Decimal(data.decode())
        case 7:
            return set(map(_hashable, _unpack(data)))
        case 8:
            return frozenset(map(_hashable, _unpack(data)))
        case 9:
            return int.from_bytes(data, "big", signed=True)
        case 10:
            return {_hashable(key): value for key, value in _unpack(data)}
        case _:
            raise ValueError(f"A layer message holds an unknown extension type {tag}.")


def _unpack(data: bytes) -> Any:
    return ormsgpack.unpackb(data, ext_hook=_from_extension, option=ormsgpack.OPT_NON_STR_KEYS)


def _hashable(value: Any) -> Any:
    """A member of a set or a key as it was: no list was one, so what looks like one was a tuple."""
    return tuple(map(_hashable, value)) if isinstance(value, list) else value
