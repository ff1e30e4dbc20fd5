"""Channel layers: how consumers, views and jobs send each other messages.

A layer is a hub (who reads what in this process), a codec (messages as bytes) and a bus (how
processes reach each other). ``CHANNEL_LAYERS`` in the settings says which are there.
"""

from typing import TYPE_CHECKING, Any

from fairway import DEFAULT_CHANNEL_LAYER  # noqa: F401  projects import it from here
from fairway.exceptions import (
    ChannelFull,  # noqa: F401  projects import it from here
    InvalidChannelLayerError,  # noqa: F401  projects import it from here
)
from fairway.layers.base import BaseChannelLayer, ChannelLayer
from fairway.layers.manager import ChannelLayerManager, channel_layers, get_channel_layer
from fairway.layers.memory import InMemoryChannelLayer
from fairway.utils import group_name

if TYPE_CHECKING:
    from fairway.layers.local import LocalChannelLayer

__all__ = [
    "BaseChannelLayer",
    "ChannelLayer",
    "ChannelLayerManager",
    "InMemoryChannelLayer",
    "LocalChannelLayer",
    "channel_layers",
    "get_channel_layer",
    "group_name",
]


def __getattr__(name: str) -> Any:
    # What a project does not use it need not be able to import: Unix sockets are not everywhere.
    if name == "LocalChannelLayer":
        from fairway.layers.local import LocalChannelLayer  # noqa: PLC0415

        return LocalChannelLayer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
