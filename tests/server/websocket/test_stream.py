"""One open WebSocket: messages, closing from either side, mistakes of either side, slow peers."""

import asyncio
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import connect

from fairway._types import ASGIApplication, Event, Receive, Scope, Send
from fairway.exceptions import ClientDisconnected, WrongState
from fairway.server import Config, Server
from fairway.server.websocket import stream
from tests.server.conftest import Serve
from tests.server.running import (
    DEADLINE,
    Logs,
    Running,
    WebSocketClient,
    listening,
    statuses,
    until,
)
from tests.wire.client import (
    BINARY,
    PING,
    PONG,
    TEXT,
    binary,
    close,
    continuation,
    frame,
    text,
    unmasked,
)

ACCEPT: Event = {"type": "websocket.accept"}


def send_text(data: str) -> Event:
    """The event that sends a text message."""
    return {"type": "websocket.send", "text": data}


def send_close(**values: Any) -> Event:
    """The event that closes."""
    return {"type": "websocket.close", **values}


class Recorder:
    """Accepts, sends what it was told to, and notes every event up to the disconnect.

    Attributes:
        events: What it received after the connect.
    """

    def __init__(self, *sends: Event) -> None:
        self.events: list[Event] = []
        self._sends = sends

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket."""
        assert await receive() == {"type": "websocket.connect"}
        await send(ACCEPT)
        for event in self._sends:
            await send(event)
        while not self.ended:
            self.events.append(await receive())

    @property
    def ended(self) -> bool:
        """Whether it was told of the end."""
        return bool(self.events) and self.events[-1]["type"] == "websocket.disconnect"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends back what it gets."""
    await receive()
    await send(ACCEPT)
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


async def opened(running: Running, *, reads: bool = True) -> WebSocketClient:
    """A client whose WebSocket is open; not reading begins after that."""
    client = await running.websocket(reads=reads)
    if not reads:
        client.go_on_reading()
    assert b" 101 " in await client.open("/ws/")
    if not reads:
        client.stop_reading()
    return client


class TestMessages:
    """Text and bytes, both ways."""

    async def test_events(self, serve: Serve) -> None:
        """Each message is one event, however it was fragmented."""
        app = Recorder()
        running = await serve(app)
        client = await opened(running)
        await client.send(text("é") + binary(b"\x00\xff") + text("") + binary(b""))
        await client.send(text("a", fin=False) + frame(PING, b"x") + continuation(b"b"))
        assert await client.frame() == (PONG, b"x")
        await client.send(close(1000))
        await until(lambda: app.ended)
        assert app.events[:-1] == [
            {"type": "websocket.receive", "text": "é"},
            {"type": "websocket.receive", "bytes": b"\x00\xff"},
            {"type": "websocket.receive", "text": ""},
            {"type": "websocket.receive", "bytes": b""},
            {"type": "websocket.receive", "text": "ab"},
        ]

    @pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 300_000])
    async def test_echo(self, size: int, serve: Serve) -> None:
        """Messages of all sizes come back as they were sent."""
        running = await serve(echo)
        async with connect(running.url.replace("http", "ws"), open_timeout=DEADLINE) as client:
            for message in ("x" * size, b"\x01" * size):
                await client.send(message)
                assert await client.recv() == message

    async def test_byte_by_byte(self, serve: Serve) -> None:
        """How frames are cut makes no difference."""
        running = await serve(echo)
        client = await opened(running)
        for octet in text("hello") + binary(b"world"):
            await client.send(bytes([octet]))
        assert await client.frame() == (TEXT, b"hello")
        assert await client.frame() == (BINARY, b"world")
        await client.send(close(1000))

    @pytest.mark.row("2.4 Send", "7 6")
    @pytest.mark.parametrize(
        ("event", "message"),
        [
            ({"text": "a", "bytes": None}, (TEXT, b"a")),
            ({"text": None, "bytes": b"a"}, (BINARY, b"a")),
            ({"text": ""}, (TEXT, b"")),
            ({"bytes": b""}, (BINARY, b"")),
            ({"bytes": bytearray(b"a")}, (BINARY, b"a")),
            ({"bytes": memoryview(b"a")}, (BINARY, b"a")),
        ],
    )
    async def test_send(self, event: Event, message: tuple[int, bytes], serve: Serve) -> None:
        """Text goes out as text, anything like bytes as binary, also when empty."""
        running = await serve(Recorder({"type": "websocket.send", **event}))
        client = await opened(running)
        assert await client.frame() == message
        await client.send(close(1000))

    @pytest.mark.row("2.4 Send")
    @pytest.mark.parametrize(
        ("event", "error"),
        [
            ({}, ValueError),
            ({"text": "a", "bytes": b"a"}, ValueError),
            ({"text": b"a"}, TypeError),
            ({"bytes": "a"}, TypeError),
            ({"text": "\ud800"}, UnicodeEncodeError),
        ],
    )
    async def test_bad_send(
        self, event: Event, error: type[Exception], serve: Serve, logs: Logs
    ) -> None:
        """What is no message is refused where it is sent."""
        running = await serve(Recorder({"type": "websocket.send", **event}))
        client = await opened(running)
        assert await client.goodbye() == (1011, "")
        await client.send(close(1011))
        ((_, raised),) = logs.take_exceptions()
        assert raised is error

    async def test_order(self, serve: Serve) -> None:
        """Messages keep their order, whether they take the short way or have to wait."""

        async def app(scope: Scope, receive: Receive, send: Any) -> None:
            await receive()
            await send(ACCEPT)
            for number in range(2000):
                await send(send_text(f"{number} " + "x" * 2000))
            await send(send_close())
            await receive()

        running = await serve(app, write_buffer_size=10_000)
        client = await opened(running)
        for number in range(2000):
            assert (await client.text()).startswith(f"{number} ")
        assert await client.goodbye() == (1000, "")
        await client.send(close(1000))


class TestClosedByClient:
    """The client says goodbye, or just goes."""

    @pytest.mark.parametrize(
        ("said", "code", "reason", "answer"),
        [
            (close(1000, "bye"), 1000, "bye", (1000, "")),
            (close(1001), 1001, "", (1001, "")),
            (close(4999, "é" * 61), 4999, "é" * 61, (4999, "")),
            (close(), 1005, "", (1005, "")),
        ],
    )
    async def test_code_and_reason(
        self, said: bytes, code: int, reason: str, answer: tuple[int, str], serve: Serve
    ) -> None:
        """The application gets both, the client its code back and then the end."""
        app = Recorder()
        running = await serve(app)
        client = await opened(running)
        await client.send(said)
        assert await client.goodbye() == answer
        assert await client.rest() == b""
        await until(lambda: app.ended)
        assert app.events == [{"type": "websocket.disconnect", "code": code, "reason": reason}]
        assert statuses(running.records) == [
            ("connecting", 0),
            ("connected", 101),
            ("disconnected", code),
        ]

    @pytest.mark.row("2.4 Close")
    @pytest.mark.parametrize("way", ["close", "abort", "half_close"])
    async def test_gone(self, way: str, serve: Serve) -> None:
        """Without a goodbye it is 1006 (RFC 6455 §7.1.5)."""
        app = Recorder()
        running = await serve(app)
        client = await opened(running)
        await client.send(text("last words"))
        await until(lambda: app.events)
        getattr(client, way)()
        await until(lambda: app.ended)
        assert app.events == [
            {"type": "websocket.receive", "text": "last words"},
            {"type": "websocket.disconnect", "code": 1006, "reason": ""},
        ]
        await until(lambda: statuses(running.records)[-1] == ("disconnected", 1006))

    async def test_messages_before(self, serve: Serve) -> None:
        """Everything that it said before comes first; nothing that it says after counts."""
        app = Recorder()
        running = await serve(app)
        client = await opened(running)
        await client.send(text("one") + close(1000) + text("two"))
        assert await client.goodbye() == (1000, "")
        await until(lambda: app.ended)
        assert [event["type"] for event in app.events] == [
            "websocket.receive",
            "websocket.disconnect",
        ]

    async def test_again_and_again(self, serve: Serve) -> None:
        """An application that goes on asking is told again."""
        events: list[Event] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send(ACCEPT)
            events.extend([await receive() for _ in range(3)])

        running = await serve(app)
        client = await opened(running)
        await client.send(close(1000))
        await until(lambda: len(events) == 3)
        assert events == [{"type": "websocket.disconnect", "code": 1000, "reason": ""}] * 3

    @pytest.mark.parametrize("way", ["close", "abort"])
    @pytest.mark.parametrize("event", [send_text("x"), send_close(), ACCEPT])
    async def test_send_after(self, event: Event, way: str, serve: Serve) -> None:
        """What is sent after that raises an ``OSError``, which is nothing to log."""
        errors: list[BaseException] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send(ACCEPT)
            await receive()
            try:
                await send(event)
            except OSError as error:
                errors.append(error)
                raise

        running = await serve(app)
        client = await opened(running)
        if way == "close":
            await client.send(close(1000))
        else:
            client.abort()
        await until(lambda: errors)
        assert type(errors[0]) is ClientDisconnected
        assert str(errors[0]) == f"Cannot send {event['type']!r}: the WebSocket is closed."

    async def test_does_not_hang_up(self, serve: Serve) -> None:
        """A client that stays connected after its goodbye is not waited for."""
        app = Recorder()
        running = await serve(app)
        client = await opened(running)
        await client.send(close(1000))
        await until(lambda: not running.websockets)
        assert app.events[-1]["code"] == 1000

    async def test_staying_while_the_server_ends(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A client that has had our last words and stays does not hold the server up."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] == "/closed":
                await send({"type": "websocket.close"})
            else:
                await Recorder()(scope, receive, send)

        monkeypatch.setattr(stream, "LAST_LINGER", 0.05)
        long = 10 * DEADLINE
        running = await serve(app, websocket_close_timeout=long, graceful_timeout=long)
        broken = await opened(running)
        await broken.send(unmasked(TEXT, b"not masked"))
        assert (await broken.goodbye())[0] == 1002
        denied, stranger = [await running.websocket() for _ in range(2)]
        assert b" 403 " in await denied.open("/closed")
        assert b" 400 " in await stranger.open("/", "Sec-WebSocket-Version: none")
        running.stop()
        await running.ended()

    async def test_goodbye_that_is_not_read(self, serve: Serve) -> None:
        """One that says goodbye and does not read what it gets is given up."""
        app = Recorder(send_text("x" * 8_000_000))
        running = await serve(app, websocket_close_timeout=0.05)
        client = await opened(running, reads=False)
        await client.send(close(1000))
        await until(lambda: not running.websockets)
        assert app.events[-1]["code"] == 1000


class TestMistakesOfClient:
    """A client that breaks the rules gets the code for that, and so does the application."""

    @pytest.mark.row("2.4 Receive limits", "7 7")
    @pytest.mark.parametrize(
        ("said", "code", "reason"),
        [
            (unmasked(TEXT, b"x"), 1002, None),
            (frame(0x3, b"x"), 1002, None),
            (frame(TEXT, b"x", reserved=4), 1002, None),
            (continuation(b"x"), 1002, None),
            (frame(PING, b"x", fin=False), 1002, None),
            (text(b"\xff"), 1007, "A text message is not valid UTF-8."),
            (close(1005), 1002, "A Close frame carries the code 1005."),
            (binary(b"x" * 1001), 1009, "A frame exceeds 1000 bytes."),
            (
                text("x" * 900, fin=False) + continuation(b"x" * 900),
                1009,
                "A message exceeds 1500 bytes.",
            ),
        ],
    )
    async def test_code(
        self, said: bytes, code: int, reason: str | None, serve: Serve, logs: Logs
    ) -> None:
        """1002, 1007 or 1009, with a reason, after what was in order; a limit is logged."""
        app = Recorder()
        running = await serve(app, websocket_max_frame_size=1000, websocket_max_message_size=1500)
        client = await opened(running)
        await client.send(text("good") + said + text("never seen"))
        got = await client.goodbye()
        assert got[0] == code
        assert got[1]
        if reason is not None:
            assert got[1] == reason
        assert await client.rest() == b""
        assert running.websockets, "it lingers, as the client may still be sending"
        await until(lambda: app.ended)
        assert app.events == [
            {"type": "websocket.receive", "text": "good"},
            {"type": "websocket.disconnect", "code": code, "reason": got[1]},
        ]
        assert statuses(running.records)[-1] == ("disconnected", code)
        limit = "frame_size (1000)" if "frame" in got[1] else "message_size (1500)"
        line = f"WARNING The limit websocket_max_{limit} refused {client.address}: close 1009"
        assert logs.take() == ([line] if code == 1009 else [])

    async def test_announced(self, serve: Serve, logs: Logs) -> None:
        """A message that is too large is refused when it is announced, not when it is there."""
        running = await serve(Recorder(), websocket_max_frame_size=1000)
        client = await opened(running)
        await client.send(binary(b"x" * 1001)[:4])
        assert (await client.goodbye())[0] == 1009
        assert running.context.counters.refused == {"websocket_max_frame_size": 1}
        assert len(logs.take()) == 1

    async def test_no_limit(self, serve: Serve) -> None:
        """A limit of 0 is none."""
        app = Recorder()
        running = await serve(app, websocket_max_frame_size=0, websocket_max_message_size=0)
        client = await opened(running)
        await client.send(binary(b"x" * 1_500_000))
        await client.send(close(1000))
        await until(lambda: app.ended)
        assert len(app.events[0]["bytes"]) == 1_500_000

    @pytest.mark.row("2.4 Send", "7 8")
    async def test_outgoing_is_not_meant(self, serve: Serve) -> None:
        """The limits are the client's: the application may send more."""
        running = await serve(
            Recorder(send_text("x" * 2000)),
            websocket_max_frame_size=1000,
            websocket_max_message_size=1000,
        )
        client = await opened(running)
        assert await client.text() == "x" * 2000
        await client.send(close(1000))


class TestClosedByApplication:
    """The application says goodbye."""

    @pytest.mark.row("2.4 Close")
    @pytest.mark.parametrize(
        ("event", "expected"),
        [
            (send_close(), (1000, "")),
            (send_close(code=None, reason=None), (1000, "")),
            (send_close(code=1001), (1001, "")),
            (send_close(code=4001, reason="enough"), (4001, "enough")),
            (send_close(reason="é" * 100), (1000, "é" * 61)),
        ],
    )
    async def test_code_and_reason(
        self, event: Event, expected: tuple[int, str], serve: Serve
    ) -> None:
        """The client gets both; its answer ends the connection and is the application's event."""
        app = Recorder(event)
        running = await serve(app)
        client = await opened(running)
        assert await client.goodbye() == expected
        await client.send(close(expected[0], "agreed"))
        assert await client.rest() == b""
        await until(lambda: app.ended)
        assert app.events == [
            {"type": "websocket.disconnect", "code": expected[0], "reason": "agreed"}
        ]
        assert statuses(running.records)[-1] == ("disconnected", expected[0])

    async def test_with_websockets(self, serve: Serve) -> None:
        """A client of the real world understands it."""
        running = await serve(Recorder(send_close(code=4001, reason="enough")))
        async with connect(running.url.replace("http", "ws"), open_timeout=DEADLINE) as client:
            with pytest.raises(websockets.ConnectionClosedError) as caught:
                await client.recv()
        assert caught.value.rcvd == websockets.frames.Close(4001, "enough")
        assert caught.value.rcvd_then_sent

    @pytest.mark.parametrize("code", [0, 999, 1005, 1006, 1015, 2000, 5000])
    async def test_bad_code(self, code: int, serve: Serve, logs: Logs) -> None:
        """A code that may not be sent is refused; the socket closes with 1011."""
        running = await serve(Recorder(send_close(code=code)))
        client = await opened(running)
        assert await client.goodbye() == (1011, "")
        await client.send(close(1011))
        ((message, error),) = logs.take_exceptions()
        assert error is ValueError
        assert f"{code} cannot be sent in a Close frame" in message

    async def test_what_the_client_still_says(self, serve: Serve) -> None:
        """What was on its way is dropped: the application has hung up."""
        app = Recorder(send_close())
        running = await serve(app)
        client = await opened(running)
        assert await client.goodbye() == (1000, "")
        await client.send(text("too late") + frame(PING) + close(1000))
        assert await client.rest() == b""
        assert [event["type"] for event in app.events] == ["websocket.disconnect"]

    async def test_no_answer(self, serve: Serve, logs: Logs) -> None:
        """A client that does not answer is cut off in time, which is 1006."""
        app = Recorder(send_close())
        running = await serve(app, websocket_close_timeout=0.05)
        client = await opened(running)
        assert await client.goodbye() == (1000, "")
        await until(lambda: app.ended)
        assert app.events == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]
        await until(lambda: not running.websockets)
        assert logs.take() == [
            (
                f"WARNING The limit websocket_close_timeout (0.05) refused {client.address}: "
                "the connection is cut"
            )
        ]

    async def test_after_a_slow_message(self, serve: Serve) -> None:
        """Also one that gets the message and the Close much later still gets all of it."""
        app = Recorder(send_text("x" * 8_000_000), send_close(code=4000))
        running = await serve(app, websocket_close_timeout=DEADLINE)
        client = await opened(running, reads=False)
        client.go_on_reading()
        assert len(await client.text()) == 8_000_000
        assert await client.goodbye() == (4000, "")
        await client.send(close(4000))

    @pytest.mark.parametrize("event", [send_text("x"), send_close(), ACCEPT])
    async def test_send_after(self, event: Event, serve: Serve, logs: Logs) -> None:
        """What it sends after that is its own mistake, and the message says so."""
        errors: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send(ACCEPT)
            await send(send_close())
            try:
                await send(event)
            except WrongState as error:
                errors.append(str(error))
            await receive()

        running = await serve(app)
        client = await opened(running)
        assert await client.goodbye() == (1000, "")
        await client.send(close(1000))
        await until(lambda: errors)
        assert errors == [
            f"Cannot send {event['type']!r}: the WebSocket is closing and takes nothing more."
        ]


class TestWrongState:
    """Events out of place, on real connections."""

    @pytest.mark.parametrize(
        ("before", "event", "words"),
        [
            ([], send_text("x"), "is not accepted yet and takes 'websocket.accept' or"),
            ([], {"type": "websocket.http.response.body"}, "is not accepted yet and takes"),
            ([], {"type": "http.response.start"}, "is not accepted yet and takes"),
            ([ACCEPT], ACCEPT, "is open and takes 'websocket.send' or 'websocket.close'."),
            ([ACCEPT], {"type": "websocket.http.response.start"}, "is open and takes"),
            ([ACCEPT], {"type": "nonsense"}, "is open and takes"),
            ([send_close()], ACCEPT, "is denied and takes nothing more."),
            ([send_close()], send_close(), "is denied and takes nothing more."),
        ],
    )
    async def test_refused(
        self, before: list[Event], event: Event, words: str, serve: Serve
    ) -> None:
        """The message names the state and what it takes."""
        errors: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            for earlier in before:
                await send(earlier)
            try:
                await send(event)
            except WrongState as error:
                errors.append(str(error))
            if send_close() not in before:
                await send(send_close())
            await receive()

        running = await serve(app)
        client = await running.websocket()
        await client.open()
        await until(lambda: errors)
        assert errors[0].startswith(f"Cannot send {event['type']!r}: the WebSocket {words}")
        if before == [ACCEPT]:
            assert await client.goodbye() == (1000, "")
            await client.send(close(1000))


class TestFailure:
    """Applications that fail or leave."""

    @staticmethod
    def ending(*events: Event, error: BaseException | None = None) -> ASGIApplication:
        """An application that raises, or returns, after some events."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            for event in events:
                await send(event)
            if error is not None:
                raise error

        return app

    ERRORS = [ZeroDivisionError("oh"), SystemExit(3), asyncio.CancelledError(), OSError("disk")]

    @pytest.mark.row("2.4 App exception")
    @pytest.mark.parametrize("error", ERRORS)
    async def test_open(self, error: BaseException, serve: Serve, logs: Logs) -> None:
        """An exception closes this one socket with 1011, and is logged once."""
        running = await serve(self.ending(ACCEPT, error=error))
        client = await opened(running)
        assert await client.goodbye() == (1011, "")
        await client.send(close(1011))
        assert await client.rest() == b""
        message = f"ERROR Exception inside application for WebSocket /ws/: {error!r}"
        assert logs.take_exceptions() == [(message, type(error))]
        assert statuses(running.records)[-1] == ("disconnected", 1011)

    @pytest.mark.row("2.4 App exception")
    @pytest.mark.parametrize("error", ERRORS)
    async def test_not_accepted(self, error: BaseException, serve: Serve, logs: Logs) -> None:
        """Before the acceptance it is a 500."""
        running = await serve(self.ending(error=error))
        client = await running.websocket()
        assert (await client.open("/ws/")).startswith(b"HTTP/1.1 500 ")
        assert await client.rest() == b"The application failed.\n"
        ((_, raised),) = logs.take_exceptions()
        assert raised is type(error)
        assert statuses(running.records)[-1] == ("rejected", 500)

    @pytest.mark.row("7 12")
    async def test_returned(self, serve: Serve) -> None:
        """An application that returns has said goodbye: 1000, nobody is left behind."""
        running = await serve(self.ending(ACCEPT, send_text("that was it")))
        client = await opened(running)
        assert await client.text() == "that was it"
        assert await client.goodbye() == (1000, "")
        await client.send(close(1000))
        assert await client.rest() == b""
        assert statuses(running.records)[-1] == ("disconnected", 1000)

    async def test_returned_undecided(self, serve: Serve, logs: Logs) -> None:
        """One that returns without a decision is a failure: 500."""
        running = await serve(self.ending())
        client = await running.websocket()
        assert (await client.open("/ws/")).startswith(b"HTTP/1.1 500 ")
        assert logs.take() == ["ERROR The application neither accepted nor refused WebSocket /ws/"]

    async def test_returned_in_a_denial(self, serve: Serve, logs: Logs) -> None:
        """So is one that returns in the middle of its denial: the connection is cut off."""
        start = {"type": "websocket.http.response.start", "status": 401}
        running = await serve(self.ending(start))
        client = await running.websocket()
        assert b" 401 " in await client.open("/ws/")
        assert await client.rest() == b""
        assert logs.take() == ["ERROR The application neither accepted nor refused WebSocket /ws/"]

    async def test_after_closing(self, serve: Serve, logs: Logs) -> None:
        """An exception after the goodbye is logged, and changes nothing."""
        running = await serve(self.ending(ACCEPT, send_close(code=4000), error=ZeroDivisionError()))
        client = await opened(running)
        assert await client.goodbye() == (4000, "")
        await client.send(close(4000))
        assert await client.rest() == b""
        assert len(logs.take()) == 1

    async def test_own_oserror(self, serve: Serve, logs: Logs) -> None:
        """The error for clients that are gone is logged where the client is not gone."""
        running = await serve(self.ending(ACCEPT, error=ClientDisconnected("another one")))
        client = await opened(running)
        assert await client.goodbye() == (1011, "")
        await client.send(close(1011))
        ((_, error),) = logs.take_exceptions()
        assert error is ClientDisconnected

    async def test_hanging(self, serve: Serve, logs: Logs) -> None:
        """One that does not end when its client is gone is cancelled; the log says where."""
        cancelled = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send(ACCEPT)
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        running = await serve(app, application_close_timeout=0.05)
        client = await opened(running)
        await client.send(close(1000))
        async with asyncio.timeout(DEADLINE):
            await cancelled.wait()
        (message,) = logs.take()
        assert message.startswith(
            "WARNING Application for WebSocket /ws/ went on for more than 0.05 s after its client "
            "had gone; it was cancelled. It was waiting here:\n"
        )
        assert "await asyncio.Event().wait()" in message


class TestFlowControl:
    """Slow clients and slow applications cost a bounded number of bytes."""

    @pytest.mark.row("2.4 Backpressure")
    async def test_send_waits(self, serve: Serve) -> None:
        """``await send()`` waits while more than the high-water mark waits to be read."""
        held = asyncio.Event()
        sizes: list[int] = []
        sent = 0

        async def app(scope: Scope, receive: Receive, send: Any) -> None:
            nonlocal sent
            await receive()
            await send(ACCEPT)
            await go_on.wait()
            while send.ready:
                await send(send_text("x" * 65536))
                sent += 1
            waiting = asyncio.ensure_future(send(send_text("last")))
            for _ in range(10):
                await asyncio.sleep(0)
            assert not waiting.done()
            sizes.append(running.websockets[0]._transport.get_write_buffer_size())
            held.set()
            await waiting
            await receive()

        go_on = asyncio.Event()
        config = Config(lifespan="off", write_buffer_size=100_000)
        server = Server(app, config, sockets=[listening(send_buffer=65536)])
        running = await serve(app, server=server)
        client = await opened(running, reads=False)
        go_on.set()
        async with asyncio.timeout(DEADLINE):
            await held.wait()
        assert 100_000 < sizes[0] < 100_000 + 2 * 65536
        client.go_on_reading()
        for _ in range(sent):
            assert len(await client.text()) == 65536
        assert await client.text() == "last"
        await client.send(close(1000))

    async def test_close_does_not_wait(self, serve: Serve, logs: Logs) -> None:
        """A Close does not wait: it ends the connection of a client that reads nothing."""
        app_ended = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Any) -> None:
            await receive()
            await send(ACCEPT)
            await go_on.wait()
            while send.ready:
                await send(send_text("x" * 65536))
            await send(send_close(code=1013))
            app_ended.set()
            assert (await receive())["code"] == 1006

        go_on = asyncio.Event()
        running = await serve(app, websocket_close_timeout=0.05)
        await opened(running, reads=False)
        go_on.set()
        async with asyncio.timeout(DEADLINE):
            await app_ended.wait()
        await until(lambda: not running.context.tasks)
        assert running.context.counters.refused == {"websocket_close_timeout": 1}
        assert len(logs.take()) == 1

    @pytest.mark.parametrize("way", ["close", "abort"])
    async def test_released_by_disconnect(self, way: str, serve: Serve) -> None:
        """A send that waits when the client goes raises an ``OSError``."""
        held = asyncio.Event()
        errors: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Any) -> None:
            await receive()
            await send(ACCEPT)
            await go_on.wait()
            try:
                while True:
                    if not send.ready:
                        held.set()
                    await send(send_text("x" * 65536))
            except OSError as error:
                errors.append(str(error))
                raise

        go_on = asyncio.Event()
        running = await serve(app)
        client = await opened(running, reads=False)
        go_on.set()
        async with asyncio.timeout(DEADLINE):
            await held.wait()
        getattr(client, way)()
        await until(lambda: errors)
        assert errors == ["Cannot send 'websocket.send': the WebSocket is closed."]

    @pytest.mark.row("2.4 Backpressure")
    @pytest.mark.parametrize("size", [0, 2000])
    async def test_flood(self, size: int, serve: Serve) -> None:
        """A client is not read while its application is behind, and nothing is lost."""
        measured: list[int] = []
        got = 0

        async def app(scope: Scope, receive: Any, send: Send) -> None:
            nonlocal got
            await receive()
            await send(ACCEPT)
            await until(lambda: receive.paused)
            measured.append(receive._input_size)
            await go_on.wait()
            while (await receive())["type"] == "websocket.receive":
                got += 1

        go_on = asyncio.Event()
        running = await serve(app)
        client = await opened(running)
        count = 20_000 if size else 60_000
        flood = asyncio.ensure_future(client.send(text("x" * size) * count))
        await until(lambda: measured)
        # What came with the last read is there, with the overhead of each event.
        assert measured[0] < 300_000 // (size + 6) * (size + 256) + 300_000
        go_on.set()
        await flood
        await client.send(close(1000))
        await until(lambda: not running.context.tasks)
        assert got == count

    async def test_pings_that_are_not_read(self, serve: Serve) -> None:
        """A client that sends Pings and reads no Pongs is not read any more."""
        app = Recorder()
        config = Config(lifespan="off", websocket_control_rate=0)
        server = Server(app, config, sockets=[listening(send_buffer=65536)])
        running = await serve(app, server=server)
        client = await opened(running, reads=False)
        (stream,) = running.websockets
        flood = asyncio.ensure_future(client.send(frame(PING, b"x" * 125) * 20_000))
        await until(lambda: stream._flooded)
        assert stream.unread
        before = stream._transport.get_write_buffer_size()
        assert before < 1_000_000
        stream.resume_reading()  # as the mailbox does when the application has caught up
        for _ in range(10):
            await asyncio.sleep(0)
        assert stream._transport.get_write_buffer_size() <= before
        client.go_on_reading()
        assert await client.read(20_000 * 127) == unmasked(PONG, b"x" * 125) * 20_000
        await flood
        await until(lambda: not stream.unread)
        await client.send(close(1000))
        await until(lambda: app.ended)

    async def test_outbox_knows(self, serve: Serve) -> None:
        """Others may write to the client at once only while it is open and not behind."""
        ready: list[tuple[str, bool]] = []

        async def app(scope: Scope, receive: Receive, send: Any) -> None:
            ready.append(("connecting", send.ready))
            await receive()
            await send(ACCEPT)
            ready.append(("open", send.ready))
            await go_on.wait()
            await send(send_text("x" * 20_000_000))
            ready.append(("behind", send.ready))
            await receive()
            ready.append(("read", send.ready))
            await send(send_close())
            ready.append(("closing", send.ready))
            await receive()
            ready.append(("closed", send.ready))

        go_on = asyncio.Event()
        running = await serve(app)
        client = await opened(running, reads=False)
        go_on.set()
        await until(lambda: len(ready) == 3)
        client.go_on_reading()
        assert len(await client.text()) == 20_000_000
        await client.send(text("read"))
        assert await client.goodbye() == (1000, "")
        await client.send(close(1000))
        await until(lambda: len(ready) == 6)
        assert ready == [
            ("connecting", False),
            ("open", True),
            ("behind", False),
            ("read", True),
            ("closing", False),
            ("closed", False),
        ]
