"""A connection is read on the event loop that most of what comes is for."""

import asyncio
import concurrent.futures
import errno
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fairway.layers.io import io
from fairway.layers.redis import connection as connections
from fairway.layers.redis import loan as loans
from fairway.layers.redis.command import Command, ignore
from fairway.layers.redis.connection import Connection
from fairway.layers.redis.hosts import parse_hosts
from fairway.layers.redis.loan import ENOUGH
from fairway.layers.redis.readers import Taken, Waiter
from fairway.layers.redis.scripts import PUSH
from fairway.layers.redis.session import Options, Session
from fairway.layers.redis.wire import Wire
from fairway.layers.serializers import registry
from tests.layers.redis.elsewhere import Elsewhere
from tests.layers.redis.servers import PATIENCE, RedisServer, within

MakeSession = Callable[[str | RedisServer], Session]


@pytest.fixture
def make_session(prefix: str) -> Iterator[MakeSession]:
    """Makes sessions, which are closed after the test."""
    made: list[Session] = []

    def make(where: str | RedisServer) -> Session:
        host = f"redis://127.0.0.1:{where.port}" if isinstance(where, RedisServer) else where
        wire = Wire(registry.get_serializer("msgpack"), None, 60)
        nothing: Callable[..., None] = lambda *_: None  # noqa: E731
        made.append(
            Session(
                Options(parse_hosts([host]), prefix, 60, PATIENCE, wire, nothing, nothing, nothing)
            )
        )
        return made[-1]

    yield make
    for session in made:
        io.run_sync(session.close())


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that reads is not found idle."""
    monkeypatch.setattr(loans, "PATIENCE", 3600)


def connection_of(session: Session) -> Connection:
    (node,) = session.router.nodes()
    assert node.commands.connection is not None
    return node.commands.connection


async def echo(session: Session, text: str = "hello") -> None:
    """One reply, to the one who waits for it."""
    assert await session.ask("", lambda _: ("ECHO", text)) == text.encode()


async def borrow(session: Session) -> Connection:
    """Wait for replies on this loop until it reads them itself."""
    await echo(session)
    while connection_of(session).home is not asyncio.get_running_loop():
        await echo(session)
    return connection_of(session)


def test_borrowing(make_session: MakeSession, shared: RedisServer, elsewhere: Elsewhere) -> None:
    """Who waits for reply after reply reads them; afterwards the thread of the layers does."""
    session = make_session(shared)
    connection = elsewhere.run(borrow(session))
    elsewhere.run(echo(session, "read here"))
    while connection.home is not io.loop:
        threading.Event().wait(0.01)
    elsewhere.run(echo(session, "read there"))


def test_one_after_the_other(
    make_session: MakeSession, shared: RedisServer, elsewhere: Elsewhere
) -> None:
    """The connection goes on to the next event loop that needs it."""
    session = make_session(shared)
    other = Elsewhere(asyncio.new_event_loop())
    elsewhere.run(borrow(session))
    connection = other.run(borrow(session))
    assert connection is elsewhere.run(borrow(session))
    other.close()


def test_blocked(make_session: MakeSession, shared: RedisServer, elsewhere: Elsewhere) -> None:
    """A loop that is blocked while it has the connection stops nobody."""
    session = make_session(shared)
    connection = elsewhere.run(borrow(session))
    elsewhere.block()
    io.run_sync(echo(session), PATIENCE)
    assert connection.home is io.loop
    elsewhere.unblock()
    elsewhere.run(echo(session))


def test_closed(make_session: MakeSession, shared: RedisServer, elsewhere: Elsewhere) -> None:
    """A loop that has ended while it had the connection stops nobody."""
    session = make_session(shared)
    elsewhere.run(borrow(session))
    elsewhere.close()
    io.run_sync(echo(session), PATIENCE)
    for _ in range(3):
        asyncio.run(borrow(session))


@pytest.mark.usefixtures("patient")
def test_ended(make_session: MakeSession, shared: RedisServer, elsewhere: Elsewhere) -> None:
    """Who sends while the loop that reads has ended does not wait until it is found idle."""
    session = make_session(shared)
    elsewhere.run(borrow(session))
    elsewhere.close()
    io.run_sync(echo(session), PATIENCE)


def test_no_descriptor(
    make_session: MakeSession,
    shared: RedisServer,
    elsewhere: Elsewhere,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that has opened all that it may lends nothing, and goes on."""

    def refuse(_descriptor: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(loans, "dup", refuse)
    session = make_session(shared)
    for _ in range(10 * ENOUGH):
        elsewhere.run(echo(session))
    assert connection_of(session).home is io.loop


@pytest.mark.usefixtures("patient")
def test_closing(make_session: MakeSession, server: RedisServer, elsewhere: Elsewhere) -> None:
    """The server sees that a connection was closed whose loop cannot let go of it now."""
    session = make_session(server)
    elsewhere.run(borrow(session))
    elsewhere.block()
    io.run_sync(session.close())
    until = time.monotonic() + PATIENCE
    while server.connections():
        assert time.monotonic() < until
        threading.Event().wait(0.01)
    elsewhere.unblock()


@pytest.mark.usefixtures("patient")
def test_refused_too_late(
    make_session: MakeSession, server: RedisServer, elsewhere: Elsewhere
) -> None:
    """What was refused, and read elsewhere, before its node was given up goes to the next one."""
    session = make_session(server)
    elsewhere.run(borrow(session))
    (node,) = session.router.nodes()
    refusal = ("EVAL", "return redis.error_reply('READONLY it is a replica now')", 0)
    command = Command("", lambda _: refusal, ignore)
    inherited: list[Command] = []

    async def give_up() -> None:
        node.commands.send(command)
        while len(node.commands):  # which stops this thread, but not the one that reads
            threading.Event().wait(0.001)
        assert node.commands.take_back(inherited.append) == []

    io.run_sync(give_up(), PATIENCE)
    io.run_sync(asyncio.sleep(0), PATIENCE)
    assert inherited == [command]


async def test_lost(
    make_session: MakeSession, server: RedisServer, elsewhere: Elsewhere, prefix: str
) -> None:
    """A connection that is cut off while it is lent is made anew; each command is executed once."""
    session = make_session(server)

    async def push(count: int) -> None:
        call = session.pushing("jobs", 60, 10_000, 0)
        await asyncio.gather(*(session.call("jobs", call, b"%d" % n) for n in range(count)))

    for _ in range(3):
        await asyncio.to_thread(elsewhere.run, borrow(session))
        pushing = asyncio.ensure_future(asyncio.to_thread(elsewhere.run, push(100)))
        server.ask("CLIENT", "KILL", "TYPE", "normal")
        await within(pushing)
    ready, *_ = session.keys.queue("jobs")
    assert server.ask("LLEN", ready) == 300


def test_interrupted(make_session: MakeSession, shared: RedisServer, elsewhere: Elsewhere) -> None:
    """After Ctrl-C in the middle of a reply, everybody gets the reply to what they have asked."""
    session = make_session(shared)
    connection = elsewhere.run(borrow(session))
    answered = connection.on_reply

    def interrupt(reply: Any) -> None:
        connection.on_reply = answered
        raise KeyboardInterrupt

    async def ask() -> None:
        await borrow(session)
        asking = [asyncio.ensure_future(echo(session, str(number))) for number in range(20)]
        await asyncio.sleep(0)
        connection.on_reply = interrupt
        await asyncio.gather(*asking)

    elsewhere.run(ask())
    assert elsewhere.interrupted.wait(PATIENCE)
    assert connection_of(session) is not connection
    elsewhere.run(echo(session, "and so on"))


def test_interrupted_command(
    make_session: MakeSession,
    shared: RedisServer,
    elsewhere: Elsewhere,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody gets the reply to a command that a signal handler kept from being sent."""
    session = make_session(shared)
    elsewhere.run(echo(session))

    def interrupt(_data: bytes) -> None:
        raise ArithmeticError

    with monkeypatch.context() as patched:
        patched.setattr(connection_of(session), "write", interrupt)
        with pytest.raises(ArithmeticError):
            elsewhere.run(echo(session, "unsent"))
    elsewhere.run(echo(session, "and so on"))


def test_nonsense(
    make_session: MakeSession,
    shared: RedisServer,
    elsewhere: Elsewhere,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is not the protocol ends the connection on its thread, whoever has read it."""
    session = make_session(shared)
    connection = elsewhere.run(borrow(session))
    aborted_here: list[bool] = []
    abort = connection.abort

    def see(reason: str) -> None:
        aborted_here.append(io.here)
        abort(reason)

    monkeypatch.setattr(connection, "abort", see)

    async def hear_nonsense() -> None:
        connection.data_received(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    elsewhere.run(hear_nonsense())
    elsewhere.run(echo(session))
    assert connection_of(session) is not connection
    assert "is not the protocol of Redis" in connection.lost.result()
    assert set(aborted_here) == {True}  # a second time for what came before its end


def test_refusals(make_session: MakeSession, server: RedisServer, elsewhere: Elsewhere) -> None:
    """A script that the server has lost is sent whole, also where another loop reads that."""
    session = make_session(server)

    async def push() -> None:
        call = session.pushing("jobs", 60, 10, 0)
        assert await session.call("jobs", call, b"payload") == 1

    elsewhere.run(push())
    elsewhere.run(borrow(session))
    server.ask("SCRIPT", "FLUSH")
    elsewhere.run(push())
    server.ask("SCRIPT", "LOAD", PUSH.source)


def test_everybody(
    make_session: MakeSession,
    shared: RedisServer,
    elsewhere: Elsewhere,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However often it goes from loop to loop, all get the replies to what they have asked."""
    monkeypatch.setattr(connections, "ENOUGH", 1)
    session = make_session(shared)
    others = [Elsewhere(asyncio.new_event_loop()) for _ in range(3)]
    numbers = itertools.count()

    async def ask() -> None:
        for _ in range(100):
            await asyncio.gather(*(echo(session, str(next(numbers))) for _ in range(3)))

    def ask_from_nowhere() -> None:
        for _ in range(100):
            io.run_sync(echo(session, str(next(numbers))), PATIENCE)

    asking = [asyncio.run_coroutine_threadsafe(ask(), each.loop) for each in (elsewhere, *others)]
    ask_from_nowhere()
    for future in asking:
        future.result(PATIENCE)
    for other in others:
        other.close()


async def test_tls(
    make_session: MakeSession, tls: tuple[RedisServer, int], certificate: Path
) -> None:
    """What comes over TLS is read where TLS is spoken."""
    session = make_session(f"rediss://127.0.0.1:{tls[1]}?ssl_ca_certs={certificate}")
    for _ in range(10 * ENOUGH):
        await echo(session)
    assert connection_of(session).home is io.loop


def test_loop_without_readers(make_session: MakeSession, shared: RedisServer) -> None:
    """A loop that cannot wait for sockets, as the default one of Windows, is not lent any."""

    class Loop(asyncio.SelectorEventLoop):
        add_reader = asyncio.AbstractEventLoop.add_reader

    other = Elsewhere(Loop())
    session = make_session(shared)
    for _ in range(10 * ENOUGH):
        other.run(echo(session))
    assert connection_of(session).home is io.loop
    other.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Nothing forks here.")
def test_fork(server: RedisServer, prefix: str) -> None:
    """A child does not hold open what its parent has lent."""
    program = """
import asyncio, os, sys
from fairway.layers.redis import RedisChannelLayer
layer = RedisChannelLayer(hosts=[("127.0.0.1", int(sys.argv[1]))], prefix=sys.argv[2])
async def main():
    await asyncio.gather(*(layer.send("jobs", {"type": "x"}) for _ in range(100)))
    for _ in range(100):
        await layer.receive("jobs")
    if not os.fork():
        sys.stdin.read()
        os._exit(0)
    await layer.close()
    print("closed", flush=True)
asyncio.run(main())
os.wait()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(server.port), prefix],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"closed\n"
        while server.connections():
            threading.Event().wait(0.01)
        assert process.stdin is not None
        process.stdin.close()


def called_often(
    session: Session, other: Session, server: RedisServer, elsewhere: Elsewhere
) -> Connection:
    """Have a loop called for a queue, with what ``other`` adds, until it hears of that itself."""

    async def take() -> Taken:
        waiter = Waiter()
        session.read("jobs", waiter)
        return await waiter

    async def push() -> None:
        assert await other.call("jobs", other.pushing("jobs", 60, 10, 0), b"payload") == 1

    (node,) = session.router.nodes()
    while (heard := node.subscriptions.connection) is None or heard.home is not elsewhere.loop:
        taking = asyncio.run_coroutine_threadsafe(take(), elsewhere.loop)
        while not server.ask("ZCARD", session.keys.queue("jobs")[4]):
            threading.Event().wait(0.001)
        io.run_sync(push())
        assert len(taking.result(PATIENCE).entries) == 1
    return heard


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, what comes is counted as one thing after the other."""
    monkeypatch.setattr(connections, "PATIENCE", 3600)


@pytest.mark.usefixtures("patient", "counted")
def test_calls(make_session: MakeSession, shared: RedisServer, elsewhere: Elsewhere) -> None:
    """Who is called for jobs all the time hears it itself; subscriptions are made all the same."""
    session = make_session(shared)
    connection = called_often(session, make_session(shared), shared, elsewhere)
    certain: concurrent.futures.Future[None] = concurrent.futures.Future()
    io.call(session.subscribe, "group", certain)
    certain.result(PATIENCE)
    io.call(session.unsubscribe, "group")
    channel = session.keys.channel("group")
    while shared.ask("PUBSUB", "NUMSUB", channel)[1]:
        threading.Event().wait(0.001)
    assert connection.home is elsewhere.loop


@pytest.mark.usefixtures("counted")
def test_calls_to_nobody(
    make_session: MakeSession, shared: RedisServer, elsewhere: Elsewhere
) -> None:
    """A loop that has ended while it heard for others keeps nobody from hearing."""
    session = make_session(shared)
    connection = called_often(session, make_session(shared), shared, elsewhere)
    elsewhere.close()
    certain: concurrent.futures.Future[None] = concurrent.futures.Future()
    io.call(session.subscribe, "group", certain)
    certain.result(PATIENCE)
    assert connection.home is io.loop
