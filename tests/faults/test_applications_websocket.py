"""The application raises, hangs, returns or sends rubbish, at every point of a WebSocket.

Each time the client gets a status or a close code that says so, the log says one clear thing, and
nothing is left.
"""

from typing import Final

import pytest

from fairway._types import ASGIApplication, Receive, Scope, Send
from tests.faults.census import Census
from tests.faults.conftest import Log
from tests.faults.test_applications import (
    FAULTS,
    GRACE,
    Fault,
    cancels,
    hangs,
    returns,
    sends_nonsense,
)
from tests.server.conftest import Serve
from tests.server.running import Running, until
from tests.wire.client import text

POINTS: Final = ["before the handshake", "before the acceptance", "after it", "within a message"]


def at_point(point: str, fault: Fault) -> ASGIApplication:
    """A WebSocket's application that goes wrong at one point."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if point == POINTS[0]:
            await fault(send)
            return
        assert await receive() == {"type": "websocket.connect"}
        if point == POINTS[1]:
            await fault(send)
            return
        await send({"type": "websocket.accept"})
        if point == POINTS[2]:
            await fault(send)
            return
        event = await receive()
        if event["type"] == "websocket.receive" and point == POINTS[3]:
            await send({"type": "websocket.send", "text": event["text"]})
            await fault(send)
            return
        while event["type"] != "websocket.disconnect":
            event = await receive()
        await fault(send)

    return app


async def visit(running: Running) -> tuple[bytes, int]:
    """What a client gets that says one thing: status line, and close code, 0 without one."""
    client = await running.websocket()
    head = await client.open("/path")
    status = head.partition(b"\r\n")[0]
    if b" 101 " not in status:
        client.close()
        return status, 0
    await client.send(text("hello"))
    opcode, payload = await client.frame()
    if opcode == 1:
        assert payload == b"hello"
        opcode, payload = await client.frame()
    assert opcode == 8
    client.close()
    return status, int.from_bytes(payload[:2])


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
class TestFails:
    """An application that raises, or sends what it must not."""

    @pytest.mark.parametrize("point", POINTS)
    async def test_at_each_point(
        self, point: str, fault: Fault, serve: Serve, census: Census, log: Log
    ) -> None:
        """500 before the acceptance, 1011 after it, and one line with the exception."""
        running = await serve(at_point(point, fault))
        census.begin()
        outcome = await visit(running)
        if point in POINTS[:2]:
            assert outcome == (b"HTTP/1.1 500 Internal Server Error", 0)
        else:
            assert outcome == (b"HTTP/1.1 101 Switching Protocols", 1011)
        await census.nothing_is_left(running)
        (line,) = log.take()
        assert line.startswith("ERROR Exception inside application for WebSocket /path: ")
        assert line.endswith(FAULTS[fault])

    async def test_when_it_is_over(
        self, fault: Fault, serve: Serve, census: Census, log: Log
    ) -> None:
        """Nobody is there to be told; the log is."""
        running = await serve(at_point("when it is over", fault))
        census.begin()
        client = await running.websocket()
        await client.open("/path")
        client.abort()
        await census.nothing_is_left(running)
        # Who is cancelled when its client is gone, or sends to nobody, ends as it should.
        silent = fault in (cancels, sends_nonsense)
        lines = log.take()
        assert len(lines) == (0 if silent else 1)
        for line in lines:
            assert line.startswith("ERROR Exception inside application for WebSocket /path: ")


class TestReturns:
    """An application that returns too early."""

    @pytest.mark.parametrize("point", POINTS[:2])
    async def test_before_the_acceptance(
        self, point: str, serve: Serve, census: Census, log: Log
    ) -> None:
        """500, and one line that says what is missing."""
        running = await serve(at_point(point, returns))
        census.begin()
        assert await visit(running) == (b"HTTP/1.1 500 Internal Server Error", 0)
        await census.nothing_is_left(running)
        assert log.take() == ["ERROR The application neither accepted nor refused WebSocket /path"]

    @pytest.mark.parametrize("point", POINTS[2:])
    async def test_after_it(self, point: str, serve: Serve, census: Census) -> None:
        """The WebSocket is closed with 1000: the application is done with it."""
        running = await serve(at_point(point, returns))
        census.begin()
        assert await visit(running) == (b"HTTP/1.1 101 Switching Protocols", 1000)
        await census.nothing_is_left(running)


class TestHangs:
    """An application that never goes on."""

    @pytest.mark.parametrize("point", [*POINTS, "when it is over"])
    async def test_until_its_client_goes(
        self, point: str, serve: Serve, census: Census, log: Log
    ) -> None:
        """It is cancelled a while after its client has gone, and the log shows where it hung."""
        running = await serve(at_point(point, hangs), application_close_timeout=GRACE)
        census.begin()
        client = await running.websocket()
        if point in POINTS[:2]:
            await client.send(
                b"GET /path HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
        else:
            await client.open("/path")
            await client.send(text("hello"))
        await until(lambda: len(running.context.tasks) == 1)
        if point == POINTS[3]:
            assert await client.text() == "hello"
        client.abort()
        await census.nothing_is_left(running)
        (line,) = log.take()
        assert line.startswith(
            "WARNING Application for WebSocket /path went on for more than 0.05 s after its "
            "client had gone; it was cancelled. It was waiting here:\n"
        )
        assert "in hangs\n" in line

    async def test_before_the_acceptance(self, serve: Serve, census: Census, log: Log) -> None:
        """The client gets 503 when its time is over; then the application is cancelled."""
        app = at_point(POINTS[1], hangs)
        running = await serve(app, websocket_connect_timeout=GRACE, application_close_timeout=GRACE)
        census.begin()
        assert await visit(running) == (b"HTTP/1.1 503 Service Unavailable", 0)
        await census.nothing_is_left(running)
        lines = log.take()
        assert lines[-1].startswith("WARNING Application for WebSocket /path went on for more than")
