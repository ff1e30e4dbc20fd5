"""How connections are ended."""

import asyncio
from typing import Any

import pytest

from fairway._types import Event
from fairway.auth import endings
from fairway.auth.endings import (
    DirectEnding,
    HTTPEnding,
    WebSocketEnding,
    respond_unauthorized,
)
from fairway.delivery import Mailbox, Outbox
from fairway.exceptions import ClientDisconnected

DISCONNECT = {"type": "websocket.disconnect", "code": 4401, "reason": "Gone."}
CLOSE = {"type": "websocket.close", "code": 4401, "reason": "Gone."}


class Client:
    """Both ends of a connection, as a server passes them.

    Attributes:
        events: What the client sends.
        sent: What it gets.
        broken: What sending raises.
    """

    def __init__(self) -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.sent: list[Event] = []
        self.broken: Exception | None = None
        self.reads = asyncio.Event()
        self.reads.set()

    async def receive(self) -> Event:
        """The client's next event."""
        return await self.events.get()

    async def send(self, event: Event) -> None:
        """Send when the client reads."""
        await self.reads.wait()
        if self.broken is not None:
            raise self.broken
        self.sent.append(event)


@pytest.fixture
async def client() -> Client:
    """A client."""
    return Client()


async def nothing() -> None:
    """Do nothing."""


async def test_direct(client: Client) -> None:
    """The server is told to leave, and the application hears it at once, and nothing after it."""
    left: list[tuple[int, str]] = []
    mailbox = Mailbox(asyncio.get_running_loop())
    outbox = Outbox(
        lambda data: None, client.send, lambda code, reason: left.append((code, reason))
    )
    mailbox.put_event({"type": "websocket.receive", "text": "before"})
    DirectEnding(mailbox, outbox).end("Gone.")
    mailbox.put_event({"type": "websocket.receive", "text": "after"})
    assert left == [(4401, "Gone.")]
    assert await mailbox() == {"type": "websocket.receive", "text": "before"}
    assert await mailbox() == DISCONNECT


class TestWebSocket:
    """Under servers of others."""

    async def test_passes(self, client: Client) -> None:
        """Until its end, all goes through."""
        ending = WebSocketEnding(client.receive, client.send)
        client.events.put_nowait({"type": "websocket.connect"})
        assert await ending.receive() == {"type": "websocket.connect"}
        await ending.send({"type": "websocket.accept"})
        assert client.sent == [{"type": "websocket.accept"}]
        await ending.wait()

    async def test_ends(self, client: Client) -> None:
        """The client gets a Close, the application a disconnect, and nothing goes through."""
        ending = WebSocketEnding(client.receive, client.send)
        waiting = asyncio.ensure_future(ending.receive())
        await asyncio.sleep(0)
        ending.end("Gone.")
        assert await waiting == DISCONNECT
        client.events.put_nowait({"type": "websocket.receive", "text": "after"})
        assert await ending.receive() == DISCONNECT
        with pytest.raises(ClientDisconnected) as caught:
            await ending.send({"type": "websocket.send", "text": "x"})
        assert str(caught.value) == "Cannot send 'websocket.send': access was revoked."
        assert client.sent == [CLOSE]
        await ending.wait()

    async def test_cancelled_receive(self, client: Client) -> None:
        """Who stops waiting takes nothing away."""
        ending = WebSocketEnding(client.receive, client.send)
        waiting = asyncio.ensure_future(ending.receive())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        client.events.put_nowait({"type": "websocket.connect"})
        assert await ending.receive() == {"type": "websocket.connect"}

    @pytest.mark.parametrize("error", [ClientDisconnected("gone"), RuntimeError("closed")])
    async def test_gone_already(self, client: Client, error: Exception) -> None:
        """A client that is gone needs no goodbye."""
        client.broken = error
        ending = WebSocketEnding(client.receive, client.send)
        ending.end("Gone.")
        assert await ending.receive() == DISCONNECT
        await ending.wait()

    async def test_does_not_read(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """The application does not wait long for a client that reads nothing."""
        monkeypatch.setattr(endings, "PATIENCE", 0.01)
        client.reads.clear()
        ending = WebSocketEnding(client.receive, client.send)
        ending.end("Gone.")
        assert await ending.receive() == DISCONNECT
        await ending.wait()


class TestHTTP:
    """Responses."""

    @staticmethod
    async def end(ending: HTTPEnding) -> None:
        """End it, and wait for that."""
        ending.end("Gone.")
        await ending.wait()

    async def test_stream(self, client: Client) -> None:
        """A stream is announced with its first part, and completed."""
        streams: list[str] = []

        async def on_stream() -> None:
            streams.append("stream")

        ending = HTTPEnding(client.receive, client.send, on_stream)
        await ending.send({"type": "http.response.start", "status": 200})
        assert streams == []
        for data in (b"a", b"b"):
            await ending.send({"type": "http.response.body", "body": data, "more_body": True})
        assert streams == ["stream"]
        await self.end(ending)
        assert client.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
        assert await ending.receive() == {"type": "http.disconnect"}
        with pytest.raises(ClientDisconnected):
            await ending.send({"type": "http.response.body", "body": b"c", "more_body": True})

    async def test_not_begun(self, client: Client) -> None:
        """A response that has not begun becomes a 401."""
        ending = HTTPEnding(client.receive, client.send, nothing)
        await self.end(ending)
        assert [event.get("status", event.get("body")) for event in client.sent] == [401, b"Gone."]

    async def test_complete(self, client: Client) -> None:
        """A response that is complete stays as it is."""
        ending = HTTPEnding(client.receive, client.send, nothing)
        whole: list[Any] = [
            {"type": "http.response.start", "status": 204},
            {"type": "http.response.body"},
        ]
        for event in whole:
            await ending.send(event)
        await self.end(ending)
        assert client.sent == whole

    async def test_mailbox(self, client: Client) -> None:
        """A mailbox is told, since a consumer reads from it directly."""
        mailbox = Mailbox(asyncio.get_running_loop())
        await self.end(HTTPEnding(mailbox, client.send, nothing))
        assert await mailbox() == {"type": "http.disconnect"}


async def test_respond_unauthorized(client: Client) -> None:
    """A whole response."""
    field = (b"www-authenticate", b"Bearer")
    await respond_unauthorized(client.send, "websocket.http.response", "Né.", [field])
    assert client.sent == [
        {
            "type": "websocket.http.response.start",
            "status": 401,
            "headers": [
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", b"4"),
                field,
            ],
        },
        {"type": "websocket.http.response.body", "body": "Né.".encode()},
    ]
