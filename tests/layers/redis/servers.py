"""Real Redis servers on loopback, and what can happen to them."""

import asyncio
import contextlib
import functools
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import hiredis
import pytest

from fairway.layers.redis.connection import pack

T = TypeVar("T")

#: Seconds in which anything happens, however busy the machine is.
PATIENCE = 60.0

#: What is tested against: a program's path, so that another version has its turn (docs/redis.md).
PROGRAM = (
    os.environ.get("FAIRWAY_TEST_REDIS_SERVER")
    or shutil.which("redis-server")
    or shutil.which("valkey-server")
    or "redis-server"
)


@functools.cache
def version() -> tuple[int, ...]:
    """The version of that program."""
    told = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"v=([\d.]+)", told.stdout)
    assert found, told.stdout
    return tuple(int(part) for part in found[1].split("."))


@functools.cache
def speaks_tls() -> bool:
    """Whether that program was built with TLS; if so, it ends for want of a certificate."""
    words = [PROGRAM, "--port", "0", "--tls-port", str(free_port()), "--save", ""]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE)
    without = ("Bad directive", "Failed finding TLS support")  # the second since Redis 7.2
    return not any(text in ended.stdout + ended.stderr for text in without)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


async def eventually(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.01)


async def within(awaitable: Awaitable[T]) -> T:
    """The result, which comes in good time."""
    return await asyncio.wait_for(awaitable, PATIENCE)


class RedisServer:
    """A ``redis-server`` with a private directory, started by :meth:`start`.

    Attributes:
        port: Where it listens, on loopback.
        options: What it is started with, by name; a tuple is several words.
    """

    def __init__(self, *arguments: str, password: str | None = None, **options: object) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="fairway-redis-"))
        self.arguments = arguments
        self.password = password
        self.port = 0
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.kill()
        shutil.rmtree(self.directory)

    def start(self) -> Self:
        """Start it, the first time on a port of its own, later on the same one."""
        deadline = time.monotonic() + PATIENCE
        first = not self.port
        for _ in range(5):  # somebody else may have taken the port in between
            if first:
                self.port = free_port()
            self.process = subprocess.Popen(
                [PROGRAM, *self._command()], cwd=self.directory, stdout=subprocess.DEVNULL
            )
            if self._answers(deadline):
                return self
        raise AssertionError(f"{PROGRAM} did not start: {' '.join(self._command())}")

    def _command(self) -> list[str]:
        options: dict[str, object] = {
            "bind": "127.0.0.1",
            "port": self.port,
            "dir": str(self.directory),
            "logfile": str(self.directory / "log"),
            "save": "",
            "repl-diskless-sync-delay": 0,
        }
        if self.password is not None:
            options["requirepass"] = self.password
        options |= {name.replace("_", "-"): value for name, value in self.options.items()}
        words = [
            word
            for name, value in options.items()
            if value is not None
            for word in (f"--{name}", *(value if isinstance(value, tuple) else (str(value),)))
        ]
        return [*self.arguments, *words]

    def _answers(self, deadline: float) -> bool:
        assert self.process is not None
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(hiredis.ReplyError, OSError):
                self.ask("PING")
                return True
            time.sleep(0.01)
        return False

    # ------------------------------------------------------------------ what can happen to it

    def shutdown(self) -> None:
        """Let it end as ``redis-cli shutdown`` does."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(PATIENCE)

    def kill(self) -> None:
        """Let it end without a chance to say so."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it do nothing for a while."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    # ------------------------------------------------------------------ talking to it

    def ask(self, *words: str | int | bytes) -> Any:
        """Execute one command; bytes are text in the reply.

        Raises:
            hiredis.ReplyError: The reply is an error.
        """
        reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape")
        reply: Any = None
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as sock:
            commands = [words] if self.password is None else [("AUTH", self.password), words]
            for command in commands:
                sock.sendall(pack(command))
                while (reply := reader.gets()) is False:
                    data = sock.recv(65536)
                    if not data:
                        raise ConnectionError("It has ended the connection.")
                    reader.feed(data)
                if isinstance(reply, hiredis.ReplyError):
                    raise reply
        return reply

    def connections(self, kind: str = "") -> list[str]:
        """Who is connected, besides the one who asks: lines of ``CLIENT LIST``."""
        lines: list[str] = self.ask(
            "CLIENT", "LIST", *(["TYPE", kind] if kind else [])
        ).splitlines()
        return [line for line in lines if "cmd=client" not in line]


class Proxy:
    """Stands between a layer and its server, and cuts them off.

    Attributes:
        port: Where it listens, on loopback.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._replying = asyncio.Event()
        self._replying.set()
        self._refusing = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        self.refuse()
        self.speak()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        await self._server.wait_closed()

    def cut(self) -> None:
        """End every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    def lead_to(self, target: int) -> None:
        """Lead whoever connects from now on to another server: as when a name is changed."""
        self._target = target

    def refuse(self, *, refusing: bool = True) -> None:
        """End every connection, and each new one at once, or no more."""
        self._refusing = refusing
        if refusing:
            self.cut()

    def silence(self) -> None:
        """Pass on nothing, and end nothing: as when a cable is pulled."""
        self._open.clear()

    def hold_replies(self) -> None:
        """Pass on what the layer says, and nothing of what the server answers."""
        self._replying.clear()

    def speak(self) -> None:
        """Pass on everything again."""
        self._open.set()
        self._replying.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pumps.add(task)
        task.add_done_callback(self._pumps.discard)
        self._writers.add(writer)  # it may be cut before it leads anywhere
        try:
            if not self._refusing:
                await self._lead(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers.add(back)
        if writer.transport.is_closing():
            back.transport.abort()
        await asyncio.gather(
            self._pump(reader, back, self._open), self._pump(there, writer, self._replying)
        )

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, go: asyncio.Event
    ) -> None:
        try:
            while data := await reader.read(65536):
                await self._open.wait()
                await go.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@contextlib.contextmanager
def replicated() -> Iterator[tuple[RedisServer, RedisServer]]:
    """A master and a replica of it, in step."""
    with RedisServer() as master, RedisServer(replicaof=("127.0.0.1", str(master.port))) as replica:
        until(lambda: "master_link_status:up" in replica.ask("INFO", "replication"))
        yield master, replica


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is true, where no event loop runs."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "It did not become true in good time."
        time.sleep(0.01)


@contextlib.contextmanager
def watched(name: str = "main") -> Iterator[tuple[RedisServer, RedisServer, RedisServer]]:
    """A master, its replica, and a Sentinel that watches them."""
    with replicated() as (master, replica):
        sentinel = RedisServer()
        config = sentinel.directory / "sentinel.conf"
        config.write_text(
            f"sentinel monitor {name} 127.0.0.1 {master.port} 1\n"
            f"sentinel down-after-milliseconds {name} 500\n"
            f"sentinel failover-timeout {name} 5000\n"
        )
        sentinel.arguments = (str(config), "--sentinel")
        sentinel.options = {"save": None}
        with sentinel:
            until(lambda: len(sentinel.ask("SENTINEL", "REPLICAS", name)) == 1)
            yield master, replica, sentinel


@contextlib.contextmanager
def cluster(replicas: int = 0, **options: Any) -> Iterator[list[RedisServer]]:
    """Three masters that share the slots of a cluster, and replicas of the first.

    Each has a ``tls_port`` of its own where there is one in the options.
    """
    if version() < (7,):
        pytest.skip("a cluster needs Redis 7, whose pub/sub is sharded")
    with contextlib.ExitStack() as stack:
        nodes = [
            stack.enter_context(
                RedisServer(
                    cluster_enabled="yes",
                    cluster_port=free_port(),
                    cluster_node_timeout=1000,
                    cluster_require_full_coverage="no",
                    cluster_allow_replica_migration="no",
                    cluster_replica_validity_factor=0,
                    **{**options, **({"tls_port": free_port()} if "tls_port" in options else {})},
                )
            )
            for _ in range(3 + replicas)
        ]
        masters = nodes[:3]
        bounds = [0, 5461, 10923, 16384]
        for node, start, end in zip(masters, bounds, bounds[1:], strict=False):
            node.ask("CLUSTER", "ADDSLOTSRANGE", start, end - 1)
        for node in nodes[1:]:
            meet = ("CLUSTER", "MEET", "127.0.0.1", nodes[0].port, nodes[0].options["cluster_port"])
            node.ask(*(str(word) for word in meet))
        until(lambda: all(_knows_all(node, len(nodes)) for node in nodes))
        first = masters[0].ask("CLUSTER", "MYID")
        for node in nodes[3:]:
            node.ask("CLUSTER", "REPLICATE", first)
        until(lambda: all(_sees_replicas(node, replicas) for node in nodes))
        yield nodes


def _knows_all(node: RedisServer, count: int) -> bool:
    text: str = node.ask("CLUSTER", "INFO")
    return f"cluster_known_nodes:{count}" in text and "cluster_state:ok" in text


def _sees_replicas(node: RedisServer, count: int) -> bool:
    lines: list[str] = node.ask("CLUSTER", "NODES").splitlines()
    return sum("slave" in line and "connected" in line for line in lines) == count
