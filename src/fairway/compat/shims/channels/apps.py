"""``"channels"`` in ``INSTALLED_APPS``."""

from fairway.compat.apps import ChannelsConfig

__all__ = ["ChannelsConfig"]
