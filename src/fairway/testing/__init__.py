"""What tests of real-time code use: clients without a server, and a server inside a test case."""

from fairway.testing.application import ApplicationCommunicator
from fairway.testing.http import HttpCommunicator
from fairway.testing.lifespan import LifespanCommunicator
from fairway.testing.live import ChannelsLiveServerTestCase
from fairway.testing.websocket import WebsocketCommunicator, WebsocketRejected

__all__ = [
    "ApplicationCommunicator",
    "ChannelsLiveServerTestCase",
    "HttpCommunicator",
    "LifespanCommunicator",
    "WebsocketCommunicator",
    "WebsocketRejected",
]
