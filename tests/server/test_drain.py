"""The drain: in which order a server ends, and what it says of it; see also TestStop."""

import asyncio
import logging
import re
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from fairway._types import Receive, Scope, Send
from fairway.server import drain as drain_module
from fairway.server.config import Config, ConfigError
from fairway.server.http import connection as connection_module
from tests.server.applications import Held, body, path, start
from tests.server.conftest import Serve
from tests.server.running import DEADLINE, Logs, Running, WebSocketClient, until
from tests.wire.client import close

CERTIFICATES = Path(__file__).parent / "certificates"


async def listens(scope: Scope, receive: Receive, send: Send) -> None:
    """Accepts, and ends when the client has gone."""
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def sockets(running: Running, count: int) -> list[WebSocketClient]:
    """So many open WebSockets."""
    clients = [await running.websocket() for _ in range(count)]
    for client in clients:
        assert b" 101 " in await client.open()
    return clients


@pytest.fixture
def spoken(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is said of the beginning and the end."""
    caplog.set_level(logging.INFO, "fairway.server")
    return caplog


class TestOrder:
    """First not ready, then no listeners, then no connections."""

    async def test_ready(self, serve: Serve) -> None:
        """A server is ready while it listens, and no more from the moment it is told to end."""
        app = Held()
        running = await serve(app)
        listening = running.context.ready
        client = await running.connect()
        await client.get()
        await app.entered.acquire()
        running.stop()
        await until(lambda: running.context.draining)
        assert (listening, running.context.ready) == (True, False)
        app.let_go()
        await running.ended()

    async def test_last_request(self, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        """A next request on an idle connection is served for a while, and told to be the last."""
        monkeypatch.setattr(connection_module, "LAST_REQUEST", DEADLINE)
        running = await serve(path, graceful_timeout=15 * DEADLINE)
        proxy = await running.connect()
        await proxy.fetch("/a")
        running.stop()
        await until(lambda: running.context.draining)
        response = await proxy.fetch("/b")
        assert (response.body, response["connection"]) == (b"/b", "close")
        assert await proxy.rest() == b""
        await running.ended()

    @pytest.mark.parametrize("together", [False, True], ids=["next", "pipelined"])
    async def test_last_request_after_promise(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, together: bool
    ) -> None:
        """So it is where a response has begun without a word of the end: the next one says it."""
        monkeypatch.setattr(connection_module, "LAST_REQUEST", DEADLINE)
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            await send(body(scope["path"].encode(), more=True))
            begun.set()
            await go_on.wait()
            await send(body())

        running = await serve(app, graceful_timeout=15 * DEADLINE)
        proxy = await running.connect()
        for target in ("/a", "/b")[: 1 + together]:
            await proxy.get(target)
        await begun.wait()
        running.stop()
        await until(lambda: running.context.draining)
        go_on.set()
        response = await proxy.response()
        assert (response.body, "connection" in response) == (b"/a", False)
        if not together:
            await proxy.get("/b")
        response = await proxy.response()
        assert (response.body, response["connection"]) == (b"/b", "close")
        assert await proxy.rest() == b""
        await running.ended()

    async def test_delay(self, serve: Serve) -> None:
        """For ``drain_delay`` it goes on serving as before, only that it is not ready."""
        running = await serve(path, drain_delay=100, health_path="/-")
        client = await running.connect()
        assert (await client.fetch("/-/ready")).status == 200
        running.stop()
        await until(lambda: not running.context.ready)
        client = await running.connect()
        assert (await client.fetch("/-/ready")).status == 503
        response = await client.fetch("/a")
        assert (response.body, "connection" in response) == (b"/a", False)
        assert not running.context.draining
        running.stop()  # again: at once
        await running.ended()
        assert await client.rest() == b""

    async def test_delay_ends(self, serve: Serve) -> None:
        """Then the listeners close."""
        running = await serve(path, drain_delay=0.05)
        running.stop()
        await running.ended()
        with pytest.raises(ConnectionRefusedError):
            await running.connect()

    async def test_window(self, serve: Serve) -> None:
        """Goodbyes are spread over ``drain_window``."""
        running = await serve(listens, drain_window=0.5, graceful_timeout=DEADLINE)
        clients = await sockets(running, 5)
        began = asyncio.get_running_loop().time()
        running.stop()
        moments = await asyncio.gather(*(self.leave(client) for client in clients))
        await running.ended()
        # The last is due after four fifths of the window; the first, at once.
        assert max(moments) - began >= 0.4

    @staticmethod
    async def leave(client: WebSocketClient) -> float:
        """Wait for the server's goodbye, and answer it; says when it came."""
        assert (await client.goodbye())[0] == 1012
        moment = asyncio.get_running_loop().time()
        await client.send(close(1012))
        assert await client.rest() == b""
        return moment

    async def test_crowd(self, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a window all are told in a row, some in each turn of the loop."""
        monkeypatch.setattr(drain_module, "CROWD", 2)
        running = await serve(listens)
        clients = await sockets(running, 5)
        running.stop()
        await asyncio.gather(*(self.leave(client) for client in clients))
        await running.ended()

    async def test_window_is_cut_short(self, serve: Serve, logs: Logs) -> None:
        """Told again, the server waits no longer for those who were not told yet."""
        running = await serve(listens, drain_window=1000, graceful_timeout=0)
        clients = await sockets(running, 2)
        running.stop()
        done, waiting = await asyncio.wait(
            [asyncio.ensure_future(self.leave(client)) for client in clients],
            return_when=asyncio.FIRST_COMPLETED,
        )
        assert (len(done), len(waiting)) == (1, 1)
        running.stop()
        await running.ended()
        await asyncio.gather(*waiting, return_exceptions=True)
        (message,) = logs.take()
        assert "was still running when the server was told to end at once" in message

    def test_window_beyond_the_deadline(self) -> None:
        """A window that is longer than the whole drain is refused."""
        with pytest.raises(ConfigError) as caught:
            Config(drain_window=15, graceful_timeout=15)
        assert str(caught.value) == (
            "drain_window (15) must be shorter than graceful_timeout (15), of which it is a part."
        )

    async def test_who_shakes_hands(self, serve: Serve) -> None:
        """A client that was let in and is still shaking hands gets its answer."""
        certificate: dict[str, Any] = {
            "tls_certificate": str(CERTIFICATES / "whole.pem"),
            "tls_key": str(CERTIFICATES / "key.pem"),
        }
        running = await serve(path, **certificate)
        with socket.create_connection(("127.0.0.1", running.port)) as sock:
            await until(lambda: running.context.counters.connections == 1)
            running.stop()
            await until(lambda: running.context.draining)
            assert await asyncio.to_thread(self.fetch, sock) == b"/a"
        await running.ended()

    @staticmethod
    def fetch(sock: socket.socket) -> bytes:
        """Shake hands, ask for ``/a``, and return the body of the answer."""
        context = ssl.create_default_context(cafile=str(CERTIFICATES / "root.pem"))
        context.check_hostname = False
        sock.settimeout(DEADLINE)
        with context.wrap_socket(sock) as encrypted:
            encrypted.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while data := encrypted.recv(65536):
                answer += data
        return answer.partition(b"\r\n\r\n")[2]


class TestReport:
    """What had to be cut."""

    async def hanging(self, serve: Serve, count: int, **options: Any) -> Running:
        """A server with so many requests that will not end."""
        app = Held()
        running = await serve(app, graceful_timeout=0.05, **options)
        for number in range(count):
            client = await running.connect()
            await client.get(f"/{number % 2}")
            await app.entered.acquire()
        return running

    async def test_bounded(
        self,
        serve: Serve,
        logs: Logs,
        monkeypatch: pytest.MonkeyPatch,
        spoken: pytest.LogCaptureFixture,
    ) -> None:
        """The oldest are reported with their stacks, the others counted in one line."""
        monkeypatch.setattr(drain_module, "REPORTED", 2)
        running = await self.hanging(serve, 5)
        running.stop()
        await running.ended()
        *full, others = logs.take()
        for number, message in enumerate(full):
            assert re.match(
                rf"WARNING Application for GET /{number} \(\d+\.\d s old\) did not end within "
                r"0\.05 s; it was cancelled\. It was waiting here:\n  File ",
                message,
            )
        assert len(full) == 2
        assert others == (
            "WARNING The same of 3 more applications, each of which did not end within 0.05 s: "
            "GET /0 (2), GET /1 (1)"
        )
        assert re.fullmatch(
            r"Fairway has stopped after \d+\.\d s: "
            r"5 applications and \d+ more connections were cut off",
            spoken.messages[-1],
        )

    async def test_kinds(self, serve: Serve, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of these, the most frequent are named."""
        monkeypatch.setattr(drain_module, "REPORTED", 0)
        monkeypatch.setattr(drain_module, "NAMED", 1)
        running = await self.hanging(serve, 3)
        running.stop()
        await running.ended()
        (message,) = logs.take()
        assert message == (
            "WARNING The same of 3 more applications, each of which did not end within 0.05 s: "
            "GET /0 (2), and others"
        )

    async def test_clean_end(self, serve: Serve, spoken: pytest.LogCaptureFixture) -> None:
        """A clean end is two lines, with what there was."""
        running = await serve(listens, drain_delay=0.01)
        (client,) = await sockets(running, 1)
        running.stop()
        await TestOrder.leave(client)
        await running.ended()
        first, last = [line for line in spoken.messages if line.startswith("Fairway ")]
        assert first == (
            "Fairway stops: it waits 0.01 s and then up to 15 s for 1 connections "
            "(1 of them WebSockets) and 1 applications"
        )
        assert re.fullmatch(r"Fairway has stopped after \d+\.\d s: nothing was cut off", last)

    async def test_endless_patience(self, serve: Serve, spoken: pytest.LogCaptureFixture) -> None:
        """Without a deadline it says so."""
        running = await serve(path, graceful_timeout=0)
        running.stop()
        await running.ended()
        assert spoken.messages[0] == (
            "Fairway stops: it waits for as long as it takes for 0 connections "
            "(0 of them WebSockets) and 0 applications"
        )
