"""Applications for tests."""

import asyncio
from collections.abc import Iterable

from fairway._types import ASGIApplication, Event, Headers, Receive, Scope, Send


def start(status: int = 200, headers: Headers | None = None) -> Event:
    """The event that starts a response."""
    return {"type": "http.response.start", "status": status, "headers": headers or []}


def body(data: bytes = b"", *, more: bool = False) -> Event:
    """A part of its body."""
    return {"type": "http.response.body", "body": data, "more_body": more}


def responds(*events: Event) -> ASGIApplication:
    """Sends these events, whatever was asked."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for event in events:
            await send(event)

    return app


async def path(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the path that was asked for, without a look at the body."""
    await send(start())
    await send(body(scope["path"].encode()))


async def read_all(receive: Receive) -> bytes:
    """The whole body of a request."""
    data = b""
    while True:
        event = await receive()
        assert event["type"] == "http.request"
        data += bytes(event["body"])
        if not event["more_body"]:
            return data


async def echo_body(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the body of the request, once it has all of it."""
    data = await read_all(receive)
    await send(start())
    await send(body(data))


class Held:
    """Waits in each request until it is let go; notes what happens meanwhile.

    Attributes:
        entered: Counts requests that wait.
        ended: The events that were received last, in order.
    """

    def __init__(self, *, answers: Iterable[Event] | None = None) -> None:
        self.entered = asyncio.Semaphore(0)
        self.ended: list[Event] = []
        self._go_on = asyncio.Event()
        self._answers = list(answers) if answers is not None else [start(), body(b"done")]

    def let_go(self) -> None:
        """Let all of them go on."""
        self._go_on.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, and answer."""
        self.entered.release()
        await self._go_on.wait()
        for event in self._answers:
            await send(event)


class Listens:
    """Takes a request, and does not answer before the client has gone.

    Attributes:
        entered: Counts requests that wait.
        left: Counts those that were told that the client has gone.
    """

    def __init__(self) -> None:
        self.entered = asyncio.Semaphore(0)
        self.left = asyncio.Semaphore(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for the end."""
        self.entered.release()
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left.release()


class Hangs:
    """Does nothing for ever, until it is cancelled.

    Attributes:
        cancelled: Set when it was.
    """

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for what never comes."""
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


async def tell(message: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Send this to whoever asks: as a response, or over a WebSocket until its client goes."""
    if scope["type"] == "http":
        await send(start())
        await send(body(message.encode()))
        return
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": message})
    await receive()
