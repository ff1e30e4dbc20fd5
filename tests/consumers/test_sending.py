"""What a sync consumer sends: left for the event loop where that is safe, and else waited for."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import pytest
from asgiref.sync import SyncToAsync

from fairway._types import Event
from fairway.consuming.sending import MAX_LEFT, MAX_LENGTH, ThreadSend
from fairway.delivery import Outbox
from fairway.exceptions import ClientDisconnected
from fairway.generic.websocket import WebsocketConsumer
from fairway.server.application.threads import LentThread, ThreadPool
from tests.consumers.servers import SERVERS, served, websocket
from tests.delivery.helpers import open_outbox
from tests.server.running import DEADLINE, until

T = TypeVar("T")

CLOSE: Event = {"type": "websocket.close"}


def text(words: str) -> Event:
    """A text message to the client."""
    return {"type": "websocket.send", "text": words}


class Side:
    """The server's side of a connection, with one thread for its sync code.

    Attributes:
        sent: What was written at once, as text, and events that were not.
        outbox: The server's ``send``.
        send: Under test.
        gone: Whether the client has gone, which the server tells who sends.
    """

    def __init__(self, pool: ThreadPool) -> None:
        self.sent: list[str | Event] = []
        self.outbox = Outbox(self._write, self._handle, lambda code, reason: None)
        self.outbox.ready = True
        self.gone = False
        self._thread = LentThread(pool)
        self.send = ThreadSend(self.outbox, self._thread, asyncio.get_running_loop())

    def _write(self, frame: bytes) -> None:
        self.sent.append(frame[2:].decode())

    async def _handle(self, event: Event) -> None:
        if self.gone:
            raise ClientDisconnected("The client is gone.")
        self.sent.append(event)

    def handle(self, handler: Callable[[], T]) -> Coroutine[Any, Any, T]:
        """Run a handler in the connection's thread."""
        return self._thread.call(handler)

    def handle_alone(self, handler: Callable[[], T]) -> Coroutine[Any, Any, T]:
        """The same, to its end, while the event loop stands still."""
        ended = threading.Event()

        def call() -> T:
            try:
                return handler()
            finally:
                ended.set()

        handling = self._thread.call(call)
        assert ended.wait(DEADLINE)
        return handling


@pytest.fixture
async def side() -> AsyncIterator[Side]:
    """A connection that is open."""
    pool = ThreadPool(1)
    yield Side(pool)
    pool.close()
    for thread in pool._threads:
        thread.join(DEADLINE)


class TestThreadSend:
    """``ThreadSend``, which a sync consumer calls in its thread."""

    async def test_does_not_wait(self, side: Side) -> None:
        """Messages are left for the loop, and written when it sees that the handler has ended."""

        def handler() -> None:
            side.send(text("one"))
            side.send({"type": "websocket.send", "bytes": b"two"})
            side.send({"type": "websocket.send", "text": "three", "bytes": None})

        handling = side.handle_alone(handler)
        assert side.sent == []
        await handling
        assert side.sent == ["one", "two", "three"]

    async def test_while_the_handler_goes_on(self, side: Side) -> None:
        """They are written at once, not only at the end of the handler."""
        written = threading.Event()

        def handler() -> bool:
            side.send(text("now"))
            return written.wait(DEADLINE)

        handling = asyncio.ensure_future(side.handle(handler))
        await until(lambda: side.sent == ["now"])
        written.set()
        assert await handling

    async def test_few_are_left(self, side: Side) -> None:
        """While many wait for the loop, or if it is long, a message is none that can be left."""

        def handler() -> list[bool]:
            words = [*["short"] * MAX_LEFT, "one more"]
            return [side.send.leave("x" * (MAX_LENGTH + 1)), *map(side.send.leave, words)]

        assert await side.handle_alone(handler) == [False, *[True] * MAX_LEFT, False]
        assert side.sent == ["short"] * MAX_LEFT
        assert await side.handle_alone(lambda: side.send.leave("again"))

    async def test_order(self, side: Side) -> None:
        """What waits for the loop keeps its place behind what was left, and before what follows."""
        messages: list[str | Event] = [str(number) for number in range(5 * MAX_LEFT)]
        messages[40:40] = [CLOSE]

        def handler() -> None:
            for message in messages:
                side.send(text(message) if isinstance(message, str) else message)

        await side.handle(handler)
        assert side.sent == messages

    async def test_client_gone(self, side: Side) -> None:
        """Who sends to a client that has gone is told; what was left just before is lost."""

        def before() -> None:
            side.send(text("lost"))

        handling = side.handle_alone(before)
        side.outbox.ready, side.gone = False, True
        await handling
        with pytest.raises(ClientDisconnected, match=r"^The client is gone\.$"):
            await side.handle(lambda: side.send(text("too late")))
        assert side.sent == []

    async def test_slow_client(self, side: Side) -> None:
        """What was left before its buffer was full is written; the server has to take the rest."""
        handling = side.handle_alone(lambda: side.send(text("before")))
        side.outbox.ready, side.outbox.full = False, True
        await handling
        await side.handle(lambda: side.send(text("waits")))
        assert side.sent == ["before", text("waits")]

    async def test_mistakes(self, side: Side) -> None:
        """A mistake is raised in the handler that makes it: here text that UTF-8 cannot carry."""
        with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
            await side.handle_alone(lambda: side.send(text("\ud800")))
        for wrong in (
            {"text": "both", "bytes": b"both"},
            {"text": b"bytes"},
            {"bytes": "text"},
            {"text": 1},
            {},
        ):
            event = {"type": "websocket.send", **wrong}
            await side.handle(lambda event=event: side.send(event))  # type: ignore[misc]  # bound now
            assert side.sent.pop() == event  # the server says what is wrong with it
        assert side.sent == []

    async def test_elsewhere(self, side: Side) -> None:
        """In a thread of somebody else's, and on an event loop, asgiref decides."""
        await asyncio.to_thread(side.send, text("from another thread"))
        assert side.sent == ["from another thread"]

        async def on_another_loop() -> None:
            side.send(text("no"))

        for refused in (side.handle(lambda: asyncio.run(on_another_loop())), on_another_loop()):
            with pytest.raises(RuntimeError, match="same thread as an async event loop"):
                await refused
        assert side.sent == ["from another thread"]

    def test_closed_loop(self) -> None:
        """A message for an event loop that is closed is none that can be left."""
        loop = asyncio.new_event_loop()
        outbox, written, _ = open_outbox()
        send = ThreadSend(outbox, LentThread(ThreadPool(1)), loop)
        loop.close()
        left: list[bool] = []

        def handler() -> None:
            SyncToAsync.threadlocal.main_event_loop = loop  # as asgiref does for sync code
            left.append(send.leave("too late"))

        thread = threading.Thread(target=handler)
        thread.start()
        thread.join(DEADLINE)
        assert left == [False]
        assert written == []


@pytest.mark.parametrize(
    ("server", "options"),
    [*((server, {}) for server in SERVERS), ("fairway", {"write_buffer_size": 1_000})],
)
async def test_under_a_server(server: str, options: dict[str, int]) -> None:
    """However much a handler sends, it arrives in order, before the WebSocket is closed."""
    messages = [f"{number} " + "x" * (number * 7 % 9000) for number in range(300)]

    class Talkative(WebsocketConsumer):
        def receive(self, *args: Any, **kwargs: Any) -> None:
            for message in messages:
                self.send(message)
            self.close(reason="That was it.")

    async with served(server, Talkative.as_asgi(), **options) as port, websocket(port) as client:
        await client.send("go on")
        assert [message async for message in client] == messages
        assert client.close_reason == "That was it."
