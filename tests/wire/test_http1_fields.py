"""Fields on their way out (RFC 9112 §5), beyond what the tests of whole responses see."""

import re
from typing import Any

import pytest

from fairway.wire import http1_fields
from fairway.wire.http1_fields import (
    check_lines,
    encode_connection,
    encode_fields,
    encode_trailers,
)


class TestEncodeFields:
    """Lines, but not of what the framing owns."""

    def test_own(self) -> None:
        """Fields of the framing are handed out by name; all others become lines, as spelt."""
        lines = [b"HTTP/1.1 200 OK"]
        own = encode_fields([(b"X-A", b"b"), (b"Content-Length", b"3"), (b"DATE", b"d")], lines)
        assert lines == [b"HTTP/1.1 200 OK", b"X-A: b"]
        assert own == {b"content-length": b"3", b"date": b"d"}

    @pytest.mark.parametrize("field", [(b"a",), (b"a", b"b", b"c"), 3, b"ab:c"])
    def test_no_pair(self, field: Any) -> None:
        """What is no pair is shown."""
        text = f"A header is a pair of bytes, its name and its value, not {field!r}."
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            encode_fields([field], [])

    def test_no_iterable(self) -> None:
        """So is what holds no pairs at all."""
        headers: Any = 3
        text = "headers have to be an iterable of pairs of bytes, not 3."
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            encode_fields(headers, [])

    def test_dictionary(self) -> None:
        """A dictionary of text is no list of pairs, though its keys may have two characters."""
        headers: Any = {"ab": "c"}
        text = "Header name 'a' expected to be `bytes`, but got `<class 'str'>`"
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            encode_fields(headers, [])

    def test_names_are_remembered_within_bounds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An application that invents names does not fill the memory."""
        known: dict[bytes, bytes] = {}
        monkeypatch.setattr(http1_fields, "_known_names", known)
        for number in range(2000):
            encode_fields([(b"x-%d" % number, b"y")], [])
        assert len(known) == 1024
        with pytest.raises(ValueError, match="is not a token"):
            encode_fields([(b"x 1", b"y")], [])


class TestEncodeTrailers:
    """The section behind the last chunk."""

    def test_lines(self) -> None:
        """It ends in an empty line."""
        assert encode_trailers([(b"a", b"b"), (b"A", b"c")]) == b"a: b\r\nA: c\r\n\r\n"
        assert encode_trailers([]) == b"\r\n"

    @pytest.mark.parametrize(
        "name", [b"content-length", b"Transfer-Encoding", b"Host", b"set-cookie", b"Trailer"]
    )
    def test_forbidden(self, name: bytes) -> None:
        """What concerns the framing, or how to read what came before, is refused."""
        text = f"The field {name.decode()!r} cannot be sent as a trailer (RFC 9110 §6.5.1)."
        with pytest.raises(ValueError, match=f"(?i)^{re.escape(text)}$"):
            encode_trailers([(name, b"1")])

    def test_forbidden_byte(self) -> None:
        """No field ends early."""
        with pytest.raises(ValueError, match="The value of the header 'a' holds a CR, LF or NUL"):
            encode_trailers([(b"a", b"b\r\nc: d")])


@pytest.mark.parametrize(
    ("value", "keep", "http10", "lines", "kept"),
    [
        (b"", True, False, [], True),
        (b"", False, False, [b"Connection: close"], False),
        (b"", True, True, [b"Connection: keep-alive"], True),
        (b"x, Close", True, False, [b"Connection: x, close"], False),
        (b"keep-alive", False, True, [b"Connection: close"], False),
    ],
)
def test_encode_connection(
    value: bytes, keep: bool, http10: bool, lines: list[bytes], kept: bool
) -> None:
    """``Connection`` says what is not the default of the version (RFC 9112 §9.3)."""
    found: list[bytes] = []
    assert encode_connection(value, keep, http10, found) is kept
    assert found == lines


@pytest.mark.parametrize("byte", [b"\r", b"\n", b"\0"])
def test_check_lines(byte: bytes) -> None:
    """A line that would end too early is named."""
    lines = [b"HTTP/1.1 200 OK", b"a: b" + byte, b"", b""]
    with pytest.raises(ValueError, match="The value of the header 'a' holds a CR, LF or NUL"):
        check_lines(lines, b"\r\n".join(lines))
