"""The members of one group: none, one, or many, on one event loop or several."""

import asyncio
from collections.abc import Iterator

import pytest

from fairway.delivery import ChannelQueue, Mailbox
from fairway.delivery.group import Endpoint, Group
from tests.clock import Clock


@pytest.fixture
def loops() -> Iterator[list[asyncio.AbstractEventLoop]]:
    """Two event loops, which need not run."""
    loops = [asyncio.new_event_loop() for _ in range(2)]
    yield loops
    for loop in loops:
        loop.close()


def new_queue(name: str) -> ChannelQueue:
    return ChannelQueue(name, 1, 60, Clock())


def group_of(**members: Endpoint) -> Group:
    group = Group()
    for channel, endpoint in members.items():
        group.add(channel, endpoint)
    return group


@pytest.mark.parametrize("count", range(4))
def test_members(count: int) -> None:
    """However many there are, it is a mapping of channels to what they stand for."""
    members = {f"c{number}": new_queue(f"c{number}") for number in range(count)}
    group = group_of(**members)
    assert dict(group) == members
    assert len(group) == count
    assert bool(group) is bool(count)
    assert [channel in group for channel in ("c0", "other")] == [count > 0, False]
    assert repr(group) == f"Group({members!r})"
    with pytest.raises(KeyError):
        group["other"]


def test_come_and_gone() -> None:
    """Who comes twice is in once, and who goes is out, whether one is left or none."""
    first, second = (new_queue(name) for name in ("first", "second"))
    group = group_of(first=first)
    group.add("first", first)
    assert dict(group) == {"first": first}
    group.discard("stranger")
    group.discard("first")
    assert dict(group) == {}
    group = group_of(first=first, second=second)
    group.discard("first")
    group.discard("stranger")
    assert dict(group) == {"second": second}
    group.discard("second")
    assert dict(group) == {}


def test_by_loop(loops: list[asyncio.AbstractEventLoop]) -> None:
    """Members of one loop are together, in the order in which they came; queues have no loop."""
    here, there = (Mailbox(loop) for loop in loops)
    also_here, queue = Mailbox(loops[0]), new_queue("jobs")
    group = Group()
    assert group.by_loop() == []
    group.add("here", here)
    assert group.by_loop() == [(loops[0], (here,))]
    for channel, endpoint in (("there", there), ("also", also_here), ("jobs", queue)):
        group.add(channel, endpoint)
    assert group.by_loop() == [(loops[0], [here, also_here]), (loops[1], [there]), (None, [queue])]
    group.discard("there")
    assert group.by_loop() == [(loops[0], [here, also_here]), (None, [queue])]
