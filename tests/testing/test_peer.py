"""Peer: another process with a channel layer."""

import pytest

from fairway.layers import InMemoryChannelLayer
from fairway.testing.peer import Peer, PeerError

FACTORY = f"{__name__}:make_layer"


def make_layer() -> InMemoryChannelLayer:
    return InMemoryChannelLayer()


async def test_calls() -> None:
    """It does what it is told, and answers; calls wait for each other only if they must."""
    async with Peer(FACTORY) as peer:
        waiting = peer.call("receive", "jobs")
        assert await peer.call("group_send", "room", {"type": "x"}) == [0, 0]
        await peer.call("send", "jobs", {"type": "work"})
        assert await waiting == {"type": "work"}
    assert peer.process.returncode == 0


async def test_errors() -> None:
    """What is raised there is raised here, as text."""
    async with Peer(FACTORY) as peer:
        with pytest.raises(PeerError, match=r"^TypeError: Group name must be a valid"):
            await peer.call("group_send", "a b", {"type": "x"})


async def test_killed() -> None:
    """A call that is never answered is an error."""
    async with Peer(FACTORY) as peer:
        waiting = peer.call("receive", "jobs")
        await peer.call("new_channel")
        peer.kill()
        with pytest.raises(PeerError, match="has ended"):
            await waiting
