"""What a browser agrees on with the server, and what it makes of a close reason."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from fairway._types import Receive, Scope, Send
from fairway.server import Config, Server
from tests.docs.snippets import ROOT, snippets

PATIENCE = 60.0


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends back what it gets."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


class Echo:
    """An echo server in a thread."""

    def __init__(self) -> None:
        ready = threading.Event()
        config = Config(host="127.0.0.1", port=0, lifespan="off", verbosity=0)
        self.server = Server(echo, config, ready=ready.set, signals=False)
        self._thread = threading.Thread(target=lambda: asyncio.run(self.server.serve()))
        self._thread.start()
        assert ready.wait(PATIENCE)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.server.addresses[0].replace("http", "ws")

    def stop(self) -> None:
        """End it, gracefully."""
        self.server.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


@pytest.fixture
def server() -> Iterator[Echo]:
    """The server of one test."""
    server = Echo()
    yield server
    server.stop()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.mark.browser
def test_compression(server: Echo, page: Page) -> None:
    """Chromium and the server agree on compression without takeover, and understand each other."""
    result = page.evaluate(
        """url => new Promise((done, fail) => {
          const socket = new WebSocket(url), heard = [];
          const said = ["short", "long ".repeat(5000), "é€👋".repeat(3000), ""];
          socket.onopen = () => said.forEach(each => socket.send(each));
          socket.onerror = fail;
          socket.onmessage = ({ data }) => {
            heard.push(data);
            if (heard.length == said.length) {
              socket.onclose = ({ code }) =>
                done([socket.extensions, said.every((each, i) => each == heard[i]), code]);
              socket.close(1000);
            }
          };
        })""",
        server.url,
    )
    extensions = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    assert result == [extensions, True, 1000]


@pytest.mark.browser
def test_retry(server: Echo, page: Page) -> None:
    """The script of docs/websocket.md reads from a close reason when to come back."""
    (script,) = (
        found.text
        for found in snippets(ROOT / "docs" / "websocket.md")
        if found.language == "javascript"
    )
    page.evaluate("script => { window.retryAfter = eval(`${script}; retryAfter`); }", script)
    page.evaluate(
        """url => new Promise(done => {
          window.ending = new Promise(gone => {
            const socket = new WebSocket(url);
            socket.onopen = done;
            socket.onclose = event => gone([event.code, event.reason, retryAfter(event, 1)]);
          });
        })""",
        server.url,
    )
    server.stop()
    code, reason, seconds = page.evaluate("() => window.ending")
    assert code == 1012
    assert reason == f"The server is restarting. retry={seconds:.1f}"
    assert 0 <= seconds <= 5
    assert page.evaluate("() => retryAfter({ reason: 'retry=0.0' }, 9)") == 0
    assert 0 <= page.evaluate("() => retryAfter({ reason: '' }, 3)") <= 8
