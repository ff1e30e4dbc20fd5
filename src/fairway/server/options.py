"""What an option of the server is: its spellings, its type, and how a value is checked."""

import dataclasses
import math
import re
import types
import typing
from collections.abc import Callable
from typing import Any, Final

#: What may be the name of a header (RFC 9110, section 5.1), or empty.
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]*")


class ConfigError(ValueError):
    """An option does not exist, or its value cannot be used."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option as people meet it.

    Attributes:
        name: The field of :class:`Config`, and the key in the ``FAIRWAY`` setting.
        flags: How it is spelt on the command line.
        default: What applies when nobody says anything.
        type: ``str``, ``int``, ``float``, ``bool`` or ``tuple`` (of texts).
        optional: Whether it may be None (on the command line: left out).
        unit: What its number counts.
        metavar: What ``--help`` calls its value.
        group: The heading under which ``--help`` and the reference list it.
        help: One or two sentences.
        choices: The values it may take, where they can be listed.
        minimum: The smallest number it may be.
        maximum: The largest.
        repeated: Whether its flag is given once for each text, instead of one list with commas.
        answer: What is answered beyond it, such as ``"413"`` or ``"close 1009"``; empty for an
            option that is no limit. (What it refused is counted under its name.)
        parse: Makes its value of what was typed, where its type alone does not; else None.
    """

    name: str
    flags: tuple[str, ...]
    default: Any
    type: type
    optional: bool
    unit: str
    metavar: str
    group: str
    help: str
    choices: tuple[str, ...]
    minimum: float | None
    maximum: float | None
    repeated: bool
    answer: str
    parse: Callable[[str], Any] | None


def option(
    default: Any,
    *flags: str,
    group: str,
    help: str,  # noqa: A002  the word that argparse uses
    unit: str = "",
    metavar: str = "",
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    repeated: bool = False,
    answer: str = "",
    parse: Callable[[str], Any] | None = None,
) -> Any:
    """A field of a class of options; arguments as in :class:`Option`."""
    metadata = {
        "flags": flags,
        "group": group,
        "help": help,
        "unit": unit,
        "metavar": metavar,
        "choices": choices,
        "minimum": minimum,
        "maximum": maximum,
        "repeated": repeated,
        "answer": answer,
        "parse": parse,
    }
    return dataclasses.field(default=default, metadata=metadata)


def describe(field: "dataclasses.Field[Any]", hint: Any) -> Option:
    """The option that a field stands for."""
    optional = isinstance(hint, types.UnionType)
    kind = (
        next(arg for arg in typing.get_args(hint) if arg is not types.NoneType)
        if optional
        else hint
    )
    return Option(
        name=field.name,
        default=field.default,
        type=typing.get_origin(kind) or kind,
        optional=optional,
        **field.metadata,
    )


def check(option: Option, value: object) -> None:
    """See that an option may have a value.

    Raises:
        ConfigError: It may not; the message says what it may have.
    """
    if value is None and option.optional:
        return
    if not _has_type(option.type, value):
        number = "a number of seconds" if option.unit == "seconds" else "a number"
        wanted = {"str": "text", "int": "a whole number", "float": number,
                  "bool": "True or False", "tuple": "a list of texts"}  # fmt: skip
        raise ConfigError(f"{option.name} must be {wanted[option.type.__name__]}, not {value!r}.")
    if option.choices and value not in option.choices:
        raise ConfigError(
            f"{option.name} must be one of {', '.join(option.choices)}, not {value!r}."
        )
    if isinstance(value, (int, float)):
        if option.minimum is not None and value < option.minimum:
            raise ConfigError(
                f"{option.name} must be at least {option.minimum:.15g}, not {value!r}."
            )
        if option.maximum is not None and value > option.maximum:
            raise ConfigError(
                f"{option.name} must be at most {option.maximum:.15g}, not {value!r}."
            )


def _has_type(kind: type, value: object) -> bool:
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if kind is float:  # what is not finite is no moment: 0 stands for "no limit"
        return isinstance(value, (int, float)) and math.isfinite(value)
    if kind is tuple:
        return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    return isinstance(value, kind)


def check_header(name: str, value: str) -> None:
    """Refuse what would break every response, or match no request."""
    if not (value.isascii() and (value.isprintable() or not value)):
        raise ConfigError(
            f"{name} must be printable ASCII, as it stands in headers, not {value!r}."
        )
    if name != "server_name" and not _HEADER_NAME.fullmatch(value):
        raise ConfigError(f"{name} must be the name of a header, not {value!r}.")
    if name == "request_id_header" and not value:
        raise ConfigError(f"{name} must be the name of a header; request_ids switches it off.")
