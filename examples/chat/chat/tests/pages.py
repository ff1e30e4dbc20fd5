"""A page that someone has open, as the tests see it: its WebSocket, with their session."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.test import AsyncClient

from chat.people import User
from config.asgi import application
from fairway.testing import WebsocketCommunicator


class Page:
    """One WebSocket. Make it with `async with open_page(…)`."""

    def __init__(self, communicator: WebsocketCommunicator) -> None:
        self._communicator = communicator

    async def send(self, **event: Any) -> None:
        """Send an event as the browser would."""
        await self._communicator.send_json_to(event)

    async def send_frame(self, frame: str | bytes) -> None:
        """Send anything at all."""
        if isinstance(frame, str):
            await self._communicator.send_to(text_data=frame)
        else:
            await self._communicator.send_to(bytes_data=frame)

    async def say(self, text: str, key: str | None = None) -> None:
        """Send a message."""
        await self.send(type="say", text=text, key=key or uuid4().hex)

    async def next(self, kind: str) -> Any:
        """Return the next event of type `kind`; others before it are passed over."""
        while True:
            event = await self._communicator.receive_json_from()
            if event["type"] == kind:
                return event

    async def hears_nothing_of(self, *kinds: str) -> None:
        """Check that no event of these types has been sent: the server answers in order."""
        await self.send(type="ping")
        while (event := await self._communicator.receive_json_from())["type"] != "pong":
            assert event["type"] not in kinds, event

    async def closed(self) -> int:
        """Return the code with which the server closes the socket."""
        while (event := await self._communicator.receive_output())["type"] != "websocket.close":
            pass
        return int(event["code"])


def socket(
    path: str, client: AsyncClient | None = None, origin: str = "http://testserver"
) -> WebsocketCommunicator:
    """Return an unopened WebSocket with the cookies of `client` and from a page of `origin`."""
    headers = [(b"origin", origin.encode())]
    if client is not None:
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        headers.append((b"cookie", f"{settings.SESSION_COOKIE_NAME}={session}".encode()))
    return WebsocketCommunicator(application, path, headers=headers)


@asynccontextmanager
async def open_page(
    user: User, path: str = "/ws/", client: AsyncClient | None = None
) -> AsyncIterator[Page]:
    """Open the WebSocket of a page as `user`, and close it in the end."""
    if client is None:
        client = AsyncClient()
        await client.aforce_login(user)
    communicator = socket(path, client)
    accepted, _ = await communicator.connect()
    assert accepted
    yield Page(communicator)
    await communicator.disconnect()
