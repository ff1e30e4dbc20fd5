"""Subscriptions: certain when they are said to be, in order, through outages."""

import asyncio

import pytest

from fairway._types import Event
from tests.layers.redis.conftest import MakeLayer
from tests.layers.redis.servers import RedisServer, eventually, version, within
from tests.layers.redis.sockets import Socket


def message(number: int = 0) -> Event:
    return {"type": "test.message", "number": number}


@pytest.mark.pain(18)
async def test_certain(make_layer: MakeLayer, shared: RedisServer) -> None:
    """Once a channel has joined, a message that anybody sends arrives."""
    other = make_layer(shared)
    for number in range(20):
        layer = make_layer(shared)
        socket = await Socket.joined(layer, f"room-{number}")
        assert await other.group_send(f"room-{number}", message(number)) == (0, 1)
        assert await socket.receive() == message(number)


async def test_in_the_order_of_calls(make_layer: MakeLayer, shared: RedisServer) -> None:
    """Joining and leaving in quick succession ends with what was asked for last."""
    layer, other = make_layer(shared), make_layer(shared)
    socket = Socket(layer)
    for turn in range(20):
        joins = [layer.group_add("room", socket.channel) for _ in range(2)]
        await asyncio.gather(*joins)
        await layer.group_discard("room", socket.channel)
        await layer.group_add("room", socket.channel)
        await other.group_send("room", message(turn))
        assert await socket.receive() == message(turn)
        await layer.group_discard("room", socket.channel)
    channel = f"{layer.prefix}:topic:{{room}}"
    await eventually(lambda: shared.ask("PUBSUB", "NUMSUB", channel)[1] == 0)
    await other.group_send("room", message(99))
    await other.send(socket.channel, message(100))
    assert await socket.receive() == message(100)


@pytest.mark.pain(1)
async def test_many_are_restored(make_layer: MakeLayer, server: RedisServer) -> None:
    """Thousands of subscriptions come back together, and the gap is told when all are there."""
    layer, other = (make_layer(server, send_timeout=60) for _ in range(2))
    sockets = [Socket(layer, gaps=not n) for n in range(2500)]
    joins = (layer.group_add(f"room-{n}", s.channel) for n, s in enumerate(sockets))
    await within(asyncio.gather(*joins))
    server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    assert await sockets[0].receive() == {"type": "layer.gap"}
    for number in (0, 1000, 2499):
        await other.group_send(f"room-{number}", message(number))
        assert await sockets[number].receive() == message(number)
    assert len(server.ask("PUBSUB", "CHANNELS")) == 2501


async def test_left_during_an_outage(make_layer: MakeLayer, server: RedisServer) -> None:
    """What was left meanwhile is not subscribed to again."""
    layer = make_layer(server)
    staying = await Socket.joined(layer, "staying")
    leaving = await Socket.joined(layer, "leaving")
    server.shutdown()
    await eventually(lambda: layer.stats()["disconnected"] > 0)
    await layer.group_discard("leaving", leaving.channel)
    server.start()
    assert await staying.receive() == {"type": "layer.gap"}
    found = server.ask("PUBSUB", "CHANNELS", f"{layer.prefix}:topic:*")
    assert sorted(found) == sorted(
        f"{layer.prefix}:topic:{{{name}}}" for name in ("staying", f"!{layer.process}")
    )


async def test_no_gap_without_subscriptions(make_layer: MakeLayer, server: RedisServer) -> None:
    """Who has nothing to miss is told of nothing."""
    layer = make_layer(server)
    socket = Socket(layer)
    await layer.unbind(socket.channel)
    await layer.send("jobs", message())
    server.ask("CLIENT", "KILL", "TYPE", "normal")
    await eventually(lambda: layer.stats()["reconnects"] == 1)
    assert socket.received() == []


async def test_a_reader_that_is_too_slow(make_layer: MakeLayer, server: RedisServer) -> None:
    """Redis ends a connection that does not read: that is a gap, and not silence."""
    server.ask("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 1mb 0")
    layer = make_layer(server)
    socket = await Socket.joined(layer, "room")
    channel = f"{layer.prefix}:topic:{{room}}"
    # In a script, so that Redis has no chance to write meanwhile, and in small pieces, which every
    # version copies into the buffer.
    flood = "for _ = 1, 1000 do redis.call('PUBLISH', ARGV[1], ARGV[2]) end"
    server.ask("EVAL", flood, 0, channel, b"x" * 16 + b"y" * 8192)
    while (found := await socket.receive()) != {"type": "layer.gap"}:
        assert found
    await make_layer(server).group_send("room", message())
    assert await socket.receive() == message()


async def test_no_right_to_subscribe(
    make_layer: MakeLayer, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Its user may not subscribe: the log says so once, however often that is tried again."""
    if version() < (6, 2):
        pytest.skip("Redis 6.0 knows no rights for channels")
    server.ask("ACL", "SETUSER", "site", "on", "nopass", "~*", "&*", "+@all")
    layer = make_layer(f"redis://site:any@127.0.0.1:{server.port}")
    socket = await Socket.joined(layer, "room")
    server.ask("ACL", "SETUSER", "site", "resetchannels")  # which ends what is subscribed
    await eventually(lambda: layer.stats()["reconnects"] > 3)
    assert len(caplog.messages) == 2
    server.ask("ACL", "SETUSER", "site", "&*")
    assert await socket.receive() == {"type": "layer.gap"}
    lost, refused, back = caplog.messages
    about = f"Redis at 127.0.0.1:{server.port} is"
    assert lost.startswith(f"{about} not available: ")
    assert refused.startswith(f"{about} not available: NOPERM ")
    assert refused.endswith(". Let its user do this, see `ACL SETUSER`.")
    assert back.startswith(f"{about} available again, after ")
    await layer.group_send("room", message())
    assert await socket.receive() == message()
