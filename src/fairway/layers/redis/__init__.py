"""A channel layer across machines, by Redis or Valkey; needs ``fairway[redis]``."""

try:
    import hiredis as _hiredis  # noqa: F401
    import redis as _redis  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"RedisChannelLayer needs redis and hiredis ({error}): pip install 'fairway[redis]'",
        name=error.name,
    ) from error

from fairway.layers.redis.layer import RedisChannelLayer

__all__ = ["RedisChannelLayer"]
