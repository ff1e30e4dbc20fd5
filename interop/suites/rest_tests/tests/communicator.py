"""The helper that the tests import."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from channels.testing import WebsocketCommunicator


class Communicator(WebsocketCommunicator):
    """One that can take all that is waiting."""

    async def receive_many_json_from(self) -> list[Any]:
        """Everything that was sent, until a moment passes with nothing."""
        received = []
        while not await self.receive_nothing(timeout=0.3):
            received.append(await self.receive_json_from())
        return received


@asynccontextmanager
async def connected_communicator(
    consumer: Any, path: str = "/testws/"
) -> AsyncIterator[Communicator]:
    """A communicator that is connected for the length of the block."""
    communicator = Communicator(consumer, path)
    accepted, _ = await communicator.connect()
    assert accepted
    try:
        yield communicator
    finally:
        await communicator.disconnect()
