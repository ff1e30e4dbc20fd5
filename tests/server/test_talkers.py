"""Applications that send and send, and wait for nothing else."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fairway._types import Event, Receive, Scope, Send
from fairway.delivery.outbox import IN_A_ROW
from fairway.exceptions import ClientDisconnected
from tests.server.applications import body, start
from tests.server.conftest import Serve
from tests.server.running import DEADLINE, KEY, Running, until

CERTIFICATE = str(Path(__file__).parent / "certificates" / "whole.pem")
#: Far more than a client hears of before it is known that it has gone.
MANY = 20_000
REQUESTS = {
    "http": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "websocket": b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n\r\n",
}


class Talker:
    """Begins, waits until it is let go, and then sends as often as it is told.

    Attributes:
        begun: It waits.
        sent: How often it has sent something since.
        turns: How often it had when others had their first turn.
        refused: What it was told in the end, if it was told something.
    """

    def __init__(self, often: int) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.ended = asyncio.Event()
        self.sent = 0
        self.turns: list[int] = []
        self.refused: Exception | None = None
        self._often = often

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        piece: Event = body(b"x", more=True)
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            piece = {"type": "websocket.send", "text": "x"}
        else:
            await send(start())
        await send(piece)
        self.begun.set()
        await self.go_on.wait()
        asyncio.get_running_loop().call_soon(lambda: self.turns.append(self.sent))
        try:
            for _ in range(self._often):
                await send(piece)
                self.sent += 1
            if scope["type"] == "http":
                await send(body())
        except ClientDisconnected as error:
            self.refused = error
        self.ended.set()


@asynccontextmanager
async def begun(talker: Talker, kind: str, encrypted: bool, serve: Serve) -> AsyncIterator[Running]:
    """A server whose only client is served by this application, which waits."""
    certificate = CERTIFICATE if encrypted else None
    running = await serve(talker, tls_certificate=certificate)
    context = ssl._create_unverified_context() if encrypted else None
    _, writer = await asyncio.open_connection("127.0.0.1", running.port, ssl=context)
    try:
        writer.write(REQUESTS[kind])
        async with asyncio.timeout(DEADLINE):
            await talker.begun.wait()
            yield running
            await talker.ended.wait()
    finally:
        writer.close()
        talker.go_on.set()
    await until(lambda: running.context.quiet)


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("kind", REQUESTS)
class TestTalkers:
    """Over both protocols, with and without TLS."""

    async def test_client_goes(self, kind: str, encrypted: bool, serve: Serve) -> None:
        """One whose client goes meanwhile is told so soon, and no log is filled with it."""
        talker = Talker(MANY)
        async with begun(talker, kind, encrypted, serve) as running:
            for connection in tuple(running.context.connections):
                connection.abort()
            talker.go_on.set()
        assert isinstance(talker.refused, ClientDisconnected)
        assert talker.sent <= IN_A_ROW

    async def test_others(self, kind: str, encrypted: bool, serve: Serve) -> None:
        """One whose client reads as fast as it sends lets others have their turns."""
        talker = Talker(2 * IN_A_ROW)
        async with begun(talker, kind, encrypted, serve):
            talker.go_on.set()
        assert talker.refused is None
        assert talker.sent == 2 * IN_A_ROW
        assert talker.turns[0] < IN_A_ROW
