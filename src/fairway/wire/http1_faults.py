"""What is wrong with a request that cannot be accepted, as an answer for the client.

Accepting is the fast way, in :mod:`fairway.wire.http1_head`; a request that fails there is read
again here, slowly and line by line, to say why. Everything is judged in the order in which it
arrives, so that the verdict does not depend on how the network cut the request.
"""

import re
from typing import Final

from fairway.wire.http1_events import HTTP1Limits, Refusal

__all__ = [
    "KNOWN_METHODS",
    "TCHAR",
    "field_fault",
    "fields_fault",
    "line_fault",
    "unfinished_line_fault",
]

#: The characters of a token (RFC 9110 §5.6.2), for use inside a character class.
TCHAR: Final = rb"!#$%&'*+\-.^_`|~0-9A-Za-z"

#: Methods that reach the application, by their bytes: those of RFC 9110, RFC 5789 and WebDAV that
#: llhttp knows. CONNECT is not among them: it asks for a proxy.
KNOWN_METHODS: Final = {
    name.encode(): name
    for name in (
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "QUERY",
        "ACL", "BIND", "CHECKOUT", "COPY", "LINK", "LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR",
        "MKCOL", "MOVE", "M-SEARCH", "NOTIFY", "PROPFIND", "PROPPATCH", "PURGE", "REBIND", "REPORT",
        "SEARCH", "SOURCE", "SUBSCRIBE", "UNBIND", "UNLINK", "UNLOCK", "UNSUBSCRIBE",
    )
}  # fmt: skip

_FIRST: Final = re.compile(b"[%b]" % TCHAR)
_LINE: Final = re.compile(rb"([%b]+) ([^ ]+) HTTP/([0-9]\.[0-9])" % TCHAR)
_NAME: Final = re.compile(b"[%b]+" % TCHAR)
_NAME_AND_SPACE: Final = re.compile(rb"[%b]+[ \t]+:" % TCHAR)
_VALUE: Final = re.compile(rb"[\t -~\x80-\xff]*")

_BARE_LF = Refusal(400, "A line ends in LF alone instead of CRLF.")
_BARE_CR = Refusal(400, "There is a CR that is not followed by LF.")
_URI_TOO_LONG = Refusal(414, "The request line is longer than this server accepts.", "request_line")
_FIELDS_TOO_LARGE = Refusal(
    431, "The header fields together are larger than this server accepts.", "header_size"
)
_TOO_MANY_FIELDS = Refusal(
    431, "There are more header fields than this server accepts.", "header_count"
)


def unfinished_line_fault(line: bytes | bytearray, limit: int) -> Refusal | None:
    """What the beginning of a request line already gives away, such as TLS on a plain-text port.

    Args:
        line: Not empty and without an LF.
        limit: Most bytes in the line without its CRLF, 0 for any number.
    """
    if not _FIRST.match(line):
        if line.startswith(b"\n"):
            return _BARE_LF
        if line.startswith(b"\x16"):  # a record of the handshake, RFC 8446 §5.1
            return Refusal(400, "The client speaks TLS, and this port does not.")
        return Refusal(400, "The request does not begin with a method; is this a client of HTTP?")
    if 0 < limit < len(line) - 1:  # the last byte may be the CR
        return _URI_TOO_LONG
    return None


def line_fault(head: bytes, limit: int) -> Refusal | None:
    """What is wrong with the request line, or None (RFC 9112 §3).

    Args:
        head: Begins with a complete request line; what follows its LF is not looked at.
        limit: Most bytes in the line without its CRLF, 0 for any number.
    """
    end = head.index(b"\n")
    if (fault := unfinished_line_fault(head[: max(end, 1)], limit)) is not None:
        return fault
    if head[end - 1] != 0x0D:
        return _BARE_LF
    text = head[: end - 1]
    line = _LINE.fullmatch(text)
    if line is None:
        return _malformed_line(text)
    method, target, version = line.groups()
    if version not in (b"1.1", b"1.0"):
        return Refusal(505, "This server speaks HTTP/1.1 and HTTP/1.0.")
    if b"#" in target:
        return Refusal(400, "The request target has a fragment, which is for the client alone.")
    if any(byte < 0x21 or byte > 0x7E for byte in target):
        return Refusal(400, "The request target holds a byte that is no visible ASCII character.")
    if method == b"CONNECT":
        # "not capable of supporting it for any resource", RFC 9110 §15.6.2: an origin is no tunnel.
        return Refusal(501, "This server is not a proxy: it does not implement CONNECT.")
    if method not in KNOWN_METHODS:
        # "SHOULD respond with the 501 (Not Implemented) status code", RFC 9110 §9.1
        return Refusal(501, "This server does not implement the request method.")
    return None


def _malformed_line(text: bytes) -> Refusal:
    if b"\r" in text:
        return _BARE_CR
    if text.count(b" ") == 1:
        return Refusal(400, "The request line names no HTTP version; HTTP/0.9 is not spoken here.")
    return Refusal(
        400, "The request line is not a method, a target and a version with one space between."
    )


def fields_fault(
    head: bytes | bytearray, start: int, scan: int, limits: HTTP1Limits
) -> Refusal | None:
    """Whether header fields have outgrown their limit, or a line of them ends in a bare LF.

    Args:
        head: From the request line on, complete or not.
        start: Where the first field begins.
        scan: Where to begin to look for line ends: what came before was looked at already.
        limits: ``header_size`` is used.
    """
    # A head within its limit ends at or before this; the CRLF of the empty line does not count.
    bound = start + limits.header_size + 2 if limits.header_size else len(head) + 1
    scan = max(scan, start)
    while (end := head.find(b"\n", scan, bound)) >= 0:
        if head[end - 1] != 0x0D:
            return _BARE_LF
        scan = end + 1
    return _FIELDS_TOO_LARGE if len(head) >= bound else None


def field_fault(line: bytes, number: int, limits: HTTP1Limits) -> Refusal | None:
    """What is wrong with one field line, or None (RFC 9112 §5).

    Args:
        line: Without its CRLF; not empty.
        number: 1 for the first field.
        limits: ``header_count`` is used.
    """
    if 0 < limits.header_count < number:
        return _TOO_MANY_FIELDS
    if line[0] in b" \t":
        if number == 1:
            return Refusal(400, "There is whitespace before the first header field.")
        # "A server that receives an obs-fold … MUST either reject the message by sending a 400 …
        # or replace", RFC 9112 §5.2: agents on the way may have read it otherwise.
        return Refusal(400, "A header field is folded over several lines.")
    name, colon, value = line.partition(b":")
    if not colon:
        return Refusal(400, "A header field has no colon.")
    if not name:
        return Refusal(400, "A header field has no name.")
    if _NAME_AND_SPACE.match(line):
        # "MUST reject … any received request message that contains whitespace between a header
        # field name and colon", RFC 9112 §5.1
        return Refusal(400, "There is whitespace between the name of a header field and its colon.")
    if not _NAME.fullmatch(name):
        return Refusal(400, "The name of a header field holds a character that names cannot have.")
    if b"\r" in value:
        return _BARE_CR
    if not _VALUE.fullmatch(value):
        return Refusal(400, "The value of a header field holds a control character.")
    return None
