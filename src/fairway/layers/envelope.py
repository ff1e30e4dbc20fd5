"""What travels between processes: a byte that says what it is, and what belongs to it.

The kinds and their layouts are a format between versions of this package on one bus: a process that
gets a kind it does not know ignores it.
"""

import enum
import struct
from typing import Final

#: Before a channel's name, its length in bytes.
_LENGTH: Final = struct.Struct("!B")
#: Before a request's arguments, its number.
_NUMBER: Final = struct.Struct("!Q")


class Kind(enum.IntEnum):
    """What an envelope holds."""

    #: A group's message: the encoded message.
    GROUP = 1
    #: A group's message of type ``websocket.send``, which needs no handler.
    WEBSOCKET_SEND = 2
    #: A message for one channel: the channel's name, the encoded message.
    CHANNEL = 3
    #: Put a channel of yours into a group: number, sender's process, channel, group.
    JOIN = 4
    #: Take it out: the same.
    LEAVE = 5
    #: The request with this number is done: number.
    DONE = 6


def for_group(payload: bytes, *, websocket_send: bool) -> bytes:
    """An envelope with a group's message."""
    return bytes((Kind.WEBSOCKET_SEND if websocket_send else Kind.GROUP,)) + payload


def for_channel(channel: str, payload: bytes) -> bytes:
    """An envelope with a message for one channel."""
    name = channel.encode()
    return bytes((Kind.CHANNEL,)) + _LENGTH.pack(len(name)) + name + payload


def read_channel(body: memoryview) -> tuple[str, bytes]:
    """The channel's name and the encoded message in the body of a ``CHANNEL`` envelope.

    Raises:
        ValueError: It is cut short.
    """
    start = _LENGTH.size
    size = _LENGTH.unpack_from(body)[0] if body else 0
    if len(body) <= start + size:
        raise ValueError(f"An envelope of {len(body)} bytes ends within its channel's name.")
    return str(body[start : start + size], "ascii"), bytes(body[start + size :])


def for_request(kind: Kind, number: int, *names: str) -> bytes:
    """An envelope that asks for something, or says that it is done."""
    return bytes((kind,)) + _NUMBER.pack(number) + "\n".join(names).encode()


def read_request(body: memoryview) -> tuple[int, list[str]]:
    """The number and the names in the body of such an envelope.

    Raises:
        ValueError: It is cut short.
    """
    if len(body) < _NUMBER.size:
        raise ValueError(f"An envelope of {len(body)} bytes ends within its number.")
    (number,) = _NUMBER.unpack_from(body)
    return number, str(body[_NUMBER.size :], "ascii").split("\n")
