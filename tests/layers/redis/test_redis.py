"""RedisChannelLayer in the settings: its options, and what they say when they are wrong."""

import asyncio
import inspect
import subprocess
import sys
import threading

import pytest

from fairway._types import Event
from fairway.layers.redis import RedisChannelLayer
from tests.layers.redis.conftest import MakeLayer
from tests.layers.redis.servers import RedisServer, eventually, within
from tests.layers.redis.sockets import Socket


def message(number: int = 0) -> Event:
    return {"type": "test.message", "number": number}


def test_options() -> None:
    """The options of both layers of channels_redis, in their order and with their defaults."""
    parameters = inspect.signature(RedisChannelLayer).parameters.values()
    assert {parameter.name: parameter.default for parameter in parameters} == {
        "hosts": None,
        "prefix": "asgi",
        "expiry": 60,
        "group_expiry": 86400,
        "capacity": 100,
        "channel_capacity": None,
        "symmetric_encryption_keys": None,
        "random_prefix_length": 12,
        "serializer_format": "msgpack",
        "send_timeout": 3.0,
        "on_disconnect": None,
        "on_reconnect": None,
    }


def test_nothing_is_connected_by_settings() -> None:
    """Making a layer connects to nothing: settings may be read where Redis is not."""
    layer = RedisChannelLayer(hosts=["redis://redis.invalid"])
    assert layer.stats()["channels"] == 0
    assert (layer.extensions, layer.group_expiry) == (["groups", "flush"], 86400)
    assert layer.abilities == {"acknowledgement", "counting", "delay"}


def test_process_under_its_other_name() -> None:
    """Each layer is another process to Redis, and tells which, also as channels_redis does."""
    layer, other = RedisChannelLayer(), RedisChannelLayer()
    assert layer.client_prefix == layer.process != other.client_prefix


async def test_what_others_do_before_a_loop_ends(
    make_layer: MakeLayer, server: RedisServer
) -> None:
    """close_pools() and wait_received() of channels_redis are there, and lose nothing."""
    layer = make_layer(server)
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.wait_received()
    await layer.close_pools()
    await layer.group_send("room", {"type": "x"})
    assert await within(layer.receive(channel)) == {"type": "x"}


def test_prefix_is_text() -> None:
    """As in channels_redis."""
    with pytest.raises(AssertionError, match=r"^Prefix must be unicode"):
        RedisChannelLayer(prefix=b"asgi")  # type: ignore[arg-type]  # what is tested


def test_prefix_in_a_cluster() -> None:
    """Braces would put the keys of a queue into different slots."""
    hosts = [{"host": "redis.invalid", "cluster": True}]
    with pytest.raises(ValueError, match=r"^prefix must not contain braces in a cluster: '\{a\}'$"):
        RedisChannelLayer(hosts=hosts, prefix="{a}")
    assert RedisChannelLayer(prefix="{a}").prefix == "{a}"


@pytest.mark.parametrize("missing", ["redis", "hiredis"])
def test_not_installed(missing: str) -> None:
    """What to install is in the error."""
    program = f"import sys; sys.modules[{missing!r}] = None; import fairway.layers.redis"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1] == (
        f"ModuleNotFoundError: RedisChannelLayer needs redis and hiredis (import of {missing} "
        "halted; None in sys.modules): pip install 'fairway[redis]'"
    )


def test_encryption_is_not_installed() -> None:
    """The words that are known, and what to install."""
    program = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from fairway.layers.redis import RedisChannelLayer\n"
        "RedisChannelLayer(symmetric_encryption_keys=['secret'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1] == (
        "ValueError: Cannot run with encryption without 'cryptography' installed: "
        "pip install 'fairway[encryption]'."
    )


@pytest.mark.pain(18)
@pytest.mark.row("3.2 Failure")
async def test_notices(make_layer: MakeLayer, server: RedisServer) -> None:
    """Consumers are told when the connection is lost and when it is back, if that is asked for."""
    layer = make_layer(server, on_disconnect="redis.gone", on_reconnect="redis.back")
    socket, other = await Socket.joined(layer, "room", gaps=False), Socket(layer)
    server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    assert await socket.receive() == {"type": "redis.gone"}
    assert await socket.receive() == {"type": "redis.back"}
    assert [await other.receive() for _ in range(3)] == [
        {"type": "redis.gone"}, {"type": "redis.back"}, {"type": "layer.gap"}
    ]  # fmt: skip


async def test_notices_by_function(make_layer: MakeLayer, server: RedisServer) -> None:
    """A function may be called instead."""
    gone, back = threading.Event(), threading.Event()
    layer = make_layer(server, on_disconnect=gone.set, on_reconnect=back.set)
    await Socket.joined(layer, "room")
    server.shutdown()
    await eventually(gone.is_set)
    assert not back.is_set()
    server.start()
    await eventually(back.is_set)


async def test_prefixes(make_layer: MakeLayer, shared: RedisServer) -> None:
    """Layers with another prefix share nothing."""
    one, two = make_layer(shared, prefix="one"), make_layer(shared, prefix="two")
    first, second = await Socket.joined(one, "room"), await Socket.joined(two, "room")
    assert await one.group_send("room", message(1)) == (1, 1)
    await two.group_send("room", message(2))
    await one.send("jobs", message(1))
    await two.send("jobs", message(2))
    assert [await first.receive(), await within(one.receive("jobs"))] == [message(1)] * 2
    assert [await second.receive(), await within(two.receive("jobs"))] == [message(2)] * 2
    await asyncio.gather(one.flush(), two.flush())


async def test_channel_capacity(make_layer: MakeLayer, shared: RedisServer) -> None:
    """Capacities by pattern hold for named channels of all processes."""
    layer = make_layer(shared, channel_capacity={"jobs.*": 1})
    await layer.send("jobs.mail", message())
    with pytest.raises(Exception, match=r"^jobs\.mail$"):
        await layer.send("jobs.mail", message())
    for number in range(2):
        await layer.send("other", message(number))
