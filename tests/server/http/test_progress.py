"""Watching over clients: what has to be done in a window, and in all."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fairway.server import Config
from fairway.server.context import Context
from fairway.server.deadlines import Deadlines, Timed
from fairway.server.http import progress as progress_module
from fairway.server.http.progress import WINDOW, Progress, delivered, unsent
from tests.server.applications import path
from tests.server.running import until


class Standing(Deadlines):
    """Asks nobody: the test does."""

    def arm(self, target: Timed, when: float) -> None:
        """Nobody is asked."""


class Watched:
    """A direction of a connection, with a clock that goes as the test says.

    Attributes:
        done: Bytes that were done.
        failed: What the watch has said.
    """

    def __init__(self, context: Context, rate: float = 10, time: float = 0) -> None:
        self.now = 1000.0
        self.done = 0
        self.failed: list[bool] = []
        context.time = lambda: self.now
        context.deadlines = Standing(context.loop)
        self.progress = Progress(context, rate, lambda: self.done, self.failed.append, time)

    def passes(self, seconds: float) -> float | None:
        """Let time pass; the next moment at which the watch wants to be asked, from now on."""
        self.now += seconds
        when = self.progress.on_deadline(self.now)
        return None if when is None else when - self.now


@pytest.fixture
async def context() -> AsyncIterator[Context]:
    """What connections share."""
    context = Context(path, Config(), asyncio.get_running_loop(), None)
    yield context
    context.close()


async def test_goes_on(context: Context) -> None:
    """As long as each window brings its part, all is well."""
    watched = Watched(context)
    watched.progress.start()
    for _ in range(5):
        watched.done += int(10 * WINDOW)
        assert watched.passes(WINDOW) == WINDOW
    assert watched.failed == []


async def test_too_little(context: Context) -> None:
    """A window that brings less is the last, however much came before it."""
    watched = Watched(context)
    watched.done = 10**9
    watched.progress.start()
    watched.done += int(10 * WINDOW) - 1
    assert watched.passes(WINDOW) is None
    assert watched.failed == [False]
    assert not watched.progress.running


async def test_too_early(context: Context) -> None:
    """Asked within a window it says nothing."""
    watched = Watched(context)
    watched.progress.start()
    assert watched.passes(1) == WINDOW - 1
    assert watched.failed == []


async def test_stopped(context: Context) -> None:
    """While it is not the client's turn, nothing has to be done; then a new window begins."""
    watched = Watched(context)
    watched.progress.start()
    watched.passes(WINDOW - 1)
    watched.progress.stop()
    watched.progress.stop()
    assert watched.passes(10 * WINDOW) is None
    watched.progress.start()
    watched.progress.start()
    assert watched.passes(WINDOW - 1) == 1
    assert watched.failed == []


async def test_time(context: Context) -> None:
    """There may be a time for everything, in which the pauses do not count."""
    watched = Watched(context, rate=0, time=WINDOW + 5)
    watched.progress.start()
    assert watched.passes(WINDOW) == 5
    watched.progress.stop()
    watched.passes(1000)
    watched.progress.start()
    assert watched.passes(4) == 1
    assert watched.passes(1) is None
    assert watched.failed == [True]


async def test_once_more(context: Context) -> None:
    """Who hears that it failed may let it go on."""
    watched = Watched(context)
    progress = watched.progress
    progress._fail = lambda late: progress.start()
    progress.start()
    assert watched.passes(WINDOW) == WINDOW
    assert progress.running


async def test_clock(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's clock asks it, and forgets it when it stops."""
    monkeypatch.setattr(progress_module, "WINDOW", 0.05)
    failed: list[bool] = []
    one = Progress(context, 1, lambda: 0, failed.append)
    other = Progress(context, 1, lambda: 0, failed.append)
    other.start()
    one.start()
    other.stop()
    assert other.slot == 0
    await until(lambda: failed)
    assert failed == [False]


class TestUnsent:
    """How much waits for a client."""

    async def test_kernel(self) -> None:
        """What the kernel keeps is counted, and what the process does."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        for sock in (ours, theirs):
            sock.setblocking(False)
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        try:
            transport.write(b"x" * 1000)
            assert transport.get_write_buffer_size() == 0
            assert unsent(transport) >= 1000
            transport.write(b"x" * 10_000_000)
            assert unsent(transport) >= 1000 + transport.get_write_buffer_size()
            while unsent(transport):
                await loop.sock_recv(theirs, 1 << 20)
        finally:
            transport.abort()
            theirs.close()
        await until(lambda: ours.fileno() == -1)
        assert unsent(transport) == 0

    async def test_elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A system that does not tell about its kernel, and a transport that is over."""

        class Transport(asyncio.Transport):
            def get_write_buffer_size(self) -> int:
                return 7

            def get_extra_info(self, name: str, default: Any = None) -> Any:
                return default

        assert unsent(Transport()) == 7
        monkeypatch.setattr(progress_module, "_UNACKNOWLEDGED", 0)
        assert unsent(Transport()) == 7
        monkeypatch.delattr(Transport, "get_write_buffer_size")
        monkeypatch.setattr(
            asyncio.Transport,
            "get_write_buffer_size",
            lambda _: None._ssl_protocol,  # type: ignore[attr-defined]  # as asyncio's does
        )
        assert unsent(Transport()) == 0


class TestDelivered:
    """How much has reached a client."""

    @pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
    async def test_reading(self, family: socket.AddressFamily) -> None:
        """It grows while the client reads, and only then."""
        loop = asyncio.get_running_loop()
        ours, theirs = pair(family)
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        try:
            transport.write(b"x" * 10_000_000)
            await until(lambda: len(theirs.recv(1, socket.MSG_PEEK)) == 1)
            before = delivered(transport)
            received = 0
            while received < 10_000_000:
                received += len(await loop.sock_recv(theirs, 1 << 20))
            await until(lambda: not unsent(transport))
            assert delivered(transport) > before
        finally:
            transport.abort()
            theirs.close()

    async def test_elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A system that does not tell: what does not wait has reached it."""
        monkeypatch.setattr(progress_module, "_UNACKNOWLEDGED", 0)
        ours, theirs = pair(socket.AF_INET)
        transport, _ = await asyncio.get_running_loop().create_connection(
            asyncio.Protocol, sock=ours
        )
        try:
            assert delivered(transport, 1000) == 1000
            transport.write(b"x" * 10_000_000)
            assert delivered(transport, 1000) == 1000 - transport.get_write_buffer_size() < 0
        finally:
            transport.abort()
            theirs.close()


def pair(family: socket.AddressFamily) -> tuple[socket.socket, socket.socket]:
    """Two sockets that are connected, over TCP where that is asked for."""
    if family is socket.AF_UNIX:
        ours, theirs = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as server:
            ours = socket.create_connection(server.getsockname())
            theirs, _ = server.accept()
    for sock in (ours, theirs):
        sock.setblocking(False)
    return ours, theirs
