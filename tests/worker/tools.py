"""Layers and applications that do as they are told, for the tests of the worker."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from fairway._types import ASGIApplication, Event, Receive, Scope, Send
from fairway.worker import Source, Worker

#: Seconds after which a test gives up; never waited for when all is well.
PATIENCE = 20.0


class Layer:
    """A layer of somebody else's: it can neither delay nor acknowledge.

    Its channels are queues; an exception in one is raised instead of received.
    """

    def __init__(self) -> None:
        self.channels: dict[str, asyncio.Queue[Event | Exception]] = defaultdict(asyncio.Queue)

    def put(self, channel: str, *messages: Event | Exception) -> None:
        for message in messages:
            self.channels[channel].put_nowait(message)

    async def receive(self, channel: str) -> Event:
        message = await self.channels[channel].get()
        if isinstance(message, Exception):
            raise message
        return message

    async def send(self, channel: str, message: Event) -> None:
        self.put(channel, message)

    def waiting(self, channel: str) -> list[Event]:
        """What is in a channel now, which is empty then."""
        found: list[Event] = []
        while not self.channels[channel].empty():
            message = self.channels[channel].get_nowait()
            assert not isinstance(message, Exception)
            found.append(message)
        return found


class Recorder:
    """An application that keeps what it gets, one list per instance."""

    def __init__(self) -> None:
        self.instances: list[tuple[Scope, list[Event]]] = []
        self.changed = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        received: list[Event] = []
        self.instances.append((scope, received))
        while True:
            event = await receive()
            received.append(event)
            self.changed.set()
            if event["type"] == "fail":
                raise LookupError(f"message {event['number']}")
            if event["type"] == "exit":
                raise SystemExit(3)
            if event["type"] == "leave":
                return
            if event["type"] == "send":
                await send({"type": "websocket.send"})

    async def numbers(self, count: int) -> list[list[int]]:
        """Wait until ``count`` messages have come; what each instance got, by number."""
        while sum(len(received) for _, received in self.instances) < count:
            self.changed.clear()
            await self.changed.wait()
        return [[event["number"] for event in received] for _, received in self.instances]


def job(number: int, kind: str = "job") -> Event:
    return {"type": kind, "number": number}


async def until(condition: Callable[[], object]) -> None:
    """Let others run until something is true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  nobody tells of what is looked at
            await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def working(
    application: ASGIApplication, layer: Source, channels: Iterable[str] = ("jobs",), **options: Any
) -> AsyncIterator[Worker]:
    """Run a worker beside the test; at the end of the block it is cancelled."""
    async with _begun(Worker(application, channels, layer, **options)) as (worker, _):
        yield worker


@contextlib.asynccontextmanager
async def stopping(
    application: ASGIApplication, layer: Source, channels: Iterable[str] = ("jobs",), **options: Any
) -> AsyncIterator[Worker]:
    """Run a worker beside the test; at the end of the block it has to end by itself."""
    async with _begun(Worker(application, channels, layer, **options)) as (worker, task):
        yield worker
        await task


@contextlib.asynccontextmanager
async def _begun(worker: Worker) -> AsyncIterator[tuple[Worker, asyncio.Task[None]]]:
    task = asyncio.create_task(worker.handle())
    try:
        async with asyncio.timeout(PATIENCE):
            yield worker, task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
