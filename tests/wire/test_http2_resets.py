"""The streams that a server has reset."""

import pytest

from fairway.wire.http2_resets import REMEMBERED, ResetStreams


@pytest.fixture
def streams() -> ResetStreams:
    """None yet."""
    return ResetStreams()


def test_room(streams: ResetStreams) -> None:
    """A client may have sent what the window of its stream had room for, in any pieces."""
    streams.add(1, 10)
    explained = [streams.explain(1, size) for size in (4, 0, 6, 0, 1, 0)]
    assert explained == [True, True, True, True, False, True]


def test_more_than_room(streams: ResetStreams) -> None:
    """What is more than that leaves no room for what follows."""
    streams.add(1, 10)
    assert not streams.explain(1, 11)
    assert not streams.explain(1, 1)


def test_each_for_itself(streams: ResetStreams) -> None:
    """Each stream has a room of its own."""
    streams.add(1, 1)
    streams.add(3, 5)
    assert streams.explain(3, 5)
    assert streams.explain(1, 1)
    assert 1 in streams
    assert 5 not in streams


def test_remembered(streams: ResetStreams) -> None:
    """The last ones are remembered, and no more than that."""
    for stream_id in range(1, 2 * REMEMBERED + 3, 2):
        streams.add(stream_id, 1)
    assert len(streams) == REMEMBERED
    assert 1 not in streams
    assert 3 in streams
    assert 2 * REMEMBERED + 1 in streams
