"""The rules of RFC 6455 §5 that a client's frames can break, each with what it is answered."""

from typing import Final

from fairway.wire.frames import (
    FIN,
    LENGTH_16,
    MAX_CONTROL_PAYLOAD,
    OPCODE_BITS,
    RESERVED_BITS,
    CloseCode,
    Opcode,
    is_sendable,
)

CONTROL_BIT: Final = 0x08
_OPCODES: Final = frozenset(Opcode)


class Violation(Exception):
    """The client broke the protocol or a limit.

    Attributes:
        code: What to close with.
        reason: Why, for the client.
        limit: Which argument of :class:`~fairway.wire.websocket.WebSocketConnection` is the limit
            that was exceeded; empty for everything else.
    """

    def __init__(self, code: CloseCode, reason: str, limit: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.limit = limit


def check_first_byte(first: int, reserved: int, *, continues: bool) -> None:
    """Judge a frame by its first byte alone (§5.2, §5.4, §5.5).

    Args:
        first: The byte.
        reserved: The reserved bits that the first frame of a message may have.
        continues: Whether a message has begun that is not complete.

    Raises:
        Violation: It breaks a rule.
    """
    opcode = first & OPCODE_BITS
    if first & RESERVED_BITS:
        # "MUST be 0 unless an extension is negotiated", and of a compressed message only its first
        # frame says so, and no control frame (RFC 7692 §6.1).
        begins = opcode in (Opcode.TEXT, Opcode.BINARY)
        if first & RESERVED_BITS & ~reserved or not begins:
            reason = "A reserved bit is set, but no extension was agreed on."
            if reserved:
                reason = "A reserved bit is set that no extension has given a meaning there."
            raise Violation(CloseCode.PROTOCOL_ERROR, reason)
    if opcode not in _OPCODES:
        raise Violation(CloseCode.PROTOCOL_ERROR, f"Opcode {opcode:#x} is not defined.")
    if opcode & CONTROL_BIT:
        if not first & FIN:
            raise Violation(CloseCode.PROTOCOL_ERROR, "A control frame is fragmented.")
    elif opcode == Opcode.CONTINUATION:
        if not continues:
            reason = "A continuation frame came without a message to continue."
            raise Violation(CloseCode.PROTOCOL_ERROR, reason)
    elif continues:
        reason = "A new message began before the last one was complete."
        raise Violation(CloseCode.PROTOCOL_ERROR, reason)


def check_second_byte(second: int, *, control: bool) -> None:
    """Judge the mask bit and the short length (§5.1, §5.5).

    Raises:
        Violation: It breaks a rule.
    """
    if not second & 0x80:
        raise Violation(CloseCode.PROTOCOL_ERROR, "A frame from the client is not masked.")
    if control and second & 0x7F > MAX_CONTROL_PAYLOAD:
        raise Violation(CloseCode.PROTOCOL_ERROR, "A control frame exceeds 125 bytes.")


def parse_length(raw: bytes) -> int:
    """A length in two or eight bytes (§5.2).

    Raises:
        Violation: "the minimal number of bytes MUST be used", and of 64 bits "the most significant
            bit MUST be 0".
    """
    length = int.from_bytes(raw, "big")
    if length < (LENGTH_16 if len(raw) == 2 else 1 << 16) or length >> 63:
        raise Violation(CloseCode.PROTOCOL_ERROR, "A frame's length is badly encoded.")
    return length


def parse_close(payload: bytes) -> tuple[int | None, str]:
    """The code and the reason in a Close frame (§5.5.1).

    Raises:
        Violation: The code is half there, or may not be sent; or the reason is not UTF-8.
    """
    if not payload:
        return None, ""
    if len(payload) == 1:
        raise Violation(CloseCode.PROTOCOL_ERROR, "A Close frame has half a code.")
    code = int.from_bytes(payload[:2], "big")
    if not is_sendable(code):
        raise Violation(CloseCode.PROTOCOL_ERROR, f"A Close frame carries the code {code}.")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        reason = "The reason in a Close frame is not valid UTF-8."
        raise Violation(CloseCode.INVALID_PAYLOAD_DATA, reason) from None
