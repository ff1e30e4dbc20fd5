"""Requests and responses on the streams of an HTTP/2 connection: RFC 9113 §8, as ASGI tells it."""

import asyncio
from typing import Any

import pytest

from fairway._types import Receive, Scope, Send
from fairway.exceptions import ClientDisconnected
from tests.server.applications import Held, Listens, body, echo_body, path, responds, start
from tests.server.conftest import Serve
from tests.server.http.http2_client import connect, connections
from tests.server.running import DEADLINE, Logs, statuses, until
from tests.wire import http2_client as h2
from tests.wire.http2_client import GET, POST

OPTIONS: dict[str, Any] = {"http2_cleartext": True}
HEAD = [(b":method", b"HEAD"), *GET[1:]]


class TestRequest:
    """What the application is told."""

    async def test_scope(self, serve: Serve) -> None:
        """A scope like any other, of version 2; the authority is the first header."""
        scopes: list[Scope] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scopes.append(scope)
            await send(start(204))
            await send(body())

        running = await serve(app, **OPTIONS)
        client = await connect(running)
        fields = [*GET[:3], (b":path", b"/a%20b?c=d"), (b"cookie", b"a=1"), (b"cookie", b"b=2")]
        assert (await client.fetch_on(1, fields)).status == 204
        (scope,) = scopes
        assert scope["type"] == "http"
        assert scope["http_version"] == "2"
        assert (scope["method"], scope["scheme"]) == ("GET", "http")
        assert (scope["path"], scope["raw_path"]) == ("/a b", b"/a%20b")
        assert scope["query_string"] == b"c=d"
        assert scope["headers"] == [(b"host", b"example.org"), (b"cookie", b"a=1; b=2")]
        assert scope["client"] == ("127.0.0.1", client.writer.get_extra_info("sockname")[1])
        assert scope["server"] == ("127.0.0.1", running.port)

    async def test_body(self, serve: Serve) -> None:
        """A body of any size arrives whole."""
        client = await connect(await serve(echo_body, **OPTIONS))
        data = bytes(range(256)) * 4000
        await client.request(1, POST, end=False)
        sent = 0
        while sent < len(data):
            # As far as the windows go that the server has opened: 256 KiB at first.
            given = sum(
                each.number
                for each in client.others
                if each.kind == h2.WINDOW_UPDATE and each.stream_id == 1
            )
            window = 256 * 1024 + given - sent
            if not window:
                await client.more()
                continue
            piece = data[sent : sent + min(window, 16_384)]
            await client.send(h2.data(1, piece, end=sent + len(piece) == len(data)))
            sent += len(piece)
        answer = await client.answer()
        assert answer.body == data
        assert answer["content-length"] == str(len(data))

    async def test_body_in_single_bytes(self, serve: Serve) -> None:
        """However many frames bring it, what waits for the application is kept in one piece."""
        running: list[int] = []
        go_on = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await go_on.wait()
            more = True
            while more:
                event = await receive()
                running.append(len(event["body"]))
                more = event["more_body"]
            await send(start(204))
            await send(body())

        client = await connect(await serve(app, **OPTIONS))
        await client.request(1, POST, end=False)
        await client.send(h2.data(1, b"x") * 5000 + h2.data(1, end=True))
        await client.send(h2.ping())  # its answer comes when all of that was taken
        await client.until(lambda: any(each.kind == h2.PING for each in client.others))
        go_on.set()
        assert (await client.answer()).status == 204
        assert sum(running) == 5000
        assert len(running) < 300

    async def test_continue(self, serve: Serve) -> None:
        """A client that waits for 100 (Continue) gets it when the application asks."""
        client = await connect(await serve(echo_body, **OPTIONS))
        await client.request(1, [*POST, (b"expect", b"100-continue")], end=False)
        await client.until(lambda: 1 in client.answers)
        assert client.answers[1].interim == [100]
        await client.send(h2.data(1, b"abc", end=True))
        assert (await client.answer()).body == b"abc"

    async def test_trailers(self, serve: Serve) -> None:
        """Trailers end a body; ASGI does not tell what they say."""
        client = await connect(await serve(echo_body, **OPTIONS))
        await client.request(1, POST, body=b"abc", end=False)
        await client.send(client.speaker.headers(1, [(b"x-sum", b"6")]))
        assert (await client.answer()).body == b"abc"


class TestResponse:
    """What the client gets."""

    async def test_whole(self, serve: Serve) -> None:
        """A response in one piece has its length, the date and the server's name."""
        running = await serve(responds(start(201, [(b"X-Mine", b"a")]), body(b"abc")), **OPTIONS)
        client = await connect(running)
        answer = await client.fetch_on(1)
        assert (answer.status, answer.body) == (201, b"abc")
        assert [name for name, _ in answer.fields] == [
            b":status", b"x-mine", b"content-length", b"date", b"server"
        ]  # fmt: skip
        assert answer["server"] == "fairway"
        assert "connection" not in answer

    async def test_parts(self, serve: Serve) -> None:
        """A response in parts has no length, and needs none."""
        events = [start(), body(b"a", more=True), body(b"", more=True), body(b"bc", more=True)]
        client = await connect(await serve(responds(*events, body()), **OPTIONS))
        answer = await client.fetch_on(1)
        assert answer.body == b"abc"
        assert "content-length" not in answer
        assert "transfer-encoding" not in answer

    @pytest.mark.parametrize(
        ("fields", "status"),
        [(HEAD, 200), (GET, 204), (GET, 205), (GET, 304)],
        ids=["HEAD", "204", "205", "304"],
    )
    async def test_without_body(
        self, fields: list[tuple[bytes, bytes]], status: int, serve: Serve
    ) -> None:
        """Where there is no body, the stream ends with the fields."""
        running = await serve(responds(start(status), body(b"abc")), **OPTIONS)
        client = await connect(running)
        answer = await client.fetch_on(1, fields)
        assert (answer.status, answer.body) == (status, b"")
        assert answer.reset is None
        answer = await client.fetch_on(3)
        assert answer.status == status

    async def test_words_for_connections(self, serve: Serve) -> None:
        """An application that speaks of HTTP/1.1's connections does no harm."""
        headers = [(b"Connection", b"close"), (b"Transfer-Encoding", b"chunked")]
        client = await connect(await serve(responds(start(200, headers), body(b"a")), **OPTIONS))
        assert b"connection" not in dict((await client.fetch_on(1)).fields)
        assert (await client.fetch_on(3)).body == b"a"

    async def test_early(self, serve: Serve) -> None:
        """A response before the end of its request asks for no more of it (§8.1)."""
        client = await connect(await serve(path, **OPTIONS))
        await client.request(1, POST, body=b"abc", end=False)
        await client.until(lambda: 1 in client.answers and client.answers[1].reset is not None)
        answer = client.answers[1]
        assert (answer.body, answer.ended, answer.reset) == (b"/", True, 0)
        assert (await client.fetch_on(3)).body == b"/"

    async def test_many_at_once(self, serve: Serve) -> None:
        """Requests do not wait for each other: the last one may be the first."""
        gates = {f"/{number}": asyncio.Event() for number in range(5)}

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await gates[scope["path"]].wait()
            await send(start())
            await send(body(scope["path"].encode()))

        client = await connect(await serve(app, **OPTIONS))
        for number in range(5):
            await client.request(2 * number + 1, [*GET[:3], (b":path", b"/%d" % number)])
        for number in (4, 0, 3, 1, 2):
            gates[f"/{number}"].set()
            assert (await client.answer(2 * number + 1)).body == b"/%d" % number

    async def test_access_log(self, serve: Serve) -> None:
        """The log says which HTTP it was."""
        running = await serve(path, **OPTIONS)
        client = await connect(running)
        await client.fetch_on(1)
        (record,) = running.records
        assert (record.http_version, record.method, record.status, record.size) == (
            "2", "GET", 200, 1
        )  # fmt: skip


class TestFailure:
    """What an application can do wrong."""

    async def test_raises(self, serve: Serve, logs: Logs) -> None:
        """An exception before the response is a 500, and the others go on."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            raise ValueError("mine")

        client = await connect(await serve(app, **OPTIONS))
        assert (await client.fetch_on(1)).status == 500
        assert (await client.fetch_on(3, HEAD)).body == b""
        assert logs.take() == [
            "ERROR Exception inside application for GET /: ValueError('mine')",
            "ERROR Exception inside application for HEAD /: ValueError('mine')",
        ]

    async def test_raises_late(self, serve: Serve, logs: Logs) -> None:
        """After a part of the response the stream is reset, as it has no end."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            await send(body(b"abc", more=True))
            raise ValueError("mine")

        client = await connect(await serve(app, **OPTIONS))
        answer = await client.fetch_on(1)
        assert (answer.ended, answer.reset) == (False, 2)
        assert logs.take() == ["ERROR Exception inside application for GET /: ValueError('mine')"]

    async def test_wrong_length(self, serve: Serve, logs: Logs) -> None:
        """A body that is shorter than it says is no whole response."""
        events = [start(200, [(b"content-length", b"5")]), body(b"ab", more=True), body()]
        client = await connect(await serve(responds(*events), **OPTIONS))
        assert (await client.fetch_on(1)).reset == 2
        (line,) = logs.take()
        assert "declares a Content-Length of 5 bytes, but its body ended after 2" in line

    async def test_bad_header(self, serve: Serve, logs: Logs) -> None:
        """A header that cannot be sent is refused by name."""
        client = await connect(
            await serve(responds(start(200, [(b"a", b"b\n")]), body()), **OPTIONS)
        )
        assert (await client.fetch_on(1)).status == 500
        (line,) = logs.take()
        assert "The value of the header 'a' holds a CR, LF or NUL." in line

    async def test_too_slow(self, serve: Serve, logs: Logs) -> None:
        """An application that takes longer than http_timeout is answered for."""
        held = Held()
        client = await connect(await serve(held, http_timeout=0.1, **OPTIONS))
        assert (await client.fetch_on(1)).status == 503
        held.let_go()
        assert "did not answer GET / within 0.1 s (http_timeout)" in logs.take()[0]


class TestDisconnect:
    """A client that goes."""

    async def test_reset(self, serve: Serve) -> None:
        """A reset stream is a client that has gone; the others go on."""
        app = Listens()
        running = await serve(app, **OPTIONS)
        client = await connect(running)
        await client.request(1)
        await client.request(3)
        for _ in range(2):
            await app.entered.acquire()
        await client.send(h2.reset(1))
        await app.left.acquire()
        await client.pong()
        assert len(connections(running)[0]._channels) == 1
        await client.send(h2.reset(3))
        await app.left.acquire()
        await until(lambda: not running.context.tasks)

    async def test_send(self, serve: Serve) -> None:
        """To send to a client that has gone is an error."""
        gone = asyncio.Event()
        errors: list[Exception] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            await gone.wait()
            assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
            assert await receive() == {"type": "http.disconnect"}
            try:
                await send(body(b"x"))
            except ClientDisconnected as error:
                errors.append(error)

        running = await serve(app, **OPTIONS)
        client = await connect(running)
        await client.request(1)
        await client.until(lambda: 1 in client.answers)
        await client.send(h2.reset(1))
        await client.pong()
        gone.set()
        await until(lambda: errors)
        assert str(errors[0]) == "Cannot send 'http.response.body': the client is gone."
        assert statuses(running.records) == [("complete", 200)]

    async def test_connection(self, serve: Serve) -> None:
        """When the connection is lost, all of them are told."""
        app = Listens()
        running = await serve(app, **OPTIONS)
        client = await connect(running)
        for stream_id in (1, 3, 5):
            await client.request(stream_id)
            await app.entered.acquire()
        client.abort()
        async with asyncio.timeout(DEADLINE):
            for _ in range(3):
                await app.left.acquire()
        await until(lambda: running.context.quiet)
