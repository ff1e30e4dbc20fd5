"""One process: its event loops, threads and children, and what it leaves behind."""

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync

from fairway._types import Event
from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.redis import RedisChannelLayer
from tests.layers.redis.conftest import MakeLayer
from tests.layers.redis.servers import RedisServer, eventually, within
from tests.layers.redis.sockets import Socket

ROOT = Path(__file__).parent.parent.parent.parent


def message(number: int = 0) -> Event:
    return {"type": "test.message", "number": number}


def run(program: str, server: RedisServer, prefix: str) -> str:
    """What a process of its own prints; it may warn of nothing."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program, str(server.port), prefix],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


# Python's development mode warns of steps that take more than 0.1 s, as any does on a busy machine.
HEAD = """
import asyncio, logging, os, sys
logging.getLogger("asyncio").addFilter(lambda record: not record.msg.startswith("Executing "))
from asgiref.sync import async_to_sync
from fairway.layers.redis import RedisChannelLayer
layer = RedisChannelLayer(hosts=[("127.0.0.1", int(sys.argv[1]))], prefix=sys.argv[2])
"""


async def test_two_connections(make_layer: MakeLayer, server: RedisServer) -> None:
    """However many sockets it has, a process has one connection that sends and one that hears."""
    layer = make_layer(server)
    sockets = [await Socket.joined(layer, f"group-{n % 10}") for n in range(50)]
    await asyncio.gather(*(layer.group_send(f"group-{n % 10}", message(n)) for n in range(50)))
    await layer.send("jobs", message())
    await within(layer.receive("jobs"))
    assert len(server.connections()) == 2
    assert len(server.connections("pubsub")) == 1
    assert len(sockets) == 50


@pytest.mark.row("3.1 Commands")
async def test_one_command(make_layer: MakeLayer, server: RedisServer, prefix: str) -> None:
    """A group message is one command, a named one two: in and out."""
    layer, other = make_layer(server), make_layer(server)
    await Socket.joined(layer, "room")
    await other.group_send("room", message())
    # The first reader of a queue looks once more when the server knows whom to call.
    await other.send("jobs", message())
    await within(layer.receive("jobs"))
    await eventually(lambda: server.ask("PUBSUB", "CHANNELS", f"{prefix}:wake:*") != [])
    await other.send("jobs", message())
    await within(layer.receive("jobs"))

    def calls() -> int:
        lines: list[str] = server.ask("INFO", "commandstats").splitlines()
        found = [line for line in lines if line.startswith("cmdstat_evalsha:")]
        return int(found[0].partition("calls=")[2].partition(",")[0])

    before = calls()
    for number in range(10):
        await other.group_send("room", message(number))
    assert calls() - before == 10
    before = calls()
    await other.send("jobs", message())
    await within(layer.receive("jobs"))
    assert calls() - before == 2


@pytest.mark.pain(9)
@pytest.mark.row("3.1 Loops")
def test_loops(server: RedisServer, prefix: str) -> None:
    """Event loops come and go: the connections stay the same two."""
    layer = RedisChannelLayer(hosts=[("127.0.0.1", server.port)], prefix=prefix)
    for number in range(50):
        async_to_sync(layer.send)("jobs", message(number))
        assert async_to_sync(layer.receive)("jobs") == message(number)
    assert asyncio.run(layer.group_send("room", message())) == (0, 0)
    assert len(server.connections()) == 2
    async_to_sync(layer.close)()


@pytest.mark.pain(9)
def test_threads(server: RedisServer, prefix: str) -> None:
    """Threads without a loop, many at once, share the connections."""
    layer = RedisChannelLayer(hosts=[("127.0.0.1", server.port)], prefix=prefix, capacity=1000)

    def send(first: int) -> None:
        for number in range(first, first + 20):
            layer.sync.send("jobs", message(number))
            async_to_sync(layer.group_send)("room", message(number))

    threads = [threading.Thread(target=send, args=(n * 20,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [layer.sync.receive("jobs", timeout=60)["number"] for _ in range(160)]
    assert sorted(found) == list(range(160))
    assert len(server.connections()) == 2
    with pytest.raises(TimeoutError):
        layer.sync.receive("jobs", timeout=0.01)
    layer.sync.send("jobs", message(1))
    assert layer.sync.receive("jobs", timeout=60) == message(1)
    async_to_sync(layer.close)()


async def test_receive_on_two_loops(make_layer: MakeLayer, shared: RedisServer) -> None:
    """Two event loops may receive on one layer at once."""
    layer, other = make_layer(shared), make_layer(shared)
    waiting = asyncio.ensure_future(layer.receive("here"))
    elsewhere = asyncio.ensure_future(asyncio.to_thread(layer.sync.receive, "there", 60))
    await other.send("here", message(1))
    await other.send("there", message(2))
    assert await within(waiting) == message(1)
    assert await within(elsewhere) == message(2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Nothing forks here.")
def test_fork(server: RedisServer, prefix: str) -> None:
    """A child of a process that is connected has connections of its own; its parent keeps both."""
    program = HEAD + (
        "layer.sync.send('jobs', {'type': 'parent'})\n"
        "name = layer.sync.new_channel()\n"
        "layer.sync.group_add('room', name)\n"
        "if not os.fork():\n"
        "    layer.sync.group_send('room', {'type': 'child'})\n"
        "    assert layer.sync.receive('jobs', 60) == {'type': 'parent'}\n"
        "    assert layer.sync.new_channel().split('!')[0] != name.split('!')[0]\n"
        "    layer.sync.send('jobs', {'type': 'child'})\n"
        "    sys.exit()\n"
        "assert os.wait()[1] == 0\n"
        "assert layer.sync.receive(name, 60) == {'type': 'child'}\n"
        "assert layer.sync.receive('jobs', 60) == {'type': 'child'}\n"
        "print(layer.stats()['reconnects'])\n"
    )
    assert run(program, server, prefix) == "0\n"
    until_nobody_is_connected(server)


def until_nobody_is_connected(server: RedisServer) -> None:
    async_to_sync(eventually)(lambda: server.connections() == [])


@pytest.mark.parametrize(
    "end",
    [
        "layer.sync.send('jobs', {'type': 'x'})",
        "asyncio.run(layer.group_send('room', {'type': 'x'}))",
        "layer.sync.group_add('room', layer.sync.new_channel())",
        "async_to_sync(layer.send)('jobs', {'type': 'x'}); async_to_sync(layer.close)()",
    ],
)
def test_the_end_of_a_process(server: RedisServer, prefix: str, end: str) -> None:
    """A process ends without a word, whether it has closed its layer or not."""
    assert run(HEAD + end, server, prefix) == ""
    until_nobody_is_connected(server)


async def test_close(make_layer: MakeLayer, server: RedisServer) -> None:
    """Closing leaves no connection; who waits is told; the next use connects again."""
    layer = make_layer(server)
    await Socket.joined(layer, "room")
    waiting = asyncio.ensure_future(layer.receive("jobs"))
    await layer.send("other", message())
    await layer.close()
    with pytest.raises(ChannelLayerUnavailable, match=r"^The channel layer was closed\.$"):
        await within(waiting)
    await eventually(lambda: server.connections() == [])  # it may have others to see to first
    assert layer.stats()["groups"] == 0
    await layer.close()
    await layer.send("jobs", message(1))
    assert await within(layer.receive("jobs")) == message(1)
    socket = await Socket.joined(layer, "room")
    await make_layer(server).group_send("room", message(2))
    assert await socket.receive() == message(2)


async def test_close_during_an_outage(make_layer: MakeLayer, server: RedisServer) -> None:
    """Closing does not wait for a server that is away; nor do those who were sending."""
    layer = make_layer(server, send_timeout=3600)
    await Socket.joined(layer, "room")
    await layer.send("jobs", message())
    server.kill()
    sending = asyncio.ensure_future(layer.send("jobs", message()))
    await eventually(
        # What is not on its way yet when the layer is closed would open it again.
        lambda: layer.stats()["disconnected"] == 2 and layer.stats()["pending"] == 1
    )
    await within(layer.close())
    with pytest.raises(ChannelLayerUnavailable, match=r"^The channel layer was closed\.$"):
        await within(sending)


async def test_close_at_the_same_moment(make_layer: MakeLayer, server: RedisServer) -> None:
    """Who joins, sends, waits or gives up while another thread closes leaves nothing behind."""
    layer = make_layer(server)
    for turn in range(20):
        name = await layer.new_channel()
        await layer.send("jobs", message(turn))
        closing = asyncio.ensure_future(layer.close())
        waiting = [
            asyncio.ensure_future(asyncio.to_thread(layer.sync.send, "jobs", message())),
            asyncio.ensure_future(asyncio.to_thread(layer.sync.group_add, "room", name)),
            asyncio.ensure_future(layer.receive("jobs")),
            asyncio.ensure_future(layer.receive("others")),
        ]
        for _ in range(turn % 5):
            await asyncio.sleep(0)
        waiting[2].cancel()
        waiting[3].cancel()
        await within(asyncio.gather(closing, *waiting, return_exceptions=True))
        await within(layer.close())
    await eventually(lambda: server.connections() == [])


async def test_many_layers(make_layer: MakeLayer, server: RedisServer, prefix: str) -> None:
    """Layers of one process know nothing of each other, and each is closed alone."""
    layers = [make_layer(server, prefix=f"{prefix}-{n}") for n in range(20)]
    sockets = [await Socket.joined(layer, "room") for layer in layers]
    for number in range(20):
        await make_layer(server, prefix=f"{prefix}-{number}").group_send("room", message(number))
    found = [await socket.receive() for socket in sockets]
    assert found == [message(number) for number in range(20)]
    for layer in layers:
        await layer.close()
    await eventually(lambda: len(server.connections("pubsub")) == 0)


@pytest.mark.row("3.1 flush", "3.2 flush")
async def test_flush(make_layer: MakeLayer, server: RedisServer) -> None:
    """Flushing leaves no key of this prefix, and all of others."""
    layer, other = make_layer(server), make_layer(server, prefix="other")
    await layer.send("jobs", message())
    await layer.send("jobs", message(), delay=60)
    await within(layer.receive_job("jobs", lease=60))
    await layer.group_add("room", "jobs")
    await other.send("jobs", message(1))
    await layer.flush()
    assert all(key.startswith("other:") for key in server.ask("KEYS", "*"))
    assert await within(other.receive("jobs")) == message(1)
    await layer.send("jobs", message(2))
    assert await within(layer.receive("jobs")) == message(2)


async def test_stats(make_layer: MakeLayer, server: RedisServer) -> None:
    """What the bus counts, beside what every layer does."""
    layer = make_layer(server)
    assert set(layer.stats()) == {
        "sent", "delivered", "received", "dropped", "channels", "groups", "waiting", "expired",
        "unreadable",
    }  # fmt: skip
    await Socket.joined(layer, "room")
    bus = {name: count for name, count in layer.stats().items() if name not in (
        "sent", "delivered", "received", "dropped", "channels", "groups", "waiting",
    )}  # fmt: skip
    assert bus == {
        "subscriptions": 2,
        "pending": 0,
        "reconnects": 0,
        "disconnected": 0,
        "resent": 0,
        "repeated": 0,
        "unreadable": 0,
        "expired": 0,
    }
