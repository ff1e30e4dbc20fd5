"""The server as a whole: its start, its end, and what it survives."""

import asyncio
import logging
import os
import re
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from fairway._types import ASGIApplication, Event, Receive, Scope, Send
from fairway.server import AccessRecord, Config, ConfigError, LifespanFailed, Server
from fairway.server import drain as drain_module
from fairway.server import server as server_module
from fairway.server.application import lifespan as lifespan_module
from fairway.server.server import loop_factory
from tests.server.applications import Held, body, path, responds, start
from tests.server.conftest import Serve
from tests.server.running import DEADLINE, Client, Logs, Running, listening, statuses, until
from tests.wire.client import close


@pytest.fixture
def short_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was cancelled gets hardly any time to end in."""
    for module in (server_module, drain_module, lifespan_module):
        monkeypatch.setattr(module, "LAST_WORDS", 0.05)


async def accepts(scope: Scope, receive: Receive, send: Send) -> None:
    """Accepts a WebSocket, and waits for its end."""
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


def config(**options: Any) -> Config:
    """On a free port, without a lifespan unless asked for."""
    return Config(**{"port": 0, "lifespan": "off", **options})


async def told_to_end(serve: Serve, **options: Any) -> tuple[Held, Running, Client]:
    """A server that was told to end while it serves a request, which is held."""
    app = Held()
    running = await serve(app, **options)
    client = await running.connect()
    await client.get()
    await app.entered.acquire()
    running.stop()
    await until(lambda: running.context.draining)
    return app, running, client


class TestAddresses:
    """Where the server can be found."""

    async def test_addresses(self, serve: Serve) -> None:
        """They are known when it accepts connections, and can be clicked."""
        server = Server(path, config())
        assert server.addresses == []
        running = await serve(path, server=server)
        assert server.addresses == [f"http://127.0.0.1:{running.port}"]
        assert (await (await running.connect()).fetch("/x")).body == b"/x"

    async def test_sockets(self, serve: Serve) -> None:
        """Given sockets are served instead of those of the configuration, and closed at the end."""
        first, second = listening(), listening()
        server = Server(path, config(port=1), sockets=[first, second])
        running = await serve(path, server=server)
        ports = [first.getsockname()[1], second.getsockname()[1]]
        assert server.addresses == [f"http://127.0.0.1:{port}" for port in ports]
        assert (await (await running.connect()).fetch("/x")).body == b"/x"
        running.stop()
        await running.ended()
        assert (first.fileno(), second.fileno()) == (-1, -1)

    async def test_default_configuration(self) -> None:
        """Without a configuration it is the default one."""
        assert Server(path)._config == Config()


class TestStartFails:
    """What keeps the server from starting is raised, and nothing stays open."""

    async def test_configuration(self) -> None:
        """A network that is none, before any socket is opened."""
        server = Server(path, config(proxy_headers=True, trusted_proxies=("nonsense",)))
        with pytest.raises(ConfigError, match="trusted_proxies: 'nonsense'"):
            await server.serve()

    async def test_lifespan(self) -> None:
        """An application that says that it cannot start."""
        failed = {"type": "lifespan.startup.failed", "message": "no database"}
        server = Server(responds(failed), config(lifespan="auto"))
        sock = listening()
        server._sockets = [sock]
        with pytest.raises(LifespanFailed, match=r"^no database$"):
            await server.serve()
        assert sock.fileno() == -1
        assert server.addresses == []

    async def test_ready(self) -> None:
        """An exception of who wants to know that it is ready."""

        def fail() -> None:
            raise ZeroDivisionError

        log: list[str] = []
        server = Server(lifespan_of(log), config(lifespan="on"), ready=fail)
        with pytest.raises(ZeroDivisionError):
            await server.serve()
        assert log == ["startup", "shutdown"]
        port = int(server.addresses[0].rpartition(":")[2])
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), DEADLINE)


def lifespan_of(log: list[str], serves: ASGIApplication = path, hangs: str = "") -> ASGIApplication:
    """An application with a lifespan.

    Args:
        log: What it went through.
        serves: What it does for requests.
        hangs: Where it hangs: in ``"startup"`` or ``"shutdown"``.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await serves(scope, receive, send)
            return
        for phase in ("startup", "shutdown"):
            assert await receive() == {"type": f"lifespan.{phase}"}
            log.append(phase)
            if phase == hangs:
                await asyncio.Event().wait()
            if phase == "startup":
                scope["state"]["shared"] = log
            await send({"type": f"lifespan.{phase}.complete"})

    return app


class TestLifespan:
    """The application's start and end around everything else."""

    async def test_around_requests(self, serve: Serve) -> None:
        """It is started before the first request and ended after the last."""
        log: list[str] = []

        async def request(scope: Scope, receive: Receive, send: Send) -> None:
            log.append(scope["path"])
            await path(scope, receive, send)

        running = await serve(lifespan_of(log, request), lifespan="on")
        assert log == ["startup"]
        client = await running.connect()
        await client.fetch("/a")
        running.stop()
        await running.ended()
        assert log == ["startup", "/a", "shutdown"]

    async def test_state(self, serve: Serve) -> None:
        """Each request and WebSocket has a copy of the state; what is in it is the same."""
        states: list[dict[str, Any]] = []

        async def request(scope: Scope, receive: Receive, send: Send) -> None:
            states.append(scope["state"])
            scope["state"]["mine"] = scope["type"]
            if scope["type"] == "http":
                await path(scope, receive, send)
            else:
                await send({"type": "websocket.close"})

        log: list[str] = []
        running = await serve(lifespan_of(log, request), lifespan="on")
        client = await running.connect()
        await client.fetch()
        await client.fetch()
        websocket = await running.websocket()
        await websocket.open()
        assert [state["mine"] for state in states] == ["http", "http", "websocket"]
        assert all(state["shared"] is log for state in states)

    async def test_auto(self, serve: Serve) -> None:
        """An application without one is served all the same, with an empty state."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            assert scope["type"] == "http"
            assert scope["state"] == {}
            await path(scope, receive, send)

        running = await serve(app, lifespan="auto")
        assert (await (await running.connect()).fetch()).status == 200

    @pytest.mark.usefixtures("short_last_words")
    async def test_shutdown_hangs(self, serve: Serve, logs: Logs) -> None:
        """An end that hangs is given up when the time is over, and the log says where."""
        app = lifespan_of([], hangs="shutdown")
        running = await serve(app, lifespan="on", graceful_timeout=0.05)
        running.stop()
        await running.ended()
        (message,) = logs.take()
        assert message.startswith("WARNING The application's lifespan did not end in time; ")
        assert "await asyncio.Event().wait()" in message

    @pytest.mark.usefixtures("short_last_words")
    async def test_shutdown_hangs_and_stopped_again(self, serve: Serve, logs: Logs) -> None:
        """Or at once when the server is told again."""
        log: list[str] = []
        app = lifespan_of(log, hangs="shutdown")
        running = await serve(app, lifespan="on", graceful_timeout=0)
        running.stop()
        await until(lambda: log == ["startup", "shutdown"])
        running.stop()
        await running.ended()
        assert len(logs.take()) == 1

    @pytest.mark.usefixtures("short_last_words")
    async def test_stopped_while_starting(self, logs: Logs) -> None:
        """A server that is stopped before its application has started does not wait for that."""
        log: list[str] = []
        server = Server(lifespan_of(log, hangs="startup"), config(lifespan="on"))
        serving = asyncio.ensure_future(server.serve())
        await until(lambda: log)
        server.stop()
        async with asyncio.timeout(DEADLINE):
            await serving
        (message,) = logs.take()
        assert message.startswith(
            "WARNING The application's lifespan was still starting when the server was told to end"
        )
        assert server.addresses == []


class TestStop:
    """The end is graceful, and comes in time."""

    async def test_accepts_nobody(self, serve: Serve) -> None:
        """A server that ends accepts nobody new."""
        app, running, _ = await told_to_end(serve)
        with pytest.raises(ConnectionRefusedError):
            await running.connect()
        app.let_go()
        await running.ended()

    @pytest.mark.row("2.2 SIGTERM/SIGINT")
    async def test_request_finishes(self, serve: Serve) -> None:
        """A request that is being served is finished, and its response says that it is the last."""
        app, running, client = await told_to_end(serve)
        assert not running.task.done()
        app.let_go()
        response = await client.response()
        assert (response.body, response["connection"]) == (b"done", "close")
        assert await client.rest() == b""
        await running.ended()

    async def test_streaming_finishes(self, serve: Serve) -> None:
        """So is one whose response has begun."""
        go_on = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            await send(body(b"one", more=True))
            await go_on.wait()
            await send(body(b"two"))

        running = await serve(app)
        client = await running.connect()
        await client.get()
        await client.head()
        running.stop()
        await until(lambda: running.context.draining)
        go_on.set()
        assert await client.chunks() == b"onetwo"
        assert await client.rest() == b""
        await running.ended()

    async def test_slow_reader_gets_everything(self, serve: Serve) -> None:
        """A client that still reads its response gets all of it."""
        running = await serve(responds(start(), body(b"x" * 8_000_000)))
        client = await running.connect(reads=False)
        await client.get()
        await until(lambda: running.records)
        running.stop()
        await until(lambda: running.context.draining)
        client.go_on_reading()
        assert len((await client.response()).body) == 8_000_000
        await running.ended()

    @pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HT"])
    async def test_idle_connections(self, sent: bytes, serve: Serve) -> None:
        """Connections without a request are closed, whether they had one before or not."""
        running = await serve(path)
        client = await running.connect()
        await client.send(sent)
        if sent.endswith(b"\r\n\r\n"):
            await client.response()
        await until(lambda: running.connections)
        running.stop()
        await running.ended()
        await client.is_cut()

    async def test_pipelined_requests(self, serve: Serve) -> None:
        """The request in hand is finished; those behind it have not begun and do not."""
        app = Held()
        running = await serve(app)
        client = await running.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        await app.entered.acquire()
        running.stop()
        await until(lambda: running.context.draining)
        app.let_go()
        assert (await client.response())["connection"] == "close"
        assert await client.rest() == b""
        client.close()
        await running.ended()
        assert len(running.records) == 1

    @pytest.mark.row("2.2 SIGTERM/SIGINT")
    async def test_websockets(self, serve: Serve) -> None:
        """Open sockets are closed with 1012, and each application gets its disconnect."""
        events: list[Event] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            events.append(await receive())

        running = await serve(app)
        clients = [await running.websocket() for _ in range(5)]
        for client in clients:
            assert b" 101 " in await client.open()
        running.stop()
        for client in clients:
            code, reason = await client.goodbye()
            assert code == 1012
            assert re.fullmatch(r"The server is restarting\. retry=[0-5]\.\d", reason)
            await client.send(close(1012))
            assert await client.rest() == b""
        await running.ended()
        assert events == [{"type": "websocket.disconnect", "code": 1012, "reason": ""}] * 5
        assert statuses(running.records)[-5:] == [("disconnected", 1012)] * 5

    async def test_websocket_that_does_not_answer(self, serve: Serve, logs: Logs) -> None:
        """One that does not answer is cut off; its application hears of 1006."""
        events: list[Event] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            events.append(await receive())

        running = await serve(app, websocket_close_timeout=0.05)
        client = await running.websocket()
        await client.open()
        running.stop()
        await running.ended()
        assert events == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]
        assert running.context.counters.refused == {"websocket_close_timeout": 1}
        assert len(logs.take()) == 1

    async def test_last_words(self, serve: Serve) -> None:
        """An application that sends meanwhile gets an ``OSError``; one that works on, its time."""
        errors: list[str] = []
        done: list[bool] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await leaving.wait()
            try:
                await send({"type": "websocket.send", "text": "x"})
            except OSError as error:
                errors.append(str(error))
            assert (await receive())["code"] == 1012
            await asyncio.sleep(0.01)
            done.append(True)

        leaving = asyncio.Event()
        running = await serve(app)
        client = await running.websocket()
        await client.open()
        running.stop()
        assert (await client.goodbye())[0] == 1012
        leaving.set()
        await until(lambda: errors)
        await client.send(close(1012))
        await running.ended()
        assert errors == [
            "Cannot send 'websocket.send': the WebSocket is being closed by the server."
        ]
        assert done == [True]

    async def test_websocket_that_connects(self, serve: Serve) -> None:
        """A WebSocket that is not accepted yet is refused with 503."""
        connected = asyncio.Event()

        async def undecided(scope: Scope, receive: Receive, send: Send) -> None:
            connected.set()
            while (await receive())["type"] != "websocket.disconnect":
                pass

        running = await serve(undecided)
        client = await running.websocket()
        opening = asyncio.ensure_future(client.open())
        await connected.wait()
        running.stop()
        assert (await opening).startswith(b"HTTP/1.1 503 ")
        assert await client.rest() == b"The server is restarting.\n"
        client.close()
        await running.ended()
        assert statuses(running.records) == [("connecting", 0), ("rejected", 503)]

    async def test_hanging_request(self, serve: Serve, logs: Logs) -> None:
        """What does not end in time is cancelled; its client gets 503, the log where it hung."""
        running = await serve(Held(), graceful_timeout=0.05)
        client = await running.connect()
        await client.get("/hangs")
        await until(lambda: running.context.tasks)
        running.stop()
        await running.ended()
        response = await client.response()
        assert (response.status, response.body) == (503, b"The server is shutting down.\n")
        (message,) = logs.take()
        assert re.match(
            r"WARNING Application for GET /hangs \(\d+\.\d s old\) did not end within 0\.05 s; "
            r"it was cancelled\. It was waiting here:\n",
            message,
        )
        assert "in __call__\n    await self._go_on.wait()" in message

    async def test_hanging_response(self, serve: Serve, logs: Logs) -> None:
        """A response that has begun is cut off."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            await send(body(b"part", more=True))
            await asyncio.Event().wait()

        running = await serve(app, graceful_timeout=0.05)
        client = await running.connect()
        await client.get()
        await client.head()
        running.stop()
        await running.ended()
        assert await client.is_cut()
        assert len(logs.take()) == 1

    async def test_hanging_websocket(self, serve: Serve, logs: Logs) -> None:
        """So is an application of a WebSocket that does not listen; it can still clean up."""
        log: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                log.append("cleaned up")

        running = await serve(app, graceful_timeout=0.1)
        client = await running.websocket()
        await client.open("/ws/")
        running.stop()
        assert (await client.goodbye())[0] == 1012
        await client.send(close(1012))
        await running.ended()
        assert log == ["cleaned up"]
        (message,) = logs.take()
        assert re.match(
            r"WARNING Application for WebSocket /ws/ \(\d+\.\d s old\) did not end within 0\.1 s; ",
            message,
        )

    @pytest.mark.usefixtures("short_last_words")
    async def test_cannot_be_cancelled(self, serve: Serve, logs: Logs) -> None:
        """An application that does not even end then is reported, and the server ends."""
        stubborn = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            while not stubborn.is_set():
                try:
                    await stubborn.wait()
                except asyncio.CancelledError:
                    continue

        running = await serve(app, graceful_timeout=0.05)
        client = await running.connect()
        await client.get("/a")
        await until(lambda: running.context.tasks)
        running.stop()
        await running.ended()
        first, second = logs.take()
        assert "did not end within 0.05 s" in first
        assert second == "ERROR Application for GET /a did not end even when it was cancelled"
        assert await client.rest() == b""
        tasks = list(running.context.tasks)
        stubborn.set()
        await asyncio.wait(tasks)

    async def test_again(self, serve: Serve, logs: Logs) -> None:
        """Told again, the server ends at once."""
        _, running, client = await told_to_end(serve, graceful_timeout=0)
        for _ in range(10):
            await asyncio.sleep(0)
        assert not running.task.done()
        running.stop()
        await running.ended()
        (message,) = logs.take()
        assert re.match(
            r"WARNING Application for GET / \(\d+\.\d s old\) was still running when the server "
            r"was told to end at once; ",
            message,
        )
        assert (await client.response()).status == 503

    async def test_no_deadline(self, serve: Serve) -> None:
        """Without a limit it waits as long as that takes."""
        app, running, client = await told_to_end(serve, graceful_timeout=-1)
        app.let_go()
        assert (await client.response()).status == 200
        await running.ended()

    async def test_before_start(self) -> None:
        """Stopped before it was started, it ends at once and starts nothing."""
        log: list[str] = []
        server = Server(lifespan_of(log), config(lifespan="on"))
        server.stop()
        server.stop()
        async with asyncio.timeout(DEADLINE):
            await server.serve()
        assert log == []
        assert server.addresses == []

    async def test_after_end(self, serve: Serve) -> None:
        """Stopped when it has ended, nothing happens."""
        running = await serve(path)
        running.stop()
        await running.ended()
        running.stop()

    async def test_from_another_thread(self, serve: Serve) -> None:
        """Any thread may stop it."""
        running = await serve(path)
        thread = threading.Thread(target=running.server.stop)
        thread.start()
        await running.ended()
        thread.join()

    async def test_cancelled(self, logs: Logs) -> None:
        """Cancelled, it ends at once, and properly."""
        log: list[str] = []
        held = Held()
        running = Running(Server(lifespan_of(log, held), config(lifespan="on", graceful_timeout=0)))
        await running.start()
        client, idle = await running.connect(), await running.connect()
        await client.get()
        await held.entered.acquire()
        running.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running.ended()
        assert (await client.response()).status == 503
        assert await idle.rest() == b""
        assert log == ["startup", "shutdown"]
        (message,) = logs.take()
        assert "was still running when the server was told to end at once" in message
        for one in (client, idle):
            one.close()
            await one.writer.wait_closed()

    @pytest.mark.usefixtures("short_last_words")
    async def test_cancelled_while_starting(self, logs: Logs) -> None:
        """Also while its application starts."""
        log: list[str] = []
        server = Server(lifespan_of(log, hangs="startup"), config(lifespan="on"))
        serving = asyncio.ensure_future(server.serve())
        await until(lambda: log)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert len(logs.take()) == 1


async def test_connections(serve: Serve) -> None:
    """Whoever runs it can see who is connected."""
    app = Held()
    assert Server(app).connections == frozenset()
    running = await serve(app)
    client = await running.connect()
    await until(lambda: len(running.server.connections) == 1)
    client.close()
    await until(lambda: not running.server.connections)


class TestSignals:
    """SIGINT and SIGTERM, in the main thread."""

    @pytest.mark.row("2.2 SIGTERM/SIGINT")
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    async def test_stops(self, number: int, serve: Serve) -> None:
        """Either one ends the server gracefully; afterwards they mean what they meant before."""
        before = signal.getsignal(number)
        app = Held()
        running = await serve(app)
        client = await running.connect()
        await client.get()
        await app.entered.acquire()
        os.kill(os.getpid(), number)
        await until(lambda: running.context.draining)
        app.let_go()
        assert (await client.response()).status == 200
        await running.ended()
        assert signal.getsignal(number) == before

    async def test_not_taken(self, serve: Serve) -> None:
        """Unless whoever has started it keeps them for itself."""
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        app = Held()
        await serve(app, server=Server(app, config(), signals=False))
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before

    async def test_twice(self, serve: Serve, logs: Logs) -> None:
        """The second one ends it at once."""
        app = Held()
        running = await serve(app, graceful_timeout=0)
        client = await running.connect()
        await client.get()
        await app.entered.acquire()
        os.kill(os.getpid(), signal.SIGINT)
        await until(lambda: running.context.draining)
        os.kill(os.getpid(), signal.SIGINT)
        await running.ended()
        assert len(logs.take()) == 1


class InThread:
    """A server that runs by itself in a thread, as it does in a process."""

    def __init__(self, app: ASGIApplication, **options: Any) -> None:
        self.ready = threading.Event()
        self.error: BaseException | None = None
        self.server = Server(app, config(**options), ready=self.ready.set)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.server.run()
        except BaseException as error:  # noqa: BLE001  the test looks at it
            self.error = error
        self.ready.set()

    def get(self, target: str = "/") -> socket.socket:
        """Send a request."""
        port = int(self.server.addresses[0].rpartition(":")[2])
        sock = socket.create_connection(("127.0.0.1", port), DEADLINE)
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        return sock

    def join(self) -> None:
        """Wait for the end of the server."""
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()


def everything_from(sock: socket.socket) -> bytes:
    """What comes until the other side ends."""
    with sock:
        data = b""
        while more := sock.recv(65536):
            data += more
        return data


class TestRun:
    """On an event loop of its own."""

    @pytest.mark.parametrize("loop", ["uvloop", "asyncio", "auto"])
    def test_in_a_thread(self, loop: str) -> None:
        """It serves on the loop that was asked for until it is stopped, and touches no signal."""
        kinds: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            kinds.append(type(asyncio.get_running_loop()).__module__.partition(".")[0])
            await path(scope, receive, send)

        before = signal.getsignal(signal.SIGTERM)
        server = InThread(app, loop=loop)
        assert server.ready.wait(DEADLINE)
        assert signal.getsignal(signal.SIGTERM) == before
        assert everything_from(server.get("/x")).endswith(b"\r\n\r\n/x")
        server.server.stop()
        server.join()
        assert server.error is None
        assert kinds == ["asyncio" if loop == "asyncio" else "uvloop"]

    def test_error(self) -> None:
        """What keeps it from starting is raised."""
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            server = InThread(path, port=other.getsockname()[1])
            server.join()
        assert isinstance(server.error, OSError)

    @pytest.mark.usefixtures("short_last_words")
    @pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
    def test_sync_code_that_hangs(self, loop: str, logs: Logs) -> None:
        """Sync code that never returns cannot keep the server from ending; the log shows it."""
        entered, leave = threading.Event(), threading.Event()

        def view() -> None:
            entered.set()
            leave.wait(DEADLINE)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await sync_to_async(view)()

        server = InThread(app, loop=loop, graceful_timeout=0.05)
        assert server.ready.wait(DEADLINE)
        with server.get("/hangs"):
            assert entered.wait(DEADLINE)
            server.server.stop()
            server.join()
        leave.set()
        (message,) = logs.take()
        assert re.match(
            r"WARNING Application for GET /hangs \(\d+\.\d s old\) did not end within 0\.05 s; ",
            message,
        )
        assert "Its sync code, which cannot be cancelled, was here:\n" in message
        assert "in view" in message

    @pytest.mark.usefixtures("short_last_words")
    def test_threads_that_hang(self) -> None:
        """Nor can code in a thread that nobody waits for."""
        entered, leave = threading.Event(), threading.Event()

        def work() -> None:
            entered.set()
            leave.wait(DEADLINE)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            asyncio.get_running_loop().run_in_executor(None, work)
            await path(scope, receive, send)

        server = InThread(app)
        assert server.ready.wait(DEADLINE)
        everything_from(server.get())
        assert entered.wait(DEADLINE)
        server.server.stop()
        server.join()
        leave.set()
        assert server.error is None

    @pytest.mark.usefixtures("short_last_words")
    def test_tasks_that_are_left(self) -> None:
        """Tasks that an application leaves behind are cancelled, and async generators closed."""
        log: list[str] = []

        async def forever() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                log.append("cancelled")

        tasks = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            tasks.append(asyncio.ensure_future(forever()))
            await path(scope, receive, send)

        server = InThread(app)
        assert server.ready.wait(DEADLINE)
        everything_from(server.get())
        server.server.stop()
        server.join()
        assert log == ["cancelled"]


class TestLoopFactory:
    """Which event loop it is."""

    @pytest.mark.parametrize(
        ("name", "module"), [("auto", "uvloop"), ("uvloop", "uvloop"), ("asyncio", "asyncio")]
    )
    def test_installed(self, name: str, module: str) -> None:
        """The one that is named, or uvloop where that is installed."""
        loop = loop_factory(name)()
        assert type(loop).__module__.partition(".")[0] == module
        loop.close()

    def test_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without uvloop, asyncio's; but not if uvloop was asked for."""
        monkeypatch.setitem(sys.modules, "uvloop", None)
        assert loop_factory("auto") is asyncio.new_event_loop
        with pytest.raises(ConfigError, match=r"^loop is 'uvloop', which is not installed\.$"):
            loop_factory("uvloop")

    def test_broken(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """One that was not built for this system is as good as none."""
        (tmp_path / "uvloop.py").write_text("raise ImportError('wrong ELF class')")
        monkeypatch.delitem(sys.modules, "uvloop")
        monkeypatch.syspath_prepend(tmp_path)
        assert loop_factory("auto") is asyncio.new_event_loop
        message = r"^loop is 'uvloop', which cannot be loaded: wrong ELF class\.$"
        with pytest.raises(ConfigError, match=message):
            loop_factory("uvloop")


class TestAccessLog:
    """Whoever wants to know what happens."""

    async def test_told(self, serve: Serve) -> None:
        """It gets each record as it happens."""
        records: list[AccessRecord] = []
        server = Server(path, config(), access_log=records.append)
        running = await serve(path, server=server)
        await (await running.connect()).fetch("/x")
        assert [record.path for record in records] == ["/x"]

    async def test_nobody(self, serve: Serve) -> None:
        """If nobody wants to know, nobody is told."""
        server = Server(path, config())
        running = await serve(path, server=server)
        running.context.access_log = None
        assert (await (await running.connect()).fetch("/x")).status == 200
        assert running.records == []

    async def test_fails(self, serve: Serve, logs: Logs) -> None:
        """One that fails harms no request; the log tells once in a row."""
        outcomes: list[BaseException | None] = [
            OSError("full"),
            OSError("full"),
            None,
            OSError("2"),
        ]

        def fails(record: AccessRecord) -> None:
            outcome = outcomes.pop(0)
            if outcome is not None:
                raise outcome

        running = await serve(path, server=Server(path, config(), access_log=fails))
        client = await running.connect()
        for _ in range(4):
            assert (await client.fetch()).status == 200
        message = "ERROR The access log cannot be written; the server goes on without it"
        assert logs.take_exceptions() == [(message, OSError)] * 2


@pytest.fixture
def few_descriptors() -> Iterator[Callable[[int | None], None]]:
    """Leaves this process that many file descriptors more than it has, or all again for None."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def limit(count: int | None) -> None:
        lowest = os.dup(0)
        os.close(lowest)
        most = soft if count is None else lowest + count
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))

    yield limit
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class TestSurvives:
    """What does not take the server down."""

    async def test_no_descriptors(
        self, serve: Serve, logs: Logs, few_descriptors: Callable[[int | None], None]
    ) -> None:
        """Without descriptors left, clients are told to come back until there are some again."""
        running = await serve(path)
        before = await running.connect()
        await before.fetch()
        address = ("127.0.0.1", running.port)
        waiting = [socket.socket() for _ in range(50)]
        few_descriptors(3)
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(address)
        await until(lambda: len(running.connections) > 1)
        assert (await before.fetch("/still")).body == b"/still"
        assert len(running.connections) < 20
        for sock in waiting:
            sock.close()
        few_descriptors(None)
        await until_served(running)
        (message,) = logs.take()
        assert re.fullmatch(
            r"WARNING The limit file_descriptors \(\d+\) refused 127\.0\.0\.1:\d+: 503", message
        )

    async def test_resets(self, serve: Serve) -> None:
        """Clients that reset their connections at all kinds of moments."""
        running = await serve(path)
        for number in range(100):
            client = await running.connect()
            if number % 2:
                await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[:number])
            client.abort()
        assert (await (await running.connect()).fetch()).status == 200
        await until(lambda: len(running.connections) == 1)

    async def test_websocket_resets(self, serve: Serve) -> None:
        """Also those of WebSockets."""
        running = await serve(accepts)
        for _ in range(20):
            client = await running.websocket()
            assert b" 101 " in await client.open()
            client.abort()
        await until(lambda: not running.websockets)
        await until(lambda: not running.context.tasks)

    @pytest.mark.row("2.2 application_checker")
    async def test_one_of_many(self, serve: Serve, logs: Logs) -> None:
        """An application that fails for one client serves all others."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] == "/bad":
                raise ZeroDivisionError
            await path(scope, receive, send)

        running = await serve(app)
        clients = [await running.connect() for _ in range(10)]
        targets = [f"/{number}" if number % 3 else "/bad" for number in range(10)]
        responses = await asyncio.gather(
            *(client.fetch(target) for client, target in zip(clients, targets, strict=True))
        )
        assert [response.status for response in responses] == [
            500 if target == "/bad" else 200 for target in targets
        ]
        assert len(logs.take()) == 4


async def until_served(running: Running) -> None:
    """Try until a new connection is served."""
    async with asyncio.timeout(DEADLINE):
        while True:
            client = await running.connect()
            await client.get("/again")
            try:
                response = await client.response()
            except Exception:  # noqa: BLE001  whatever h11 makes of a connection that is cut off
                logging.getLogger(__name__).debug("not yet")
                await asyncio.sleep(0.01)
            else:
                assert response.body == b"/again"
                return
