"""The event-stream format of the HTML standard, §9.2.5 and §9.2.6."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.wire.sse import CONTENT_TYPE, encode_comment, encode_event


def interpret(stream: bytes) -> list[dict[str, Any]]:
    """What a browser dispatches, by the algorithm of §9.2.6."""
    events: list[dict[str, Any]] = []
    text = stream.decode().replace("\r\n", "\n").replace("\r", "\n")
    data, name, last_id = "", "", ""
    assert text.endswith("\n\n")
    for line in text.split("\n")[:-1]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                event = {"type": name or "message", "data": data[:-1], "lastEventId": last_id}
                events.append(event)
            data, name = "", ""
        elif field == "data":
            data += value + "\n"
        elif field == "event":
            name = value
        elif field == "id" and "\0" not in value:
            last_id = value
    return events


class TestEvent:
    @pytest.mark.parametrize(
        ("arguments", "wire"),
        [
            ({"data": "hi"}, b"data: hi\n\n"),
            ({"data": ""}, b"data: \n\n"),
            ({"data": " indented"}, b"data:  indented\n\n"),
            ({"data": "a\nb\r\nc\rd"}, b"data: a\ndata: b\ndata: c\ndata: d\n\n"),
            ({"data": "ä"}, b"data: \xc3\xa4\n\n"),
            ({"data": "x", "event": "tick", "id": "7"}, b"event: tick\nid: 7\ndata: x\n\n"),
            ({"id": ""}, b"id: \n\n"),
            ({"retry": 3000}, b"retry: 3000\n\n"),
        ],
    )  # fmt: skip
    def test_wire(self, arguments: dict[str, Any], wire: bytes) -> None:
        """Each field is a line, each line of the data a field, and an empty line ends it."""
        assert encode_event(**arguments) == wire

    @pytest.mark.parametrize("field", ["event", "id"])
    @pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
    def test_one_line(self, field: str, end: str) -> None:
        """Nobody can smuggle a field into another one."""
        value = f"a{end}data: forged"
        with pytest.raises(ValueError) as caught:  # noqa: PT011  its whole message follows
            encode_event("x", **{field: value})  # type: ignore[arg-type]  # one of two texts
        assert str(caught.value) == f"The {field} of an event is one line: {value!r}"

    def test_null(self) -> None:
        """A client would ignore an id with NULL, and resume at the wrong place."""
        with pytest.raises(ValueError, match=r"^The id of an event cannot contain NULL"):
            encode_event("x", id="a\0b")

    def test_negative_retry(self) -> None:
        """There is no time before now."""
        with pytest.raises(ValueError, match=r"^retry cannot be negative: -1$"):
            encode_event(retry=-1)

    @given(
        st.text(st.characters(codec="utf-8")),
        st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1),
        st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0")),
    )
    def test_what_a_browser_reads(self, data: str, event: str, identifier: str) -> None:
        """Any text arrives as it was, but for the kind of its line ends."""
        lines = data.replace("\r\n", "\n").replace("\r", "\n")
        assert interpret(encode_event(data, event=event, id=identifier)) == [
            {"type": event, "data": lines, "lastEventId": identifier}
        ]


class TestComment:
    @pytest.mark.parametrize(
        ("text", "wire"),
        [("", b":\n\n"), ("still here", b": still here\n\n"), ("a\nb", b": a\n: b\n\n")],
    )
    def test_wire(self, text: str, wire: bytes) -> None:
        """Each line of a comment begins with a colon."""
        assert encode_comment(text) == wire

    @given(st.text(st.characters(codec="utf-8")))
    def test_ignored(self, text: str) -> None:
        """A comment is nothing to a browser, whatever stands in it."""
        assert interpret(encode_comment(text) + encode_event("x")) == [
            {"type": "message", "data": "x", "lastEventId": ""}
        ]


def test_content_type() -> None:
    """The media type by which browsers know it."""
    assert CONTENT_TYPE == b"text/event-stream"
