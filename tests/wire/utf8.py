"""Byte sequences that a text message may hold, and that it may not.

From RFC 3629, Unicode §3.9, and the kinds of stress that section 6 of the Autobahn test suite
puts on a decoder.
"""

import re
from typing import Final

#: Unicode §3.9, table 3-7, "Well-Formed UTF-8 Byte Sequences", one line for each of its rows; the
#: second part of each lists what its unfinished beginnings look like.
_WELL_FORMED: Final = rb"""
    [\x00-\x7f]
    | [\xc2-\xdf] [\x80-\xbf]
    | \xe0 [\xa0-\xbf] [\x80-\xbf]
    | [\xe1-\xec] [\x80-\xbf]{2}
    | \xed [\x80-\x9f] [\x80-\xbf]
    | [\xee-\xef] [\x80-\xbf]{2}
    | \xf0 [\x90-\xbf] [\x80-\xbf]{2}
    | [\xf1-\xf3] [\x80-\xbf]{3}
    | \xf4 [\x80-\x8f] [\x80-\xbf]{2}
"""
_UNFINISHED: Final = rb"""
    [\xc2-\xdf]
    | \xe0 [\xa0-\xbf]?
    | [\xe1-\xec\xee-\xef] [\x80-\xbf]?
    | \xed [\x80-\x9f]?
    | \xf0 (?: [\x90-\xbf] [\x80-\xbf]? )?
    | [\xf1-\xf3] [\x80-\xbf]{0,2}
    | \xf4 (?: [\x80-\x8f] [\x80-\xbf]? )?
"""
_BEGINNING: Final = re.compile(b"(?:%s)*(?:%s)?" % (_WELL_FORMED, _UNFINISHED), re.VERBOSE)
_TEXT: Final = re.compile(b"(?:%s)*" % _WELL_FORMED, re.VERBOSE)


def good_bytes(data: bytes) -> int:
    """How many bytes could be the beginning of a text: the next one is the first bad one."""
    match = _BEGINNING.match(data)
    assert match is not None
    return match.end()


def is_text(data: bytes) -> bool:
    """Whether ``data`` is well-formed UTF-8."""
    return _TEXT.fullmatch(data) is not None


KOSME: Final = "κόσμε".encode()

VALID: Final = {
    "empty": b"",
    "word": KOSME,
    "first of one byte": b"\x00",
    "first of two bytes": b"\xc2\x80",
    "first of three bytes": b"\xe0\xa0\x80",
    "first of four bytes": b"\xf0\x90\x80\x80",
    "last of one byte": b"\x7f",
    "last of two bytes": b"\xdf\xbf",
    "last of three bytes": b"\xef\xbf\xbf",
    "last of four bytes": b"\xf4\x8f\xbf\xbf",
    "before the surrogates": b"\xed\x9f\xbf",
    "after the surrogates": b"\xee\x80\x80",
    "replacement character": b"\xef\xbf\xbd",
    "byte order mark": b"\xef\xbb\xbftext",
    **{
        f"no character {code:#x}": chr(code).encode()
        for plane in range(17)
        for code in (plane << 16 | 0xFFFE, plane << 16 | 0xFFFF)
    },
    **{f"special {code:#x}": chr(code).encode() for code in range(0xFFF9, 0xFFFE)},
}

_STARTS: Final = [(0xC0, 2), (0xE0, 3), (0xF0, 4), (0xF8, 5), (0xFC, 6)]
_SURROGATES: Final = (0xD800, 0xDB7F, 0xDB80, 0xDBFF, 0xDC00, 0xDF80, 0xDFFF)


def encode_anyway(code: int, length: int) -> bytes:
    """``code`` in ``length`` bytes, by the rules of RFC 2279, whether allowed today or not."""
    tail = bytes(0x80 | code >> shift & 0x3F for shift in range(6 * (length - 2), -1, -6))
    return bytes((0xFF << (8 - length) & 0xFF | code >> 6 * (length - 1),)) + tail


#: Sequences with a byte that can be in no text, and how many good bytes stand before it.
INVALID: Final = {
    # beyond what Unicode or four bytes hold
    "first beyond Unicode": (b"\xf4\x90\x80\x80", 1),
    "last of four bytes ever": (b"\xf7\xbf\xbf\xbf", 0),
    "first of five bytes": (b"\xf8\x88\x80\x80\x80", 0),
    "last of five bytes": (b"\xfb\xbf\xbf\xbf\xbf", 0),
    "first of six bytes": (b"\xfc\x84\x80\x80\x80\x80", 0),
    "last of six bytes": (b"\xfd\xbf\xbf\xbf\xbf\xbf", 0),
    # continuation bytes that continue nothing
    **{f"lone continuation bytes ({n})": ((b"\x80\xbf" * n)[:n], 0) for n in range(1, 8)},
    "each continuation byte": (bytes(range(0x80, 0xC0)), 0),
    "continuation byte after a whole character": (b"\xc2\x80\x80", 2),
    # first bytes that nothing continues
    **{f"lone first byte {byte:#x}": (bytes((byte, 0x20)), 1) for byte in range(0xC2, 0xF5)},
    **{f"lone bad first byte {byte:#x}": (bytes((byte, 0x20)), 0) for byte in (0xC0, 0xC1)},
    **{f"lone bad first byte {byte:#x}": (bytes((byte, 0x20)), 0) for byte in range(0xF5, 0x100)},
    "two bytes of three": (b"\xe2\x82 ", 2),
    "three bytes of four": (b"\xf0\x9f\x9b ", 3),
    "one character cut by another": (b"\xf0\x9f\xc3\xa9", 2),
    # bytes that are nowhere in UTF-8
    "impossible byte 0xfe": (b"\xfe", 0),
    "impossible byte 0xff": (b"\xff", 0),
    "impossible bytes": (b"\xfe\xfe\xff\xff", 0),
    # more bytes than needed
    **{f"overlong slash ({n})": (encode_anyway(0x2F, n), n in (3, 4)) for _, n in _STARTS},
    **{f"overlong zero ({n})": (encode_anyway(0, n), n in (3, 4)) for _, n in _STARTS},
    "longest overlong of two bytes": (b"\xc1\xbf", 0),
    "longest overlong of three bytes": (b"\xe0\x9f\xbf", 1),
    "longest overlong of four bytes": (b"\xf0\x8f\xbf\xbf", 1),
    "longest overlong of five bytes": (b"\xf8\x87\xbf\xbf\xbf", 0),
    "longest overlong of six bytes": (b"\xfc\x83\xbf\xbf\xbf\xbf", 0),
    # halves of UTF-16
    **{f"surrogate {code:#x}": (encode_anyway(code, 3), 1) for code in _SURROGATES},
    "pair of surrogates": (encode_anyway(0xD83D, 3) + encode_anyway(0xDEF6, 3), 1),
    "last pair of surrogates": (encode_anyway(0xDBFF, 3) + encode_anyway(0xDFFF, 3), 1),
}

#: Sequences that could still become a text, but end too early.
UNFINISHED: Final = {
    "first byte of two": b"\xc2",
    "last first byte of two": b"\xdf",
    "first byte of three": b"\xe1",
    "two bytes of three": b"\xef\xbf",
    "first byte of four": b"\xf1",
    "two bytes of four": b"\xf0\x90",
    "three bytes of four": b"\xf4\x8f\xbf",
    "word without its end": KOSME[:-1],
}
