"""Mistakes in tests that a type checker finds."""

from fairway.generic.websocket import AsyncWebsocketConsumer
from fairway.testing import AsyncClient, HttpCommunicator, WebsocketCommunicator


async def use() -> None:
    """Confuse text and bytes, and forget to await."""
    application = AsyncWebsocketConsumer.as_asgi()
    WebsocketCommunicator(application, b"/")  # E: arg-type
    WebsocketCommunicator(application, "/", headers={"origin": "x"})  # E: dict-item
    WebsocketCommunicator(application, "/", served="yes")  # E: arg-type
    HttpCommunicator(application, "GET", "/", body="text")  # E: arg-type
    communicator = WebsocketCommunicator(application, "/")
    communicator.connect()  # E: unused-coroutine
    await communicator.send_to(text_data=b"bytes")  # E: arg-type
    (await communicator.receive_from()).upper().join("a")  # E: arg-type
    await communicator.disconnect("4000")  # E: arg-type
    AsyncClient().websocket("/", subprotocols=1)  # E: arg-type
