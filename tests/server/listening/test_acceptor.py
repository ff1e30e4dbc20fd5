"""Clients are let in, or turned away before anything is made for them."""

import asyncio
import contextlib
import errno
import os
import re
import socket
import ssl
import sys
from pathlib import Path

import pytest

from fairway._types import Receive, Scope, Send
from fairway.server import Config, Server
from fairway.server.listening import acceptor as acceptor_module
from tests.server.applications import body, path, responds, start
from tests.server.conftest import Serve
from tests.server.process import connected
from tests.server.running import DEADLINE, Client, Logs, Running, listening, until


async def refusal(client: Client) -> tuple[int, bytes]:
    """Status and text of an answer to a client that has asked nothing, to the connection's end."""
    answer = await client.rest()
    status, _, rest = answer.partition(b"\r\n")
    head, _, detail = rest.partition(b"\r\n\r\n")
    fields = {line.partition(b":")[0].lower() for line in head.split(b"\r\n")}
    assert {b"retry-after", b"connection", b"content-length", b"date"} <= fields
    assert b"\r\nconnection: close" in b"\r\n" + head.lower()
    return int(status.split()[1]), detail


async def gone(running: Running) -> None:
    """Wait until the server counts nobody any more."""
    await until(lambda: running.context.admission.connections == 0)


class TestLimits:
    """Connections beyond a limit."""

    async def test_in_all(self, serve: Serve, logs: Logs) -> None:
        """Who is too much gets 503 without having asked, and others may come when one has gone."""
        running = await serve(path, max_connections=1)
        first = await running.connect()
        assert (await first.fetch("/a")).body == b"/a"
        second = await running.connect()
        assert await refusal(second) == (503, b"The server is full.\n")
        assert logs.take() == [
            f"WARNING The limit max_connections (1) refused {second.address}: 503"
        ]
        assert len(running.connections) == 1
        first.close()
        await gone(running)
        assert (await (await running.connect()).fetch("/b")).body == b"/b"
        assert running.context.counters.refused == {"max_connections": 1}
        assert running.context.counters.connections == 2

    async def test_answer_is_read(self, serve: Serve, logs: Logs) -> None:
        """The answer arrives although the client has sent a request that nobody reads."""
        running = await serve(path, max_connections=1)
        await (await running.connect()).fetch()
        second = await running.connect()
        await second.get("/")
        assert (await second.response()).status == 503
        logs.take()

    async def test_per_client(self, serve: Serve, logs: Logs) -> None:
        """One address gets 429 when it has as many as it may have."""
        running = await serve(path, max_connections_per_client=1, trusted_proxies=())
        first = await running.connect()
        await first.fetch()
        second = await running.connect()
        assert await refusal(second) == (429, b"Too many connections from there.\n")
        assert logs.take() == [
            f"WARNING The limit max_connections_per_client (1) refused {second.address}: 429"
        ]
        first.abort()
        await gone(running)
        assert (await (await running.connect()).fetch()).status == 200

    async def test_unix_socket(self, serve: Serve, tmp_path: Path) -> None:
        """Clients of a Unix socket are as many as they like."""
        file = tmp_path / "socket"
        running = await serve(
            path, max_connections_per_client=1, host=None, port=None, unix_socket=str(file)
        )
        clients = []
        for _ in range(3):
            reader, writer = await asyncio.open_unix_connection(file)
            clients.append(Client(reader, writer))
            assert (await clients[-1].fetch()).status == 200
        for client in clients:
            client.close()
            await client.writer.wait_closed()
        await gone(running)

    async def test_overload(self, serve: Serve, logs: Logs) -> None:
        """While the event loop is late, those who are there are served, and nobody else."""
        running = await serve(path, max_event_loop_lag=100.0)
        first = await running.connect()
        await first.fetch()
        running.context.admission.feel(101.0)
        second = await running.connect()
        assert await refusal(second) == (503, b"The server is overloaded.\n")
        assert (await first.fetch()).status == 200
        (message,) = logs.take()
        assert (
            message == f"WARNING The limit max_event_loop_lag (100.0) refused {second.address}: 503"
        )

    async def test_websockets(self, serve: Serve, logs: Logs) -> None:
        """Each WebSocket is counted until its end, and one too many is refused without a task."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await receive()

        running = await serve(app, max_websockets=1)
        first = await running.websocket()
        assert b" 101 " in await first.open()
        second = await running.websocket()
        head = await second.open()
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 5\r\n" in head.lower()
        assert len(running.context.tasks) == 1
        assert logs.take() == [
            f"WARNING The limit max_websockets (1) refused {second.address}: 503"
        ]
        first.abort()
        await until(lambda: running.context.admission.websockets == 0)
        assert b" 101 " in await (await running.websocket()).open()


class TestCounting:
    """A connection is counted until its socket is closed, however that happens."""

    async def test_all_ways(self, serve: Serve, logs: Logs) -> None:
        """Closed, reset, upgraded, or ended by the server."""
        running = await serve(path)
        for leave in (Client.close, Client.abort):
            client = await running.connect()
            await client.fetch()
            assert running.context.admission.connections == 1
            leave(client)
            await gone(running)
        client = await running.connect()
        await client.get("/", "Connection: close")
        assert (await client.response()).status == 200
        await gone(running)
        client = await running.websocket()
        assert (await client.open()).startswith(b"HTTP/1.1 500 ")
        client.close()
        await gone(running)
        assert len(logs.take()) == 1

    async def test_failing_factory(
        self, serve: Serve, logs: Logs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A connection that cannot be served is closed, and said to be so."""
        running = await serve(path)

        def fail(self: acceptor_module.Acceptor, visitor: acceptor_module.Visitor) -> None:
            raise RuntimeError("no protocol")

        monkeypatch.setattr(acceptor_module.Acceptor, "_make", fail)
        assert await (await running.connect()).rest() == b""
        await gone(running)
        (message,) = logs.take()
        assert message.startswith("ERROR Cannot serve a connection")


async def test_no_delay(serve: Serve) -> None:
    """What is written goes out at once, and waits for no acknowledgement (TCP_NODELAY)."""
    running = await serve(path)
    await (await running.connect()).fetch()
    (connection,) = running.connections
    sock = connection.transport.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def is_gone(sock: socket.socket) -> bool:
    """Whether the server has closed its end altogether, and does not only send no more."""
    try:
        sock.send(b"x")
    except OSError:
        return True
    return False


class TestFarewell:
    """Refused clients have a moment to read why."""

    async def test_many(self, serve: Serve, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
        """In a flood of them, only the last ones have it: they hold few descriptors."""
        monkeypatch.setattr(acceptor_module, "MAX_FAREWELLS", 2)
        monkeypatch.setattr(acceptor_module, "FAREWELL", 1000.0)
        running = await serve(path, max_connections=1)
        await (await running.connect()).fetch()
        refused = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(20)]
        await until(lambda: sum(map(is_gone, refused)) == 18)
        assert running.context.counters.refused == {"max_connections": 20}
        for sock in refused:
            sock.close()
        logs.take()

    async def test_time(self, serve: Serve, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that does not end the connection is left after that moment."""
        monkeypatch.setattr(acceptor_module, "FAREWELL", 0.0)
        running = await serve(path, max_connections=1)
        await (await running.connect()).fetch()
        with socket.create_connection(("127.0.0.1", running.port)) as refused:
            await until(lambda: is_gone(refused))
        logs.take()

    async def test_end(self, serve: Serve, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
        """The end of the server is the end of that moment, too."""
        monkeypatch.setattr(acceptor_module, "FAREWELL", 1000.0)
        running = await serve(path, max_connections=1)
        await (await running.connect()).fetch()
        with socket.create_connection(("127.0.0.1", running.port)) as refused:
            await until(lambda: running.context.counters.refused)
            running.stop()
            await until(lambda: is_gone(refused))
        logs.take()


STARVING = """
import asyncio, os, resource, sys
from fairway.server import Config, Server
from fairway.server.server import loop_factory

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})

async def main():
    server = Server(app, Config(port=0, lifespan="off"), signals=False)
    listening = asyncio.Event()
    server.ready = listening.set
    serving = asyncio.create_task(server.serve())
    await listening.wait()
    asked = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, asked.set)
    lowest = os.dup(0)
    os.close(lowest)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 3, hard))
    print(server.addresses[0].rpartition(":")[2], flush=True)
    await asked.wait()
    asyncio.get_running_loop().remove_reader(0)
    server.stop()
    await serving

with asyncio.Runner(loop_factory=loop_factory(sys.argv[1])) as runner:
    runner.run(main())
"""


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_starving(loop: str) -> None:
    """Without descriptors (EMFILE) clients get 503, and others are served again when some are free.

    Those who are there are served all the time, and one line is logged.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STARVING, loop),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE):
            address = f"http://127.0.0.1:{int(await process.stdout.readline())}"
            async with contextlib.AsyncExitStack() as stack:
                clients = [await stack.enter_async_context(connected(address)) for _ in range(30)]
                for client in clients[3:]:
                    assert await refusal(client) == (503, b"The server is full.\n")
                assert (await clients[0].fetch()).body == b"here"
            # The server learns in its own time that they have gone, and has descriptors again.
            while True:
                async with connected(address) as client:
                    with contextlib.suppress(ConnectionError):
                        if (await client.fetch()).status == 200:
                            break
            _, stderr = await process.communicate(b"x")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0
    (line,) = stderr.decode().splitlines()
    assert re.fullmatch(r"The limit file_descriptors \(\d+\) refused 127\.0\.0\.1:\d+: 503", line)


class TestNeither:
    """A client can be neither taken nor refused."""

    @pytest.mark.parametrize(
        ("number", "message"),
        [
            (
                errno.ENFILE,
                (
                    r"WARNING The limit file_descriptors \(\d+\) refused 127\.0\.0\.1:\d+: "
                    r"connections have to wait"
                ),
            ),
            (errno.EINVAL, r"ERROR Cannot accept a connection(.|\n)*"),
        ],
    )
    async def test_waits(
        self,
        serve: Serve,
        logs: Logs,
        monkeypatch: pytest.MonkeyPatch,
        number: int,
        message: str,
    ) -> None:
        """The server pauses, instead of trying all the time, and serves it when that is over."""
        attempts = 0

        def accept(sock: socket.socket) -> None:
            nonlocal attempts
            attempts += 1
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(acceptor_module, "PAUSE", 0.05)
        running = await serve(path)
        with monkeypatch.context() as patch:
            patch.setattr(socket.socket, "_accept", accept)
            client = await running.connect()
            await client.get("/late")
            await until(lambda: attempts >= 4)
        assert (await client.response()).body == b"/late"
        lines = logs.take()
        assert lines
        assert [line for line in lines if not re.fullmatch(message, line)] == []


class TestEnd:
    """Who has connected before the end, more than are let in within the turns until it."""

    @staticmethod
    def crowd(port: int) -> list[socket.socket]:
        """Clients that have connected and asked, in one turn of the loop."""
        clients = []
        for _ in range(200):
            clients.append(sock := socket.create_connection(("127.0.0.1", port), DEADLINE))
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        return clients

    @staticmethod
    async def answers(clients: list[socket.socket]) -> list[bytes]:
        """What they are answered."""
        found = []
        for sock in clients:
            client = Client(*await asyncio.open_connection(sock=sock))
            found.append((await client.response()).body)
            client.close()
            await client.writer.wait_closed()
        return found

    async def test_served(self, serve: Serve) -> None:
        """All of them are served."""
        running = await serve(path)
        clients = self.crowd(running.port)
        running.stop()
        assert await self.answers(clients) == [b"/"] * len(clients)
        await running.ended()

    async def test_left(self, serve: Serve) -> None:
        """They are left to whoever else serves on the socket, if somebody does."""
        sock = listening()
        another = sock.dup()
        app, other = responds(start(), body(b"first")), responds(start(), body(b"second"))
        config = Config(lifespan="off")
        running = await serve(app, server=Server(app, config, sockets=[sock]))
        clients = self.crowd(running.port)
        running.server.relieve()
        await running.ended()
        await serve(other, server=Server(other, config, sockets=[another]))
        answers = await self.answers(clients)
        assert set(answers) <= {b"first", b"second"}
        assert answers[-1] == b"second"


async def test_encrypted(serve: Serve, logs: Logs) -> None:
    """With TLS the connection is closed: to say why would take the handshake that is saved."""
    pem = Path(__file__).parents[1] / "certificates"
    running = await serve(path, max_connections=1, tls_certificate=str(pem / "whole.pem"))
    context = ssl.create_default_context(cafile=pem / "root.pem")
    _, writer = await asyncio.open_connection(
        "127.0.0.1", running.port, ssl=context, server_hostname="localhost"
    )
    second = await running.connect()
    assert await second.rest() == b""
    assert logs.take() == [
        f"WARNING The limit max_connections (1) refused {second.address}: the connection is closed"
    ]
    writer.close()
    await writer.wait_closed()
    await gone(running)
