"""Compressed messages: the extension permessage-deflate, server side (RFC 7692).

:class:`Compression` answers a client's offers for a whole server. What was agreed on with one
client is an :class:`Agreement`, and from that come its :class:`Deflater` for what it is sent and
its :class:`Inflater` for what it sends. Without context takeover (§7.1.1) neither remembers
anything between messages, so all clients with the same agreement share them: an idle WebSocket
costs no memory, and a message that goes to many is compressed once.
"""

import dataclasses
import re
import zlib
from collections.abc import Iterable
from typing import Final, NamedTuple

from fairway.wire.extensions import Extension
from fairway.wire.frames import encode_frame, encode_header

__all__ = [
    "Agreement",
    "Compression",
    "CompressionOptions",
    "DeflateError",
    "Deflater",
    "Inflater",
    "Inflation",
]

NAME: Final = "permessage-deflate"
#: The bit in a frame's first byte that says that its message is compressed (§6).
RSV1: Final = 0x40

MAX_WINDOW_BITS: Final = 15
# "a decimal integer value without leading zeroes between 8 to 15, inclusive" (§7.1.2.1)
_WINDOW_BITS: Final = re.compile("[89]|1[0-5]")

#: What a message loses at its end, and gets back before it is inflated (§7.2.1, §7.2.2).
_TAIL: Final = b"\x00\x00\xff\xff"
# A last, empty block behind a message: whoever reads up to its end has read whole blocks only.
# zlib says of no other place whether a block ends there.
_WHOLE: Final = _TAIL + b"\x01" + _TAIL
#: Bytes of a message up to which it is remembered, with its frame, in case it is sent once more.
_REMEMBERED: Final = 64 * 1024
#: Final blocks in one message. A sender needs one (§7.2.3.4); each costs a new decoder here.
_MAX_FINAL_BLOCKS: Final = 100


class DeflateError(ValueError):
    """A message that says it is compressed is no whole DEFLATE data (RFC 1951)."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CompressionOptions:
    """How a server compresses, and what it lets clients do.

    Attributes:
        level: Effort, from 1 (fast) to 9 (small).
        memory_level: Memory of a compressor beside its window, from 1 to 9: 2 ** (9 + level) bytes.
        threshold: Messages with fewer bytes are sent as they are.
        server_window_bits: Largest window of what is sent, as a power of two, 8 to 15.
        client_window_bits: The same for what clients send, if they let themselves be told.
        server_takeover: Whether a message may refer to the one before, which is smaller, but needs
            a compressor for each client, and compresses a message to a group for each anew.
        client_takeover: The same for what clients send: it keeps up to a window for each client.
    """

    level: int = 1
    memory_level: int = 5
    threshold: int = 1024
    server_window_bits: int = MAX_WINDOW_BITS
    client_window_bits: int = MAX_WINDOW_BITS
    server_takeover: bool = False
    client_takeover: bool = False


class Agreement(NamedTuple):
    """What a client and the server have agreed on (§7.1).

    Attributes:
        server_window_bits: Largest window of what the server sends.
        client_window_bits: The same for what the client sends.
        server_takeover: Whether the server's messages may refer to those before.
        client_takeover: The same for those of the client.
        answer: The value of ``Sec-WebSocket-Extensions`` in the response.
    """

    server_window_bits: int
    client_window_bits: int
    server_takeover: bool
    client_takeover: bool
    answer: bytes


class Compression:
    """The extension for all clients of one server, or of one of its event loops.

    Its parts are shared, so one thread uses them.

    Args:
        options: How to compress.
    """

    def __init__(self, options: CompressionOptions) -> None:
        self._options = options
        self._deflaters: dict[int, Deflater] = {}
        self._inflater = Inflater(MAX_WINDOW_BITS)

    def negotiate(self, offers: Iterable[Extension]) -> Agreement | None:
        """The answer to what a client offers: to the first offer that can be accepted, or None.

        Extensions that are not known here, and offers with parameters that are not defined, that
        stand there twice or that have a value they cannot have, are declined (§5.1, §7.1).
        """
        for offer in offers:
            if offer.name == NAME:
                agreement = _accept(offer, self._options)
                if agreement is not None:
                    return agreement
        return None

    def deflater(self, agreement: Agreement) -> "Deflater":
        """What compresses for a client with this agreement."""
        bits = agreement.server_window_bits
        if agreement.server_takeover:
            return Deflater(bits, self._options, takeover=True)
        shared = self._deflaters.get(bits)
        if shared is None:
            shared = self._deflaters[bits] = Deflater(bits, self._options)
        return shared

    def inflater(self, agreement: Agreement) -> "Inflater":
        """What reads the messages of a client with this agreement."""
        if agreement.client_takeover:
            return Inflater(agreement.client_window_bits, takeover=True)
        return self._inflater


def _accept(offer: Extension, options: CompressionOptions) -> Agreement | None:
    offered = dict(offer.parameters)
    if len(offered) != len(offer.parameters) or not all(map(_is_valid, offered.items())):
        return None
    answer = [NAME]
    server_takeover = options.server_takeover and "server_no_context_takeover" not in offered
    if not server_takeover:
        answer.append("server_no_context_takeover")
    client_takeover = options.client_takeover and "client_no_context_takeover" not in offered
    client_bits = MAX_WINDOW_BITS
    if "client_max_window_bits" in offered:
        # Without a value it says that the client can be told one (§7.1.2.2).
        limit = int(offered["client_max_window_bits"] or MAX_WINDOW_BITS)
        client_bits = min(limit, options.client_window_bits)
    elif options.client_window_bits < MAX_WINDOW_BITS:
        client_takeover = False  # its windows cannot be kept small, so none is kept
    if not client_takeover:
        answer.append("client_no_context_takeover")
    server_bits = min(
        int(offered.get("server_max_window_bits") or MAX_WINDOW_BITS), options.server_window_bits
    )
    # An offer with it must be answered with it (§7.1.2.1).
    if "server_max_window_bits" in offered or server_bits < MAX_WINDOW_BITS:
        answer.append(f"server_max_window_bits={server_bits}")
    if client_bits < MAX_WINDOW_BITS:
        answer.append(f"client_max_window_bits={client_bits}")
    text = "; ".join(answer).encode("ascii")
    return Agreement(server_bits, client_bits, server_takeover, client_takeover, text)


def _is_valid(parameter: tuple[str, str | None]) -> bool:
    name, value = parameter
    if name in ("server_no_context_takeover", "client_no_context_takeover"):
        return value is None
    if name == "client_max_window_bits" and value is None:
        return True
    known = name in ("server_max_window_bits", "client_max_window_bits")
    return known and value is not None and _WINDOW_BITS.fullmatch(value) is not None


class Deflater:
    """Compresses what a server sends; without takeover for all clients with the same window.

    Args:
        window_bits: As agreed on.
        options: The level, the memory level and the threshold.
        takeover: Whether messages may refer to those before; then it belongs to one client.

    Attributes:
        window_bits: What it was given.
        takeover: What it was given.
        threshold: Of the options.
    """

    __slots__ = ("_compressor", "_flush", "_last", "_level", "_memory_level", "takeover",
                 "threshold", "window_bits")  # fmt: skip

    def __init__(
        self, window_bits: int, options: CompressionOptions, *, takeover: bool = False
    ) -> None:
        self.window_bits = window_bits
        self.takeover = takeover
        self.threshold = max(options.threshold, 1)  # to compress nothing makes it longer
        self._level = options.level
        self._memory_level = options.memory_level
        # A full flush lets zlib forget what it has seen: made anew for each message, a compressor
        # would cost more than most messages do.
        self._flush = zlib.Z_SYNC_FLUSH if takeover else zlib.Z_FULL_FLUSH
        self._compressor: zlib._Compress | None = None
        # When each member of a group sends what the message says, a thousand times the same is to
        # be compressed, one after the other. To compare costs 0.2 µs, to compress 7 and more.
        self._last: tuple[int, bytes, bytes] = (0, b"", b"")

    def encode(self, opcode: int, payload: bytes) -> bytes:
        """A message in one frame, compressed if that is worth it.

        Args:
            opcode: TEXT or BINARY.
            payload: The message; of text, in UTF-8.
        """
        if len(payload) < self.threshold:
            return encode_frame(opcode, payload)
        last_opcode, last_payload, last_frame = self._last
        if opcode == last_opcode and payload == last_payload:
            return last_frame
        data = self.deflate(payload)
        # What another message may refer to has to be sent, even if it has become longer.
        if self.takeover or len(data) < len(payload):
            frame = encode_header(RSV1 | opcode, len(data)) + data
        else:
            frame = encode_frame(opcode, payload)
        if not self.takeover and len(payload) <= _REMEMBERED:
            self._last = opcode, payload, frame
        return frame

    def deflate(self, payload: bytes) -> bytes:
        """A message as it stands in compressed frames (§7.2.1)."""
        # Taken away first: if this is interrupted, what is left in it must reach nobody else.
        compressor, self._compressor = self._compressor, None
        if compressor is None:
            # zlib makes no raw data for 2**8; with 2**9 no distance exceeds 2**9 - 262, which fits.
            bits = max(self.window_bits, 9)
            compressor = zlib.compressobj(self._level, zlib.DEFLATED, -bits, self._memory_level)
        data = compressor.compress(payload) + compressor.flush(self._flush)
        self._compressor = compressor
        return data[: -len(_TAIL)]


class Inflater:
    """Reads what clients compressed; without takeover for all of them.

    Whether a client keeps to its window is judged only where that costs memory: in what it may
    refer to of the messages before. Within a message it may refer to anything that DEFLATE can;
    zlib would notice some references beyond the window and others not, depending on how the
    message is cut into pieces.

    Args:
        window_bits: As agreed on.
        takeover: Whether messages may refer to those before; then it belongs to one client.

    Attributes:
        window_bits: What it was given.
        takeover: What it was given.
        history: What the next message may refer to; always empty without takeover.
    """

    __slots__ = ("history", "takeover", "window_bits")

    def __init__(self, window_bits: int, *, takeover: bool = False) -> None:
        self.window_bits = window_bits
        self.takeover = takeover
        self.history = b""

    def begin(self) -> "Inflation":
        """A compressed message begins."""
        return Inflation(self)


class Inflation:
    """One compressed message, while it arrives.

    Attributes:
        size: Its compressed bytes so far, as its frames announce them; the caller's to count.
    """

    __slots__ = ("_decoder", "_final_blocks", "_inflater", "size")

    def __init__(self, inflater: Inflater) -> None:
        self.size = 0
        self._inflater = inflater
        self._final_blocks = 0
        # The window of zlib is made anew for each message, from a copy of what it may refer to: to
        # keep it inside of zlib would take half as much memory again, and it could not be carried
        # over a final block (§7.2.3.4).
        self._decoder = _new_decoder(inflater.history)

    def feed(self, chunk: bytes, so_far: bytes | bytearray, limit: int, *, final: bool) -> bytes:
        """The next part of the message (§7.2.2).

        Args:
            chunk: What arrived of its payload, unmasked.
            so_far: What the parts before it have become, all together.
            limit: Most bytes to make of it; 0 for any number. At that many it stops, and must not
                be used again.
            final: Whether this is the last part.

        Raises:
            DeflateError: The data is not valid, or ends within a block.
        """
        if final and not self.size:
            return b""  # some senders' flush gives nothing at all for an empty message
        try:
            data = self._inflate(chunk + _WHOLE if final else chunk, so_far, limit)
        except zlib.error as error:
            raise DeflateError(str(error)) from None
        if final and not (limit and len(data) >= limit):
            if not self._decoder.eof:
                raise DeflateError("The message ends within a block.")
            inflater = self._inflater
            if inflater.takeover:
                size = 1 << inflater.window_bits
                inflater.history = _last(size, inflater.history, so_far, data)
        return data

    def _inflate(self, data: bytes, so_far: bytes | bytearray, limit: int) -> bytes:
        decoder = self._decoder
        output = decoder.decompress(data, limit)
        # "a block with the BFINAL bit set" is followed by others (§7.2.3.4), or by the end.
        while (rest := decoder.unused_data) and rest != _WHOLE:
            if limit and len(output) >= limit:
                break
            self._final_blocks += 1
            if self._final_blocks > _MAX_FINAL_BLOCKS:
                raise DeflateError("The message has too many final blocks.")
            window = _last(1 << MAX_WINDOW_BITS, self._inflater.history, so_far, output)
            decoder = self._decoder = _new_decoder(window)
            output += decoder.decompress(rest, limit - len(output) if limit else 0)
        return output


def _last(size: int, *parts: bytes | bytearray) -> bytes:
    """The last ``size`` bytes of all the parts together."""
    return b"".join(part[-size:] for part in parts)[-size:]


def _new_decoder(window: bytes) -> "zlib._Decompress":
    if not window:
        return zlib.decompressobj(-MAX_WINDOW_BITS)
    return zlib.decompressobj(-MAX_WINDOW_BITS, zdict=window)
