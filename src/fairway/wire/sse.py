"""Server-sent events: the ``text/event-stream`` format of the HTML standard, without I/O.

See https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream.
"""

import re
from typing import Final

#: The media type; its encoding is always UTF-8 (§9.2.6).
CONTENT_TYPE: Final = b"text/event-stream"

#: What ends a line of the format: CRLF, LF or CR alone (§9.2.5).
_LINE_END: Final = re.compile(r"\r\n|\n|\r")


def encode_event(
    data: str | None = None,
    *,
    event: str | None = None,
    id: str | None = None,  # noqa: A002  the name of the field
    retry: int | None = None,
) -> bytes:
    r"""One event as bytes, with the empty line that ends it.

    A browser tells a page of events that have ``data``, the empty text included. Without ``data``
    only ``id`` and ``retry`` take effect. The lines of ``data`` reach the page with LF between
    them, whatever stood there.

    Args:
        data: Text, of any number of lines.
        event: What the page listens for; ``"message"`` if it is not said.
        id: What the client tells as ``Last-Event-ID`` when it connects again; empty to have it tell
            nothing.
        retry: Milliseconds until the client connects again after the connection was lost.

    Raises:
        ValueError: ``event`` or ``id`` has more than one line, ``id`` has a NULL, which clients
            ignore, ``retry`` is negative, or the text cannot be encoded.
    """
    lines = []
    if event is not None:
        lines.append(f"event: {_one_line('event', event)}")
    if id is not None:
        if "\0" in id:
            raise ValueError(f"The id of an event cannot contain NULL: {id!r}")
        lines.append(f"id: {_one_line('id', id)}")
    if retry is not None:
        if retry < 0:
            raise ValueError(f"retry cannot be negative: {retry}")
        lines.append(f"retry: {int(retry)}")
    if data is not None:
        # The space is taken off by the client, and only one: text may begin with spaces of its own.
        lines += [f"data: {line}" for line in _LINE_END.split(data)]
    return ("\n".join(lines) + "\n\n").encode()


def encode_comment(text: str = "") -> bytes:
    """A comment as bytes, which clients ignore: it keeps a connection that is idle alive.

    Args:
        text: Of any number of lines.
    """
    return (
        "".join(f": {line}".rstrip(" ") + "\n" for line in _LINE_END.split(text)) + "\n"
    ).encode()


def _one_line(field: str, value: str) -> str:
    if _LINE_END.search(value):
        raise ValueError(f"The {field} of an event is one line: {value!r}")
    return value
