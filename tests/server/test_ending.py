"""A client that is still sending can read our last words, and gets to know that they were."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from fairway._types import ASGIApplication, Event, Receive, Scope, Send
from fairway.server import Config, Server, ending
from fairway.server.context import LINGER
from fairway.server.deadlines import Timed
from fairway.server.ending import SILENCE, STALLED
from fairway.server.http import patience
from fairway.server.http.http2 import MultiplexedConnection
from fairway.server.http.progress import delivered, unsent
from fairway.server.listening import greeting
from fairway.server.websocket.stream import WebSocketStream
from tests.server.applications import body, responds, start
from tests.server.conftest import Serve
from tests.server.http.http2_client import HTTP2Client, connections
from tests.server.running import DEADLINE, Client, Logs, WebSocketClient, listening, until
from tests.wire import client as frames

CERTIFICATES = Path(__file__).parent / "certificates"
TLS: dict[str, Any] = {"tls_certificate": str(CERTIFICATES / "whole.pem")}

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
#: Larger than every buffer on the way.
LARGE = b"x" * 8_000_000
#: As much as a connection of HTTP/2 writes at once, but for the heads of its frames.
LAST = b"x" * 120_000

Connect = Callable[[int], socket.socket]


def plain(port: int) -> socket.socket:
    """A connection for a thread: its calls block, and the kernel keeps little for it."""
    client = socket.socket()
    client.settimeout(DEADLINE)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.connect(("127.0.0.1", port))
    return client


def encrypted(port: int) -> socket.socket:
    """The same with TLS."""
    context = ssl.create_default_context(cafile=str(CERTIFICATES / "root.pem"))
    return context.wrap_socket(plain(port), server_hostname="localhost")


ways = pytest.mark.parametrize(("options", "connect"), [({}, plain), (TLS, encrypted)])


@ways
@pytest.mark.parametrize("limit", [0, 1000])
async def test_upload(
    limit: int,
    options: dict[str, Any],
    connect: Connect,
    serve: Serve,
    logs: Logs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An upload that is refused, or answered early, can be sent to its end."""
    monkeypatch.setattr(ending, "SILENCE", 10 * DEADLINE)
    monkeypatch.setattr(patience, "LINGER", 10 * DEADLINE)
    running = await serve(responds(start(413), body()), max_body_size=limit, **options)

    def upload() -> bytes:
        with connect(running.port) as client:
            client.sendall(HEAD)
            answer = client.recv(65536)
            client.sendall(LARGE)
            return answer

    assert (await asyncio.to_thread(upload)).startswith(b"HTTP/1.1 413 ")
    await until(lambda: not running.connections)
    logs.take()


@ways
async def test_message(
    options: dict[str, Any],
    connect: Connect,
    serve: Serve,
    logs: Logs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So can a message that is too large for a WebSocket."""
    monkeypatch.setattr(ending, "SILENCE", 10 * DEADLINE)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    running = await serve(
        app, websocket_max_message_size=1000, websocket_close_timeout=10 * DEADLINE, **options
    )

    def upload() -> bytes:
        with connect(running.port) as client:
            client.sendall(UPGRADE)
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):
                answer += client.recv(1)
            message = frames.binary(LARGE)
            client.sendall(message[:1000])
            goodbye = client.recv(4)
            client.sendall(message[1000:])
            return goodbye

    assert (await asyncio.to_thread(upload))[2:] == (1009).to_bytes(2)
    await until(lambda: not running.websockets)
    logs.take()


@ways
async def test_goodbye(
    options: dict[str, Any],
    connect: Connect,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A WebSocket that was failed ends as soon as its client has answered the Close."""
    monkeypatch.setattr(ending, "SILENCE", 10 * DEADLINE)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    running = await serve(app, websocket_close_timeout=10 * DEADLINE, **options)

    def answer() -> tuple[bytes, bytes]:
        with connect(running.port) as client:
            client.sendall(UPGRADE)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            client.sendall(frames.frame(3, b""))  # an opcode that RFC 6455 reserves
            goodbye = client.recv(65536)
            client.sendall(frames.close(1002))
            return goodbye, client.recv(65536)

    goodbye, end = await asyncio.to_thread(answer)
    assert goodbye[2:4] == (1002).to_bytes(2)
    assert end == b""
    await until(lambda: not running.websockets)


@ways
async def test_silence(
    options: dict[str, Any],
    connect: Connect,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client that waits for the end of the connection gets it, and a proper one."""
    monkeypatch.setattr(ending, "SILENCE", 0.05)
    running = await serve(responds(start(413), body()), **options)

    def upload() -> tuple[bytes, bytes]:
        with connect(running.port) as client:
            client.sendall(HEAD)
            return client.recv(65536), client.recv(65536)

    answer, end = await asyncio.to_thread(upload)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert end == b""
    await until(lambda: not running.connections)


@ways
@pytest.mark.parametrize("ends", [False, True])
async def test_endless(
    ends: bool,
    options: dict[str, Any],
    connect: Connect,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client that never stops is not waited for long, least of all when the server ends."""
    monkeypatch.setattr(ending, "SILENCE", 0.05)
    monkeypatch.setattr(patience, "LINGER", 10 * DEADLINE if ends else 0.2)
    monkeypatch.setattr(ending, "LINGER", 10 * DEADLINE)
    monkeypatch.setattr(patience, "LAST_LINGER", 0.05)
    running = await serve(responds(start(413), body()), graceful_timeout=10 * DEADLINE, **options)
    answered = threading.Event()

    def upload() -> None:
        with connect(running.port) as client:
            client.sendall(HEAD)
            client.recv(65536)
            answered.set()
            with contextlib.suppress(OSError):
                while True:
                    client.sendall(b"x" * 1000)

    sending = asyncio.ensure_future(asyncio.to_thread(upload))
    if ends:
        await until(answered.is_set)
        running.stop()
    await sending
    await until(lambda: not running.connections)


@ways
async def test_slow_reader(
    options: dict[str, Any],
    connect: Connect,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client that reads its last response slowly gets all of it."""
    for module in (ending, greeting, patience):
        monkeypatch.setattr(module, "LINGER", 0.05)
    monkeypatch.setattr(ending, "SILENCE", 0.05)
    running = await serve(responds(start(), body(LARGE)), **options)
    go_on = threading.Event()

    def download() -> int:
        with connect(running.port) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            go_on.wait(DEADLINE)
            size = 0
            while part := client.recv(65536):
                size += len(part)
            return size

    def wait_for_the_end() -> None:
        with connect(running.port) as client:
            client.sendall(b"nonsense\r\n\r\n")
            while client.recv(65536):
                pass

    slow = asyncio.ensure_future(asyncio.to_thread(download))
    await until(lambda: running.records)
    for _ in range(3):  # their time to end begins later, and is over
        await asyncio.to_thread(wait_for_the_end)
        await until(lambda: len(running.connections) == 1)
    go_on.set()
    assert await slow > len(LARGE)
    await until(lambda: not running.connections)


class Reader:
    """A server, and a client of it that reads only when it is told to, on a clock of the test's.

    Attributes:
        running: The server.
        kernel: Bytes that the kernel is to keep on either side, about.
    """

    def __init__(self, serve: Serve, monkeypatch: pytest.MonkeyPatch, way: str, path: Path) -> None:
        self._serve = serve
        self._patch = monkeypatch
        self._way = way
        self._path = str(path / "socket")
        self.kernel = 65_536

    async def serve(self, app: ASGIApplication, **options: Any) -> None:
        """Start the server; what happens because time passes is up to the test."""
        if self._way == "unix":
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(self._path)
            sock.setblocking(False)
        else:
            sock = listening(send_buffer=self.kernel)
        tls = TLS if self._way == "tls" else {"http2_cleartext": True}
        config = Config(lifespan="off", ping_interval=0, **tls, **options)
        server = Server(app, config, sockets=[sock])
        self.running = running = await self._serve(app, server=server)
        self._now = running.context.time()
        self._patch.setattr(running.context, "time", lambda: self._now)
        arm = running.context.deadlines.arm

        def arm_silence(target: Timed, when: float) -> None:
            if isinstance(target, ending._Silence):
                arm(target, when)

        self._patch.setattr(running.context.deadlines, "arm", arm_silence)

    async def connect(self, kind: type[Client]) -> Client:
        """Its client, for which neither kernel nor process keep much."""
        if self._way == "unix":
            sock = socket.socket(socket.AF_UNIX)
            address: Any = self._path
        else:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.kernel)
            address = "127.0.0.1", self.running.port
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
        options: dict[str, Any] = {}
        if self._way == "tls":
            context = ssl.create_default_context(cafile=str(CERTIFICATES / "root.pem"))
            context.set_alpn_protocols(["h2" if kind is HTTP2Client else "http/1.1"])
            options = {"ssl": context, "server_hostname": "localhost"}
        reader, writer = await asyncio.open_connection(sock=sock, limit=16_384, **options)
        client = kind(reader, writer)
        self.running._clients.append(client)
        return client

    def pass_time(self, seconds: float) -> float:
        """Let time go by; returns the moment that it is then."""
        self._now += seconds
        return self._now


@pytest.fixture(params=["plain", "tls", "unix"])
async def reader(
    request: pytest.FixtureRequest, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Reader]:
    """A slow client, on each kind of connection."""
    reader = Reader(serve, monkeypatch, request.param, tmp_path)
    yield reader
    for client in reader.running._clients:  # with TLS, close() would wait for its counterpart
        client.writer.transport.abort()


class TestSlowReader:
    """Who takes long for what was said last, but reads on, gets all of it."""

    async def websocket(
        self, reader: Reader, *events: Event, **options: Any
    ) -> tuple[WebSocketClient, WebSocketStream]:
        """A WebSocket that is sent these; and what the server has of it."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            with contextlib.suppress(OSError):
                for event in events:
                    await send(event)
            while (await receive())["type"] != "websocket.disconnect":
                pass

        await reader.serve(app, **options)
        client = await reader.connect(WebSocketClient)
        assert isinstance(client, WebSocketClient)
        await client.open()
        (stream,) = reader.running.websockets
        return client, stream

    async def read_some(self, client: Client, transport: asyncio.Transport) -> None:
        """Read enough for the server to notice."""
        before = delivered(transport)
        await client.read(1_500_000)
        await until(lambda: delivered(transport) > before)

    async def test_close_behind_a_message(self, reader: Reader) -> None:
        """The time for the answer to a Close begins when what was sent before it was read."""
        message = {"type": "websocket.send", "bytes": LARGE}
        client, stream = await self.websocket(
            reader, message, {"type": "websocket.close", "code": 4000}
        )
        await until(lambda: stream._last_words)
        for _ in range(5):
            await self.read_some(client, stream._transport)
            reader.pass_time(4)
            stream._check_end()
        await client.read(len(LARGE) - 5 * 1_500_000 + 10)
        assert await client.goodbye() == (4000, "")
        await until(lambda: not unsent(stream._transport))
        reader.pass_time(0.9)
        stream._check_end()
        await client.send(frames.close(4000))
        assert await client.rest() == b""
        await until(lambda: not reader.running.websockets)

    async def test_goodbye_before_it_was_read(self, reader: Reader) -> None:
        """A Close of the client's does not end what it has still to read."""
        message = {"type": "websocket.send", "bytes": LARGE}
        client, stream = await self.websocket(reader, message)
        await client.send(frames.frame(3, b""))
        await until(lambda: stream.ended)
        await client.send(frames.close(1000))
        assert len(await client.read(len(LARGE) + 10)) == len(LARGE) + 10
        assert (await client.goodbye())[0] == 1002

    async def test_silence(self, reader: Reader) -> None:
        """Where a transport cannot be closed before, silence counts from the last byte on."""
        client, stream = await self.websocket(reader)
        await client.send(frames.frame(3, b""))
        assert (await client.goodbye())[0] == 1002
        silence = stream._transport.get_protocol()
        if isinstance(silence, ending._Silence):
            heard_at = reader.pass_time(0.75 * SILENCE)
            await client.send(frames.text("More."))
            await until(lambda: silence._heard_at == heard_at)
            assert silence.on_deadline(reader.pass_time(0.5 * SILENCE)) == heard_at + SILENCE
            assert not stream._transport.is_closing()
            assert silence.on_deadline(reader.pass_time(SILENCE)) is None
            assert stream._transport.is_closing()

    async def test_that_has_stopped(self, reader: Reader, logs: Logs) -> None:
        """Who reads nothing for that time is given up."""
        message = {"type": "websocket.send", "bytes": LARGE}
        client, stream = await self.websocket(reader, message, {"type": "websocket.close"})
        await until(lambda: stream._last_words)
        await self.read_some(client, stream._transport)
        reader.pass_time(4)
        stream._check_end()
        await settle(stream._transport)
        stream._check_end()
        reader.pass_time(5.1)
        stream._check_end()
        await until(lambda: not reader.running.websockets)
        (line,) = logs.take()
        assert line.startswith("WARNING The limit websocket_close_timeout (5.0) refused ")

    async def test_open_websocket(self, reader: Reader) -> None:
        """So does who falls behind with a WebSocket that stays open, in websocket_write_timeout."""
        message = {"type": "websocket.send", "bytes": LARGE}
        client, stream = await self.websocket(reader, *[message] * 2, websocket_timeout=0)
        await until(lambda: stream._clock._stalled is not None)
        now = stream._context.loop.time()
        for _ in range(4):
            await self.read_some(client, stream._transport)
            now += 61
            stream._clock.on_deadline(now)
            assert not stream._transport.is_closing()
        assert stream._clock._stalled is not None
        await client.read(2 * len(LARGE) + 20 - 4 * 1_500_000)
        await client.send(frames.close(1000))
        assert (await client.goodbye())[0] == 1000

    async def http2(self, reader: Reader) -> tuple[HTTP2Client, MultiplexedConnection]:
        """A request over HTTP/2 whose response is the last, and all with the transport.

        It fits in one write, which a transport with TLS hands down whole, and not in the kernel.
        """
        reader.kernel = 4096
        await reader.serve(responds(start(), body(LAST)), write_buffer_size=2 * len(LAST))
        client = await reader.connect(HTTP2Client)
        assert isinstance(client, HTTP2Client)
        await client.hello()
        (connection,) = connections(reader.running)
        connection._going = True
        await client.request(1)
        await until(lambda: connection._closing)
        return client, connection

    async def test_last_response(self, reader: Reader) -> None:
        """A connection of HTTP/2 is not cut while its last response is on its way."""
        client, connection = await self.http2(reader)
        transport = connection._transport
        await settle(transport)
        connection.on_deadline(reader.pass_time(STALLED - 10))
        before = delivered(transport)
        await client.until(
            lambda: 1 in client.answers and len(client.answers[1].body) > len(LAST) / 2
        )
        await until(lambda: delivered(transport) > before or not unsent(transport))
        connection.on_deadline(reader.pass_time(STALLED - 10))
        await client.end()
        answer = client.answers[1]
        assert (len(answer.body), answer.ended) == (len(LAST), True)
        assert len(client.goaways) == 1
        client.close()
        await until(lambda: not connections(reader.running))

    async def test_that_says_nothing(self, reader: Reader) -> None:
        """Its silence is not taken for its end where a transport cannot be closed before."""
        _, connection = await self.http2(reader)
        silence = connection._transport.get_protocol()
        if isinstance(silence, ending._Silence):
            for _ in range(3):
                assert unsent(connection._transport)
                assert silence.on_deadline(reader.pass_time(LINGER)) is not None
            assert not connection._transport.is_closing()

    async def test_last_response_that_is_not_read(self, reader: Reader) -> None:
        """It is if nothing of it is read for long."""
        _, connection = await self.http2(reader)
        await settle(connection._transport)
        connection.on_deadline(reader.pass_time(LINGER + 1))
        connection.on_deadline(reader.pass_time(STALLED + 1))
        await until(lambda: not connections(reader.running))


async def settle(transport: asyncio.Transport) -> None:
    """Wait until what a client that reads nothing has room for has reached it."""
    seen, times = delivered(transport), 0
    while times < 100:
        await asyncio.sleep(0.001)
        before, seen = seen, delivered(transport)
        times = times + 1 if seen == before else 0
