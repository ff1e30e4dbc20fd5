"""The rules for frames, one by one; tests/wire/test_websocket_frames.py sees them at work."""

from collections.abc import Callable

import pytest

from fairway.wire.violations import (
    Violation,
    check_first_byte,
    check_second_byte,
    parse_close,
    parse_length,
)


def broken(call: Callable[[], object]) -> int:
    """The close code that a call raises."""
    with pytest.raises(Violation) as caught:
        call()
    assert caught.value.reason == str(caught.value)
    assert caught.value.limit == ""
    return caught.value.code


def good(reserved: int, *, continues: bool) -> set[int]:
    """The first bytes that break no rule."""
    found = set()
    for first in range(256):
        try:
            check_first_byte(first, reserved, continues=continues)
        except Violation:
            continue
        found.add(first)
    return found


class TestFirstByte:
    """FIN, the reserved bits and the opcode."""

    def test_all(self) -> None:
        """Of all bytes, these are good at the beginning of a message; the others are 1002."""
        assert broken(lambda: check_first_byte(0x03, 0, continues=False)) == 1002
        assert good(0, continues=False) == {0x01, 0x02, 0x81, 0x82, 0x88, 0x89, 0x8A}

    @pytest.mark.parametrize("reserved", [0, 0x40])
    def test_within_a_message(self, reserved: int) -> None:
        """Within a message, these are, RSV1 having a meaning or not."""
        assert good(reserved, continues=True) == {0x00, 0x80, 0x88, 0x89, 0x8A}

    def test_with_rsv1(self) -> None:
        """With compression a message may begin with RSV1, and only that."""
        more = good(0x40, continues=False) - good(0, continues=False)
        assert more == {0x41, 0x42, 0xC1, 0xC2}


class TestSecondByte:
    """The mask bit and the length."""

    def test_mask(self) -> None:
        """A client masks (§5.1)."""
        check_second_byte(0x80, control=False)
        assert broken(lambda: check_second_byte(0x00, control=False)) == 1002

    def test_control(self) -> None:
        """A control frame has at most 125 bytes (§5.5)."""
        check_second_byte(0x80 | 125, control=True)
        check_second_byte(0x80 | 126, control=False)
        assert broken(lambda: check_second_byte(0x80 | 126, control=True)) == 1002


@pytest.mark.parametrize("length", [126, 65535])
def test_16_bits(length: int) -> None:
    """A length in two bytes."""
    assert parse_length(length.to_bytes(2)) == length


@pytest.mark.parametrize("length", [65536, 2**63 - 1])
def test_64_bits(length: int) -> None:
    """A length in eight."""
    assert parse_length(length.to_bytes(8)) == length


@pytest.mark.parametrize(
    "raw",
    [(125).to_bytes(2), (0).to_bytes(2), (65535).to_bytes(8), (2**63).to_bytes(8), b"\xff" * 8],
)
def test_bad_length(raw: bytes) -> None:
    """One that is longer than it need be, or has its highest bit set."""
    assert broken(lambda: parse_length(raw)) == 1002


def test_close() -> None:
    """A Close frame's body: nothing, a code, or a code and a reason."""
    assert parse_close(b"") == (None, "")
    assert parse_close(b"\x03\xe8") == (1000, "")
    assert parse_close(b"\x03\xe8" + "é".encode()) == (1000, "é")


@pytest.mark.parametrize(
    ("body", "code"), [(b"\x03", 1002), (b"\x00\x00", 1002), (b"\x03\xe8\xff", 1007)]
)
def test_bad_close(body: bytes, code: int) -> None:
    """Half a code, one that may not be sent, or a reason that is no text."""
    assert broken(lambda: parse_close(body)) == code
