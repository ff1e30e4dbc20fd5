"""RedisBus: what becomes of what is published and pushed."""

import asyncio
import subprocess
import sys

import pytest

from fairway._types import Event
from fairway.exceptions import ChannelFull
from fairway.layers.redis import bus as bus_module
from tests.layers.redis.conftest import MakeLayer
from tests.layers.redis.servers import RedisServer, eventually, within
from tests.layers.redis.sockets import Socket


def message(number: int = 0) -> Event:
    return {"type": "test.message", "number": number}


@pytest.mark.row("3.1 Groups", "3.2 group_send")
async def test_reached(make_layer: MakeLayer, shared: RedisServer) -> None:
    """A sender is told how many members and processes it reached, itself included once."""
    layers = [make_layer(shared) for _ in range(3)]
    sender = make_layer(shared)
    assert await sender.group_send("room", message()) == (0, 0)
    sockets = [await Socket.joined(layer, "room") for layer in layers]
    assert await sender.group_send("room", message(1)) == (0, 3)
    own = [await Socket.joined(sender, "room") for _ in range(2)]
    assert await sender.group_send("room", message(2)) == (2, 4)
    for socket in sockets:
        assert [await socket.receive() for _ in range(2)] == [message(1), message(2)]
    assert [await socket.receive() for socket in own] == [message(2), message(2)]
    await layers[0].group_send("room", message(3))  # whose echo would have come by now
    assert [await socket.receive() for socket in own] == [message(3), message(3)]


@pytest.mark.pain(18)
@pytest.mark.row("3.2 group_add")
async def test_group_add_of_another_process(make_layer: MakeLayer, shared: RedisServer) -> None:
    """A channel of another process, and a named channel, can be put into a group from anywhere."""
    layer, other = make_layer(shared), make_layer(shared)
    socket = Socket(layer)
    await other.group_add("room", await layer.new_channel())
    await other.group_add("room", socket.channel)
    await other.group_add("room", "jobs")
    await make_layer(shared).group_send("room", message())
    assert await socket.receive() == message()
    assert await within(other.receive("jobs")) == message()
    await other.group_discard("room", socket.channel)
    await other.group_send("room", message(1))
    await other.send(socket.channel, message(2))
    assert await socket.receive() == message(2)


@pytest.mark.pain(18)
@pytest.mark.row("3.2 send")
async def test_named_channels(make_layer: MakeLayer, shared: RedisServer) -> None:
    """A message that is sent before anybody reads waits, is read once, and is bounded in number."""
    layer, other = make_layer(shared), make_layer(shared, capacity=2)
    await other.send("jobs", message(1))
    await other.send("jobs", message(2))
    with pytest.raises(ChannelFull):
        await other.send("jobs", message(3))
    found = await within(asyncio.gather(layer.receive("jobs"), other.receive("jobs")))
    assert sorted(m["number"] for m in found) == [1, 2]


@pytest.mark.pain(4)
async def test_no_shared_capacity(make_layer: MakeLayer, shared: RedisServer) -> None:
    """A socket that does not read keeps nothing from the others of its process."""
    layer, other = make_layer(shared, capacity=5), make_layer(shared, capacity=5)
    slow, socket = Socket(layer), Socket(layer)
    for number in range(200):
        await other.send(slow.channel, message(number))
    await other.send(socket.channel, message(1))
    assert await socket.receive() == message(1)


@pytest.mark.pain(4)
@pytest.mark.row("3.1 Groups")
async def test_many_messages(make_layer: MakeLayer, shared: RedisServer) -> None:
    """250 messages to an idle reader are 250 messages."""
    layer, other = make_layer(shared), make_layer(shared)
    socket = await Socket.joined(layer, "room")
    for number in range(250):
        await other.group_send("room", message(number))
    assert [await socket.receive() for _ in range(250)] == [message(n) for n in range(250)]


async def test_overflow_is_logged(
    make_layer: MakeLayer, shared: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A full channel is logged once per burst, with what to change."""
    layer = make_layer(shared, capacity=1)
    await layer.group_add("room", "jobs")
    for number in range(4):
        await layer.group_send("room", message(number))
    assert [record.getMessage() for record in caplog.records] == [
        (
            "Channel jobs holds 1 messages, which is its capacity; what is sent to it now is "
            "refused. Receive faster, or raise 'capacity' or 'channel_capacity'."
        )
    ]
    assert layer.stats()["dropped"] == 3
    assert await within(layer.receive("jobs")) == message(0)


@pytest.mark.row("3.1 new_channel", "3.2 new_channel")
async def test_new_channel(make_layer: MakeLayer, shared: RedisServer) -> None:
    """A new channel is named after its prefix and its process, and can be reached at once."""
    layer, other = make_layer(shared), make_layer(shared)
    name = ""
    for prefix in ("specific", "specific.", "chat"):
        name = await layer.new_channel(prefix)
        assert name.startswith(f"{prefix.rstrip('.')}.{layer.process}!")
        await other.send(name, message())
        assert await within(layer.receive(name)) == message()
    with pytest.raises(RuntimeError, match="belongs to another process, which receives it"):
        await other.receive(name)


async def test_group_expiry(make_layer: MakeLayer, shared: RedisServer) -> None:
    """A named channel leaves a group some time after it was last put in; nothing has to run."""
    layer = make_layer(shared, group_expiry=0.05)
    await layer.group_add("room", "jobs")
    key = f"{layer.prefix}:members:{{room}}"
    await eventually(lambda: shared.ask("EXISTS", key) == 0)
    await layer.group_send("room", message(1))
    await layer.send("jobs", message(2))
    assert await within(layer.receive("jobs")) == message(2)


async def test_sent_to_a_process_on_its_way_back(
    make_layer: MakeLayer, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just after an outage, a process that nobody can reach yet is waited for."""
    monkeypatch.setattr(bus_module, "_RETURNING", 3600.0)
    layer, other = (make_layer(server, send_timeout=30) for _ in range(2))
    socket = Socket(layer, gaps=False)
    await other.send(socket.channel, message(1))
    assert await socket.receive() == message(1)
    server.shutdown()
    await eventually(lambda: layer.stats()["disconnected"] + other.stats()["disconnected"] > 1)
    server.start()
    await within(other.send(socket.channel, message(2)))
    assert await socket.receive() == message(2)
    await within(other.group_add("room", socket.channel))
    await other.group_send("room", message(3))
    assert await socket.receive() == message(3)


async def test_a_process_that_is_gone(make_layer: MakeLayer, shared: RedisServer) -> None:
    """What is sent to a process that has ended is lost, and waited for by nobody."""
    gone, other = make_layer(shared), make_layer(shared, send_timeout=3600)
    name = await gone.new_channel()
    await gone.close()
    await within(other.send(name, message()))
    await within(other.group_add("room", name))
    await within(other.group_discard("room", name))


async def test_what_others_publish(
    make_layer: MakeLayer, shared: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Bytes that no layer published end nothing."""
    layer = make_layer(shared)
    socket = await Socket.joined(layer, "room")
    for garbage in (b"", b"short", b"\xff" * 17, b"\xff" * 40, b"x" * 16 + b"\x01\xc1"):
        shared.ask("PUBLISH", f"{layer.prefix}:topic:{{room}}", garbage)
        shared.ask("PUBLISH", f"{layer.prefix}:topic:{{!{layer.process}}}", garbage)
    await make_layer(shared).group_send("room", message())
    item = socket.mailbox.take()
    while item is None or item == b"\xc1":
        if item is None:
            await within(socket.mailbox.park())
        item = socket.mailbox.take()
    assert layer.stats()["disconnected"] == 0


@pytest.mark.skipif(
    (3, 12) <= sys.version_info < (3, 12, 2),
    reason="Python 3.12.0 and 3.12.1 start no thread any more when functions of atexit are called",
)
async def test_sent_after_the_goodbye(make_layer: MakeLayer, shared: RedisServer) -> None:
    """A process that ends may send when its connections have been closed, too."""
    layer = make_layer(shared, prefix="ending")
    code = f"""
import atexit
atexit.register(lambda: layer.sync.send("jobs", {{"type": "last"}}))  # called last, too
from fairway.layers.redis import RedisChannelLayer
layer = RedisChannelLayer(hosts=["redis://127.0.0.1:{shared.port}"], prefix="ending")
layer.sync.send("jobs", {{"type": "first"}})
"""
    command = [sys.executable, "-c", code]
    ended = await asyncio.to_thread(
        subprocess.run, command, stderr=subprocess.PIPE, text=True, timeout=60, check=True
    )
    assert ended.stderr == ""
    for kind in ("first", "last"):
        assert await within(layer.receive("jobs")) == {"type": kind}
