"""What a timeout says about consumers: the handler, the stack, and sync code in its thread."""

import asyncio
import threading
from typing import Any

import pytest

from fairway.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from fairway.testing import WebsocketCommunicator

pytestmark = pytest.mark.pain(13)


class Waiting(AsyncWebsocketConsumer):
    """Waits for ever in a method below its handler."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Wait."""
        await self.look_up()

    async def look_up(self) -> None:
        """Wait for what never comes."""
        await asyncio.get_running_loop().create_future()


class Delegating(AsyncWebsocketConsumer):
    """Waits for a task that it has started."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Wait for the task."""
        await asyncio.gather(asyncio.create_task(self.look_up()))

    async def look_up(self) -> None:
        """Wait for what never comes."""
        await asyncio.get_running_loop().create_future()


class Blocking(WebsocketConsumer):
    """Waits in its thread until the test lets it go."""

    release: threading.Event

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Say that the thread is here, and wait."""
        self.send("here")
        self.release.wait(timeout=60)


async def timeout(communicator: WebsocketCommunicator) -> list[str]:
    """The lines of the error that waiting in vain gives."""
    with pytest.raises(TimeoutError) as caught:
        await communicator.receive_from(timeout=0.001)
    return str(caught.value).splitlines()


async def settle() -> None:
    """Let everything run that waits for nobody; turns of the loop are counted, not time."""
    for _ in range(50):
        await asyncio.sleep(0)


async def hang(consumer: Any) -> tuple[WebsocketCommunicator, list[str]]:
    """Connect, send what the consumer hangs on, and let the test give up."""
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
    await communicator.connect(timeout=10)
    await communicator.send_to("hello")
    await settle()
    return communicator, await timeout(communicator)


async def test_an_idle_consumer_waits_for_its_next_event() -> None:
    """Nothing hangs: the consumer has nothing to do."""
    communicator = WebsocketCommunicator(Waiting.as_asgi(), "/")
    await communicator.connect()
    await settle()
    lines = await timeout(communicator)
    assert lines[-1] == f"{__name__}.Waiting is in no handler: it waits for its next event."
    await communicator.disconnect()


async def test_the_handler_and_what_it_called_are_named() -> None:
    """The stack goes down to the ``await`` that hangs, and the last line names the handler."""
    communicator, lines = await hang(Waiting)
    assert lines[0] == "The application sent nothing for 0.001 s. It is waiting here:"
    assert lines[-3:] == [
        f'  File "{__file__}", line {Waiting.look_up.__code__.co_firstlineno + 2}, in look_up',
        "    await asyncio.get_running_loop().create_future()",
        f"{__name__}.Waiting is in its handler receive > look_up().",
    ]
    communicator.stop()


async def test_tasks_of_the_consumer_are_shown() -> None:
    """What the consumer has started by itself is part of the answer."""
    communicator, lines = await hang(Delegating)
    start = lines.index("A task of it is waiting here:")
    assert lines[start + 1] == (
        f'  File "{__file__}", line {Delegating.look_up.__code__.co_firstlineno + 2}, in look_up'
    )
    communicator.stop()


async def test_sync_code_is_shown_in_its_thread() -> None:
    """The thread of a sync consumer is looked into, and its handler named."""
    Blocking.release = threading.Event()
    communicator = WebsocketCommunicator(Blocking.as_asgi(), "/")
    await communicator.connect(timeout=10)
    await communicator.send_to("hello")
    assert await communicator.receive_from(timeout=10) == "here"
    lines = await timeout(communicator)
    thread = lines[lines.index("Its sync code is running here:") :]
    assert any(
        line.startswith(f'  File "{__file__}", ') and "in receive" in line for line in thread
    )
    assert not any("asgiref" in line for line in thread)
    assert thread[-1] == f"{__name__}.Blocking is in its handler receive()."
    Blocking.release.set()
    await communicator.disconnect(timeout=10)
