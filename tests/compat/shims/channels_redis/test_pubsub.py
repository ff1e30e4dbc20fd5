"""``channels_redis.pubsub``."""

import pytest

from fairway.compat.shims.channels_redis import pubsub
from fairway.compat.shims.channels_redis.pubsub import (
    RedisPubSubLoopLayer,
    RedisSingleShardConnection,
)


@pytest.mark.row("0 channels_redis")
def test_the_layer() -> None:
    """``RedisPubSubChannelLayer`` is Fairway's one layer over Redis."""
    from fairway.layers.redis import RedisChannelLayer

    assert pubsub.RedisPubSubChannelLayer is RedisChannelLayer


def test_no_other_names() -> None:
    """Names that were never there are missing in the usual way."""
    with pytest.raises(AttributeError) as caught:
        pubsub.no_such_name  # noqa: B018  the look is the test
    assert str(caught.value) == (
        "module 'fairway.compat.shims.channels_redis.pubsub' has no attribute 'no_such_name'"
    )


@pytest.mark.parametrize("kind", [RedisPubSubLoopLayer, RedisSingleShardConnection])
def test_the_inside(kind: type) -> None:
    """Classes of the inside can be imported, and say that they cannot be used."""
    with pytest.raises(TypeError) as caught:
        kind()
    name = f"channels_redis.pubsub.{kind.__name__}"
    assert str(caught.value).startswith(f"Fairway has nothing like {name}, which was a part")
