"""Frames: what two processes of one machine say to each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.layers.local.frames import (
    MAX_FRAME,
    FrameError,
    FrameReader,
    Say,
    frame,
    numbered,
    payload_frame,
    read_numbered,
    read_payload,
)


def test_numbered() -> None:
    """A number and a text."""
    data = numbered(Say.WANT, 2**40, "room")
    assert data == b"\0\0\0\x0d\x02" + (2**40).to_bytes(8) + b"room"
    ((say, body),) = FrameReader().feed(data)
    assert (say, *read_numbered(body)) == (Say.WANT, 2**40, "room")


def test_payload() -> None:
    """A topic and what was published to it."""
    data = payload_frame("room", b"payload")
    assert data == b"\0\0\0\x0d\x06\x04roompayload"
    ((say, body),) = FrameReader().feed(data)
    assert (say, *read_payload(body)) == (Say.PAYLOAD, "room", b"payload")


def test_no_frame() -> None:
    """What cannot be a frame is an error, after those before it were read."""
    reader = FrameReader()
    frames = reader.feed(frame(Say.MISSED) + (MAX_FRAME + 1).to_bytes(4) + b"\0")
    assert next(frames) == (Say.MISSED, b"")
    with pytest.raises(FrameError, match=f"A frame of {MAX_FRAME + 1} bytes"):
        next(frames)
    with pytest.raises(FrameError, match="A frame of 0 bytes"):
        list(FrameReader().feed(bytes(5)))


@given(st.lists(st.tuples(st.sampled_from(Say), st.binary(max_size=50))), st.data())
def test_in_any_pieces(frames: list[tuple[Say, bytes]], draw: st.DataObject) -> None:
    """Frames are read alike in whatever pieces they come."""
    data = b"".join(frame(*f) for f in frames)
    reader, read = FrameReader(), []
    while data:
        size = draw.draw(st.integers(1, len(data)))
        read += list(reader.feed(data[:size]))
        data = data[size:]
    assert read == frames
