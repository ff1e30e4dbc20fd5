"""Server-sent events: what is written is what a browser's parser reads, whatever the text."""

import re

from fairway.wire.sse import encode_comment, encode_event
from fuzzing.target import Target

__all__ = ["TARGET", "check", "check_event", "parse"]


class Parser:
    """The parser of the HTML standard (§9.2.6), written from its text."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []
        self.last_id = ""
        self.retry: int | None = None
        self._data: list[str] = []
        self._type = ""

    def feed(self, stream: str) -> None:
        """Take whole lines; what follows the last line end is discarded."""
        for line in re.split("\r\n|\n|\r", stream)[:-1]:
            if not line:
                self._dispatch()
            elif not line.startswith(":"):
                field, _, value = line.partition(":")
                self._process(field, value.removeprefix(" "))

    def _dispatch(self) -> None:
        if self._data:
            self.events.append((self._type or "message", "\n".join(self._data), self.last_id))
        self._data, self._type = [], ""

    def _process(self, field: str, value: str) -> None:
        if field == "event":
            self._type = value
        elif field == "data":
            self._data.append(value)
        elif field == "id" and "\0" not in value:
            self.last_id = value
        elif field == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value)


def parse(stream: bytes) -> Parser:
    """What a browser makes of a stream."""
    parser = Parser()
    parser.feed(stream.decode())
    return parser


def check_event(data: str | None, event: str | None, id_: str | None, retry: int | None) -> None:
    """A ValueError for what cannot be said; everything else arrives, also behind a comment."""
    try:
        encoded = encode_event(data, event=event, id=id_, retry=retry)
    except ValueError:
        lone = any(0xD800 <= ord(char) < 0xE000 for char in f"{data}{event}{id_}")
        assert lone or re.search("[\r\n]", f"{event}{id_}") or "\0" in (id_ or "")
        return
    browser = parse(encode_comment("any\r\ndata: comment\n\n") + encoded + encode_event("last"))
    lines = None if data is None else "\n".join(re.split("\r\n|\n|\r", data))
    expected = [] if lines is None else [(event or "message", lines, id_ or "")]
    assert browser.events == [*expected, ("message", "last", id_ or "")]
    assert browser.retry == retry
    comment = parse(encode_comment(f"{event}{id_}") + encode_event("last"))
    assert comment.events == [("message", "last", "")]


def check(data: bytes) -> None:
    """The first byte says which fields there are; 0xFF parts them."""
    if not data:
        return
    fields = [part.decode("utf-8", "replace") for part in data[1:].split(b"\xff")]
    text, event, id_, *_ = [*fields, "", "", ""]
    check_event(
        text if data[0] & 1 else None,
        event if data[0] & 2 else None,
        id_ if data[0] & 4 else None,
        len(text) if data[0] & 8 else None,
    )


TARGET = Target(
    name="sse",
    check=check,
    seeds=(
        b"\x01hello",
        b"\x0fhello\nworld\xffnews\xff17",
        b"\x03\r\n data\r:\xff",
        b"\x04\xff\xff",
    ),
    tokens=(b"\r\n", b"\n", b"\r", b"\0", b": ", b"data: ", b"\xff", b"\xe2\x80\xa8", b"\xc2\x85"),
    modules=("fairway.wire.sse",),
)
