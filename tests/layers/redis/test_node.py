"""Servers that share the names: each name has one, the same in every process."""

import pytest

from fairway._types import Event
from fairway.layers.redis.node import shard_of
from tests.layers.redis.conftest import MakeLayer
from tests.layers.redis.servers import RedisServer, eventually, within
from tests.layers.redis.sockets import Socket


def message(number: int = 0) -> Event:
    return {"type": "test.message", "number": number}


def test_shard_of() -> None:
    """Each server has its share of the names."""
    names = [f"name-{number}" for number in range(1000)]
    for shards in (1, 2, 3, 7):
        found = [shard_of(name, shards) for name in names]
        assert set(found) == set(range(shards))
        assert all(found.count(shard) > 500 / shards for shard in range(shards))
    assert shard_of("room", 2) == shard_of("room", 2)


@pytest.mark.row("7 15")
@pytest.mark.pain(19)
@pytest.mark.row("3.1 send", "3.1 Sharding")
async def test_direct_sends(make_layer: MakeLayer, shards: list[RedisServer]) -> None:
    """A message to a channel of another process arrives, whichever server the names fall on."""
    layers = [make_layer(*shards) for _ in range(10)]
    sender = make_layer(*shards)
    for number, layer in enumerate(layers):
        channel = await layer.new_channel()
        await sender.send(channel, message(number))
        assert await within(layer.receive(channel)) == message(number)


@pytest.mark.pain(19)
async def test_groups_and_queues(make_layer: MakeLayer, shards: list[RedisServer]) -> None:
    """Groups and named channels are spread over the servers, and found there by everybody."""
    layer, other = make_layer(*shards), make_layer(*shards)
    names = [f"name-{number}" for number in range(0, 96, 8)]
    assert {shard_of(name, 2) for name in names} == {0, 1}
    sockets = [await Socket.joined(layer, name) for name in names]
    for number, name in enumerate(names):
        await other.group_send(name, message(number))
        await other.send(name, message(number))
    assert [await socket.receive() for socket in sockets] == [message(n) for n in range(12)]
    assert [await within(layer.receive(name)) for name in names] == [message(n) for n in range(12)]
    for node in shards:
        assert node.ask("PUBSUB", "CHANNELS", f"{layer.prefix}:topic:*")


async def test_listener_can_ask(make_layer: MakeLayer, server: RedisServer) -> None:
    """Who has only listened so far has a connection, too, by which it hears what the server is."""
    await Socket.joined(make_layer(server), "room")

    def clients(kind: str) -> int:
        return len(str(server.ask("CLIENT", "LIST", "TYPE", kind)).splitlines())

    await eventually(lambda: (clients("pubsub"), clients("normal")) == (1, 2))  # this one asks


async def test_one_server_of_two_dies(make_layer: MakeLayer, shared: RedisServer) -> None:
    """What is on the other one goes on."""
    with RedisServer() as dying:
        layer, other = (make_layer(shared, dying, send_timeout=30) for _ in range(2))
        names = {shard_of(name, 2): name for name in (f"name-{n}" for n in range(100))}
        socket = await Socket.joined(layer, names[0], gaps=False)
        lost = await Socket.joined(layer, names[1])
        dying.kill()
        await other.group_send(names[0], message(1))
        assert await socket.receive() == message(1)
        dying.start()
        assert await lost.receive() == {"type": "layer.gap"}
        await other.group_send(names[1], message(2))
        assert await lost.receive() == message(2)
