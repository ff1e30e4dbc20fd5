"""A message that goes to many WebSockets."""

from fairway.wire.deflate import Deflater
from fairway.wire.messages import encode_message


class PreparedMessage:
    """A message that goes to many: encoded and framed once, the same bytes for every connection.

    It is compressed when the first connection wants that, and once for all whose windows have the
    same size.

    Args:
        data: The message, text or bytes.

    Attributes:
        data: What it was given.
        plain: Its frame for connections without an extension.

    Raises:
        UnicodeEncodeError: The text holds a lone surrogate, which UTF-8 cannot carry.
    """

    __slots__ = ("_compressed", "data", "plain")

    def __init__(self, data: str | bytes) -> None:
        self.data = data
        self.plain = encode_message(data)
        self._compressed: dict[int, bytes] | None = None

    def frame_for(self, deflater: Deflater | None) -> bytes:
        """Its frame for a connection that compresses with this, or with nothing."""
        return self.plain if deflater is None else self.compressed(deflater)

    def compressed(self, deflater: Deflater) -> bytes:
        """Its frame for a connection that compresses; the plain one where that is the better.

        Args:
            deflater: That of the connection. One with takeover compresses it anew: what it makes of
                it depends on what it has sent before.
        """
        if len(self.plain) <= deflater.threshold:
            return self.plain
        if deflater.takeover:
            return encode_message(self.data, deflater)
        known = self._compressed
        if known is None:
            known = self._compressed = {}
        frame = known.get(deflater.window_bits)
        if frame is None:
            frame = known[deflater.window_bits] = encode_message(self.data, deflater)
        return frame
