"""A client of a consumer, under our own server's objects and under plain functions.

Every test that uses ``connect`` runs on both ways: what a consumer does must not depend on which
server calls it, only how fast it does it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from fairway._types import ASGIApplication, Event, Scope
from fairway.delivery import Mailbox, Outbox

WEBSOCKET: Scope = {"type": "websocket", "asgi": {"version": "3.0"}, "path": "/ws/", "headers": []}


class Connection:
    """One connection of a client: what the application sent, and what the client does.

    Attributes:
        task: The application.
        mailbox: Under our server, the application's ``receive``.
    """

    def __init__(self, application: ASGIApplication, scope: Scope, *, ours: bool) -> None:
        self._sent: asyncio.Queue[Event] = asyncio.Queue()
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self.mailbox: Mailbox | None = None
        self.outbox: Outbox | None = None
        receive: Any = self._events.get
        send: Any = self._take
        if ours:
            receive = self.mailbox = Mailbox(asyncio.get_running_loop())
            send = self.outbox = Outbox(self._write, self._take, self._leave)
        self.task = asyncio.ensure_future(application(scope, receive, send))

    async def _take(self, event: Event) -> None:
        if event["type"] == "websocket.accept" and self.outbox is not None:
            self.outbox.ready = True
        self._sent.put_nowait(event)

    def _write(self, frame: bytes) -> None:
        """What went out past ASGI, as the event that it stands for; short messages only."""
        assert frame[1] == len(frame) - 2
        key, value = ("text", frame[2:].decode()) if frame[0] == 0x81 else ("bytes", frame[2:])
        self._sent.put_nowait({"type": "websocket.send", key: value})

    def _leave(self, code: int, reason: str) -> None:
        """The server closes, which looks the same to the client."""
        self._sent.put_nowait({"type": "websocket.close", "code": code, "reason": reason})

    def put(self, event: Event) -> None:
        """The client does something."""
        if self.mailbox is None:
            self._events.put_nowait(event)
        elif event["type"].endswith(".disconnect"):
            self.mailbox.put_disconnect(event)
        else:
            self.mailbox.put_event(event)

    def text(self, text: str) -> None:
        """The client sends a text message."""
        self.put({"type": "websocket.receive", "text": text})

    def disconnect(self, code: int = 1001) -> None:
        """The client goes."""
        self.put({"type": "websocket.disconnect", "code": code, "reason": ""})

    async def sent(self) -> Event:
        """The next event that the application sends; its exception if it ends instead."""
        getter = asyncio.ensure_future(self._sent.get())
        await asyncio.wait({getter, self.task}, return_when=asyncio.FIRST_COMPLETED)
        if not getter.done():
            getter.cancel()
            await self.task
            raise AssertionError("the application ended and sent nothing")
        return await getter

    async def settle(self) -> None:
        """Let the application handle everything that is there, if it awaits nothing else."""
        for _ in range(20):
            await asyncio.sleep(0)

    @property
    def quiet(self) -> bool:
        """Whether the application has sent nothing more."""
        return self._sent.empty()


Connect: TypeAlias = Callable[..., Any]


@asynccontextmanager
async def connected(
    application: ASGIApplication, scope: Scope | None = None, *, ours: bool, accepted: bool = True
) -> AsyncIterator[Connection]:
    """A client that has connected; its application is ended, whatever the test leaves behind."""
    connection = Connection(application, dict(scope or WEBSOCKET), ours=ours)
    try:
        if accepted:
            connection.put({"type": "websocket.connect"})
            assert (await connection.sent())["type"] == "websocket.accept"
        yield connection
    finally:
        connection.task.cancel()
        await asyncio.gather(connection.task, return_exceptions=True)
