"""Fairway: the real-time layer for Django."""

__version__ = "0.1.0"

#: The alias in ``CHANNEL_LAYERS`` that is used where none is named.
DEFAULT_CHANNEL_LAYER = "default"

__all__ = ["DEFAULT_CHANNEL_LAYER", "__version__"]
