"""Header and trailer fields on their way out: checked, and written as lines (RFC 9112 §5)."""

import re
from collections.abc import Iterable
from typing import Final

from fairway.wire.http1_faults import TCHAR

__all__ = [
    "FORBIDDEN",
    "check_lines",
    "encode_connection",
    "encode_fields",
    "encode_trailers",
    "no_bytes",
]

_TOKEN: Final = re.compile(b"[%b]+" % TCHAR)
#: What no line may hold.
FORBIDDEN: Final = b"\r\n\0"

#: The fields that are not just passed on.
_OWN_FIELDS: Final = frozenset(
    {b"connection", b"content-length", b"date", b"server", b"transfer-encoding"}
)
#: Fields that mean nothing, or something dangerous, once the body is over: those of framing,
#: routing, authentication, request modifiers, response control and content (RFC 9110 §6.5.1).
_NO_TRAILERS: Final = frozenset(
    {
        b"age", b"authorization", b"cache-control", b"connection", b"content-encoding",
        b"content-length", b"content-range", b"content-type", b"cookie", b"date", b"expect",
        b"expires", b"host", b"keep-alive", b"location", b"max-forwards", b"pragma",
        b"proxy-authenticate", b"proxy-authorization", b"range", b"retry-after", b"server",
        b"set-cookie", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"vary",
        b"warning", b"www-authenticate",
    }
)  # fmt: skip
#: Names that were valid before, as they were spelt; to the name in lower case if it is one of ours,
#: else to nothing. An application has few names.
_known_names: Final[dict[bytes, bytes]] = {}
_MAX_KNOWN_NAMES: Final = 1024


def encode_fields(headers: Iterable[tuple[bytes, bytes]], lines: list[bytes]) -> dict[bytes, bytes]:
    """Append a line for each field, but return those that the framing owns, by name.

    Raises:
        ValueError: A name or value cannot be sent; values are looked at by :func:`check_lines`.
    """
    own: dict[bytes, bytes] = {}
    try:
        for field in headers:
            try:
                name, value = field
            except (TypeError, ValueError):
                raise ValueError(
                    f"A header is a pair of bytes, its name and its value, not {field!r}."
                ) from None
            try:
                known = _known_names.get(name)
                if known is None:
                    known = _learn(name)
                if known:
                    _add_own(own, known, value)
                else:
                    lines.append(b": ".join(field))  # 40 ns less than to format or to add
            except TypeError as error:
                raise no_bytes(name, value) from error
    except TypeError:  # the loop's own
        raise ValueError(
            f"headers have to be an iterable of pairs of bytes, not {headers!r}."
        ) from None
    return own


def no_bytes(name: object, value: object) -> ValueError:
    """The error for a field that is not bytes, in the words that Daphne has for it."""
    part, wrong = ("value", value) if isinstance(name, bytes) else ("name", name)
    return ValueError(f"Header {part} '{wrong}' expected to be `bytes`, but got `{type(wrong)}`")


def encode_trailers(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A trailer section, with the empty line that ends it (RFC 9112 §7.1.2).

    Raises:
        ValueError: A field cannot be sent, or not in trailers (RFC 9110 §6.5.1).
    """
    lines: list[bytes] = []
    for name in encode_fields(headers, lines):
        raise _no_trailer(name)
    for line in lines:
        name = line.partition(b":")[0]
        if name.lower() in _NO_TRAILERS:
            raise _no_trailer(name)
    lines += (b"", b"")
    data = b"\r\n".join(lines)
    check_lines(lines, data)
    return data


def _no_trailer(name: bytes) -> ValueError:
    return ValueError(
        f"The field {name.decode('ascii')!r} cannot be sent as a trailer (RFC 9110 §6.5.1)."
    )


def _learn(name: bytes) -> bytes:
    """Check a name that is seen for the first time."""
    if not isinstance(name, bytes):
        raise TypeError
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"The header name {name!r} is not a token (RFC 9110 §5.6.2).")
    lower = name.lower()
    known = lower if lower in _OWN_FIELDS else b""
    if len(_known_names) < _MAX_KNOWN_NAMES:
        _known_names[name] = known
    return known


def _add_own(own: dict[bytes, bytes], name: bytes, value: bytes) -> None:
    if not isinstance(value, bytes):
        raise TypeError
    if name == b"content-length":
        if name in own:
            raise ValueError("The header 'Content-Length' was given more than once.")
        if not value.isdigit():
            raise ValueError(f"The header 'Content-Length' is not a number: {value!r}.")
    elif name == b"connection" and name in own:
        value = own[name] + b"," + value
    own[name] = value


def encode_connection(value: bytes, keep_alive: bool, http10: bool, lines: list[bytes]) -> bool:
    """Append ``Connection`` where it is needed; return whether the connection is kept."""
    options = [option.strip(b" \t") for option in value.split(b",")]
    lower = [option.lower() for option in options]
    keep_alive = keep_alive and b"close" not in lower
    others = [
        option for option in options if option and option.lower() not in (b"close", b"keep-alive")
    ]
    if not keep_alive:
        others.append(b"close")
    elif http10:
        others.append(b"keep-alive")  # RFC 9112 §9.3: it is not the default there
    if others:
        lines.append(b"Connection: " + b", ".join(others))
    return keep_alive


def check_lines(lines: list[bytes], joined: bytes) -> None:
    """Look for what would end a line too early, in all lines at once.

    Args:
        lines: The fields, or a whole head.
        joined: The same with CRLF between.

    Raises:
        ValueError: There is a CR, LF or NUL in a line.
    """
    if len(joined.translate(None, FORBIDDEN)) != len(joined) - 2 * (len(lines) - 1):
        raise _forbidden_byte(lines)


def _forbidden_byte(lines: list[bytes]) -> ValueError:
    line = next(line for line in lines if line.translate(None, FORBIDDEN) != line)
    name = line.partition(b": ")[0].decode("ascii")
    return ValueError(f"The value of the header {name!r} holds a CR, LF or NUL.")
