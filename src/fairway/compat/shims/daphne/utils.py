"""``daphne.utils``: small helpers that others import."""

import functools
import importlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

#: A header's name: a token of RFC 9110 §5.6.2.
HEADER_NAME_RE: Final = re.compile(rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+")

#: What ``str.splitlines()`` takes for the end of a line, besides CR and LF, which no header has.
INVALID_HEADER_VALUE_BYTES: Final = frozenset({0x0B, 0x0C, 0x1C, 0x1D, 0x1E, 0x85})

_Address: TypeAlias = Sequence[str | int]


def import_by_path(path: str) -> Any:
    """The object that ``module:attribute.attribute`` names.

    Raises:
        ImportError: There is no such module.
        AttributeError: It has no such object.
        ValueError: The path has no colon.
    """
    module_name, colon, attributes = path.partition(":")
    if not colon or not attributes:
        raise ValueError(f"{path!r} does not name an object: write module:object.")
    return functools.reduce(getattr, attributes.split("."), importlib.import_module(module_name))


def header_value(headers: Mapping[bytes, bytes | Sequence[bytes]], header_name: bytes) -> str:
    """A header's value as text; the first, where there are several.

    Raises:
        KeyError: There is no such header.
    """
    value = headers[header_name]
    return (value if isinstance(value, bytes) else value[0]).decode("utf-8")


def parse_x_forwarded_for(
    headers: Mapping[bytes, bytes | Sequence[bytes]],
    address_header_name: str | None = "X-Forwarded-For",
    port_header_name: str | None = "X-Forwarded-Port",
    proto_header_name: str | None = "X-Forwarded-Proto",
    original_addr: _Address | None = None,
    original_scheme: str | None = None,
) -> tuple[_Address | None, str | None]:
    """The address and the scheme that a request's headers claim.

    It believes everybody, and of several addresses the leftmost, which the client may have made up.
    Fairway's server does not use it; see ``fairway.server.listening.proxy``.

    Args:
        headers: By name; Twisted's ``Headers`` are understood, too.
        address_header_name: Where the address stands; None to believe nothing.
        port_header_name: Where its port stands; None for port 0.
        proto_header_name: Where the scheme stands; None to keep ``original_scheme``.
        original_addr: What to return without the header.
        original_scheme: What to return without the header.

    Returns:
        ``[address, port]`` and the scheme.
    """
    if not address_header_name:
        return original_addr, original_scheme
    pairs = getattr(headers, "getAllRawHeaders", None) or headers.items  # Twisted's, or a mapping
    found = {name.lower(): value for name, value in pairs()}
    claimed = _optional(found, address_header_name)
    if claimed is None:
        return original_addr, original_scheme
    port = _optional(found, port_header_name)
    scheme = _optional(found, proto_header_name)
    number = int(port) if port is not None and port.strip().isdecimal() else 0
    return [claimed.split(",")[0].strip(), number], original_scheme if scheme is None else scheme


def _optional(headers: Mapping[bytes, bytes | Sequence[bytes]], name: str | None) -> str | None:
    key = name.lower().encode("latin-1") if name else b""
    return header_value(headers, key) if key in headers else None
