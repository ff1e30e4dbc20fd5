"""Channel layers: how consumers, views and jobs send each other messages.

A layer is a hub (who reads what in this process), a codec (messages as bytes) and a bus (how
processes reach each other). ``CHANNEL_LAYERS`` in the settings says which are there.
"""

from fairway.layers.base import BaseChannelLayer, ChannelLayer
from fairway.layers.manager import ChannelLayerManager, channel_layers, get_channel_layer
from fairway.layers.memory import InMemoryChannelLayer
from fairway.utils import group_name

__all__ = [
    "BaseChannelLayer",
    "ChannelLayer",
    "ChannelLayerManager",
    "InMemoryChannelLayer",
    "channel_layers",
    "get_channel_layer",
    "group_name",
]
