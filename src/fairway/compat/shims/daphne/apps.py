"""``"daphne"`` in ``INSTALLED_APPS``."""

from fairway.compat.apps import DaphneConfig

__all__ = ["DaphneConfig"]
