"""How a server writes frames: RFC 6455 §5.2, §5.5, §5.7, §7.4."""

from typing import Any

import pytest

from fairway.wire.frames import (
    Opcode,
    cut_utf8,
    encode_close,
    encode_frame,
    encode_header,
    is_close,
    is_sendable,
    with_retry,
)
from fairway.wire.messages import encode_message
from tests.wire import client


class TestExamples:
    """The unmasked examples of §5.7."""

    def test_text(self) -> None:
        """A single-frame unmasked text message contains "Hello"."""
        assert encode_message("Hello") == bytes.fromhex("81 05 48 65 6c 6c 6f")

    def test_fragments(self) -> None:
        """A fragmented unmasked text message contains "Hel" and "lo"."""
        assert encode_frame(Opcode.TEXT, b"Hel", fin=False) == bytes.fromhex("01 03 48 65 6c")
        assert encode_frame(Opcode.CONTINUATION, b"lo") == bytes.fromhex("80 02 6c 6f")

    def test_ping(self) -> None:
        """An unmasked Ping contains "Hello"."""
        assert encode_frame(Opcode.PING, b"Hello") == bytes.fromhex("89 05 48 65 6c 6c 6f")

    def test_256_bytes(self) -> None:
        """256 bytes of binary data have a length of 16 bits."""
        payload = bytes(range(256))
        assert encode_message(payload) == bytes.fromhex("82 7e 01 00") + payload

    def test_64_kib(self) -> None:
        """64 KiB of binary data have a length of 64 bits."""
        payload = bytes(65536)
        assert encode_message(payload) == bytes.fromhex("82 7f 00 00 00 00 00 01 00 00") + payload


class TestHeader:
    """§5.2: FIN, opcode, no mask, the shortest form of the length."""

    @pytest.mark.parametrize(
        ("length", "octets"),
        [
            (0, "00"),
            (1, "01"),
            (125, "7d"),
            (126, "7e 00 7e"),
            (127, "7e 00 7f"),
            (65535, "7e ff ff"),
            (65536, "7f 00 00 00 00 00 01 00 00"),
            ((1 << 63) - 1, "7f 7f ff ff ff ff ff ff ff"),
        ],
    )
    def test_length(self, length: int, octets: str) -> None:
        """The length takes one, three or nine bytes, as few as will do."""
        assert encode_header(Opcode.BINARY, length) == b"\x82" + bytes.fromhex(octets)

    @pytest.mark.parametrize("opcode", Opcode)
    def test_first_byte(self, opcode: Opcode) -> None:
        """The first byte is the opcode and, on the last fragment, FIN."""
        assert encode_header(opcode, 0) == bytes((0x80 + opcode, 0))
        assert encode_header(opcode, 0, fin=False) == bytes((opcode, 0))

    def test_opcodes(self) -> None:
        """Each opcode of §11.8 has its number."""
        assert {opcode.name: opcode.value for opcode in Opcode} == {
            "CONTINUATION": 0,
            "TEXT": 1,
            "BINARY": 2,
            "CLOSE": 8,
            "PING": 9,
            "PONG": 10,
        }


class TestClose:
    """§5.5.1: a Close frame has no body, or a code and a reason."""

    def test_no_body(self) -> None:
        """None stands for a Close without a body, which has no room for a reason."""
        assert encode_close(None) == b"\x88\x00"
        assert encode_close(None, "unsaid") == b"\x88\x00"

    def test_code(self) -> None:
        """A code takes two bytes."""
        assert encode_close(1000) == b"\x88\x02\x03\xe8"
        assert encode_close(4999) == b"\x88\x02\x13\x87"

    def test_reason(self) -> None:
        """A reason follows in UTF-8."""
        assert encode_close(1001, "αντίο") == b"\x88\x0c\x03\xe9" + "αντίο".encode()

    def test_longest_reason(self) -> None:
        """123 bytes of reason fill the frame; a longer one is cut at a character."""
        assert encode_close(1000, "x" * 123) == b"\x88\x7d\x03\xe8" + b"x" * 123
        assert encode_close(1000, "x" * 124) == b"\x88\x7d\x03\xe8" + b"x" * 123
        assert encode_close(1000, "é" * 62) == b"\x88\x7c\x03\xe8" + "é".encode() * 61

    @pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 70000])
    def test_bad_code(self, code: int) -> None:
        """A code that must not be sent raises an error that says which may."""
        with pytest.raises(ValueError, match="cannot be sent") as caught:
            encode_close(code)
        assert str(caught.value) == (
            f"{code} cannot be sent in a Close frame: use 1000, another code of RFC 6455 §7.4.1 "
            "that is meant to be sent, or one from 3000 to 4999."
        )

    def test_code_that_is_no_number(self) -> None:
        """Text in its place is named."""
        code: Any = "4123"
        with pytest.raises(
            TypeError, match=r"^A close code is an int, and '4123' is of type str\.$"
        ):
            encode_close(code)


class TestIsSendable:
    """§7.4: which codes a Close frame may carry."""

    def test_all(self) -> None:
        """Of all numbers of two bytes: the registered ones that are meant to be sent, 3000 on."""
        registered = {*range(1000, 1004), *range(1007, 1015)}
        assert {code for code in range(65536) if is_sendable(code)} == {
            *registered,
            *range(3000, 5000),
        }


class TestIsClose:
    """What a client says last: a masked Close frame (§5.1, §5.5.1)."""

    @pytest.mark.parametrize("length", [0, 2, 125])
    def test_alone(self, length: int) -> None:
        """It is one whatever its body, by itself only."""
        data = client.frame(client.CLOSE, b"x" * length)
        assert is_close(data)
        assert not any(is_close(data[:cut]) for cut in range(len(data)))
        assert not is_close(data + b"x")
        assert not is_close(b"x" + data)

    @pytest.mark.parametrize(
        "data",
        [
            client.unmasked(client.CLOSE, b"\x03\xe8"),
            client.frame(client.CLOSE, b"\x03\xe8", fin=False),
            client.frame(client.CLOSE, b"\x03\xe8", reserved=4),
            client.frame(client.CLOSE, b"x" * 126),
            client.frame(client.PING, b"x"),
            client.text("bye"),
        ],
    )
    def test_anything_else(self, data: bytes) -> None:
        """No other frame is, nor one that breaks the rules."""
        assert not is_close(data)


class TestCutUTF8:
    """Text that must fit is cut between characters."""

    @pytest.mark.parametrize(
        ("text", "limit", "cut"),
        [
            ("", 0, ""),
            ("abc", 0, ""),
            ("abc", 2, "ab"),
            ("abc", 3, "abc"),
            ("é", 1, ""),
            ("aé", 2, "a"),
            ("aé", 3, "aé"),
            ("€€", 5, "€"),
            ("👋", 3, ""),
            ("a👋b", 5, "a👋"),
            ("\ud83d", 1, "?"),
        ],
        ids=ascii,
    )
    def test_cut(self, text: str, limit: int, cut: str) -> None:
        """No character is split, and none that fits is lost."""
        assert cut_utf8(text, limit) == cut.encode()


class TestWithRetry:
    """A close reason that says when to come back: words, a space, ``retry=``, seconds."""

    @pytest.mark.parametrize(
        ("reason", "seconds", "result"),
        [
            ("The server is restarting.", 2.5, "The server is restarting. retry=2.5"),
            ("The server is restarting.", 0, "The server is restarting. retry=0.0"),
            ("The server is restarting.", 12.345, "The server is restarting. retry=12.3"),
            ("", 1, "retry=1.0"),
            ("words ", 1, "words retry=1.0"),
            ("before now", -3, "before now retry=0.0"),
        ],
    )
    def test_format(self, reason: str, seconds: float, result: str) -> None:
        """The number has one decimal, and is never negative."""
        assert with_retry(reason, seconds) == result

    @pytest.mark.parametrize("reason", ["x" * 200, "é" * 100, "👋" * 60, "x" * 113, "x" * 114])
    def test_fits(self, reason: str) -> None:
        """The words are cut, and never the number: it fits into a Close frame (§5.5.1)."""
        result = with_retry(reason, 600.04)
        assert result.endswith(" retry=600.0")
        assert 119 < len(result.encode()) <= 123
        assert encode_close(1012, result)[4:] == result.encode()
        assert reason.startswith(result.removesuffix(" retry=600.0"))
