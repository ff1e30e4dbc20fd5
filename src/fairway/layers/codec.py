"""Layer messages as bytes: encoded once by the sender, decoded by each reader for itself.

MessagePack carries text, bytes, numbers, booleans, None, lists and dictionaries; extension types
carry what Django projects send besides (dates, UUIDs, decimals, sets), so that every value comes
back as it was. Tuples come back as lists (in sets as tuples), and times with their offset but
without the name of their zone.
"""

import datetime
import decimal
import uuid
from typing import Any, Final

import ormsgpack

from fairway._types import Event
from fairway.exceptions import MessageNotSerializable

_OPTIONS: Final = (
    ormsgpack.OPT_NON_STR_KEYS
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_UUID
)

# Tags of the extension types. They are part of the format: never give one a new meaning.
_DATETIME, _DATE, _TIME, _TIMEDELTA, _UUID, _DECIMAL, _SET, _FROZENSET = range(1, 9)


def encode(message: Event) -> bytes:
    """A message as bytes.

    Raises:
        MessageNotSerializable: It holds a value that cannot cross; the error names the place.
    """
    try:
        return ormsgpack.packb(message, _encode_extension, _OPTIONS)
    except (ormsgpack.MsgpackEncodeError, RecursionError):
        path, value = _find_culprit(message, "$", 0)
        raise MessageNotSerializable(path, value) from None


def decode(payload: bytes) -> Event:
    """The message that :func:`encode` was given, as a new object each time.

    Raises:
        ValueError: The bytes are no message.
    """
    message: Event = ormsgpack.unpackb(
        payload, ext_hook=_decode_extension, option=ormsgpack.OPT_NON_STR_KEYS
    )
    return message


def _encode_extension(value: Any) -> ormsgpack.Ext:
    # A datetime is a date too, so it comes first.
    if isinstance(value, datetime.datetime):
        return ormsgpack.Ext(_DATETIME, value.isoformat().encode())
    if isinstance(value, datetime.date):
        return ormsgpack.Ext(_DATE, value.isoformat().encode())
    if isinstance(value, datetime.time):
        return ormsgpack.Ext(_TIME, value.isoformat().encode())
    if isinstance(value, datetime.timedelta):
        parts = (value.days, value.seconds, value.microseconds)
        return ormsgpack.Ext(_TIMEDELTA, ormsgpack.packb(parts))
    if isinstance(value, uuid.UUID):
        return ormsgpack.Ext(_UUID, value.bytes)
    if isinstance(value, decimal.Decimal):
        return ormsgpack.Ext(_DECIMAL, str(value).encode())
    if isinstance(value, (set, frozenset)):
        tag = _SET if isinstance(value, set) else _FROZENSET
        return ormsgpack.Ext(tag, ormsgpack.packb(list(value), _encode_extension, _OPTIONS))
    raise TypeError


def _decode_extension(tag: int, data: bytes) -> Any:
    match tag:
        case 1:
            return datetime.datetime.fromisoformat(data.decode())
        case 2:
            return datetime.date.fromisoformat(data.decode())
        case 3:
            return datetime.time.fromisoformat(data.decode())
        case 4:
            return datetime.timedelta(*ormsgpack.unpackb(data))
        case 5:
            return uuid.UUID(bytes=data)
        case 6:
            return decimal.Decimal(data.decode())
        case 7:
            return set(_decode_members(data))
        case 8:
            return frozenset(_decode_members(data))
        case _:
            raise ValueError(f"A layer message holds an unknown extension type {tag}.")


def _decode_members(data: bytes) -> list[Any]:
    items: list[Any] = ormsgpack.unpackb(
        data, ext_hook=_decode_extension, option=ormsgpack.OPT_NON_STR_KEYS
    )
    return [_hashable(item) for item in items]


def _hashable(value: Any) -> Any:
    """A member of a set as it was: no list was one, so what looks like one was a tuple."""
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _find_culprit(value: Any, path: str, depth: int) -> tuple[str, Any]:
    """The innermost value that cannot be encoded, and where it stands."""
    if depth < 100:  # deeper, or in a circle, the place no longer helps anyone
        if isinstance(value, dict):
            children = [(f"{path}.{key}", child) for key, child in value.items()]
        elif isinstance(value, (list, tuple, set, frozenset)):
            children = [(f"{path}[{index}]", child) for index, child in enumerate(value)]
        else:
            children = []
        for child_path, child in children:
            try:
                ormsgpack.packb(child, _encode_extension, _OPTIONS)
            except (ormsgpack.MsgpackEncodeError, RecursionError):
                return _find_culprit(child, child_path, depth + 1)
    return path, value
