"""A message as one frame, as it is or compressed: the only place that decides which.

:mod:`fairway.wire.prepared` has the message that goes to many.
"""

import struct
from typing import Final

from fairway.wire.deflate import Deflater
from fairway.wire.frames import FIN, LENGTH_16, MAX_16, OPCODE_BITS, Opcode, encode_header

_PACK_16: Final = struct.Struct("!BBH").pack
#: The first byte of a frame that is a whole message, as it is.
_TEXT: Final = FIN | Opcode.TEXT
_BINARY: Final = FIN | Opcode.BINARY

# Most messages are short: their two header bytes come from a table instead of being packed each
# time.
_SHORT_TEXT: Final = tuple(bytes((_TEXT, n)) for n in range(LENGTH_16))
_SHORT_BINARY: Final = tuple(bytes((_BINARY, n)) for n in range(LENGTH_16))


def encode_message(message: str | bytes, deflater: Deflater | None = None) -> bytes:
    """A message in one frame: text in a text frame, bytes in a binary one (RFC 6455 §5.6).

    Args:
        message: What the client shall read.
        deflater: What compresses for this client; None for one that reads no compressed messages.

    Raises:
        UnicodeEncodeError: The text holds a lone surrogate, which UTF-8 cannot carry.
    """
    if isinstance(message, str):
        payload, first, short = message.encode(), _TEXT, _SHORT_TEXT
    else:
        payload, first, short = message, _BINARY, _SHORT_BINARY
    if deflater is not None:
        return deflater.encode(first & OPCODE_BITS, payload)
    length = len(payload)
    if length < LENGTH_16:
        return short[length] + payload
    if length <= MAX_16:  # 0.2 µs less than by way of encode_header()
        return _PACK_16(first, LENGTH_16, length) + payload
    return encode_header(first & OPCODE_BITS, length) + payload
