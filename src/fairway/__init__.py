"""Fairway: the real-time layer for Django.

PYTEST_DONT_REWRITE: pytest rewrites the packages of its plugins, and would warn about this one
wherever it was imported before, as ``FAIRWAY_COMPAT=1`` does.
"""

__version__ = "0.1.0"

#: The alias in ``CHANNEL_LAYERS`` that is used where none is named.
DEFAULT_CHANNEL_LAYER = "default"

__all__ = ["DEFAULT_CHANNEL_LAYER", "__version__"]
