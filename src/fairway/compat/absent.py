"""What has no counterpart: names that can be imported, and say so when they are used."""

from typing import Any, NoReturn


class Absent:
    """Base of the classes that Fairway has no need of.

    Raises:
        TypeError: Always, when one is made or subclassed.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        _refuse(type(self))

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a subclass of a subclass: nothing would ever use it."""
        super().__init_subclass__(**kwargs)
        if Absent not in cls.__bases__:
            _refuse(cls.__bases__[0])


def _refuse(cls: type) -> NoReturn:
    name = f"channels_redis.{cls.__module__.rpartition('.')[2]}.{cls.__qualname__}"
    raise TypeError(
        f"Fairway has nothing like {name}, which was a part of the inside of channels_redis. "
        "Use what its channel layer offers, or subclass fairway.layers.redis.RedisChannelLayer."
    )
