"""Envelopes: what travels between processes."""

import pytest

from fairway.layers.envelope import (
    Kind,
    for_channel,
    for_group,
    for_request,
    read_channel,
    read_request,
)


def test_group() -> None:
    """A byte, then the message; it says whether a handler is needed."""
    assert for_group(b"message", websocket_send=False) == b"\x01message"
    assert for_group(b"message", websocket_send=True) == b"\x02message"


def test_channel() -> None:
    """The channel's name, then the message."""
    data = for_channel("specific.abc!def", b"message")
    assert data[0] == Kind.CHANNEL
    assert read_channel(memoryview(data)[1:]) == ("specific.abc!def", b"message")


@pytest.mark.parametrize("size", range(17))
def test_cut_short(size: int) -> None:
    """What is cut short is no message for another channel."""
    with pytest.raises(ValueError, match=f"^An envelope of {size} bytes ends within its channel"):
        read_channel(memoryview(for_channel("specific.abc!def", b"message"))[1 : 1 + size])


@pytest.mark.parametrize("size", range(8))
def test_request_cut_short(size: int) -> None:
    """Nor is it a request."""
    with pytest.raises(
        ValueError, match=rf"^An envelope of {size} bytes ends within its number\.$"
    ):
        read_request(memoryview(for_request(Kind.JOIN, 7, "abc"))[1 : 1 + size])


def test_request() -> None:
    """A number, by which the answer is known, and names."""
    data = for_request(Kind.JOIN, 7, "abc", "specific.abc!def", "room")
    assert data[0] == Kind.JOIN
    assert read_request(memoryview(data)[1:]) == (7, ["abc", "specific.abc!def", "room"])
    assert read_request(memoryview(for_request(Kind.DONE, 2**60))[1:]) == (2**60, [""])
