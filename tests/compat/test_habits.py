"""What packages built on Channels reach for, beyond the names that are documented."""

import pytest

from tests.compat.test_compat import run

START = """
import asyncio
from unittest import mock
import django
django.setup()
from django.urls import path
from channels.consumer import AsyncConsumer
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer, WebsocketConsumer)
from channels.layers import channel_layers, get_channel_layer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.testing import WebsocketCommunicator
"""


def use(code: str) -> None:
    """Run code that knows only the old names."""
    run(START + code)


def test_versions() -> None:
    """Versions are compared as strings."""
    run("""
        import channels, channels_redis, daphne
        for package in (channels, channels_redis, daphne):
            assert package.__version__ >= "4.0.0"
    """)


@pytest.mark.row("6 gone in 4.x")
def test_channels_http() -> None:
    """``channels.http`` is how packages find out that they do not run on Channels 3."""
    run("""
        try:
            import channels.http
        except ModuleNotFoundError as error:
            assert error.name == "channels.http"
        else:
            raise AssertionError
    """)


def test_communicator() -> None:
    """The task and the queue of a communicator can be reached."""
    use("""
class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data=text_data)

async def main():
    socket = WebsocketCommunicator(Echo.as_asgi(), "/")
    await socket.connect()
    assert not socket.future.done()
    assert socket.output_queue.empty()
    await socket.send_to(text_data="a")
    assert await socket.receive_from() == "a"
    await socket.disconnect()
    assert socket.future.done()

asyncio.run(main())
""")


def test_backends() -> None:
    """The layers that were made are a dictionary, which can be cleared."""
    use("""
first = get_channel_layer()
assert channel_layers.backends == {"default": first}
channel_layers.backends.clear()
assert get_channel_layer() is not first
channel_layers.backends = {}
assert get_channel_layer() is not first
""")


def test_routers() -> None:
    """Routers and applications show what they are made of."""
    use("""
application = WebsocketConsumer.as_asgi(a=1)
assert application.consumer_class is WebsocketConsumer
assert application.consumer_initkwargs == {"a": 1}
routes = [path("ws/", application)]
router = URLRouter(routes)
assert router.routes == routes
both = ProtocolTypeRouter({"websocket": router})
assert both.application_mapping == {"websocket": router}
""")


def test_consumer_that_was_never_called() -> None:
    """Attributes of a consumer can be set and read before, or without, a connection."""
    use("""
for kind in (AsyncConsumer, AsyncJsonWebsocketConsumer):
    consumer = kind()
    sent = []
    async def send(message):
        sent.append(message)
    consumer.scope = {"type": "websocket", "user": "x"}
    consumer.channel_layer = layer = get_channel_layer()
    consumer.channel_name = "specific.a!b"
    consumer.channel_receive = send
    consumer.base_send = send
    asyncio.run(consumer.send({"type": "t"}) if kind is AsyncConsumer
                else consumer.send_json({"a": 1}))
    assert len(sent) == 1
    assert consumer.scope["user"] == "x"
    assert consumer.channel_layer is layer
    assert consumer.channel_name == "specific.a!b"
    assert consumer.channel_receive is send
    assert consumer.base_send is send
""")


def test_patched_get_channel_layer() -> None:
    """A patch of ``channels.layers.get_channel_layer`` takes effect in consumers."""
    use("""
from channels.layers import InMemoryChannelLayer
other = InMemoryChannelLayer()
seen = []
class Looks(AsyncWebsocketConsumer):
    async def connect(self):
        seen.append(self.channel_layer)
        await self.accept()

async def main():
    with mock.patch("channels.layers.get_channel_layer", return_value=other) as patched:
        socket = WebsocketCommunicator(Looks.as_asgi(), "/")
        await socket.connect()
        await socket.disconnect()
    assert patched.called
    assert seen == [other]

asyncio.run(main())
""")


def test_patched_get_user() -> None:
    """A patch of ``channels.auth.get_user`` takes effect in the middleware."""
    use("""
from channels.auth import AuthMiddlewareStack
seen = []
class Looks(AsyncWebsocketConsumer):
    async def connect(self):
        seen.append(str(self.scope["user"].name))
        await self.accept()

class Person:
    name = "somebody"

async def get_user(scope):
    return Person()

async def main():
    with mock.patch("channels.auth.get_user", get_user):
        socket = WebsocketCommunicator(AuthMiddlewareStack(Looks.as_asgi()), "/")
        await socket.connect()
        await socket.disconnect()
    assert seen == ["somebody"]

asyncio.run(main())
""")


def test_patched_close_old_connections() -> None:
    """A patch of ``channels.db.close_old_connections`` takes effect around database code."""
    use("""
from channels.db import aclose_old_connections, database_sync_to_async

async def main():
    with mock.patch("channels.db.close_old_connections") as patched:
        assert await database_sync_to_async(lambda: 5)() == 5
        assert patched.call_count == 2
        await aclose_old_connections()
        assert patched.call_count == 3

asyncio.run(main())
""")


def test_overridden_methods() -> None:
    """Methods between the events and the hooks can be overridden, and call ``super()``."""
    use("""
calls = []
class Noisy(AsyncJsonWebsocketConsumer):
    async def __call__(self, scope, receive, send):
        calls.append("call")
        return await super().__call__(scope, receive, send)
    async def dispatch(self, message):
        calls.append("dispatch " + message["type"])
        await super().dispatch(message)
    async def websocket_connect(self, message):
        calls.append("connect")
        await super().websocket_connect(message)
    async def websocket_receive(self, message):
        calls.append("receive")
        await super().websocket_receive(message)
    async def websocket_disconnect(self, message):
        calls.append("disconnect")
        await super().websocket_disconnect(message)
    @classmethod
    async def decode_json(cls, text_data):
        calls.append("decode")
        return await super().decode_json(text_data)
    @classmethod
    async def encode_json(cls, content):
        calls.append("encode")
        return await super().encode_json(content)
    async def receive_json(self, content):
        await self.send_json(content)

async def main():
    socket = WebsocketCommunicator(Noisy.as_asgi(), "/")
    await socket.connect()
    await socket.send_json_to({"a": 1})
    assert await socket.receive_json_from() == {"a": 1}
    await socket.disconnect()

asyncio.run(main())
assert calls == [
    "call", "dispatch websocket.connect", "connect", "dispatch websocket.receive", "receive",
    "decode", "encode", "dispatch websocket.disconnect", "disconnect"], calls
""")
