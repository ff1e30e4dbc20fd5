"""One request and its response, as ASGI tells it.

https://asgi.readthedocs.io/en/latest/specs/www.html#http
"""

import asyncio
import contextvars
import threading
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from fairway._types import ASGIApplication, Event, Receive, Scope, Send
from fairway.exceptions import ClientDisconnected, WrongState
from fairway.server import Config, Server
from fairway.server.http.stream import HTTPStream
from tests.server.applications import Hangs, Held, Listens, body, echo_body, path, responds, start
from tests.server.conftest import Serve
from tests.server.running import DEADLINE, Logs, listening, statuses, until

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"


def stream_of(send: Any) -> HTTPStream:
    """The stream whose ``send`` an application got."""
    found = send.__self__
    assert isinstance(found, HTTPStream)
    return found


class TestResponse:
    """What the client gets."""

    @pytest.mark.row("2.3 Response")
    async def test_whole(self, serve: Serve) -> None:
        """A response in one piece has its length, the date and the server's name."""
        running = await serve(responds(start(201, [(b"X-Mine", b"a b")]), body(b"abc")))
        client = await running.connect()
        response = await client.fetch()
        assert (response.status, response.http_version, response.body) == (201, b"1.1", b"abc")
        assert response["x-mine"] == "a b"
        assert response["content-length"] == "3"
        assert response["server"] == "fairway"
        assert parsedate_to_datetime(response["date"]).tzinfo is not None
        assert "transfer-encoding" not in response

    async def test_server_name(self, serve: Serve) -> None:
        """The server's name can be another, or none."""
        running = await serve(path, server_name="mine")
        assert (await (await running.connect()).fetch())["server"] == "mine"
        running = await serve(path, server_name="")
        assert "server" not in await (await running.connect()).fetch()

    @pytest.mark.row("2.3 Response")
    async def test_parts(self, serve: Serve) -> None:
        """A response in several parts is chunked; an empty last one ends it."""
        running = await serve(
            responds(
                start(), body(b"a", more=True), body(b"", more=True), body(b"bc", more=True), body()
            )
        )
        client = await running.connect()
        response = await client.fetch()
        assert (response.body, response["transfer-encoding"]) == (b"abc", "chunked")
        assert (await client.fetch()).body == b"abc"

    async def test_parts_with_a_length(self, serve: Serve) -> None:
        """The application's own length is used."""
        length = [(b"content-length", b"3")]
        running = await serve(responds(start(200, length), body(b"ab", more=True), body(b"c")))
        client = await running.connect()
        response = await client.fetch()
        assert (response.body, response["content-length"]) == (b"abc", "3")
        assert "transfer-encoding" not in response
        assert (await client.fetch()).body == b"abc"

    @pytest.mark.row("2.3 Versions")
    async def test_http_1_0(self, serve: Serve) -> None:
        """For HTTP/1.0 parts end with the connection."""
        running = await serve(responds(start(), body(b"ab", more=True), body(b"c")))
        client = await running.connect()
        await client.send("GET / HTTP/1.0\nConnection: keep-alive")
        response = await client.response()
        assert (response.body, response["connection"]) == (b"abc", "close")
        assert await client.rest() == b""

    async def test_keys_may_be_missing(self, serve: Serve) -> None:
        """``headers``, ``body`` and ``more_body`` have defaults."""
        events: list[Event] = [
            {"type": "http.response.start", "status": 204},
            {"type": "http.response.body"},
        ]
        running = await serve(responds(*events))
        response = await (await running.connect()).fetch()
        assert (response.status, response.body) == (204, b"")

    @pytest.mark.parametrize("data", [bytearray(b"abc"), memoryview(b"abc")])
    @pytest.mark.parametrize("more", [False, True])
    async def test_kinds_of_bytes(self, data: Any, more: bool, serve: Serve) -> None:
        """Everything that is like bytes can be sent."""
        events = [start(), body(data, more=more)]
        if more:
            events.append(body())
        running = await serve(responds(*events))
        assert (await (await running.connect()).fetch()).body == b"abc"

    async def test_head(self, serve: Serve) -> None:
        """HEAD gets the head of the response and not its body, which is not counted either."""
        running = await serve(responds(start(200, [(b"content-length", b"4")]), body(b"/abc")))
        client = await running.connect()
        await client.send("HEAD /abc HTTP/1.1\nHost: a")
        response = await client.response("HEAD")
        assert (response["content-length"], response.body) == ("4", b"")
        assert (await client.fetch()).body == b"/abc"
        assert [(r.method, r.size) for r in running.records] == [("HEAD", 0), ("GET", 4)]

    @pytest.mark.parametrize("status", [204, 205, 304])
    async def test_without_body(self, status: int, serve: Serve) -> None:
        """Statuses that have no body get none, and none is counted."""
        running = await serve(responds(start(status), body(b"ignored")))
        client = await running.connect()
        assert (await client.fetch()).body == b""
        assert (await client.fetch()).status == status
        assert [(r.status, r.size) for r in running.records] == [(status, 0), (status, 0)]

    async def test_first_part_is_not_waited_for(self, serve: Serve) -> None:
        """The head goes out although the body takes long: the client of a stream sees it open."""
        go_on = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start(200, [(b"content-type", b"text/event-stream")]))
            await go_on.wait()
            await send(body(b"data: x\n\n"))

        running = await serve(app)
        client = await running.connect()
        await client.get()
        head = await client.head()
        assert b"200 OK" in head
        assert b"text/event-stream" in head
        go_on.set()
        assert await client.chunks() == b"data: x\n\n"

    async def test_access_record(self, serve: Serve) -> None:
        """The access log is told once, with everything."""
        running = await serve(responds(start(404), body(b"ab", more=True), body(b"c")))
        client = await running.connect()
        await client.send("PUT /a%20b?c HTTP/1.0")
        await client.response("PUT")
        (record,) = running.records
        assert (record.protocol, record.action, record.method) == ("http", "complete", "PUT")
        assert (record.path, record.http_version, record.status) == ("/a%20b?c", "1.0", 404)
        assert (record.client, record.size) == (client.address, 3)
        assert 0 <= record.duration < DEADLINE

    async def test_httpx(self, serve: Serve) -> None:
        """A client of the real world is content."""
        running = await serve(echo_body)
        async with httpx.AsyncClient(base_url=running.url, timeout=DEADLINE) as client:
            data = b"x" * 1_000_000
            first = await client.post("/", content=data)

            async def parts() -> Any:
                for _ in range(10):
                    yield b"y" * 1000

            second = await client.post("/", content=parts())
        assert (first.content, second.content) == (data, b"y" * 10000)


class TestRequestBody:
    """What the application receives."""

    async def test_none(self, serve: Serve) -> None:
        """Without a body there is one empty event, and then the disconnect, again and again."""
        events: list[Event] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            events.append(await receive())
            await path(scope, receive, send)
            events.append(await receive())
            events.append(await receive())

        running = await serve(app)
        await (await running.connect()).fetch()
        await until(lambda: len(events) == 3)
        assert events == [
            {"type": "http.request", "body": b"", "more_body": False},
            {"type": "http.disconnect"},
            {"type": "http.disconnect"},
        ]

    @pytest.mark.parametrize("body", [b"", b"abc"])
    async def test_answered_unread(self, serve: Serve, body: bytes) -> None:
        """After its response nothing of a request is left to receive, whatever was not read."""
        events: list[Event] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await until(lambda: receive.waiting[0] > 0)  # type: ignore[attr-defined]  # ours
            await path(scope, receive, send)
            events.append(await receive())
            events.append(await receive())

        running = await serve(app)
        client = await running.connect()
        for length in (len(body), len(body)):
            await client.send(POST + b"Content-Length: %d\r\n\r\n" % length + body)
            await client.response("POST")
        await until(lambda: len(events) == 4)
        assert events == [{"type": "http.disconnect"}] * 4

    async def test_whole(self, serve: Serve) -> None:
        """A body that comes at once is one event, the last."""
        events: list[Event] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            events.append(await receive())
            await path(scope, receive, send)

        running = await serve(app)
        client = await running.connect()
        await client.send(POST + b"Content-Length: 3\r\n\r\nabc")
        await client.response("POST")
        await client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        await client.response("POST")
        assert events == [{"type": "http.request", "body": b"abc", "more_body": False}] * 2

    @pytest.mark.row("2.3 Request body", "7 18")
    async def test_pieces(self, serve: Serve) -> None:
        """A body is handed on as it comes, before the rest of it is there."""
        got: asyncio.Queue[Event] = asyncio.Queue()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            while True:
                event = await receive()
                got.put_nowait(event)
                if not event["more_body"]:
                    break
            await path(scope, receive, send)

        running = await serve(app)
        client = await running.connect()
        await client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        for piece in (b"one", b"two"):
            await client.send(b"3\r\n" + piece + b"\r\n")
            assert await got.get() == {"type": "http.request", "body": piece, "more_body": True}
        await client.send(b"0\r\nTrailer: dropped\r\n\r\n")
        assert await got.get() == {"type": "http.request", "body": b"", "more_body": False}
        assert (await client.response("POST")).status == 200

    @pytest.mark.row("2.3 Request body", "2.2 create_application")
    async def test_bounded(self, serve: Serve) -> None:
        """While the application does not read, neither does the server."""
        app = Held()
        sizes: list[int] = []

        async def measured(scope: Scope, receive: Any, send: Send) -> None:
            app.entered.release()
            await until(lambda: receive.paused)
            sizes.append(receive._input_size)
            await app._go_on.wait()
            await echo_body(scope, receive, send)

        running = await serve(measured)
        client = await running.connect()
        size = 20_000_000
        upload = asyncio.ensure_future(
            client.send(POST + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)
        )
        await until(lambda: sizes)
        assert sizes[0] < 1_000_000
        assert not upload.done()
        app.let_go()
        assert len((await client.response("POST")).body) == size
        await upload

    @pytest.mark.row("2.3 Request body")
    async def test_continue(self, serve: Serve) -> None:
        """A client that waits for 100 (Continue) gets it when the application asks for the body."""
        app = Held()

        async def asks_late(scope: Scope, receive: Receive, send: Send) -> None:
            app.entered.release()
            await app._go_on.wait()
            await echo_body(scope, receive, send)

        running = await serve(asks_late)
        client = await running.connect()
        await client.send(POST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        await app.entered.acquire()
        app.let_go()
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"abc")
        assert (await client.response("POST")).body == b"abc"
        assert (await client.fetch()).status == 200

    async def test_continue_is_not_needed(self, serve: Serve) -> None:
        """One that does not wait for it gets none."""
        running = await serve(echo_body)
        client = await running.connect()
        await client.send(POST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc")
        response = await client.response("POST")
        assert (response.body, response.interim) == (b"abc", [])

    async def test_no_continue(self, serve: Serve) -> None:
        """An application that answers without asking for the body spares the client to send it."""
        running = await serve(responds(start(413), body(b"no")))
        client = await running.connect()
        await client.send(POST + b"Content-Length: 9999999\r\nExpect: 100-continue\r\n\r\n")
        response = await client.response("POST")
        assert (response.status, response.interim, response["connection"]) == (413, [], "close")
        assert await client.rest() == b""

    @pytest.mark.row("7 18")
    async def test_early_answer(self, serve: Serve) -> None:
        """A whole answer before the end of the upload says that the connection ends."""
        running = await serve(responds(start(401), body(b"who?")))
        client = await running.connect()
        await client.send(POST + b"Content-Length: 3\r\n\r\na")
        response = await client.response("POST")
        assert (response.status, response.body, response["connection"]) == (401, b"who?", "close")
        await client.send(b"bc")
        assert await client.rest() == b""

    async def test_both_ways(self, serve: Serve) -> None:
        """Request and response may stream at the same time."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            more = True
            while more:
                event = await receive()
                more = event["more_body"]
                await send(body(event["body"], more=more))

        running = await serve(app)
        client = await running.connect()
        await client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        assert b"200 OK" in await client.head()
        for piece in (b"one", b"two"):
            await client.send(b"3\r\n" + piece + b"\r\n")
            assert await client.read(8) == b"3\r\n" + piece + b"\r\n"
        await client.send(b"0\r\n\r\n")
        assert await client.read(5) == b"0\r\n\r\n"
        assert (await client.fetch("/again")).status == 200


class TestContextVariables:
    """What one application sets, no other sees."""

    async def test_on_one_connection(self, serve: Serve) -> None:
        """Also where requests follow each other on one connection, pipelined or read again."""
        variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="clean")
        seen: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(variable.get())
            variable.set(scope["path"])
            await echo_body(scope, receive, send)

        variable.set("the server's")
        running = await serve(app)
        client = await running.connect()
        request = POST + b"Content-Length: 500000\r\n\r\n" + b"x" * 500_000
        upload = asyncio.ensure_future(client.send(request * 3))
        for _ in range(3):
            assert len((await client.response("POST")).body) == 500_000
        await upload
        await client.fetch("/last")
        assert seen == ["the server's"] * 4


class TestFlowControl:
    """A slow reader costs a bounded number of bytes."""

    CHUNK = b"x" * 65536

    @pytest.mark.row("2.3 Backpressure")
    async def test_send_waits(self, serve: Serve) -> None:
        """``await send()`` waits while more than the high-water mark waits to be read."""
        held = asyncio.Event()
        sent = 0
        sizes: list[int] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal sent
            stream = stream_of(send)
            await send(start())
            while stream._drained is None:
                await send(body(self.CHUNK, more=True))
                sent += 1
            waiting = asyncio.ensure_future(send(body(self.CHUNK, more=True)))
            for _ in range(10):
                await asyncio.sleep(0)
            assert not waiting.done()
            transport = stream._writer._transport  # type: ignore[attr-defined]  # HTTP/1.1's
            sizes.append(transport.get_write_buffer_size())
            held.set()
            await waiting
            await send(body(b""))

        config = Config(lifespan="off", write_buffer_size=100_000)
        server = Server(app, config, sockets=[listening(send_buffer=65536)])
        running = await serve(app, server=server)
        client = await running.connect(reads=False)
        await client.get()
        async with asyncio.timeout(DEADLINE):
            await held.wait()
        assert 100_000 < sizes[0] < 100_000 + 2 * 65536
        client.go_on_reading()
        assert len((await client.response()).body) == (sent + 1) * 65536

    async def test_released_by_disconnect(self, serve: Serve) -> None:
        """A send that waits when the client goes raises an ``OSError``."""
        errors: list[BaseException] = []
        held = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            try:
                while True:
                    if stream_of(send)._drained is not None:
                        held.set()
                    await send(body(self.CHUNK, more=True))
            except OSError as error:
                errors.append(error)
                raise

        running = await serve(app)
        client = await running.connect(reads=False)
        await client.get()
        async with asyncio.timeout(DEADLINE):
            await held.wait()
        client.abort()
        await until(lambda: errors)
        assert type(errors[0]) is ClientDisconnected
        assert str(errors[0]) == "Cannot send 'http.response.body': the client is gone."

    async def test_released_by_timeout(self, serve: Serve, logs: Logs) -> None:
        """So does one that waits when the time for the response is over."""
        errors: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            try:
                while True:
                    await send(body(self.CHUNK, more=True))
            except OSError as error:
                errors.append(str(error))
                raise

        running = await serve(app, http_timeout=0.3)
        client = await running.connect(reads=False)
        await client.get()
        await until(lambda: errors)
        assert errors == ["Cannot send 'http.response.body': the client is gone."]
        assert len(logs.take()) == 1


#: Events in places where they do not belong: those before them, and what is said.
NOT_STARTED = "the response has not started and takes 'http.response.start'."
STARTED = "the response has started and takes 'http.response.body'."
COMPLETE = "the response is complete."


class TestWrongState:
    """An event that does not belong where it is sent is refused by name."""

    @pytest.mark.row("2.3 Response", "2.2 handle_reply")
    @pytest.mark.parametrize(
        ("before", "event", "state"),
        [
            ([], body(), NOT_STARTED),
            ([], {"type": "websocket.accept"}, NOT_STARTED),
            ([], {"type": "http.disconnect"}, NOT_STARTED),
            ([start()], start(), STARTED),
            ([start()], {"type": "nonsense"}, STARTED),
            ([start(), body(b"a", more=True)], start(), STARTED),
            ([start(), body()], start(), COMPLETE),
            ([start(), body()], body(), COMPLETE),
            ([start(), body()], {"type": "nonsense"}, COMPLETE),
        ],
    )
    async def test_refused(
        self, before: list[Event], event: Event, state: str, serve: Serve
    ) -> None:
        """The message names the event, the state and what it takes; the response goes on."""
        errors: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            for earlier in before:
                await send(earlier)
            try:
                await send(event)
            except WrongState as error:
                errors.append(str(error))
            if not before:
                await send(start())
            if state is not COMPLETE:
                await send(body(b"end"))

        running = await serve(app)
        client = await running.connect()
        assert (await client.fetch()).status == 200
        await until(lambda: errors)
        assert errors == [f"Cannot send {event['type']!r}: {state}"]

    @pytest.mark.parametrize("status", [None, "200", 100, 199, 1000, 200.0, True])
    async def test_status(self, status: Any, serve: Serve, logs: Logs) -> None:
        """A status that is none is refused."""
        running = await serve(responds({"type": "http.response.start", "status": status}))
        client = await running.connect()
        assert (await client.fetch()).status == 500
        ((message, error),) = logs.take_exceptions()
        assert error is ValueError
        assert f"needs a status from 200 to 999, not {status!r}." in message


class TestFailure:
    """Applications that fail: the client gets an answer, the log the traceback, once."""

    @staticmethod
    def raising(error: BaseException, *events: Event) -> ASGIApplication:
        """An application that raises after some events."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            for event in events:
                await send(event)
            raise error

        return app

    @pytest.mark.row("2.3 Errors")
    @pytest.mark.parametrize("events", [[], [start()]], ids=["nothing sent", "started"])
    @pytest.mark.parametrize(
        "error", [ZeroDivisionError("oh"), SystemExit(3), asyncio.CancelledError(), OSError("disk")]
    )
    async def test_before_the_response(
        self, error: BaseException, events: list[Event], serve: Serve, logs: Logs
    ) -> None:
        """Before anything was written it is a 500 that tells nothing, and the server goes on."""
        running = await serve(self.raising(error, *events))
        for _ in range(2):
            client = await running.connect()
            response = await client.fetch("/a?b")
            assert (response.status, response.body) == (500, b"The application failed.\n")
            assert response["connection"] == "close"
            assert await client.rest() == b""
        message = f"ERROR Exception inside application for GET /a?b: {error!r}"
        assert logs.take_exceptions() == [(message, type(error))] * 2
        assert statuses(running.records) == [("complete", 500)] * 2

    async def test_head(self, serve: Serve, logs: Logs) -> None:
        """To HEAD the 500 has no body."""
        running = await serve(self.raising(ZeroDivisionError()))
        client = await running.connect()
        await client.send("HEAD / HTTP/1.1\nHost: a")
        response = await client.response("HEAD")
        assert (response.status, response["content-length"]) == (500, "24")
        assert await client.rest() == b""
        assert len(logs.take()) == 1

    @pytest.mark.row("2.2 application_checker")
    @pytest.mark.parametrize("version", ["1.1", "1.0"])
    async def test_in_the_response(self, version: str, serve: Serve, logs: Logs) -> None:
        """After that the connection is cut, so that nobody takes the part for the whole."""
        app = self.raising(ZeroDivisionError("oh"), start(), body(b"part", more=True))
        running = await serve(app)
        client = await running.connect()
        await client.send(f"GET / HTTP/{version}\nHost: a")
        assert await client.is_cut()
        assert logs.take_exceptions() == [
            (
                "ERROR Exception inside application for GET /: ZeroDivisionError('oh')",
                ZeroDivisionError,
            )
        ]
        assert statuses(running.records) == [("complete", 200)]

    async def test_after_the_response(self, serve: Serve, logs: Logs) -> None:
        """After a complete response the client is not concerned."""
        running = await serve(self.raising(ZeroDivisionError("oh"), start(), body(b"whole")))
        client = await running.connect()
        for _ in range(2):
            assert (await client.fetch()).body == b"whole"
        await until(lambda: len(logs.records) == 2)
        assert len(logs.take()) == 2
        assert statuses(running.records) == [("complete", 200)] * 2

    async def test_after_the_client(self, serve: Serve, logs: Logs) -> None:
        """After the client has gone an exception is logged all the same."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await receive()
            raise ZeroDivisionError("oh")

        running = await serve(app)
        client = await running.connect()
        await client.get()
        await until(lambda: running.context.tasks)
        client.abort()
        await until(lambda: logs.records)
        assert logs.take_exceptions() == [
            (
                "ERROR Exception inside application for GET /: ZeroDivisionError('oh')",
                ZeroDivisionError,
            )
        ]

    @pytest.mark.row("2.2 application_checker", "7 12")
    @pytest.mark.parametrize("events", [[], [start()]], ids=["nothing sent", "started"])
    async def test_returned(self, events: list[Event], serve: Serve, logs: Logs) -> None:
        """An application that returns without a response is answered for."""
        running = await serve(responds(*events))
        client = await running.connect()
        assert (await client.fetch("/a")).status == 500
        assert logs.take() == ["ERROR The application returned without a response to GET /a"]

    async def test_returned_in_the_response(self, serve: Serve, logs: Logs) -> None:
        """One that returns in the middle of it is cut off."""
        running = await serve(responds(start(), body(b"part", more=True)))
        client = await running.connect()
        await client.get()
        assert await client.is_cut()
        assert logs.take() == [
            "ERROR The application returned before the end of its response to GET /"
        ]

    @pytest.mark.row("2.2 handle_reply")
    @pytest.mark.parametrize(
        "headers",
        [
            [(b"a\r\nb", b"c")],
            [(b"a", b"b\nc")],
            [("a", "b")],
            [(b"content-length", b"three")],
            [(b"a",)],
        ],
    )
    @pytest.mark.parametrize("late", [False, True])
    async def test_headers(self, headers: Any, late: bool, serve: Serve, logs: Logs) -> None:
        """Headers that cannot be sent are a failure, with the body and without."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start(200, headers))
            if late:
                while (await receive())["type"] != "http.disconnect":
                    pass
                return
            await send(body(b"x"))

        running = await serve(app)
        client = await running.connect()
        assert (await client.fetch()).status == 500
        (message,) = logs.take()
        assert message.startswith(
            "ERROR Bad response headers for GET /: "
            if late
            else "ERROR Exception inside application for GET /: ValueError("
        )

    async def test_headers_then_body(self, serve: Serve, logs: Logs) -> None:
        """One that goes on after its headers were refused is told that it is over."""
        errors: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start(200, [(b"a", b"\n")]))
            while (await receive())["type"] != "http.disconnect":
                pass
            try:
                await send(body())
            except OSError as error:
                errors.append(str(error))
                raise

        running = await serve(app)
        client = await running.connect()
        assert (await client.fetch()).status == 500
        await until(lambda: errors)
        assert len(logs.take()) == 1

    @pytest.mark.parametrize(
        ("events", "status"),
        [
            ([body(b"long")], 500),
            ([body(b"a")], 500),
            ([body(b"long", more=True)], 500),
        ],
    )
    async def test_length(self, events: list[Event], status: int, serve: Serve, logs: Logs) -> None:
        """A body that is longer or shorter than its declared length is a failure."""
        running = await serve(responds(start(200, [(b"content-length", b"3")]), *events))
        client = await running.connect()
        assert (await client.fetch()).status == status
        (message,) = logs.take()
        assert "declares a Content-Length of 3 bytes" in message

    async def test_length_late(self, serve: Serve, logs: Logs) -> None:
        """Noticed later, it is cut off."""
        length = [(b"content-length", b"3")]
        running = await serve(responds(start(200, length), body(b"ab", more=True), body(b"")))
        client = await running.connect()
        await client.get()
        assert await client.is_cut()
        assert len(logs.take()) == 1

    async def test_body_type(self, serve: Serve, logs: Logs) -> None:
        """Text is no body."""
        running = await serve(responds(start(), {"type": "http.response.body", "body": "text"}))
        client = await running.connect()
        assert (await client.fetch()).status == 500
        assert logs.take_exceptions() == [
            (
                (
                    "ERROR Exception inside application for GET /: TypeError"
                    "('http.response.body needs a body that is bytes, not str.')"
                ),
                TypeError,
            )
        ]


class TestDisconnect:
    """Clients that go."""

    @pytest.mark.row("2.3 Disconnect")
    @pytest.mark.parametrize("end", ["close", "abort"])
    async def test_event(self, end: str, serve: Serve) -> None:
        """The application is told, after everything that the client has sent."""
        app = Listens()
        running = await serve(app)
        client = await running.connect()
        await client.send(POST + b"Content-Length: 9\r\n\r\nabc")
        await app.entered.acquire()
        getattr(client, end)()
        async with asyncio.timeout(DEADLINE):
            await app.left.acquire()

    @pytest.mark.row("2.2 handle_reply")
    @pytest.mark.parametrize("event", [start(), body(), {"type": "nonsense"}])
    async def test_send(self, event: Event, serve: Serve) -> None:
        """What is sent after that raises an ``OSError``, which is nothing to log."""
        errors: list[BaseException] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await receive()
            try:
                await send(event)
            except OSError as error:
                errors.append(error)
                raise

        running = await serve(app)
        client = await running.connect()
        await client.get()
        await until(lambda: running.context.tasks)
        client.abort()
        await until(lambda: errors)
        assert str(errors[0]) == f"Cannot send {event['type']!r}: the client is gone."

    async def test_own_error_is_logged(self, serve: Serve, logs: Logs) -> None:
        """An error of that kind that is not about this client is logged."""
        running = await serve(TestFailure.raising(ClientDisconnected("another one")))
        client = await running.connect()
        assert (await client.fetch()).status == 500
        ((_, error),) = logs.take_exceptions()
        assert error is ClientDisconnected

    @pytest.mark.row("2.2 application_checker")
    async def test_hanging_application(self, serve: Serve, logs: Logs) -> None:
        """An application that goes on too long after that is cancelled; the log says where."""
        app = Hangs()
        running = await serve(app, application_close_timeout=0.05)
        client = await running.connect()
        await client.get("/hangs")
        await until(lambda: running.context.tasks)
        client.abort()
        async with asyncio.timeout(DEADLINE):
            await app.cancelled.wait()
        (message,) = logs.take()
        assert message.startswith(
            "WARNING Application for GET /hangs went on for more than 0.05 s after its client had "
            "gone; it was cancelled. It was waiting here:\n"
        )
        assert "await asyncio.Event().wait()" in message

    async def test_ends_in_time(self, serve: Serve) -> None:
        """One that ends in time is left alone, and nothing waits for it any more."""
        app = Listens()
        running = await serve(app, application_close_timeout=DEADLINE)
        client = await running.connect()
        await client.get()
        await app.entered.acquire()
        client.abort()
        await app.left.acquire()
        await until(lambda: not running.context.tasks)
        slots = running.context.deadlines._slots
        assert [target for _, targets in slots.values() for target in targets] == []

    async def test_background_work(self, serve: Serve) -> None:
        """Work after a complete response goes on, although the client is gone."""
        done = asyncio.Event()
        go_on = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await path(scope, receive, send)
            await go_on.wait()
            done.set()

        running = await serve(app, application_close_timeout=0.05)
        client = await running.connect()
        await client.fetch()
        client.abort()
        await until(lambda: not running.connections)
        go_on.set()
        async with asyncio.timeout(DEADLINE):
            await done.wait()


class TestSyncCode:
    """Applications that run sync code."""

    async def test_hanging(self, serve: Serve, logs: Logs) -> None:
        """Sync code that hangs cannot be cancelled; the log shows where it is."""
        entered, leave = threading.Event(), threading.Event()

        def view() -> None:
            entered.set()
            leave.wait(DEADLINE)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await sync_to_async(view)()

        running = await serve(app, application_close_timeout=0.05)
        client = await running.connect()
        await client.get()
        await until(entered.is_set)
        client.abort()
        await until(lambda: logs.records)
        leave.set()
        (message,) = logs.take()
        assert "Its sync code, which cannot be cancelled, was here:\n" in message
        assert f'File "{__file__}", line {view.__code__.co_firstlineno + 2}, in view' in message
