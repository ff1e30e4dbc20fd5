"""Communicators, the test client and live servers, as tests use them."""

from typing import Any, assert_type

from django.test import TestCase

from fairway._types import Event, Headers
from fairway.generic.http import AsyncHttpConsumer
from fairway.generic.websocket import AsyncWebsocketConsumer
from fairway.testing import (
    AsyncClient,
    ChannelLayerTestMixin,
    ChannelsLiveServerTestCase,
    HttpCommunicator,
    LifespanCommunicator,
    WebsocketCommunicator,
    WebsocketRejected,
)


async def websocket() -> None:
    """A WebSocket in Channels' manner, and in ours."""
    application = AsyncWebsocketConsumer.as_asgi()
    communicator = WebsocketCommunicator(application, "/ws/", [(b"a", b"b")], ["chat"], "2.3")
    connected, subprotocol = await communicator.connect()
    assert_type(connected, bool)
    assert_type(subprotocol, Any)
    await communicator.send_to(text_data="")
    await communicator.send_json_to({"a": [1]})
    assert_type(await communicator.receive_from(timeout=None), str | bytes)
    assert_type(await communicator.receive_json_from(timeout=0.5), Any)
    assert_type(await communicator.receive_nothing(0.1, 0.01), bool)
    assert_type(await communicator.receive_close(), tuple[int, str])
    assert_type(await communicator.receive_output(), Event)
    assert_type(communicator.response_headers, Headers | None)
    await communicator.disconnect(code=4000, timeout=1)
    async with WebsocketCommunicator(application, "/", served=True) as opened:
        assert_type(opened, WebsocketCommunicator)


async def http() -> None:
    """An HTTP request, whole and in pieces."""
    async with LifespanCommunicator(AsyncHttpConsumer.as_asgi()) as lifespan:
        request = HttpCommunicator(
            AsyncHttpConsumer.as_asgi(), "GET", "/", b"", [(b"a", b"b")], state=lifespan.state
        )
        assert_type(await request.start(), Event)
        assert_type(await request.receive_body_chunk(), bytes | None)
        assert_type(await request.get_response(), Event)
        assert_type(request.status, int | None)


class InDjango(ChannelLayerTestMixin, TestCase):
    """In a test case of Django's."""

    async_client_class = AsyncClient
    async_client: AsyncClient

    async def test(self) -> None:
        """Open sockets in both ways."""
        async with self.async_client.websocket("/ws/", query_params={"a": 1}) as socket:
            await socket.send_to("x")
        try:
            await self.async_client.websocket("/ws/", origin=None, secure=True)
        except WebsocketRejected as error:
            assert_type(error.status, int)
            assert_type(error.code, int | None)


class Live(ChannelsLiveServerTestCase):
    """With a server."""

    host = "127.0.0.1"
    serve_static = False

    def test(self) -> None:
        """Ask for its addresses."""
        assert_type(self.live_server_url, str)
        assert_type(self.live_server_ws_url, str)
