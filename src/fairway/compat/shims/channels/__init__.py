"""The root of ``channels``, as ``fairway.compat`` loads it; its modules are those of Fairway."""

#: The release of Channels whose behaviour Fairway has; packages compare it.
__version__ = "4.3.2"

#: The alias in ``CHANNEL_LAYERS`` that is used where none is named.
DEFAULT_CHANNEL_LAYER = "default"
