"""The embedded channel layer: processes of one machine, connected by Unix sockets."""

from fairway.layers.local.layer import LocalChannelLayer

__all__ = ["LocalChannelLayer"]
