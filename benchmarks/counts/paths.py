"""The paths whose instructions are counted, each from socket to socket."""

import asyncio
import atexit
import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from counts.clients import (
    CLOSE,
    CLOSED,
    Client,
    Crowd,
    frame,
    http_request,
    masked,
    upgrade_request,
)
from counts.http2 import HTTP2Client
from harness.processes import Processors
from harness.redis import redis_server

__all__ = ["PATHS", "Path", "Turn"]

TEXT: Final = b"x" * 128
FRAME: Final = frame(TEXT)
MASKED: Final = masked(TEXT)
#: Of a length from which on it is compressed by default, and no worse to compress than others.
LONG: Final = masked(bytes(range(0x20, 0x60)) * 20)
COMPRESSED: Final = 0x40  # RSV1, RFC 7692 §7.2.1
DEFLATE: Final = "Sec-WebSocket-Extensions: permessage-deflate"

#: One step that is done again and again.
Turn = Callable[[], Awaitable[None]]
#: Makes a turn; the clients are of this crowd.
Prepare = Callable[[Crowd], Awaitable[Turn]]


@dataclass(frozen=True, kw_only=True)
class Path:
    """Something that a server does many times a second.

    Attributes:
        name: On the command line and in the baseline.
        title: What it does, in a few words.
        unit: What is counted for each.
        turns: How many turns are taken between two marks.
        prepare: Makes the turn.
        units: How many of them a turn makes.
        application: ``module:name`` of what is served; empty where there is no server.
        options: Of the server, where its defaults do not do.
    """

    name: str
    title: str
    unit: str
    turns: int
    prepare: Prepare
    units: int = 1
    application: str = "project.asgi:application"
    options: Mapping[str, object] = field(default_factory=dict)


async def opened(crowd: Crowd, path: str, count: int, *headers: str) -> list[Client]:
    """So many clients whose WebSockets are open."""
    clients = []
    for _ in range(count):
        clients.append(client := crowd.connect())
        client.send(upgrade_request(path, headers))
        await client.receive_head()
    return clients


def echo(path: str, sockets: int) -> Prepare:
    """Every socket sends a message, then every socket gets it back."""

    async def prepare(crowd: Crowd) -> Turn:
        clients = await opened(crowd, path, sockets)

        async def turn() -> None:
            for client in clients:
                client.send(MASKED)
            for client in clients:
                await client.expect(FRAME)

        return turn

    return prepare


def group(path: str, members: int, message: bytes, *headers: str) -> Prepare:
    """One socket sends a message, then all sockets get it."""

    async def prepare(crowd: Crowd) -> Turn:
        clients = await opened(crowd, path, members, *headers)
        clients[0].send(message)
        # What it looks like compressed is the server's business, but the same for all.
        answer = await clients[0].receive_frame()
        assert bool(answer[0] & COMPRESSED) == bool(headers)
        for client in clients[1:]:
            await client.expect(answer)

        async def turn() -> None:
            clients.append(clients.pop(0))  # another one sends each time
            clients[0].send(message)
            for client in clients:
                await client.expect(answer)

        return turn

    return prepare


def request(path: str, connections: int) -> Prepare:
    """Every connection sends a request, then every connection gets the response."""

    async def prepare(crowd: Crowd) -> Turn:
        clients = [crowd.connect() for _ in range(connections)]
        question = http_request(path)
        clients[0].send(question)
        size = len(await clients[0].receive_head())
        size += len(await clients[0].receive(13))

        async def turn() -> None:
            for client in clients:
                client.send(question)
            for client in clients:
                # The date changes, so only the end is compared.
                answer = await client.receive(size)
                assert answer.endswith(b"\r\n\r\nHello, world!"), answer

        return turn

    return prepare


def http2(connections: int, streams: int) -> Prepare:
    """Every connection sends several requests at once, then every one gets the responses."""

    async def prepare(crowd: Crowd) -> Turn:
        clients = [HTTP2Client(crowd.connect()) for _ in range(connections)]
        for client in clients:
            await client.begin()

        async def turn() -> None:
            for client in clients:
                client.ask(streams)
            for client in clients:
                await client.answers(streams)

        return turn

    return prepare


def visit(path: str, sockets: int) -> Prepare:
    """Clients come, open a WebSocket each, close it, and are gone."""

    async def prepare(crowd: Crowd) -> Turn:
        key = os.environ.get("COUNTS_SESSION", "")
        handshake = upgrade_request(path, [f"Cookie: sessionid={key}"])
        first = crowd.connect()
        first.send(handshake)
        size = len(await first.receive_head())

        async def turn() -> None:
            clients = [Client(crowd.port) for _ in range(sockets)]
            for client in clients:
                client.send(handshake)
            for client in clients:
                await client.receive(size)
                client.send(CLOSE)
            for client in clients:
                await client.expect(CLOSED)
                await client.end()

        return turn

    return prepare


async def send_and_receive(crowd: Crowd) -> Turn:
    """A message to a channel of this process, and out of it again."""
    from fairway.layers import get_channel_layer  # noqa: PLC0415  Django is set up by now

    layer: Any = get_channel_layer()
    channel = await layer.new_channel()
    message = {"type": "bench.message", "text": TEXT.decode()}

    async def turn() -> None:
        await layer.send(channel, message)
        received = await layer.receive(channel)
        assert received == message, received

    return turn


async def job(crowd: Crowd) -> Turn:
    """A message to a named channel at a Redis server, and out of it again, in one process."""
    from fairway.layers.redis import RedisChannelLayer  # noqa: PLC0415  as above

    running = contextlib.ExitStack()
    redis = running.enter_context(redis_server(Processors.choose().server))
    atexit.register(running.close)
    layer = RedisChannelLayer(hosts=[("127.0.0.1", redis.port)])
    message = {"type": "job.do", "text": TEXT.decode()}

    async def turn() -> None:
        await layer.send("jobs", message)
        received = await layer.receive("jobs")
        assert received == message, received

    return turn


async def least(crowd: Crowd) -> Turn:
    """What is no part of the server: the clients, and the event loop's way in and out."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Echo, "127.0.0.1", 0)
    crowd.port = server.sockets[0].getsockname()[1]
    clients = [crowd.connect() for _ in range(50)]

    async def turn() -> None:
        for client in clients:
            client.send(MASKED)
        for client in clients:
            await client.expect(MASKED)

    return turn


class _Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = transport.write  # type: ignore[attr-defined]  # it is that of a socket

    def data_received(self, data: bytes) -> None:
        self._write(data)


PLAIN: Final = "project.plain:application"
COUNTED: Final = "counts.applications:application"

#: All of them, by their names.
PATHS: Final = {
    path.name: path
    for path in (
        Path(
            name="least",
            title="An echo by the event loop alone",
            unit="message",
            units=50,
            turns=20,
            prepare=least,
            application="",
        ),
        Path(
            name="asgi-echo",
            title="Echo through a bare ASGI application",
            unit="message",
            units=50,
            turns=20,
            prepare=echo("/", 50),
            application=PLAIN,
        ),
        Path(
            name="echo",
            title="Echo through an async consumer",
            unit="message",
            units=50,
            turns=20,
            prepare=echo("/echo/", 50),
        ),
        Path(
            name="sync-echo",
            title="Echo through a sync consumer",
            unit="message",
            turns=100,
            prepare=echo("/sync-echo/", 1),
        ),
        Path(
            name="group",
            title="Group message, a handler in each member",
            unit="delivery",
            units=200,
            turns=5,
            prepare=group("/group/", 200, MASKED),
        ),
        Path(
            name="broadcast",
            title="Group message of type websocket.send",
            unit="delivery",
            units=200,
            turns=10,
            prepare=group("/broadcast/", 200, MASKED),
        ),
        Path(
            name="group-deflate",
            title="The same two with permessage-deflate: a handler in each member",
            unit="delivery",
            units=200,
            turns=5,
            prepare=group("/group/", 200, LONG, DEFLATE),
        ),
        Path(
            name="broadcast-deflate",
            title="… of type websocket.send",
            unit="delivery",
            units=200,
            turns=10,
            prepare=group("/broadcast/", 200, LONG, DEFLATE),
        ),
        Path(
            name="hello",
            title="Request to a bare ASGI application",
            unit="request",
            units=50,
            turns=10,
            prepare=request("/", 50),
            application=PLAIN,
        ),
        Path(
            name="http2",
            title="Request to a bare ASGI application over HTTP/2",
            unit="request",
            units=50,
            turns=3,
            prepare=http2(5, 10),
            application=PLAIN,
            options={"http2_cleartext": True},
        ),
        Path(
            name="view",
            title="Request to a sync view of Django",
            unit="request",
            turns=60,
            prepare=request("/view/", 1),
        ),
        Path(
            name="async-view",
            title="Request to an async view of Django",
            unit="request",
            turns=40,
            prepare=request("/async-view/", 1),
        ),
        Path(
            name="open",
            title="A socket opened and closed, consumer in a group",
            unit="socket",
            units=10,
            turns=10,
            prepare=visit("/group/", 10),
        ),
        Path(
            name="open-auth",
            title="The same with a session and its user",
            unit="socket",
            turns=12,
            prepare=visit("/group/", 1),
            application=COUNTED,
        ),
        Path(
            name="layer",
            title="layer.send and layer.receive in one process",
            unit="message",
            turns=200,
            prepare=send_and_receive,
            application="",
        ),
        Path(
            name="job",
            title="The same over Redis: a job to a named channel and out of it",
            unit="job",
            turns=100,
            prepare=job,
            application="",
        ),
    )
}
