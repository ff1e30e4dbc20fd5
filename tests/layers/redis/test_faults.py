"""What happens to Redis, while sockets are open and workers wait."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from pytest_django import Settings

from fairway._types import Event
from fairway.exceptions import ChannelLayerUnavailable
from fairway.generic.websocket import AsyncWebsocketConsumer
from fairway.layers import get_channel_layer
from fairway.layers.redis import RedisChannelLayer
from fairway.testing import WebsocketCommunicator
from tests.layers.redis.conftest import MakeLayer
from tests.layers.redis.servers import (
    PATIENCE,
    Proxy,
    RedisServer,
    eventually,
    replicated,
    until,
    version,
    within,
)
from tests.layers.redis.sockets import Socket

GAP = {"type": "layer.gap"}


def message(number: int = 0) -> Event:
    return {"type": "test.message", "number": number}


class Open:
    """A process with a socket in a group, and workers that wait for jobs.

    Attributes:
        layer: Its layer.
        other: The layer of another process.
    """

    def __init__(self, layer: RedisChannelLayer, other: RedisChannelLayer) -> None:
        self.layer = layer
        self.other = other

    async def begin(self) -> None:
        self.socket = await Socket.joined(self.layer, "room")
        self.workers = [asyncio.ensure_future(self.layer.receive("jobs")) for _ in range(2)]
        self.specific = await self.layer.new_channel()
        self.reader = asyncio.ensure_future(self.layer.receive(self.specific))
        await self.works(ask_readers=False)

    async def works(self, *, ask_readers: bool = True) -> None:
        """Everything that crosses the server arrives, once, and in order."""
        await self.other.group_send("room", message(1))
        await self.layer.group_send("room", message(2))
        await self.other.send(self.socket.channel, message(3))
        found = [await self.socket.receive() for _ in range(3)]
        assert sorted(m["number"] for m in found) == [1, 2, 3]
        if not ask_readers:
            return
        await self.other.send("jobs", message(4))
        await self.layer.send("jobs", message(5))
        jobs = await within(asyncio.gather(*self.workers))
        assert sorted(m["number"] for m in jobs) == [4, 5]
        await self.other.send(self.specific, message(6))
        assert await within(self.reader) == message(6)

    def is_open(self) -> bool:
        """Nobody who waits has seen an exception."""
        return not any(task.done() for task in [*self.workers, self.reader])

    async def has_gap(self) -> None:
        """The socket is told once that it may have missed something."""
        assert await self.socket.receive() == GAP

    async def is_back(self) -> None:
        """Wait until both processes are connected again."""
        layers = (self.layer, self.other)
        await eventually(lambda: all(layer.stats()["disconnected"] == 0 for layer in layers))

    async def is_away(self) -> None:
        """Wait until both processes have noticed that the server is gone."""
        layers = (self.layer, self.other)  # the other one only sends: it has one connection
        await eventually(lambda: [layer.stats()["disconnected"] for layer in layers] == [2, 1])


OpenAt = Callable[..., Awaitable[Open]]


@pytest.fixture
async def open_at(make_layer: MakeLayer) -> AsyncIterator[OpenAt]:
    """Opens sockets and begins to wait, at a server."""
    everything: list[Open] = []

    async def open_at(host: object) -> Open:
        found = Open(make_layer(host, send_timeout=30), make_layer(host, send_timeout=30))
        everything.append(found)
        await found.begin()
        return found

    yield open_at
    tasks = [task for found in everything for task in [*found.workers, found.reader]]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def is_refused(layer: RedisChannelLayer) -> str:
    """Sending waits for as long as it may and then says what is wrong; returns all it said."""
    texts = []
    for sending in (
        layer.send("jobs", message()),
        layer.group_send("room", message()),
        layer.send("specific.0123456789abcdef!x", message()),
        layer.group_add("room", "jobs"),
        layer.group_discard("room", "jobs"),
    ):
        with pytest.raises(ChannelLayerUnavailable) as caught:
            await within(sending)
        texts.append(str(caught.value))
    return "\n".join(texts)


def at(proxy: Proxy, **options: object) -> dict[str, object]:
    """A server behind a proxy, whose silence is noticed soon."""
    return {
        "host": "127.0.0.1",
        "port": proxy.port,
        "health_check_interval": 0.2,
        "socket_connect_timeout": 0.5,
        **options,
    }


@pytest.mark.pain(1)
@pytest.mark.row("3.1 Redis restart", "3.2 Failure")
async def test_restart(open_at: OpenAt, server: RedisServer, make_layer: MakeLayer) -> None:
    """Redis restarts: sockets stay, joins and leaves are made up for, and a gap is told once."""
    opened = await open_at(server)
    left = await Socket.joined(opened.layer, "room")
    server.shutdown()
    await opened.is_away()
    # Here and now, whatever is the matter with the server:
    late = await within(Socket.joined(opened.layer, "late"))
    await within(opened.layer.group_discard("room", left.channel))
    await within(opened.layer.new_channel())
    assert opened.is_open()
    text = await is_refused(make_layer(server, send_timeout=0.2))
    assert text.startswith("Redis did not take it within 0.2 s (send_timeout): 127.0.0.1:")
    waiting = asyncio.ensure_future(opened.other.send("other", message(7)))
    server.start()
    await opened.has_gap()
    await within(waiting)
    assert await within(opened.layer.receive("other")) == message(7)
    await opened.is_back()
    await opened.other.group_send("late", message(8))
    assert await late.receive() == message(8) or await late.receive() == message(8)
    await opened.works()
    assert opened.socket.received() == []
    assert left.received() in ([], [GAP])


async def test_messages_within_a_process(open_at: OpenAt, server: RedisServer) -> None:
    """Members in the sender's process get a group's message, whatever happens to Redis."""
    opened = await open_at(server)
    server.kill()
    sending = asyncio.ensure_future(opened.layer.group_send("room", message(1)))
    assert await opened.socket.receive() == message(1)
    await opened.layer.send(opened.socket.channel, message(2))
    assert await opened.socket.receive() == message(2)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)


async def test_not_there_at_first(open_at: OpenAt, make_layer: MakeLayer) -> None:
    """A process starts before Redis does: it joins, waits, and works when Redis is there."""
    with RedisServer() as server:
        server.shutdown()
        layer, other = make_layer(server, send_timeout=30), make_layer(server, send_timeout=30)
        socket = await within(Socket.joined(layer, "room"))
        worker = asyncio.ensure_future(layer.receive("jobs"))
        await eventually(lambda: layer.stats()["disconnected"] == 2)
        server.start()
        assert await socket.receive() == GAP
        await other.group_send("room", message(1))
        assert await socket.receive() == message(1)
        await other.send("jobs", message(2))
        assert await within(worker) == message(2)


@pytest.mark.pain(1)
async def test_network_cut(open_at: OpenAt, server: RedisServer) -> None:
    """Connections break: they are made anew, and nobody sees an exception."""
    async with Proxy(server.port) as proxy:
        opened = await open_at(at(proxy))
        proxy.cut()
        await opened.has_gap()
        await opened.is_back()
        assert opened.is_open()
        await opened.works()


async def test_refusing_for_a_while(
    open_at: OpenAt, server: RedisServer, make_layer: MakeLayer
) -> None:
    """A server that ends each new connection is tried again until it does not."""
    async with Proxy(server.port) as proxy:
        opened = await open_at(at(proxy))
        proxy.refuse()
        await opened.is_away()
        await is_refused(make_layer(at(proxy), send_timeout=0.2))
        proxy.refuse(refusing=False)
        await opened.has_gap()
        await opened.is_back()
        await opened.works()


@pytest.mark.pain(1)
async def test_half_open(open_at: OpenAt, server: RedisServer, make_layer: MakeLayer) -> None:
    """A connection whose other end has gone without a word is noticed and replaced."""
    async with Proxy(server.port) as proxy:
        opened = await open_at(at(proxy))
        proxy.silence()
        await opened.is_away()
        late = await within(Socket.joined(opened.layer, "late"))
        await is_refused(make_layer(at(proxy), send_timeout=0.2))
        proxy.speak()
        await opened.has_gap()
        await opened.is_back()
        await opened.other.group_send("late", message(1))
        while (found := await late.receive()) == GAP:
            pass
        assert found == message(1)
        await opened.works()


@pytest.mark.pain(1)
async def test_slow_for_a_while(
    open_at: OpenAt, server: RedisServer, make_layer: MakeLayer
) -> None:
    """Redis freezes for less than it takes to be given up: nothing is lost, nobody is told."""
    opened = await open_at(server)
    impatient = make_layer(server, send_timeout=0.2)
    there = await Socket.joined(impatient, "there")
    with server.frozen():
        await is_refused(make_layer(server, send_timeout=0.2))
        # The server does not say that it has this one, which is waited for as long as for others.
        late = await within(Socket.joined(impatient, "late"))
        sending = [asyncio.ensure_future(opened.other.send("jobs", message(n))) for n in (4, 5)]
        assert opened.is_open()
    await within(asyncio.gather(*sending))
    jobs = await within(asyncio.gather(*opened.workers))
    assert sorted(m["number"] for m in jobs) == [4, 5]
    await opened.other.group_send("late", message(1))
    await opened.other.group_send("there", message(2))
    assert await there.receive() == message(2)
    assert await late.receive() == message(1)
    assert opened.socket.received() == []
    assert [layer.stats()["reconnects"] for layer in (opened.layer, opened.other)] == [0, 0]


async def test_frozen_for_long(open_at: OpenAt, server: RedisServer) -> None:
    """Redis freezes for longer: it is given up, found again when it wakes, and nothing is doubled.

    The commands that it had not read are executed when it wakes, though their connection is gone.
    """
    opened = await open_at(
        {"host": "127.0.0.1", "port": server.port, "health_check_interval": 0.2,
         "socket_connect_timeout": 0.5}
    )  # fmt: skip
    with server.frozen():
        numbers = range(10, 20)
        sending = [asyncio.ensure_future(opened.other.send("many", message(n))) for n in numbers]
        telling = asyncio.ensure_future(opened.other.group_send("room", message(1)))
        await opened.is_away()
        assert opened.is_open()
    await opened.has_gap()
    await within(asyncio.gather(*sending, telling))
    found = [await within(opened.layer.receive("many")) for _ in numbers]
    assert found == [message(n) for n in numbers]
    await opened.is_back()
    assert opened.socket.received() in ([], [message(1)])
    await opened.works()
    await opened.other.send("many", message(99))
    assert await within(opened.layer.receive("many")) == message(99)


@pytest.mark.pain(1, 4)
@pytest.mark.parametrize("kind", ["normal", "pubsub"])
async def test_client_kill(open_at: OpenAt, server: RedisServer, kind: str) -> None:
    """`CLIENT KILL` ends connections: they come back, a gap is told if messages came that way."""
    opened = await open_at(server)
    server.ask("CLIENT", "KILL", "TYPE", kind)
    if kind == "pubsub":
        await opened.has_gap()
    await eventually(lambda: opened.layer.stats()["reconnects"] == 1)
    await opened.is_back()
    assert opened.is_open()
    await opened.works()
    assert opened.socket.received() == []


@pytest.mark.pain(4, 18)
async def test_nothing_lost_or_doubled(make_layer: MakeLayer, server: RedisServer) -> None:
    """Connections that send are killed all the time: each message arrives, once and in order."""
    layer, other = make_layer(server, send_timeout=30), make_layer(server, send_timeout=30)
    socket = await Socket.joined(layer, "room", gaps=False)
    count = 300

    async def work() -> list[Event]:
        return [await layer.receive("jobs") for _ in range(count)]

    async def listen() -> list[Event]:
        return [await socket.receive() for _ in range(count)]

    one_at_a_time = asyncio.Lock()  # or they would kill each other

    async def kill() -> int:
        async with one_at_a_time:
            killed: int = await asyncio.to_thread(server.ask, "CLIENT", "KILL", "TYPE", "normal")
            return killed

    reading = asyncio.gather(work(), listen())
    killing = []
    for number in range(count):
        if number % 50 == 25:  # while others are under way
            killing.append(asyncio.ensure_future(kill()))
        await within(other.send("jobs", message(number)))
        await within(other.group_send("room", message(number)))
    jobs, heard = await within(reading)
    assert sum(await asyncio.gather(*killing)) >= len(killing)
    assert jobs == [message(number) for number in range(count)]
    assert heard == [message(number) for number in range(count)]
    assert layer.stats()["reconnects"] + other.stats()["reconnects"] > 0


async def test_memory_full(
    open_at: OpenAt,
    server: RedisServer,
    make_layer: MakeLayer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Redis is full: named channels are refused and can be read, groups go on, sockets stay."""
    opened = await open_at(server)
    await opened.other.send("kept", message(1))
    server.ask("CONFIG", "SET", "maxmemory", "1")
    impatient = make_layer(server, send_timeout=0.3)
    for _ in range(2):
        with pytest.raises(ChannelLayerUnavailable) as caught:
            await within(impatient.send("jobs", message()))
        assert "OOM command not allowed when used memory > 'maxmemory'" in str(caught.value)
    refusals = [r for r in caplog.records if "refuses: OOM" in r.getMessage()]
    assert len(refusals) == 1
    assert await within(opened.layer.receive("kept")) == message(1)
    await opened.other.group_send("room", message(2))
    assert await opened.socket.receive() == message(2)
    waiting = asyncio.ensure_future(opened.other.send("other", message(3)))
    assert opened.is_open()
    server.ask("CONFIG", "SET", "maxmemory", "0")
    await within(waiting)
    assert await within(opened.layer.receive("other")) == message(3)
    await opened.works()


async def test_wrong_password(
    open_at: OpenAt, make_layer: MakeLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """The password is wrong: the log says once what to do; when it is right, all is well."""
    with RedisServer(password="right") as server:
        host = {"host": "127.0.0.1", "port": server.port, "password": "wrong"}
        layer, other = make_layer(host, send_timeout=30), make_layer(host, send_timeout=30)
        socket = await within(Socket.joined(layer, "room"))
        worker = asyncio.ensure_future(layer.receive("jobs"))
        text = await is_refused(make_layer(host, send_timeout=0.3))
        sending = asyncio.ensure_future(other.send("other", message(3)))
        said = "WRONGPASS invalid username-password pair"
        if version() >= (6, 2):
            said += " or user is disabled"
        assert f"{said}." in text
        await eventually(lambda: layer.stats()["disconnected"] == 2)
        line = (
            f"Redis at 127.0.0.1:{server.port} is not available: {said}. "
            "Correct the user name and password in 'hosts'."
        )
        await eventually(lambda: errors(caplog) == [line] * 3)  # each layer has said so
        server.ask("CONFIG", "SET", "requirepass", "wrong")
        server.password = "wrong"
        await within(sending)
        assert await socket.receive() == GAP
        await other.group_send("room", message(1))
        assert await socket.receive() == message(1)
        await other.send("jobs", message(2))
        assert await within(worker) == message(2)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says is wrong."""
    return [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]


async def test_no_password(make_layer: MakeLayer, caplog: pytest.LogCaptureFixture) -> None:
    """A password is wanted and none given: the log says once how to give it."""
    with RedisServer(password="secret") as server:
        layer = make_layer(server, send_timeout=0.3)
        for _ in range(2):
            assert "NOAUTH Authentication required." in await is_refused(layer)
        line = (
            f"Redis at 127.0.0.1:{server.port} is not available: NOAUTH Authentication required. "
            "Give it the password: \"redis://:password@host:6379\" in 'hosts'."
        )
        assert errors(caplog) == [line]


async def test_becomes_a_replica(
    open_at: OpenAt, server: RedisServer, make_layer: MakeLayer
) -> None:
    """Redis becomes read-only: senders wait, and go on when it is, or its name means, a master."""
    opened = await open_at(server)
    with RedisServer() as master:
        server.ask("REPLICAOF", "127.0.0.1", master.port)
        impatient = make_layer(server, send_timeout=0.5)
        assert "READONLY" in await is_refused(impatient)
        waiting = asyncio.ensure_future(opened.other.send("other", message(3)))
        assert opened.is_open()
        server.ask("REPLICAOF", "NO", "ONE")
        await within(waiting)
        assert await within(opened.layer.receive("other")) == message(3)
        await opened.is_back()
        await opened.works()


@contextlib.asynccontextmanager
async def moved() -> AsyncIterator[tuple[Proxy, Callable[[], None], RedisServer]]:
    """A name, what makes it another's, which is the master then, and the one before."""
    with replicated() as (old, new):
        async with Proxy(old.port) as name:

            def move() -> None:
                new.ask("REPLICAOF", "NO", "ONE")
                old.ask("REPLICAOF", "127.0.0.1", new.port)
                name.lead_to(new.port)
                until(lambda: "master_link_status:up" in old.ask("INFO", "replication"))

            yield name, move, old


async def test_name_leads_elsewhere(make_layer: MakeLayer) -> None:
    """A name leads to another master: whoever still listens at a replica hears a message once."""
    async with moved() as (name, move, _):
        host = {"host": "127.0.0.1", "port": name.port, "health_check_interval": 1000}
        layer, other = make_layer(host), make_layer(host, send_timeout=1)
        socket = await Socket.joined(layer, "room")
        await other.group_send("room", message(0))
        move()
        await other.send(socket.channel, message(1))
        await other.group_send("room", message(2))
        assert [await socket.receive() for _ in range(3)] == [message(n) for n in range(3)]


@pytest.mark.parametrize("silent", [False, True])
async def test_listener_follows(make_layer: MakeLayer, silent: bool) -> None:
    """A process moves to another master with what it listens by, too, and hears of the gap.

    It finds out by what it writes, and if it writes nothing, since it asks.
    """
    async with moved() as (name, move, old):
        host = {"host": "127.0.0.1", "port": name.port}
        layer = make_layer({**host, "health_check_interval": 2 if silent else 1000})
        socket = await Socket.joined(layer, "room")
        await layer.send("jobs", message(0))  # its other connection is there, too
        assert len(old.ask("PUBSUB", "CHANNELS", "*{room}")) == 1
        await asyncio.to_thread(move)
        if not silent:
            await layer.send("jobs", message(0))
        assert await socket.receive() == GAP
        await eventually(lambda: old.ask("PUBSUB", "CHANNELS", "*{room}") == [])
        assert (await make_layer(host).group_send("room", message(1))).processes == 1
        assert await socket.receive() == message(1)


async def test_replica_from_the_start(
    make_layer: MakeLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """A replica is named in the settings: the log says once what to name."""
    with replicated() as (_, replica):
        assert "READONLY it is a replica" in await is_refused(make_layer(replica, send_timeout=0.3))
        line = (
            f"Redis at 127.0.0.1:{replica.port} is not available: READONLY it is a replica. "
            "Name the master in 'hosts', or its Sentinels."
        )
        assert errors(caplog) == [line]


async def test_log(open_at: OpenAt, server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """An outage is one line for each process when it begins, and one when it ends."""
    opened = await open_at(server)
    server.shutdown()
    await opened.is_away()
    server.start()
    await opened.is_back()

    def count(text: str) -> int:
        return sum(text in r.getMessage() for r in caplog.records)

    # It is said when the first subscription is confirmed, which may be a moment later.
    await eventually(lambda: count(" is available again, after ") == 2)
    assert count(" is not available: ") == 2


class RoomConsumer(AsyncWebsocketConsumer):
    """A consumer of a project, with a handler for gaps and a sender that may fail."""

    groups = ["room"]

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        assert self.channel_layer is not None
        await self.channel_layer.group_send("room", {"type": "websocket.send", "text": text_data})

    async def layer_gap(self, event: Event) -> None:
        await self.send(text_data="gap")


@pytest.mark.pain(1)
async def test_consumers(
    server: RedisServer,
    make_layer: MakeLayer,
    prefix: str,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Sockets stay open through an outage, also those whose handlers send; a gap is handled."""
    config = {"hosts": [("127.0.0.1", server.port)], "prefix": prefix, "send_timeout": 0.2}
    backend = "fairway.layers.redis.RedisChannelLayer"
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": backend, "CONFIG": config}}
    sockets = [WebsocketCommunicator(RoomConsumer.as_asgi(), "/room/") for _ in range(2)]
    for socket in sockets:
        assert (await socket.connect(timeout=PATIENCE))[0]
    layer = get_channel_layer()
    assert isinstance(layer, RedisChannelLayer)
    server.shutdown()
    await eventually(lambda: layer.stats()["disconnected"] > 0)
    await sockets[0].send_to(text_data="members of this process hear it all the same")
    for socket in sockets:
        text = await socket.receive_from(timeout=PATIENCE)
        assert text == "members of this process hear it all the same"
    await eventually(lambda: any("send_timeout" in text for text in logged(caplog)))
    server.start()
    for socket in sockets:
        assert await socket.receive_from(timeout=PATIENCE) == "gap"
    await eventually(lambda: layer.stats()["disconnected"] == 0)
    other = make_layer(server, send_timeout=60)
    await other.group_send("room", {"type": "websocket.send", "text": "from elsewhere"})
    for socket in sockets:
        assert await socket.receive_from(timeout=PATIENCE) == "from elsewhere"
        await socket.disconnect(timeout=PATIENCE)
    await layer.close()


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """All of the log, with what was raised."""
    formatter = logging.Formatter()
    return [formatter.format(record) for record in caplog.records]
