"""Names that can be imported, and say so when they are used."""

import pytest

from fairway.compat.absent import Absent
from fairway.compat.shims.channels_redis.core import RedisLoopLayer

REFUSAL = "Fairway has nothing like channels_redis.core.RedisLoopLayer, which was a part of"


def test_not_made() -> None:
    """There are no instances."""
    with pytest.raises(TypeError, match=f"^{REFUSAL}"):
        RedisLoopLayer(1, a=2)


def test_not_subclassed() -> None:
    """There are no subclasses: nothing would use them."""
    with pytest.raises(TypeError, match=f"^{REFUSAL}"):

        class Own(RedisLoopLayer):
            """What somebody made of it."""


def test_base() -> None:
    """The base is there to be subclassed."""

    class Other(Absent):
        """Another name."""

    assert issubclass(Other, Absent)
