"""AsyncLongPollConsumer: requests that wait, and a mailbox between them."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest

from fairway._types import ASGIApplication, Event, Scope
from fairway.exceptions import AcceptConnection, DenyConnection
from fairway.generic import polling
from fairway.generic.polling import AsyncLongPollConsumer
from fairway.layers import InMemoryChannelLayer
from tests.consumers.connections import Connect, Connection
from tests.server.running import until

pytestmark = pytest.mark.pain(20)

#: Seconds after which a test has failed.
DEADLINE = 30.0


class News(AsyncLongPollConsumer):
    groups = ["news"]
    log: list[str] = []
    timeout = DEADLINE
    keep = DEADLINE

    async def connect(self) -> None:
        self.log.append("connect")
        raise AcceptConnection

    async def news_item(self, event: Event) -> None:
        await self.send_json(event["item"])

    async def disconnect(self) -> None:
        self.log.append(f"disconnect {sorted(self.channel_layer.groups)}")


class Browser:
    """A client that polls, and remembers what to ask for next."""

    def __init__(self, connect: Connect, application: ASGIApplication) -> None:
        self._connect = connect
        self._application = application
        self.query: dict[str, Any] = {}
        self.user: Any = None

    async def poll(self, **changes: Any) -> tuple[int, Any]:
        """One request: the status, and the messages of the answer."""
        async with self.request(**changes) as client:
            return await self.answer(client)

    def request(self, method: str = "GET", **changes: Any) -> Any:
        """One request that is not read yet."""
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "path": "/",
            "method": method,
            "headers": [],
            "query_string": urlencode(self.query | changes).encode(),
            "user": self.user,
        }
        return self._connect(self._application, scope, accepted=False)

    async def answer(self, client: Connection) -> tuple[int, Any]:
        """What a request gets; the next one goes on from there."""
        client.put({"type": "http.request", "body": b""})
        start, body = await client.sent(), await client.sent()
        assert (b"cache-control", b"no-store") in start["headers"]
        if start["status"] != 200:
            return start["status"], body["body"]
        content = json.loads(body["body"])
        self.query = {"client": content["client"], "cursor": content["cursor"]}
        return 200, content["messages"]


@pytest.fixture
async def browser(connect: Connect, layer: InMemoryChannelLayer) -> AsyncIterator[Browser]:
    """A client of News; whoever still has a mailbox at the end of a test is let go."""
    News.log = []
    yield Browser(connect, News.as_asgi())
    for client in list(polling._clients.values()):
        await client.close()
        assert client._fw_life is not None
        await asyncio.wait({client._fw_life})
    assert polling._clients == {}


async def news(layer: InMemoryChannelLayer, *items: Any) -> None:
    """Send items, and let them be handled."""
    for item in items:
        await layer.group_send("news", {"type": "news.item", "item": item})
    for _ in range(20):
        await asyncio.sleep(0)


async def test_between_two_requests(browser: Browser, layer: InMemoryChannelLayer) -> None:
    """What comes while nobody asks waits, and comes at once and together."""
    assert await browser.poll() == (200, [])
    await news(layer, "one", {"two": 2})
    assert await browser.poll() == (200, ["one", {"two": 2}])
    await news(layer, "three")
    assert await browser.poll() == (200, ["three"])
    assert News.log == ["connect"]


async def test_waits(browser: Browser, layer: InMemoryChannelLayer) -> None:
    """A request waits for the next message."""
    await browser.poll()
    async with browser.request() as client:
        waiting = asyncio.ensure_future(browser.answer(client))
        await client.settle()
        assert not waiting.done()
        await news(layer, "one")
        assert await waiting == (200, ["one"])


async def test_lost_answer(browser: Browser, layer: InMemoryChannelLayer) -> None:
    """An answer that the client did not get is given again."""
    await browser.poll()
    before = dict(browser.query)
    await news(layer, "one")
    assert await browser.poll() == (200, ["one"])
    browser.query = before
    await news(layer, "two")
    assert await browser.poll() == (200, ["one", "two"])


async def test_client_leaves(browser: Browser, layer: InMemoryChannelLayer) -> None:
    """A request whose client has gone takes nothing."""
    await browser.poll()
    async with browser.request() as client:
        client.put({"type": "http.request", "body": b""})
        await client.settle()
        client.put({"type": "http.disconnect"})
        await client.task
        assert client.quiet
    await news(layer, "one")
    assert await browser.poll() == (200, ["one"])


async def test_nothing_came(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """204 when the time is over; the client asks the same again."""
    await browser.poll()
    monkeypatch.setattr(News, "timeout", 0.001)
    assert await browser.poll() == (204, b"")


async def test_two_requests(browser: Browser, layer: InMemoryChannelLayer) -> None:
    """Of two requests of one client the last one counts."""
    await browser.poll()
    async with browser.request() as first, browser.request() as second:
        one = asyncio.ensure_future(browser.answer(first))
        await first.settle()
        two = asyncio.ensure_future(browser.answer(second))
        assert await one == (204, b"")
        await news(layer, "one")
        assert await two == (200, ["one"])


async def test_gone(
    browser: Browser, layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that does not ask for too long has left, and is told so if it comes again."""
    monkeypatch.setattr(News, "keep", 0.001)
    await browser.poll()
    (client,) = polling._clients.values()
    assert client._fw_life is not None
    async with asyncio.timeout(DEADLINE):
        await asyncio.wait({client._fw_life})
    assert News.log == ["connect", "disconnect []"]
    assert (layer.groups, layer.channels) == ({}, {})
    assert await browser.poll() == (410, b"")


async def test_too_much(
    browser: Browser,
    layer: InMemoryChannelLayer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A client that asks too seldom is told that it missed something, by 410."""
    monkeypatch.setattr(News, "max_messages", 2)
    await browser.poll()
    await news(layer, 1, 2, 3, 4)
    assert await browser.poll() == (410, b"")
    assert News.log == ["connect", "disconnect []"]
    (record,) = caplog.records
    assert record.getMessage() == (
        "tests.consumers.test_polling.News: a client asks too seldom, 3 messages (3 bytes) are "
        "waiting; it is told that it has missed some."
    )


async def test_closed_while_waiting(browser: Browser, layer: InMemoryChannelLayer) -> None:
    """A group message of type websocket.close ends a request that waits, with 410."""
    await browser.poll()
    async with browser.request() as client:
        waiting = asyncio.ensure_future(browser.answer(client))
        await client.settle()
        await layer.group_send("news", {"type": "websocket.send", "text": "hi"})
        assert await waiting == (200, ["hi"])
    async with browser.request() as client:
        waiting = asyncio.ensure_future(browser.answer(client))
        await client.settle()
        await layer.group_send("news", {"type": "websocket.close"})
        assert await waiting == (410, b"")


@pytest.mark.parametrize("cursor", ["x", "-1", "9" * 30, "²"])
async def test_bad_cursor(browser: Browser, cursor: str) -> None:
    """A cursor that we did not give is nobody's."""
    await browser.poll()
    assert await browser.poll(cursor=cursor) == (410, b"")


async def test_other_user(browser: Browser) -> None:
    """Another user's request does not get the messages, even if it knows the token."""
    browser.user = "anna"
    await browser.poll()
    browser.user = "ben"
    assert await browser.poll() == (410, b"")


async def test_refused(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """connect() may refuse a client."""

    async def refuse(self: News) -> None:
        raise DenyConnection

    monkeypatch.setattr(News, "connect", refuse)
    assert await browser.poll() == (403, b"")


async def test_connect_fails(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """What connect() raises is raised to the server, which answers 500."""

    async def fail(self: News) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(News, "connect", fail)
    with pytest.raises(RuntimeError, match="no"):
        await browser.poll()
    assert News.log == ["disconnect []"]


async def test_handler_fails(
    browser: Browser, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """What a handler raises is logged, and ends this one client."""
    await browser.poll()
    await news(layer, object.__doc__)
    await layer.group_send("news", {"type": "news.item"})
    await until(lambda: caplog.records)
    assert await browser.poll() == (410, b"")
    assert caplog.records[-1].getMessage() == "tests.consumers.test_polling.News failed"


async def test_too_many(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are only so many mailboxes."""
    monkeypatch.setattr(News, "max_clients", 1)
    await browser.poll()
    browser.query = {}
    assert await browser.poll() == (503, b"")


async def test_method(browser: Browser) -> None:
    """Messages are got; sending is for other requests."""
    async with browser.request("POST") as client:
        assert (await browser.answer(client))[0] == 405
