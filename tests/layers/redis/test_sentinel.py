"""Redis Sentinel: the master is where it says, also after a failover."""

import asyncio

import pytest

from fairway._types import Event
from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.redis.hosts import parse_hosts
from fairway.layers.redis.sentinel import locate
from tests.layers.redis.conftest import MakeLayer
from tests.layers.redis.servers import RedisServer, free_port, watched, within
from tests.layers.redis.sockets import Socket

GAP = {"type": "layer.gap"}


def message(number: int = 0) -> Event:
    return {"type": "test.message", "number": number}


def by(*ports: int, name: str = "main", **options: object) -> dict[str, object]:
    """A host that is to be found through Sentinels."""
    return {"sentinels": [("127.0.0.1", port) for port in ports], "master_name": name, **options}


@pytest.mark.pain(1)
async def test_failover(make_layer: MakeLayer) -> None:
    """The master dies, a replica takes its place: subscriptions and senders follow."""
    with watched() as (master, _, sentinel):
        host = by(free_port(), sentinel.port)  # one Sentinel is dead, too
        layer, other = (make_layer(host, send_timeout=60) for _ in range(2))
        socket = await Socket.joined(layer, "room")
        worker = asyncio.ensure_future(layer.receive("jobs"))
        await other.group_send("room", message(1))
        assert await socket.receive() == message(1)
        master.kill()
        await within(other.send("jobs", message(2)))
        assert await within(worker) == message(2)
        assert await socket.receive() == GAP
        await other.group_send("room", message(3))
        assert await socket.receive() == message(3)


async def test_locate(shared_sentinel: tuple[RedisServer, RedisServer, RedisServer]) -> None:
    """The address that Sentinel gives, with everything else as it is."""
    master, _, sentinel = shared_sentinel
    (server,) = parse_hosts([by(sentinel.port, client_name="web")]).servers
    found = await locate(server)
    assert (found.host, found.port, found.client_name) == ("127.0.0.1", master.port, "web")
    (plain,) = parse_hosts([("127.0.0.1", 1)]).servers
    assert await locate(plain) is plain


async def test_nobody_knows(
    make_layer: MakeLayer, shared_sentinel: tuple[RedisServer, RedisServer, RedisServer]
) -> None:
    """What each Sentinel said stands in the error."""
    sentinel, dead = shared_sentinel[2].port, free_port()
    layer = make_layer(by(dead, sentinel, name="other"), send_timeout=0.5)
    with pytest.raises(ChannelLayerUnavailable) as caught:
        await layer.send("jobs", message())
    text = str(caught.value)
    assert f"Sentinel 127.0.0.1:{dead}: " in text
    assert f"Sentinel 127.0.0.1:{sentinel} knows no master 'other'" in text


async def test_named_as_a_server(
    make_layer: MakeLayer,
    shared_sentinel: tuple[RedisServer, RedisServer, RedisServer],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A Sentinel in the place of a server is told from one, and the log says where it belongs."""
    port = shared_sentinel[2].port
    layer = make_layer(("127.0.0.1", port), send_timeout=0.5)
    with pytest.raises(ChannelLayerUnavailable, match="SENTINEL it stores nothing"):
        await within(layer.send("jobs", message()))
    (line,) = caplog.messages
    assert line == (
        f"Redis at 127.0.0.1:{port} is not available: SENTINEL it stores nothing, and knows where "
        "the master is. Name it in 'sentinels', with 'master_name', in 'hosts'."
    )
