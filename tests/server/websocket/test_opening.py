"""Accepting and denying a WebSocket: what the client gets, and what the application is told."""

import asyncio
import base64
import contextlib
import re
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import connect

from fairway._types import ASGIApplication, Event, Receive, Scope, Send
from fairway.server.websocket.opening import MAX_EARLY_DATA
from fairway.wire.handshake import accept_value
from tests.server.applications import Hangs
from tests.server.conftest import Serve
from tests.server.running import ACCEPT, DEADLINE, Logs, WebSocketClient, statuses, until
from tests.wire.client import close, text


def accepting(**event: Any) -> ASGIApplication:
    """Accepts, and waits for the end."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert await receive() == {"type": "websocket.connect"}
        await send({"type": "websocket.accept", **event})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    return app


def answering(*events: Event) -> ASGIApplication:
    """Sends these events to whoever connects, and waits for the end."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for event in events:
            await send(event)
        assert (await receive())["type"] == "websocket.disconnect"

    return app


def deny(status: Any = 401, *headers: tuple[bytes, bytes]) -> Event:
    """The event that starts a denial response."""
    return {"type": "websocket.http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes = b"", *, more: bool = False) -> Event:
    """A part of its body."""
    return {"type": "websocket.http.response.body", "body": data, "more_body": more}


def fields(head: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """The first line of a response and its header fields, which are there once each."""
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    pairs = [line.split(b": ", 1) for line in lines]
    found = {name.lower(): value for name, value in pairs}
    assert len(found) == len(pairs)
    return first, found


async def refused(client: WebSocketClient, *headers: str, method: str = "GET") -> Any:
    """Ask for the upgrade, and read the response that denies it."""
    head = await client.open("/ws/?a", *headers, method=method)
    reader = asyncio.StreamReader()
    reader.feed_data(head + await client.rest())
    reader.feed_eof()
    client.reader = reader
    return await client.response()


class TestAccept:
    """The 101 response (RFC 6455 §4.2.2)."""

    @pytest.mark.row("2.4 Upgrade")
    async def test_response(self, serve: Serve) -> None:
        """It has what the standard asks for, and what every response has."""
        running = await serve(accepting())
        client = await running.websocket()
        first, found = fields(await client.open("/ws/?a"))
        assert first == b"HTTP/1.1 101 Switching Protocols"
        date = found.pop(b"date")
        assert date.endswith(b" GMT")
        assert found == {
            b"upgrade": b"websocket",
            b"connection": b"Upgrade",
            b"sec-websocket-accept": ACCEPT,
            b"server": b"fairway",
        }
        assert statuses(running.records) == [("connecting", 0), ("connected", 101)]
        assert {record.path for record in running.records} == {"/ws/?a"}
        await client.send(close(1000))

    async def test_next_ones(self, serve: Serve) -> None:
        """Later ones get the same, each with its own proof that the key was read."""
        running = await serve(accepting())
        for number, offer in enumerate(["", "permessage-deflate", "", "permessage-deflate"]):
            key = base64.b64encode(bytes([number]) * 16)
            client = await running.websocket()
            await client.send(
                b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n"
                b"Sec-WebSocket-Extensions: %b\r\n\r\n" % (key, offer.encode())
            )
            first, found = fields(await client.head())
            assert first == b"HTTP/1.1 101 Switching Protocols"
            assert set(found) - {b"date", b"sec-websocket-extensions"} == {
                b"upgrade", b"connection", b"sec-websocket-accept", b"server",
            }  # fmt: skip
            assert found[b"sec-websocket-accept"] == accept_value(key)
            assert (b"sec-websocket-extensions" in found) == bool(offer)
            await client.send(close(1000))

    @pytest.mark.row("2.4 Compression")
    async def test_compression(self, serve: Serve) -> None:
        """What browsers offer is accepted, so that one frame can serve many (RFC 7692 §7.1.1)."""
        running = await serve(accepting())
        client = await running.websocket()
        offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
        first, found = fields(await client.open("/", offer))
        assert first == b"HTTP/1.1 101 Switching Protocols"
        assert found[b"sec-websocket-extensions"] == (
            b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        )
        await client.send(close(1000))

    @pytest.mark.parametrize(
        "offer",
        [
            "x-webkit-deflate-frame",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; client_no_context_takeover=1",
            "permessage-bzip2, permessage-deflate; unheard_of",
        ],
    )
    async def test_extensions(self, offer: str, serve: Serve) -> None:
        """An extension that cannot be accepted is declined by silence (§9.1)."""
        running = await serve(accepting())
        client = await running.websocket()
        first, found = fields(await client.open("/", f"Sec-WebSocket-Extensions: {offer}"))
        assert first == b"HTTP/1.1 101 Switching Protocols"
        assert b"sec-websocket-extensions" not in found
        await client.send(close(1000))

    async def test_compression_switched_off(self, serve: Serve) -> None:
        """Without ``websocket_compression`` it is declined."""
        running = await serve(accepting(), websocket_compression=False)
        client = await running.websocket()
        offer = "Sec-WebSocket-Extensions: permessage-deflate"
        first, found = fields(await client.open("/", offer))
        assert first == b"HTTP/1.1 101 Switching Protocols"
        assert b"sec-websocket-extensions" not in found
        await client.send(close(1000))

    async def test_every_option_of_compression(self, serve: Serve) -> None:
        """What is agreed on follows the configuration."""
        running = await serve(
            accepting(),
            websocket_server_window_bits=11,
            websocket_client_window_bits=12,
            websocket_server_takeover=True,
            websocket_client_takeover=True,
        )
        client = await running.websocket()
        offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
        _, found = fields(await client.open("/", offer))
        assert found[b"sec-websocket-extensions"] == (
            b"permessage-deflate; server_max_window_bits=11; client_max_window_bits=12"
        )
        await client.send(close(1000))

    @pytest.mark.row("2.4 accept.headers")
    async def test_headers(self, serve: Serve) -> None:
        """Headers of the application are sent, such as cookies."""
        cookies = [(b"Set-Cookie", b"a=b"), (b"X-Mine", b"c")]
        running = await serve(accepting(headers=cookies))
        client = await running.websocket()
        _, found = fields(await client.open())
        assert (found[b"set-cookie"], found[b"x-mine"]) == (b"a=b", b"c")
        await client.send(close(1000))

    @pytest.mark.row("2.4 Subprotocol")
    @pytest.mark.parametrize("subprotocol", ["one", "two"])
    async def test_subprotocol(self, subprotocol: str, serve: Serve) -> None:
        """The application chooses one of those that the client offers."""
        running = await serve(accepting(subprotocol=subprotocol))
        offered = [websockets.Subprotocol(name) for name in ("one", "two")]
        url = running.url.replace("http", "ws")
        async with connect(url, subprotocols=offered, open_timeout=DEADLINE) as client:
            assert client.subprotocol == subprotocol

    async def test_subprotocol_that_is_not_offered(self, serve: Serve, logs: Logs) -> None:
        """Another one would make the client fail: the application is told instead."""
        running = await serve(accepting(subprotocol="three"))
        client = await running.websocket()
        response = await refused(client, "Sec-WebSocket-Protocol: one, two")
        assert response.status == 500
        ((message, error),) = logs.take_exceptions()
        assert error is ValueError
        assert "does not offer the subprotocol 'three'; it offers: one, two." in message

    @pytest.mark.parametrize(
        ("header", "message"),
        [
            (
                (b"Sec-WebSocket-Protocol", b"one"),
                "cannot set the header b'Sec-WebSocket-Protocol'. Give the subprotocol as",
            ),
            (
                (b"sec-websocket-extensions", b"x"),
                "websocket.accept cannot set the header b'sec-websocket-extensions'.",
            ),
            ((b"upgrade", b"x"), "websocket.accept cannot set the header b'upgrade'."),
            ((b"connection", b"x"), "websocket.accept cannot set the header b'connection'."),
            ((b"sec-websocket-accept", b"x"), "cannot set the header b'sec-websocket-accept'."),
            ((b"a\n", b"b"), "The header name b'a\\\\n' is not a token"),
            ((b"a", b"b\r\nc: d"), "The value of the header 'a' holds a CR, LF or NUL."),
            (("a", "b"), "Header name 'a' expected to be `bytes`, but got `<class 'str'>`"),
        ],
    )
    async def test_bad_header(self, header: Any, message: str, serve: Serve, logs: Logs) -> None:
        """Headers that cannot be sent are refused, and the client gets a 500."""
        running = await serve(accepting(headers=[header]))
        assert (await refused(await running.websocket())).status == 500
        ((logged, error),) = logs.take_exceptions()
        assert error is ValueError
        assert message in logged

    async def test_second_try(self, serve: Serve) -> None:
        """An application that catches the error may try again."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            with contextlib.suppress(ValueError):
                await send({"type": "websocket.accept", "subprotocol": "three"})
            await send({"type": "websocket.accept"})
            await receive()

        running = await serve(app)
        client = await running.websocket()
        assert b" 101 " in await client.open()
        await client.send(close(1000))

    async def test_early_messages(self, serve: Serve) -> None:
        """What a client sends before it was accepted is not lost."""
        connected, go_on = asyncio.Event(), asyncio.Event()
        got: list[Event] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            connected.set()
            await go_on.wait()
            await send({"type": "websocket.accept"})
            while (event := await receive())["type"] == "websocket.receive":
                got.append(event)

        running = await serve(app)
        client = await running.websocket()
        opening = asyncio.ensure_future(client.open(behind=text("one")))
        await connected.wait()
        await client.send(text("two"))
        (stream,) = running.websockets
        await until(lambda: stream._opening is not None and len(stream._opening.early) == 18)
        go_on.set()
        assert b" 101 " in await opening
        await client.send(text("three") + close(1000))
        await until(lambda: len(got) == 3)
        assert [event["text"] for event in got] == ["one", "two", "three"]

    async def test_too_many_early_messages(self, serve: Serve) -> None:
        """A client that does not wait is not read beyond a buffer, and loses nothing."""
        connected, go_on = asyncio.Event(), asyncio.Event()
        got: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            connected.set()
            await go_on.wait()
            await send({"type": "websocket.accept"})
            while (event := await receive())["type"] == "websocket.receive":
                got.append(event["text"])

        running = await serve(app)
        client = await running.websocket()
        opening = asyncio.ensure_future(client.open())
        await connected.wait()
        flood = asyncio.ensure_future(client.send(text("x" * 2000) * 5000))
        (stream,) = running.websockets
        opened = stream._opening
        assert opened is not None
        await until(lambda: len(opened.early) > MAX_EARLY_DATA)
        assert not flood.done()
        assert len(opened.early) < MAX_EARLY_DATA + 1_000_000
        go_on.set()
        await opening
        await flood
        await client.send(close(1000))
        await until(lambda: len(got) == 5000)
        assert set(got) == {"x" * 2000}


class TestRefusals:
    """Requests that are no valid opening handshake are answered without the application."""

    @pytest.mark.parametrize(
        ("lines", "status"),
        [
            (["Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"], 400),
            (["Sec-WebSocket-Version: 13"], 400),
            (["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 8"], 426),
        ],
    )
    async def test_bad_request(self, lines: list[str], status: int, serve: Serve) -> None:
        """The status is the standard's, and 426 says which version would do."""
        running = await serve(accepting())
        client = await running.connect()
        await client.get("/ws/", "Upgrade: websocket", "Connection: upgrade", *lines)
        response = await client.response()
        assert response.status == status
        assert response["server"] == "fairway"
        if status == 426:
            assert response["sec-websocket-version"] == "13"
        assert await client.rest() == b""
        assert statuses(running.records) == [("rejected", status)]

    async def test_method(self, serve: Serve) -> None:
        """Only GET opens a WebSocket."""
        running = await serve(accepting())
        client = await running.connect()
        await client.send("OPTIONS / HTTP/1.1\nHost: a\nUpgrade: websocket\nConnection: upgrade")
        response = await client.response("OPTIONS")
        assert (response.status, response["allow"]) == (405, "GET")

    @pytest.mark.row("2.4 Upgrade")
    async def test_not_an_upgrade(self, serve: Serve) -> None:
        """What does not ask for the upgrade, or not in HTTP/1.1, is an ordinary request."""
        kinds = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            kinds.append(scope["type"])
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})

        running = await serve(app)
        client = await running.connect()
        await client.fetch("/", "Upgrade: h2c", "Connection: upgrade")
        await client.fetch("/", "Upgrade: websocket")
        await client.send("GET / HTTP/1.0\nUpgrade: websocket\nConnection: upgrade")
        await client.response()
        assert kinds == ["http", "http", "http"]


class TestDenial:
    """The application says no."""

    @pytest.mark.row("2.4 Reject")
    async def test_close(self, serve: Serve) -> None:
        """``websocket.close`` before the acceptance is a 403, whatever code it names."""
        running = await serve(answering({"type": "websocket.close", "code": 4000}))
        response = await refused(await running.websocket())
        assert (response.status, response.body) == (403, b"Access denied.\n")
        assert response["connection"] == "close"
        assert statuses(running.records) == [("connecting", 0), ("rejected", 403)]

    @pytest.mark.row("2.4 Reject", "2.3 Extensions")
    async def test_response(self, serve: Serve) -> None:
        """Or a response of its own, in as many parts as it likes."""
        running = await serve(
            answering(
                deny(401, (b"WWW-Authenticate", b"Basic"), (b"Content-Type", b"text/plain")),
                body(b"who ", more=True),
                body(b"are you?"),
            )
        )
        response = await refused(await running.websocket())
        assert (response.status, response.body) == (401, b"who are you?")
        assert response["www-authenticate"] == "Basic"
        assert response["connection"] == "close"
        assert statuses(running.records) == [("connecting", 0), ("rejected", 401)]

    async def test_seen_by_websockets(self, serve: Serve) -> None:
        """A client of the real world can read it."""
        running = await serve(answering(deny(418), body(b"teapot")))
        with pytest.raises(websockets.InvalidStatus) as caught:
            async with connect(running.url.replace("http", "ws"), open_timeout=DEADLINE):
                pass
        assert caught.value.response.status_code == 418
        assert caught.value.response.body == b"teapot"

    async def test_empty_body(self, serve: Serve) -> None:
        """A body may be left empty."""
        running = await serve(answering(deny(404), {"type": "websocket.http.response.body"}))
        response = await refused(await running.websocket())
        assert (response.status, response.body) == (404, b"")

    async def test_then_disconnect(self, serve: Serve) -> None:
        """The application is then told that it is over."""
        events: list[Event] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.close"})
            events.append(await receive())

        running = await serve(app)
        await refused(await running.websocket())
        await until(lambda: events)
        assert events == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]

    @pytest.mark.parametrize("status", [None, "401", 101, 1000])
    async def test_bad_status(self, status: Any, serve: Serve, logs: Logs) -> None:
        """A status that is none is refused; the client gets a 500."""
        running = await serve(answering(deny(status)))
        assert (await refused(await running.websocket())).status == 500
        ((message, error),) = logs.take_exceptions()
        assert error is ValueError
        assert f"needs a status from 200 to 999, not {status!r}." in message

    async def test_bad_header(self, serve: Serve, logs: Logs) -> None:
        """So is a header that cannot be sent."""
        running = await serve(answering(deny(401, (b"a", b"\n"))))
        assert (await refused(await running.websocket())).status == 500
        assert len(logs.take()) == 1

    async def test_wrong_length(self, serve: Serve, logs: Logs) -> None:
        """A body of another length than declared ends in a connection that is cut off."""
        running = await serve(answering(deny(401, (b"content-length", b"5")), body(b"abc")))
        client = await running.websocket()
        assert b" 401 " in await client.open()
        assert await client.rest() == b""
        ((message, _),) = logs.take_exceptions()
        assert "declares a Content-Length of 5 bytes" in message
        assert statuses(running.records) == [("connecting", 0), ("rejected", 0)]

    async def test_lost_meanwhile(self, serve: Serve) -> None:
        """A client that goes in the middle of it is noticed."""
        events: list[Event] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send(deny())
            await send(body(b"part", more=True))
            events.append(await receive())

        running = await serve(app)
        client = await running.websocket()
        assert b" 401 " in await client.open()
        client.abort()
        await until(lambda: events)
        assert events == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]
        await until(lambda: statuses(running.records)[-1] == ("rejected", 0))


class TestConnectTimeout:
    """``websocket_connect_timeout``: how long the application may take to decide."""

    @pytest.mark.row("2.4 Handshake timeout")
    async def test_undecided(self, serve: Serve, logs: Logs) -> None:
        """Without a decision in time the client gets 503 and the application its disconnect."""
        events: list[Event] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            events.append(await receive())
            events.append(await receive())

        running = await serve(app, websocket_connect_timeout=0.05)
        response = await refused(await running.websocket())
        assert response.status == 503
        assert response.body == b"Application failed to respond within time limit.\n"
        await until(lambda: len(events) == 2)
        assert events[1] == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        (message,) = logs.take()
        assert re.fullmatch(
            r"WARNING The limit websocket_connect_timeout \(0\.05\) refused 127\.0\.0\.1:\d+: "
            r"503, as the application neither accepted nor refused /ws/\?a",
            message,
        )
        assert running.context.counters.refused == {"websocket_connect_timeout": 1}
        assert statuses(running.records) == [("connecting", 0), ("rejected", 503)]

    async def test_late_decision(self, serve: Serve, logs: Logs) -> None:
        """A decision that comes too late raises an ``OSError``."""
        errors: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await receive()
            try:
                await send({"type": "websocket.accept"})
            except OSError as error:
                errors.append(str(error))
                raise

        running = await serve(app, websocket_connect_timeout=0.05)
        assert (await refused(await running.websocket())).status == 503
        await until(lambda: errors)
        assert errors == ["Cannot send 'websocket.accept': the WebSocket is closed."]
        assert len(logs.take()) == 1

    async def test_denial_that_does_not_end(self, serve: Serve, logs: Logs) -> None:
        """A denial response has to be complete by then, too."""
        done = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send(deny())
            await receive()
            done.set()

        running = await serve(app, websocket_connect_timeout=0.3)
        client = await running.websocket()
        assert b" 401 " in await client.open()
        assert await client.rest() == b""
        async with asyncio.timeout(DEADLINE):
            await done.wait()
        assert logs.take() == [
            (
                f"WARNING The limit websocket_connect_timeout (0.3) refused {client.address}: "
                "the connection is cut, as the application neither accepted nor refused /"
            )
        ]

    @pytest.mark.row("7 17")
    @pytest.mark.parametrize("seconds", [0, -1])
    async def test_off(self, seconds: float, serve: Serve) -> None:
        """Without a limit the application may take its time; Daphne refuses everybody for -1."""
        connected, go_on = asyncio.Event(), asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            connected.set()
            await go_on.wait()
            await send({"type": "websocket.accept"})
            await receive()

        running = await serve(app, websocket_connect_timeout=seconds)
        client = await running.websocket()
        opening = asyncio.ensure_future(client.open())
        await connected.wait()
        (stream,) = running.websockets
        assert stream._clock.slot == 0
        go_on.set()
        assert b" 101 " in await opening
        await client.send(close(1000))

    async def test_hanging_application(self, serve: Serve, logs: Logs) -> None:
        """An application that hangs in its decision is cancelled after its own timeout."""
        app = Hangs()
        running = await serve(app, websocket_connect_timeout=0.05, application_close_timeout=0.05)
        assert (await refused(await running.websocket())).status == 503
        async with asyncio.timeout(DEADLINE):
            await app.cancelled.wait()
        _, message = logs.take()
        assert message.startswith(
            "WARNING Application for WebSocket /ws/?a went on for more than 0.05 s after its "
            "client had gone; it was cancelled. It was waiting here:\n"
        )


async def test_lost_before_the_decision(serve: Serve) -> None:
    """A client that goes before the decision is noticed, and was not let in."""
    events: list[Event] = []
    connected = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        connected.set()
        events.append(await receive())

    running = await serve(app)
    client = await running.websocket()
    opening = asyncio.ensure_future(client.open())
    await connected.wait()
    client.abort()
    await until(lambda: events)
    assert events == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]
    assert statuses(running.records) == [("connecting", 0), ("rejected", 0)]
    await asyncio.wait([opening])
    assert isinstance(opening.exception(), (OSError, EOFError))
