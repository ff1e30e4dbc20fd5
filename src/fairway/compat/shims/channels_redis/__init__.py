"""The root of ``channels_redis``, as ``fairway.compat`` loads it."""

#: The release of channels_redis whose behaviour Fairway has; packages compare it.
__version__ = "4.3.0"
