"""What a user of Redis may do: as much as the layer needs, and what is said where it may not."""

import asyncio
import re
from pathlib import Path

import pytest
from redis.credentials import UsernamePasswordCredentialProvider

from fairway._types import Event
from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.redis import RedisChannelLayer
from fairway.layers.redis.connection import ServerError, connect
from fairway.layers.redis.hosts import Server
from fairway.layers.redis.scripts import SCRIPTS
from tests.layers.redis.conftest import MakeLayer
from tests.layers.redis.servers import RedisServer, eventually, version, within
from tests.layers.redis.sockets import Socket

PAGE = Path(__file__).parent.parent.parent.parent / "docs" / "redis.md"

#: Rights for every channel, where there are such rights.
ALL_CHANNELS = ("&*",) if version() >= (6, 2) else ()


def message(number: int = 0) -> Event:
    return {"type": "test.message", "number": number}


def lines() -> tuple[list[list[str]], list[str]]:
    """The words of the page's commands, for one server, and what is added to them for a cluster."""
    found = re.findall(r"^ACL SETUSER (.*)$", PAGE.read_text(), re.MULTILINE)
    words = [line.split() for line in found]
    if version() < (6, 2):  # as the page says
        words[0] = [word for word in words[0] if word != "resetchannels" and word[0] != "&"]
    return words[:-1], words[-1]


def rights(*lines: list[str]) -> set[str]:
    """What is permitted in them."""
    return {word[1:] for words in lines for word in words if word[0] == "+"}


async def use(layer: RedisChannelLayer, other: RedisChannelLayer) -> None:
    """Do everything that a layer does."""
    socket = await Socket.joined(layer, "room")
    await layer.group_add("room", "jobs")
    await other.group_send("room", message(1))
    assert [await socket.receive(), await within(layer.receive("jobs"))] == [message(1)] * 2
    await other.send(socket.channel, message(2))
    assert await socket.receive() == message(2)
    reading = asyncio.ensure_future(layer.receive("jobs"))
    await other.send("jobs", message(3), delay=0.01)
    assert await within(reading) == message(3)
    await other.send("jobs", message(4))
    job = await within(layer.receive_job("jobs", lease=60))
    assert await job.extend(60)
    assert await job.give_back()
    job = await within(layer.receive_job("jobs", lease=60))
    assert await job.acknowledge()
    await layer.group_discard("room", socket.channel)
    await layer.group_discard("room", "jobs")
    await layer.flush()


async def test_enough(make_layer: MakeLayer, server: RedisServer) -> None:
    """The rights that the page gives are enough."""
    for words in lines()[0]:
        server.ask("ACL", "SETUSER", *words)
    server.ask("ACL", "SETUSER", "default", "off")
    host = f"redis://fairway:secret@127.0.0.1:{server.port}"
    await use(*(make_layer(host, prefix="asgi") for _ in range(2)))


async def test_enough_in_a_cluster(
    make_layer: MakeLayer, shared_cluster: list[RedisServer]
) -> None:
    """With those that it adds they are enough in a cluster."""
    alone, added = lines()
    for node in shared_cluster:
        for words in [*alone, added]:
            node.ask("ACL", "SETUSER", *words)
    host = {
        "host": "127.0.0.1", "port": shared_cluster[0].port, "cluster": True,
        "username": "fairway", "password": "secret",
    }  # fmt: skip
    await use(*(make_layer(host, prefix="asgi") for _ in range(2)))
    for node in shared_cluster:
        node.ask("ACL", "DELUSER", "fairway")


def test_nothing_needless() -> None:
    """They are those for what is in the scripts, and for what is said outside of them."""
    called = {
        name.lower()
        for script in SCRIPTS
        for name in re.findall(r"call\('([A-Z]+)'", script.source)
        if name != "PUBSUB"
    }
    said = "ping info role script|load eval evalsha scan unlink subscribe unsubscribe publish"
    alone, added = lines()
    assert rights(*alone) == called | set(said.split()) | {"llen", "zcard", "zrem", "pubsub|numsub"}
    said = "cluster|slots asking ssubscribe sunsubscribe spublish pubsub|shardnumsub"
    assert rights(added) == set(said.split())


@pytest.mark.parametrize(
    "command",
    [
        "FLUSHALL",
        "KEYS *",
        "CONFIG GET maxmemory",
        "ACL LIST",
        "CLIENT LIST",
        "SCRIPT FLUSH",
        "GET other:key",
        "SHUTDOWN NOSAVE",
    ],
)
async def test_no_more(server: RedisServer, command: str) -> None:
    """What is no business of the layer they do not permit."""
    for words in lines()[0]:
        server.ask("ACL", "SETUSER", *words)
    login = UsernamePasswordCredentialProvider("fairway", "secret")
    connection = await connect(Server(host="127.0.0.1", port=server.port, credentials=login))
    with pytest.raises(ServerError, match=r"^NOPERM "):
        await within(connection.ask(*command.split()))
    await connection.close()


async def test_scripts_may_not_be_loaded(make_layer: MakeLayer, server: RedisServer) -> None:
    """A user that may not do it in advance sends each whole."""
    server.ask("ACL", "SETUSER", "alice", "on", ">secret", "~*", *ALL_CHANNELS, "+@all", "-script")
    layer = make_layer(f"redis://alice:secret@127.0.0.1:{server.port}")
    await layer.send("jobs", message(1))
    assert await within(layer.receive("jobs")) == message(1)


async def test_name_may_not_be_set(make_layer: MakeLayer, server: RedisServer) -> None:
    """A user that may not call its connections by a name works without one."""
    server.ask("ACL", "SETUSER", "alice", "on", ">secret", "~*", *ALL_CHANNELS, "+@all", "-client")
    layer = make_layer(f"redis://alice:secret@127.0.0.1:{server.port}?client_name=web")
    await layer.send("jobs", message(1))
    assert await within(layer.receive("jobs")) == message(1)
    assert not any(" name=web" in line for line in server.connections())


@pytest.mark.parametrize("missing", ["~*", "&*", "evalsha", "set", "publish", "time"])
async def test_not_permitted(
    make_layer: MakeLayer, server: RedisServer, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What a user may not do, in a script too, is said at once, and logged once with what to do."""
    if missing == "&*" and not ALL_CHANNELS:
        pytest.skip("Redis 6.0 knows no rights for channels")
    allowed = [word for word in ("~*", *ALL_CHANNELS) if word != missing]
    refused = [] if missing in {"~*", "&*"} else [f"-{missing}"]
    reset = ["resetchannels"] if ALL_CHANNELS else []
    server.ask("ACL", "SETUSER", "alice", "on", ">secret", *reset, *allowed, "+@all", *refused)
    layer = make_layer(f"redis://alice:secret@127.0.0.1:{server.port}", send_timeout=3600)
    for _ in range(2):
        to_group = missing in {"publish", "&*"}
        sending = (layer.group_send if to_group else layer.send)("jobs", message())
        with pytest.raises(ChannelLayerUnavailable) as caught:
            await within(sending)
        assert str(caught.value).endswith("Let its user do this, see `ACL SETUSER`.")
    (line,) = caplog.messages
    assert line.startswith(f"Redis at 127.0.0.1:{server.port} refuses: ")
    assert line.endswith("Let its user do this, see `ACL SETUSER`.")


async def test_permitted_later(
    make_layer: MakeLayer, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Who waits for a message goes on waiting, and has it when the right is there."""
    server.ask("ACL", "SETUSER", "alice", "on", ">secret", "~*", *ALL_CHANNELS, "+@all", "-lpop")
    layer = make_layer(f"redis://alice:secret@127.0.0.1:{server.port}")
    await layer.send("jobs", message(1))
    reading = asyncio.ensure_future(layer.receive("jobs"))
    await eventually(lambda: len(caplog.messages) == 1)
    server.ask("ACL", "SETUSER", "alice", "+lpop")
    assert await within(reading) == message(1)
