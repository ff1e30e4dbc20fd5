"""A client that is still sending can read our last words, and gets to know that they were."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairway._types import Receive, Scope, Send
from fairway.server import ending
from fairway.server.http import patience
from fairway.server.listening import greeting
from tests.server.applications import body, responds, start
from tests.server.conftest import Serve
from tests.server.running import DEADLINE, Logs, until
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
