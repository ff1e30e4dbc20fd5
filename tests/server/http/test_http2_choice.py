"""Which HTTP a connection speaks: RFC 9113 §3, with clients that others have written."""

import asyncio
import json
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import async_playwright

from fairway._types import Receive, Scope, Send
from fairway.server import Config
from fairway.server.context import Context
from fairway.server.http.connection import Connection
from fairway.server.http.http2_choice import Choice, connector
from fairway.server.listening.listener import open_listeners
from tests.server.applications import body, path, start
from tests.server.conftest import Serve
from tests.server.http.http2_client import connect
from tests.server.running import DEADLINE, Logs, Running, until

CERTIFICATES = Path(__file__).parents[1] / "certificates"
TLS: dict[str, Any] = {
    "tls_certificate": str(CERTIFICATES / "certificate.pem"),
    "tls_key": str(CERTIFICATES / "key.pem"),
}
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--ignore-certificate-errors"]
CLEARTEXT: dict[str, Any] = {"http2_cleartext": True}


async def tell(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what was asked, and how much of it came."""
    size = 0
    while True:
        event = await receive()
        size += len(event["body"])
        if not event["more_body"]:
            break
    said = [scope["http_version"], scope["scheme"], scope["method"], scope["path"], size]
    await send(start(200, [(b"content-type", b"application/json")]))
    await send(body(json.dumps(said).encode()))


def trusting(*protocols: str) -> ssl.SSLContext:
    """What a client has that believes every certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


async def agreed(running: Running, *protocols: str) -> str | None:
    """What a client and the server agree on in their handshake."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", running.port, ssl=trusting(*protocols)
    )
    found: str | None = writer.get_extra_info("ssl_object").selected_alpn_protocol()
    writer.close()
    await asyncio.wait_for(reader.read(), DEADLINE)
    await writer.wait_closed()
    return found


def curl() -> str:
    """The path of a curl that speaks HTTP/2."""
    program = shutil.which("curl")
    if program is None or "HTTP2" not in subprocess.check_output([program, "-V"], text=True):
        pytest.skip("there is no curl that speaks HTTP/2")
    return program


class TestTLS:
    """§3.2: what the handshake agrees on."""

    async def test_agreed(self, serve: Serve) -> None:
        """HTTP/2 if the client knows it, else HTTP/1.1; without the question HTTP/1.1, too."""
        running = await serve(path, **TLS)
        assert await agreed(running, "http/1.1", "h2") == "h2"
        assert await agreed(running, "http/1.1") == "http/1.1"
        assert await agreed(running, "spdy/3") is None
        assert await agreed(running) is None
        await until(lambda: running.context.quiet)

    async def test_off(self, serve: Serve) -> None:
        """It can be switched off."""
        running = await serve(path, http2="off", **TLS)
        assert await agreed(running, "http/1.1", "h2") == "http/1.1"

    async def test_http1(self, serve: Serve) -> None:
        """Beside HTTP/2 there is HTTP/1.1 as ever."""
        running = await serve(tell, **TLS)
        async with httpx.AsyncClient(verify=trusting(), trust_env=False) as client:
            response = await client.get(f"{running.url}/x")
        assert response.http_version == "HTTP/1.1"
        assert response.json() == ["1.1", "https", "GET", "/x", 0]


class TestClients:
    """Programs that people use."""

    @pytest.mark.parametrize("cleartext", [False, True])
    async def test_httpx(self, cleartext: bool, serve: Serve) -> None:
        """HTTPX, with several requests at once."""
        running = await serve(tell, **(CLEARTEXT if cleartext else TLS))
        async with httpx.AsyncClient(
            verify=trusting("h2"), trust_env=False, http2=True, http1=not cleartext
        ) as client:
            responses = await asyncio.gather(
                *(client.post(f"{running.url}/{size}", content=b"x" * size) for size in range(20)),
                client.post(f"{running.url}/large", content=b"x" * 3_000_000),
            )
        scheme = "http" if cleartext else "https"
        assert {response.http_version for response in responses} == {"HTTP/2"}
        assert [response.json() for response in responses[:-1]] == [
            ["2", scheme, "POST", f"/{size}", size] for size in range(20)
        ]
        assert responses[-1].json()[-1] == 3_000_000
        assert running.context.counters.connections == 1

    @pytest.mark.parametrize("cleartext", [False, True])
    async def test_curl(self, cleartext: bool, serve: Serve, tmp_path: Path) -> None:
        """curl, whose HTTP/2 is nghttp2: up and down."""
        program = curl()
        running = await serve(tell, **(CLEARTEXT if cleartext else TLS))
        file = tmp_path / "large"
        file.write_bytes(b"x" * 3_000_000)
        version = "--http2-prior-knowledge" if cleartext else "--http2"
        process = await asyncio.create_subprocess_exec(
            program, "-q", "-k", "-s", "-S", "--noproxy", "*", "--max-time", "25", version,
            "--data-binary", f"@{file}", "-w", "\n%{http_version}\n", f"{running.url}/a",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        output, errors = await process.communicate()
        said = ["2", "http" if cleartext else "https", "POST", "/a", 3_000_000]
        assert (output.decode().splitlines(), errors) == ([json.dumps(said), "2"], b"")


@pytest.mark.browser
class TestBrowser:
    """Chromium, which opens its WebSockets on the connection that it has."""

    async def test_everything(self, serve: Serve) -> None:
        """A page, a WebSocket with compression, and a goodbye share one connection."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await send(start(200, [(b"content-type", b"text/html")]))
                await send(body(b"<p>hi"))
                return
            await receive()
            await send({"type": "websocket.accept"})
            while (event := await receive())["type"] == "websocket.receive":
                await send({**event, "type": "websocket.send"})

        running = await serve(app, **TLS)
        path = next(filter(None, map(shutil.which, CHROMIUM)), None)
        assert path, 'No Chromium found: install it, or run pytest with -m "not browser".'
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
            page = await (await browser.new_context(ignore_https_errors=True)).new_page()
            await page.goto(running.url)
            heard = await page.evaluate(
                """() => new Promise((resolve, reject) => {
                    window.socket = new WebSocket(`wss://${location.host}/ws`);
                    window.farewell = new Promise(
                        resolve => socket.onclose = event => resolve(event.code));
                    socket.onopen = () => socket.send("hello");
                    socket.onerror = () => reject(new Error("it does not open"));
                    socket.onmessage = event => resolve([event.data, socket.extensions]);
                })"""
            )
            assert heard[0] == "hello"
            assert heard[1].startswith("permessage-deflate")
            running.stop()
            goodbye = await page.evaluate("() => farewell")
            assert goodbye == 1012
            await browser.close()
        await running.ended()
        assert {record.http_version for record in running.records} == {"2"}
        sockets = [record for record in running.records if record.protocol == "websocket"]
        assert [(record.action, record.status) for record in sockets] == [
            ("connecting", 0), ("connected", 200), ("disconnected", 1012)
        ]  # fmt: skip


class TestCleartext:
    """§3.3: a client that knows already."""

    async def test_both(self, serve: Serve) -> None:
        """The first bytes tell HTTP/2 from HTTP/1.1."""
        running = await serve(tell, **CLEARTEXT)
        assert (await (await connect(running)).fetch_on(1)).status == 200
        assert (
            await (await running.connect()).fetch("/old")
        ).body == b'["1.1", "http", "GET", "/old", 0]'

    async def test_byte_by_byte(self, serve: Serve) -> None:
        """However few they are at a time."""
        running = await serve(path, **CLEARTEXT)
        client = await running.connect()
        for byte in b"PROPFIND /x HTTP/1.1\r\nHost: a\r\n\r\n":
            await client.send(bytes([byte]))
        assert (await client.response()).body == b"/x"

    async def test_off(self, serve: Serve) -> None:
        """Unless it is switched on, the preface is a request that HTTP/1.1 does not know."""
        running = await serve(path)
        client = await running.connect()
        await client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert (await client.head()).startswith(b"HTTP/1.1 505 ")

    async def test_no_upgrade(self, serve: Serve) -> None:
        """The old way of HTTP/1.1 is not taken: it is deprecated (§3.1)."""
        running = await serve(path, **CLEARTEXT)
        client = await running.connect()
        response = await client.fetch("/x", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk",
                                      "Connection: Upgrade, HTTP2-Settings")  # fmt: skip
        assert (response.status, response.body) == (200, b"/x")

    @pytest.mark.parametrize("said", [b"", b"PRI * "])
    async def test_says_too_little(self, said: bytes, serve: Serve, logs: Logs) -> None:
        """A client that does not get so far is closed after header_timeout."""
        running = await serve(path, header_timeout=0.1, **CLEARTEXT)
        client = await running.connect()
        await client.send(said)
        assert await client.rest() == b""
        assert running.context.counters.refused == {"header_timeout": 1}
        logs.take()

    async def test_leaves(self, serve: Serve) -> None:
        """A client that goes before leaves nothing behind."""
        running = await serve(path, **CLEARTEXT)
        client = await running.connect()
        await client.send(b"PRI")
        await until(lambda: any(isinstance(each, Choice) for each in running.context.connections))
        client.close()
        await until(lambda: running.context.quiet)

    async def test_end_of_the_server(self, serve: Serve) -> None:
        """A client that has said nothing yet holds nobody up."""
        running = await serve(path, **CLEARTEXT)
        client = await running.connect()
        await client.send(b"PRI")
        await until(lambda: any(isinstance(each, Choice) for each in running.context.connections))
        running.stop()
        await client.rest()
        client.close()
        await running.ended()

    async def test_cut(self, serve: Serve) -> None:
        """It can be cut like others."""
        running = await serve(path, **CLEARTEXT)
        client = await running.connect()
        await until(lambda: running.context.connections)
        for connection in tuple(running.context.connections):
            connection.abort()
        await client.is_cut()
        await until(lambda: running.context.quiet)


class TestCost:
    """What HTTP/2 costs those who do not use it."""

    @pytest.mark.parametrize(
        ("options", "chosen"),
        [
            ({}, False),
            (TLS, True),
            ({**TLS, "http2": "off"}, False),
            ({"http2_cleartext": True}, True),
            ({"proxy_protocol": True}, True),
        ],
        ids=["plain", "TLS", "off", "cleartext", "proxy"],
    )
    async def test_in_the_way(self, options: dict[str, Any], chosen: bool) -> None:
        """Nothing is in the way of connections that cannot be HTTP/2."""
        config = Config(port=0, **options)
        context = Context(path, config, asyncio.get_running_loop(), None)
        (listener,) = open_listeners(config)
        protocol = connector(context, listener)(None)
        listener.sock.close()
        context.close()
        assert isinstance(protocol, Choice if chosen else Connection)

    def test_imports(self, call: Callable[[str], str]) -> None:
        """h2 is imported with the first connection that speaks it."""
        code = (
            "import sys, fairway.server.cli, fairway.server.http.http2_choice\n"
            "print([name for name in sys.modules if name.split('.')[0] in {'h2', 'hpack'}])"
        )
        assert call(code) == "[]\n"


@pytest.fixture
def call() -> Callable[[str], str]:
    """Runs code in a new process, and returns what it prints."""

    def run(code: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        ).stdout

    return run
