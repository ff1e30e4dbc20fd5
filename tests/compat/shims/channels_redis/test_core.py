"""``channels_redis.core``; the layer itself is tested as Fairway's."""

import asyncio

import pytest

from fairway.compat.shims.channels_redis import core
from fairway.compat.shims.channels_redis.core import BoundedQueue, ChannelLock, RedisLoopLayer


@pytest.mark.row("0 channels_redis")
def test_the_layer() -> None:
    """``RedisChannelLayer`` is Fairway's own class."""
    from fairway.layers.redis import RedisChannelLayer

    assert core.RedisChannelLayer is RedisChannelLayer


def test_no_other_names() -> None:
    """Names that were never there are missing in the usual way."""
    with pytest.raises(AttributeError) as caught:
        core.no_such_name  # noqa: B018  the look is the test
    assert str(caught.value) == (
        "module 'fairway.compat.shims.channels_redis.core' has no attribute 'no_such_name'"
    )


def test_the_inside() -> None:
    """A class of the inside can be imported, and says that it cannot be used."""
    with pytest.raises(TypeError) as caught:
        RedisLoopLayer(None)
    assert str(caught.value) == (
        "Fairway has nothing like channels_redis.core.RedisLoopLayer, which was a part of the "
        "inside of channels_redis. Use what its channel layer offers, or subclass "
        "fairway.layers.redis.RedisChannelLayer."
    )


def test_bounded_queue() -> None:
    """A full queue drops its oldest entry."""
    queue = BoundedQueue(2)
    for number in range(4):
        queue.put_nowait(number)
    assert [queue.get_nowait(), queue.get_nowait()] == [2, 3]
    assert queue.empty()


class TestChannelLock:
    """A lock for each channel."""

    async def test_one_at_a_time(self) -> None:
        """A channel's lock is held by one, others wait for it; other channels do not."""
        lock = ChannelLock()
        assert await lock.acquire("a")
        assert lock.locked("a")
        assert not lock.locked("b")
        waiting = asyncio.ensure_future(lock.acquire("a"))
        assert await lock.acquire("b")
        assert not waiting.done()
        lock.release("a")
        assert await waiting
        lock.release("a")
        lock.release("b")
        assert (lock.locks, lock.wait_counts) == ({}, {})

    async def test_cancelled(self) -> None:
        """Who waits in vain leaves nothing behind."""
        lock = ChannelLock()
        await lock.acquire("a")
        waiting = asyncio.ensure_future(lock.acquire("a"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        lock.release("a")
        assert (lock.locks, lock.wait_counts) == ({}, {})

    async def test_not_held(self) -> None:
        """A lock that nobody holds cannot be given back."""
        with pytest.raises(KeyError):
            ChannelLock().release("a")
