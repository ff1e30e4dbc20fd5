"""How ASGI's events become a response: what its extensions bring, and what comes too late.

The core's events are in ``test_stream.py``, files in ``test_files.py``.
"""

import asyncio
from typing import Any

import pytest

from fairway._types import Event, Receive, Scope, Send
from fairway.exceptions import WrongState
from tests.server.applications import body, responds, start
from tests.server.conftest import Serve
from tests.server.running import Logs, statuses, until


class TestEarlyHints:
    """``http.response.early_hint`` (RFC 8297).

    https://asgi.readthedocs.io/en/latest/extensions.html#early-hints
    """

    HINT: Event = {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload", b"</b>"]}

    @pytest.mark.parametrize(
        "events", [[HINT, start()], [start(), HINT]], ids=["before the start", "after it"]
    )
    async def test_sent(self, events: list[Event], serve: Serve) -> None:
        """The client gets 103 with the links before the response."""
        running = await serve(responds(*events, body(b"abc")))
        client = await running.connect()
        await client.get()
        assert await client.head() == (
            b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b>\r\n\r\n"
        )
        assert (await client.response()).body == b"abc"
        response = await client.fetch()
        assert (response.interim, response.body) == ([103], b"abc")

    async def test_too_late(self, serve: Serve) -> None:
        """Once the response's head was sent, it is ignored."""
        running = await serve(responds(start(), body(b"a", more=True), self.HINT, body(b"b")))
        client = await running.connect()
        response = await client.fetch()
        assert (response.interim, response.body) == ([], b"ab")

    async def test_http_1_0(self, serve: Serve) -> None:
        """HTTP/1.0 knows no interim responses."""
        running = await serve(responds(self.HINT, start(), body(b"abc")))
        client = await running.connect()
        await client.send("GET / HTTP/1.0")
        response = await client.response()
        assert (response.interim, response.body) == ([], b"abc")

    @pytest.mark.parametrize("links", ["</a>", [b"a\r\nb: c"]])
    async def test_wrong(self, links: Any, serve: Serve, logs: Logs) -> None:
        """Links that cannot be sent are a failure."""
        running = await serve(responds({"type": "http.response.early_hint", "links": links}))
        client = await running.connect()
        assert (await client.fetch()).status == 500
        assert len(logs.take()) == 1


class TestTrailers:
    """``http.response.trailers`` (RFC 9112 §7.1.2).

    https://asgi.readthedocs.io/en/latest/extensions.html#http-trailers
    """

    EVENTS: tuple[Event, ...] = (
        {**start(200, [(b"trailer", b"a")]), "trailers": True},
        body(b"abc"),
        {"type": "http.response.trailers", "headers": [(b"a", b"1")], "more_trailers": True},
        {"type": "http.response.trailers", "headers": [(b"a", b"2")]},
    )

    @pytest.mark.parametrize("parts", [1, 2])
    async def test_sent(self, parts: int, serve: Serve) -> None:
        """They follow the body if the client has asked for them."""
        first, whole, *trailers = self.EVENTS
        middle = [whole] if parts == 1 else [body(b"a", more=True), body(b"bc")]
        running = await serve(responds(first, *middle, *trailers))
        client = await running.connect()
        await client.get("/", "TE: trailers", "Connection: TE")
        assert b"Transfer-Encoding: chunked\r\n" in await client.head()
        chunks = b"3\r\nabc\r\n" if parts == 1 else b"1\r\na\r\n2\r\nbc\r\n"
        rest = chunks + b"0\r\na: 1\r\na: 2\r\n\r\n"
        assert await client.read(len(rest)) == rest
        await client.get("/again", "TE: trailers", "Connection: close")
        assert (await client.rest()).endswith(b"\r\na: 2\r\n\r\n")
        assert statuses(running.records) == [("complete", 200)] * 2

    @pytest.mark.parametrize("version", ["1.1", "1.0"])
    async def test_not_asked_for(self, version: str, serve: Serve) -> None:
        """A client that did not gets none."""
        running = await serve(responds(*self.EVENTS))
        client = await running.connect()
        await client.send(f"GET / HTTP/{version}\nHost: a\nConnection: close")
        assert (await client.rest()).endswith(b"\r\nabc" if version == "1.0" else b"\r\n0\r\n\r\n")
        assert statuses(running.records) == [("complete", 200)]

    async def test_late(self, serve: Serve) -> None:
        """They may come when the rest of the response is long gone."""
        go_on = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            for event in self.EVENTS[:2]:
                await send(event)
            await go_on.wait()
            for event in self.EVENTS[2:]:
                await send(event)

        running = await serve(app)
        client = await running.connect()
        await client.get("/", "TE: trailers")
        await client.head()
        assert await client.read(8) == b"3\r\nabc\r\n"
        go_on.set()
        rest = b"0\r\na: 1\r\na: 2\r\n\r\n"
        assert await client.read(len(rest)) == rest

    async def test_missing(self, serve: Serve, logs: Logs) -> None:
        """A response that lacks those that it has announced is cut off."""
        running = await serve(responds(*self.EVENTS[:2]))
        client = await running.connect()
        await client.get("/", "TE: trailers")
        assert await client.is_cut()
        assert logs.take() == [
            "ERROR The application returned before the end of its response to GET /"
        ]

    @pytest.mark.parametrize(
        ("events", "kind", "message"),
        [
            (
                [start(), EVENTS[2]],
                WrongState,
                (
                    "Cannot send 'http.response.trailers': "
                    "the response has started and takes 'http.response.body'."
                ),
            ),
            (
                [start(), body(), EVENTS[2]],
                WrongState,
                "Cannot send 'http.response.trailers': the response is complete.",
            ),
            (
                [EVENTS[0], body(), body()],
                WrongState,
                (
                    "Cannot send 'http.response.body': "
                    "the body is complete and takes 'http.response.trailers'."
                ),
            ),
            (
                [EVENTS[0], body(), {**EVENTS[3], "headers": [(b"host", b"a")]}],
                ValueError,
                "The field 'host' cannot be sent as a trailer (RFC 9110 §6.5.1).",
            ),
            (
                [EVENTS[0], body(), {**EVENTS[3], "headers": [("a", "b")]}],
                ValueError,
                "Header name 'a' expected to be `bytes`, but got `<class 'str'>`",
            ),
        ],
    )
    async def test_wrong(
        self,
        events: list[Event],
        kind: type[Exception],
        message: str,
        serve: Serve,
        logs: Logs,
    ) -> None:
        """In the wrong place, or with fields that cannot be trailers, they are a failure."""
        errors: list[Exception] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                for event in events:
                    await send(event)
            except Exception as error:
                errors.append(error)
                raise

        running = await serve(app)
        client = await running.connect()
        await client.get("/", "TE: trailers")
        await until(lambda: errors)
        assert [(type(error), str(error)) for error in errors] == [(kind, message)]
        await until(lambda: logs.records)
        logs.take()


class TestGone:
    """A client that has gone, before anybody was told."""

    async def test_no_flood(self, serve: Serve) -> None:
        """Who sends without a pause hears of it, and the log is not flooded."""
        errors: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            await send(body(b"a", more=True))
            send.__self__._writer._transport.abort()  # type: ignore[attr-defined]  # our stream's
            try:
                for _ in range(100):  # nothing here lets the loop tell of the end
                    await send(body(b"a", more=True))
            except OSError as error:
                errors.append(str(error))
                raise

        running = await serve(app)
        client = await running.connect()
        await client.get()
        await until(lambda: errors)
        assert errors == ["Cannot send 'http.response.body': the client is gone."]
        await until(lambda: not running.connections)
