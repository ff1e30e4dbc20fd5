"""What tests of real-time code use: clients without a server, and a server inside a test case."""

from fairway.testing.application import ApplicationCommunicator
from fairway.testing.client import AsyncClient, ClientWebsocket
from fairway.testing.http import HttpCommunicator
from fairway.testing.layers import (
    Capture,
    ChannelLayerTestMixin,
    capture_channel,
    capture_group,
    isolated_channel_layers,
    use_channel_layer,
)
from fairway.testing.lifespan import LifespanCommunicator
from fairway.testing.live import ChannelsLiveServerTestCase, LiveServer
from fairway.testing.websocket import WebsocketCommunicator, WebsocketRejected

__all__ = [
    "ApplicationCommunicator",
    "AsyncClient",
    "Capture",
    "ChannelLayerTestMixin",
    "ChannelsLiveServerTestCase",
    "ClientWebsocket",
    "HttpCommunicator",
    "LifespanCommunicator",
    "LiveServer",
    "WebsocketCommunicator",
    "WebsocketRejected",
    "capture_channel",
    "capture_group",
    "isolated_channel_layers",
    "use_channel_layer",
]
