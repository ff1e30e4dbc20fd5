"""What two processes of one machine say to each other on a Unix socket.

Whoever wants to publish connects, so a connection has a publisher, who opened it, and a subscriber.
The publisher says who it is. The subscriber answers with the topics that it wants, then with each
change of them; the publisher confirms. Payloads go to the subscriber, for its topics only.

A frame is its length (of what follows) in four bytes, a byte that says what it is, and a body.
"""

import enum
import struct
from collections.abc import Iterator
from typing import Final

_HEAD: Final = struct.Struct("!IB")
_NUMBER: Final = struct.Struct("!Q")
_TOPIC_LENGTH: Final = struct.Struct("!B")

#: The longest frame that is taken: a message is a few megabytes at most, whoever sends it.
MAX_FRAME: Final = 256 * 1024 * 1024


class Say(enum.IntEnum):
    """What a frame says."""

    #: From the publisher, first: version of this format, name of its process.
    HELLO = 1
    #: From the subscriber: number, topic. It wants what is published to the topic.
    WANT = 2
    #: From the subscriber: topic. It no longer does.
    WANT_NOT = 3
    #: From the subscriber: number. This far its topics have been told.
    KNOW = 4
    #: From the publisher: number. It has taken note of what was said up to this.
    NOTED = 5
    #: From the publisher: topic, payload.
    PAYLOAD = 6
    #: From the publisher: payloads are missing here, as the subscriber did not read.
    MISSED = 7


class FrameError(ValueError):
    """The other process does not speak this format."""


def frame(say: Say, body: bytes = b"") -> bytes:
    """A frame with any body."""
    return _HEAD.pack(len(body) + 1, say) + body


def numbered(say: Say, number: int, text: str = "") -> bytes:
    """A frame whose body is a number and a text."""
    return frame(say, _NUMBER.pack(number) + text.encode())


def read_numbered(body: bytes) -> tuple[int, str]:
    """The number and the text in such a body."""
    (number,) = _NUMBER.unpack_from(body)
    return number, body[_NUMBER.size :].decode()


def payload_frame(topic: str, payload: bytes) -> bytes:
    """A frame with what was published to a topic."""
    name = topic.encode()
    head = _HEAD.pack(1 + _TOPIC_LENGTH.size + len(name) + len(payload), Say.PAYLOAD)
    return b"".join((head, _TOPIC_LENGTH.pack(len(name)), name, payload))


def read_payload(body: bytes) -> tuple[str, bytes]:
    """The topic and the payload in the body of such a frame."""
    start = _TOPIC_LENGTH.size
    end = start + body[0]
    return body[start:end].decode(), body[end:]


class FrameReader:
    """Bytes in, frames out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """What each frame says, and its body, of those that are complete now.

        Raises:
            FrameError: These are no frames.
        """
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while len(buffer) - start >= _HEAD.size:
                size, say = _HEAD.unpack_from(buffer, start)
                if not 0 < size <= MAX_FRAME:
                    raise FrameError(f"A frame of {size} bytes")
                end = start + 4 + size
                if len(buffer) < end:
                    break
                body = bytes(buffer[start + _HEAD.size : end])
                start = end
                yield say, body
        finally:
            del buffer[:start]
