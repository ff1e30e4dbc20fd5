"""WebSocket frames (RFC 6455 §5): names of their parts, and how a server writes them."""

import enum
import struct
from typing import Final


class Opcode(enum.IntEnum):
    """Frame opcodes, RFC 6455 §5.2 and §11.8."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class CloseCode(enum.IntEnum):
    """Close codes of the IANA registry, and the private ones that Fairway sends.

    RFC 6455 §7.4.1 and §11.7, https://www.iana.org/assignments/websocket/websocket.xhtml.
    """

    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RECEIVED = 1005
    ABNORMAL_CLOSURE = 1006
    INVALID_PAYLOAD_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015
    UNAUTHORIZED = 4401
    NOT_FOUND = 4404


#: Codes that stand for the absence of a Close frame and must never be sent in one (§7.4.1).
UNSENDABLE_CODES: Final = frozenset({1005, 1006, 1015})

#: Codes below 3000 that may be sent: those that the registry defines.
REGISTERED_CODES: Final = frozenset(
    code for code in CloseCode if code < 3000 and code not in UNSENDABLE_CODES
)

#: Seconds over which clients come back that have all lost their connection, unless told otherwise.
RETRY_WINDOW: Final = 5.0

#: A control frame carries no more than this (§5.5).
MAX_CONTROL_PAYLOAD: Final = 125

#: A client's control frame has this much before its payload: two bytes and the mask (§5.2).
CLIENT_HEADER: Final = 6

FIN: Final = 0x80
RESERVED_BITS: Final = 0x70
OPCODE_BITS: Final = 0x0F
MASK_BIT: Final = 0x80
LENGTH_BITS: Final = 0x7F
LENGTH_16: Final = 126
LENGTH_64: Final = 127
#: The longest payload whose length takes 16 bits.
MAX_16: Final = (1 << 16) - 1

_PACK_16: Final = struct.Struct("!BBH").pack
_PACK_64: Final = struct.Struct("!BBQ").pack


def is_sendable(code: int) -> bool:
    """Whether a Close frame may carry ``code`` (RFC 6455 §7.4)."""
    return 3000 <= code <= 4999 or code in REGISTERED_CODES


def is_close(data: bytes) -> bool:
    """Whether this is a client's Close frame, whole and with nothing around it (§5.5.1).

    For a connection that has failed. What comes on it must not be processed any more (§7.1.7), but
    nothing comes behind a Close.
    """
    length = len(data) - CLIENT_HEADER
    if not 0 <= length <= MAX_CONTROL_PAYLOAD:
        return False
    return data[0] == FIN | Opcode.CLOSE and data[1] == MASK_BIT | length


def encode_header(opcode: int, length: int, *, fin: bool = True) -> bytes:
    """The header of an unmasked frame with a payload of ``length`` bytes (§5.2)."""
    first = (FIN | opcode) if fin else opcode
    if length < LENGTH_16:
        return bytes((first, length))
    if length < 1 << 16:
        return _PACK_16(first, LENGTH_16, length)
    return _PACK_64(first, LENGTH_64, length)


def encode_frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """One frame as a server sends it: never masked (§5.1).

    The caller keeps the payload of a control frame within :data:`MAX_CONTROL_PAYLOAD`.
    """
    return encode_header(opcode, len(payload), fin=fin) + payload


def encode_close(code: int | None, reason: str = "") -> bytes:
    """A Close frame (§5.5.1).

    Args:
        code: What :func:`is_sendable` allows; None sends a frame without a body, which the peer
            reads as 1005, so the reason is left out too.
        reason: Text for people and logs, cut at a character so that it fits into 123 bytes of
            UTF-8; a lone surrogate becomes a question mark.

    Raises:
        TypeError: The code is no number.
        ValueError: The code may not be sent.
    """
    if code is None:
        return encode_frame(Opcode.CLOSE, b"")
    if not isinstance(code, int):
        raise TypeError(f"A close code is an int, and {code!r} is of type {type(code).__name__}.")
    if not is_sendable(code):
        raise ValueError(
            f"{code} cannot be sent in a Close frame: use 1000, another code of RFC 6455 §7.4.1 "
            "that is meant to be sent, or one from 3000 to 4999."
        )
    body = code.to_bytes(2, "big") + cut_utf8(reason, MAX_CONTROL_PAYLOAD - 2)
    return encode_frame(Opcode.CLOSE, body)


def with_retry(reason: str, seconds: float) -> str:
    """A close reason that ends with when to come back, such as ``"Restarting. retry=2.5"``.

    It fits into a Close frame: where both do not, the words are cut, and never the number.

    Args:
        reason: Words for people and logs.
        seconds: How long the client should wait, written with one decimal.
    """
    hint = f"retry={max(seconds, 0.0):.1f}"
    room = MAX_CONTROL_PAYLOAD - 2 - len(hint) - 1
    words = cut_utf8(reason, room).decode().rstrip()
    return f"{words} {hint}" if words else hint


def cut_utf8(text: str, limit: int) -> bytes:
    """``text`` in UTF-8, without the characters that would take it beyond ``limit`` bytes."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return encoded
    return encoded[:limit].decode("utf-8", "ignore").encode()
