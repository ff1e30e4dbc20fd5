"""A Redis Cluster: owners of slots are found, followed when they change, and lost to nobody."""

import asyncio
from collections.abc import Iterator

import pytest

from fairway._types import Event
from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.redis.cluster import Owner, owners_of, slot_of
from tests.layers.redis.conftest import MakeLayer
from tests.layers.redis.servers import RedisServer, cluster, eventually, version, within
from tests.layers.redis.sockets import Socket

GAP = {"type": "layer.gap"}


def message(number: int = 0) -> Event:
    return {"type": "test.message", "number": number}


def seed(node: RedisServer, **options: object) -> dict[str, object]:
    """A node of a cluster, as ``hosts`` names it."""
    return {"host": "127.0.0.1", "port": node.port, "cluster": True, **options}


def name_in(first: int, last: int) -> str:
    """A name whose slot is in a range."""
    return next(name for n in range(100_000) if first <= slot_of(name := f"name-{n}") <= last)


@pytest.fixture
def nodes() -> Iterator[list[RedisServer]]:
    """A cluster to which something may happen: three masters, and a replica of the first."""
    with cluster(replicas=1) as nodes:
        yield nodes


@pytest.mark.parametrize(("tag", "slot"), [("123456789", 0x31C3), ("", 0), ("foo", 12182)])
def test_slot_of(tag: str, slot: int) -> None:
    """The specification's own example, and what `CLUSTER KEYSLOT` says."""
    assert slot_of(tag) == slot


def test_owners_of() -> None:
    """`CLUSTER SLOTS` names a master and replicas for each range; a node may not know its name."""
    reply = [
        [0, 5, [b"10.0.0.1", 6379, b"id", []], [b"10.0.0.2", 6379, b"id", []]],
        [6, 9, [b"", 6380, b"id", []]],
        [10, 10, [None, 6381, b"id", []]],
    ]
    assert owners_of(reply, "seed") == [
        Owner(0, 5, ("10.0.0.1", 6379)),
        Owner(6, 9, ("seed", 6380)),
        Owner(10, 10, ("seed", 6381)),
    ]


@pytest.mark.pain(19)
@pytest.mark.row("3.1 hosts")
async def test_sharded_pubsub(make_layer: MakeLayer, shared_cluster: list[RedisServer]) -> None:
    """A group's messages cross the one node that owns its slot, and no other."""
    layer, other = make_layer(seed(shared_cluster[0])), make_layer(seed(shared_cluster[1]))
    names = [name_in(0, 5460), name_in(5461, 10922), name_in(10923, 16383)]
    sockets = [await Socket.joined(layer, name) for name in names]
    for number, name in enumerate(names):
        await other.group_send(name, message(number))
    assert [await socket.receive() for socket in sockets] == [message(n) for n in range(3)]
    prefix = layer.prefix
    for node, name in zip(shared_cluster, names, strict=True):
        channels = node.ask("PUBSUB", "SHARDCHANNELS", f"{prefix}:topic:*")
        assert f"{prefix}:topic:{{{name}}}" in channels
        assert not {f"{prefix}:topic:{{{other}}}" for other in names if other != name} & {*channels}


@pytest.mark.pain(1, 19)
async def test_failover(make_layer: MakeLayer, nodes: list[RedisServer]) -> None:
    """A master dies and its replica takes its place: subscriptions and senders follow."""
    layer, other = (make_layer(seed(nodes[1]), send_timeout=60) for _ in range(2))
    room, jobs, evening = name_in(0, 999), name_in(1000, 1999), name_in(2000, 5460)
    socket = await Socket.joined(layer, room)
    elsewhere = await Socket.joined(layer, name_in(6000, 7000), gaps=False)
    worker = asyncio.ensure_future(layer.receive(jobs))
    await other.group_send(room, message(1))
    assert await socket.receive() == message(1)
    nodes[0].kill()
    sending = asyncio.gather(other.group_send(room, message(2)), other.send(jobs, message(3)))
    late = await within(Socket.joined(layer, evening, gaps=False))
    await other.group_send(name_in(6000, 7000), message(4))
    assert await elsewhere.receive() == message(4)  # the others are not concerned
    await within(sending)
    assert await within(worker) == message(3)
    await other.group_send(room, message(5))
    found = [await socket.receive(), await socket.receive()]
    if message(2) in found:  # it may have come before or after the new subscription
        found.append(await socket.receive())
        found.remove(message(2))
    assert found in ([GAP, message(5)], [message(5), GAP])  # which is told for all servers at once
    await other.group_send(evening, message(6))
    assert await late.receive() == message(6)


@pytest.mark.pain(19)
async def test_slots_that_move(make_layer: MakeLayer, nodes: list[RedisServer]) -> None:
    """A slot is given to another node: what is under way, and who listens, goes along."""
    layer, other = (make_layer(seed(nodes[0]), send_timeout=60) for _ in range(2))
    room = name_in(0, 5460)
    slot = slot_of(room)
    socket = await Socket.joined(layer, room)
    await other.send(room, message(1))
    move(nodes, slot, nodes[0], nodes[1], layer.prefix)
    await other.send(room, message(2))
    found = [await within(layer.receive(room)) for _ in range(2)]
    assert found == [message(1), message(2)]
    assert await socket.receive() == GAP
    await other.group_send(room, message(3))
    assert await socket.receive() == message(3)


def move(
    nodes: list[RedisServer], slot: int, source: RedisServer, target: RedisServer, prefix: str
) -> None:
    """Give a slot to another node, with its keys; as ``redis-cli --cluster reshard`` does."""
    source_id, target_id = source.ask("CLUSTER", "MYID"), target.ask("CLUSTER", "MYID")
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
    for key in source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
        assert key.startswith(prefix)
        source.ask("MIGRATE", "127.0.0.1", target.port, key, 0, 10_000)
    for node in (target, source, nodes[2]):
        node.ask("CLUSTER", "SETSLOT", slot, "NODE", target_id)


async def test_slot_on_its_way(make_layer: MakeLayer, nodes: list[RedisServer]) -> None:
    """While a slot is moved, the new node is asked (`ASK`); what has several keys waits for it."""
    layer = make_layer(seed(nodes[0]), send_timeout=60)
    name = name_in(0, 5460)
    slot = slot_of(name)
    await layer.send("other", message())
    source_id, target_id = nodes[0].ask("CLUSTER", "MYID"), nodes[1].ask("CLUSTER", "MYID")
    nodes[1].ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
    nodes[0].ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
    await within(layer.group_add(name, "jobs"))
    assert nodes[1].ask("CLUSTER", "COUNTKEYSINSLOT", slot) == 1
    sending = asyncio.ensure_future(layer.send(name, message(1)))
    for node in (nodes[1], nodes[0], nodes[2]):
        node.ask("CLUSTER", "SETSLOT", slot, "NODE", target_id)
    await within(sending)
    assert await within(layer.receive(name)) == message(1)
    await layer.group_send(name, message(2))
    assert await within(layer.receive("jobs")) == message(2)


async def test_a_cluster_that_starts_late(make_layer: MakeLayer) -> None:
    """Commands and subscriptions wait until some node says who owns what."""
    with RedisServer() as server:
        server.shutdown()
        layer = make_layer(seed(server), send_timeout=0.2)
        socket = await within(Socket.joined(layer, "room"))
        for sending in (layer.send("jobs", message()), layer.flush()):
            with pytest.raises(ChannelLayerUnavailable, match=r"\(send_timeout\): "):
                await within(sending)
        assert socket.received() == []


async def test_no_cluster(
    make_layer: MakeLayer, shared: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that is no cluster is named as that, once."""
    if version() < (7,):
        pytest.skip("Redis 6 is told apart by its version before that")
    layer = make_layer(seed(shared), send_timeout=0.2)
    with pytest.raises(ChannelLayerUnavailable, match="cluster support disabled"):
        await layer.send("jobs", message())
    assert [record.getMessage() for record in caplog.records] == [
        (
            f"Redis at 127.0.0.1:{shared.port} is not available: ERR This instance has cluster "
            'support disabled (is it no cluster? then remove "cluster": True). See whether '
            "'hosts' names the right server."
        )
    ]


async def test_not_said_to_be_a_cluster(
    make_layer: MakeLayer, shared_cluster: list[RedisServer]
) -> None:
    """A node of a cluster in the settings, not marked as such, is told by its first answer."""
    layer = make_layer(shared_cluster[0], send_timeout=30)
    with pytest.raises(ChannelLayerUnavailable, match="add \"cluster\": True to it in 'hosts'"):
        await within(layer.send(name_in(6000, 7000), message()))


async def test_left_and_joined_again(
    make_layer: MakeLayer, shared_cluster: list[RedisServer]
) -> None:
    """Leaving and joining in quick succession is no move of a slot, and no gap."""
    layer, other = make_layer(seed(shared_cluster[0])), make_layer(seed(shared_cluster[0]))
    socket = await Socket.joined(layer, "room")
    for number in range(20):
        await layer.group_discard("room", socket.channel)
        await layer.group_add("room", socket.channel)
        assert await other.group_send("room", message(number)) == (0, 1)
        assert await socket.receive() == message(number)
    assert socket.received() == []


async def test_flush(make_layer: MakeLayer, shared_cluster: list[RedisServer]) -> None:
    """Flushing empties each node."""
    layer = make_layer(seed(shared_cluster[0]))
    names = [name_in(0, 5460), name_in(5461, 10922), name_in(10923, 16383)]
    for name in names:
        await layer.send(name, message())
        await layer.group_add(name, "jobs")
    await layer.flush()
    assert [node.ask("KEYS", f"{layer.prefix}:*") for node in shared_cluster] == [[], [], []]


async def test_stats(make_layer: MakeLayer, shared_cluster: list[RedisServer]) -> None:
    """All nodes are counted together."""
    layer = make_layer(seed(shared_cluster[0]))
    for first in (0, 5461, 10923):
        await Socket.joined(layer, name_in(first, first + 5000))
    await eventually(lambda: layer.stats()["subscriptions"] == 4)  # and that of the process
    assert layer.stats()["disconnected"] == 0
