"""The connection that sends: in order, once, and again when a reply was lost."""

import asyncio
from collections.abc import Awaitable

import hiredis
import pytest

from fairway._types import Event
from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.job import Job
from fairway.layers.redis.advice import code_of
from fairway.layers.redis.commands import text_of
from tests.layers.redis.conftest import MakeLayer
from tests.layers.redis.servers import Proxy, RedisServer, eventually, within
from tests.layers.redis.sockets import Socket


def message(number: int = 0) -> Event:
    return {"type": "test.message", "number": number}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", "OOM"),
        ("MOVED 3999 127.0.0.1:6381", "MOVED"),
        ("ERR unknown command", "ERR"),
        (
            (
                "ERR Error running script (call to f_1): @user_script:14: @user_script: 14: -OOM "
                "command not allowed when used memory > 'maxmemory'."
            ),
            "OOM",
        ),
        ("ERR Error running script (call to f_1): @user_script:1: nonsense", "ERR"),
        ("something else", ""),
    ],
)
def test_code_of(text: str, code: str) -> None:
    """The kind of an error, also of one within a script of Redis 6."""
    assert code_of(text_of(hiredis.ReplyError(text))) == code


def test_text_of() -> None:
    """What went wrong is what a reader of the log is to know, not in which line of a script."""
    inside = "ERR Error running script (call to f_1): @user_script:14: @user_script: 14: -OOM full."
    assert [text_of(hiredis.ReplyError(text)) for text in (inside, "ERR it is not.")] == [
        "OOM full",
        "ERR it is not",
    ]


async def test_concurrently(make_layer: MakeLayer, shared: RedisServer) -> None:
    """Hundreds of senders at once share a connection; each gets its own answer."""
    layer = make_layer(shared, capacity=250)
    sending = [layer.send("jobs", message(n)) for n in range(300)]
    results = await within(asyncio.gather(*sending, return_exceptions=True))
    assert [type(result).__name__ for result in results] == ["NoneType"] * 250 + [
        "ChannelFull"
    ] * 50
    found = [await within(layer.receive("jobs")) for _ in range(250)]
    assert found == [message(n) for n in range(250)]


async def test_scripts_are_lost(make_layer: MakeLayer, server: RedisServer) -> None:
    """`SCRIPT FLUSH`, or a new master that never had them: they are sent again."""
    layer = make_layer(server)
    await layer.send("jobs", message(1))
    server.ask("SCRIPT", "FLUSH")
    await layer.send("jobs", message(2))
    await layer.group_send("room", message(3))
    found = [await within(layer.receive("jobs")) for _ in range(2)]
    assert found == [message(1), message(2)]


async def test_too_large(make_layer: MakeLayer) -> None:
    """What the server takes in no one piece is refused, and nothing else suffers."""
    with RedisServer(proto_max_bulk_len="1mb") as server:
        layer = make_layer(server, send_timeout=3600)
        large = {"type": "x", "data": b"x" * 3_000_000}
        for sending in (layer.send("jobs", large), layer.group_send("room", large)):
            others = [asyncio.ensure_future(layer.send("others", message(n))) for n in range(5)]
            with pytest.raises(ChannelLayerUnavailable) as caught:
                await within(sending)
            assert str(caught.value) == (
                f"Redis at 127.0.0.1:{server.port} refuses: ERR Protocol error: invalid bulk "
                "length. Send less at once, or raise its `proto-max-bulk-len`."
            )
            await within(asyncio.gather(*others))
            assert [await within(layer.receive("others")) for _ in others] == [
                message(n) for n in range(5)
            ]


async def test_renamed(make_layer: MakeLayer) -> None:
    """What hosting providers take away is not missed."""
    gone = "CLIENT CONFIG DEBUG FLUSHALL FLUSHDB INFO KEYS MONITOR ROLE SCRIPT SELECT SHUTDOWN"
    words = [word for name in gone.split() for word in ("--rename-command", name, "")]
    with RedisServer(*words) as server:
        layer, other = (make_layer({"host": "127.0.0.1", "port": server.port}) for _ in range(2))
        socket = await Socket.joined(layer, "room")
        await other.group_send("room", message(1))
        assert await socket.receive() == message(1)
        await other.send("jobs", message(2))
        assert await within(layer.receive("jobs")) == message(2)
        await layer.flush()


async def test_what_was_under_way(make_layer: MakeLayer, server: RedisServer) -> None:
    """A reply is lost with its connection: the command counts once, its sender hears of nothing."""
    async with Proxy(server.port) as proxy:
        host = ("127.0.0.1", proxy.port)
        layer, there = make_layer(host, send_timeout=60), make_layer(server)
        socket = await Socket.joined(there, "room", gaps=False)
        await layer.send("jobs", message(0))
        await layer.group_send("room", message(0))
        assert await socket.receive() == message(0)
        proxy.hold_replies()
        sending = asyncio.gather(
            layer.send("jobs", message(1)),
            layer.group_send("room", message(1)),
            layer.send("jobs", message(2)),
        )
        assert await socket.receive() == message(1)  # it has been executed; nobody was told
        await eventually(lambda: server.ask("LLEN", f"{layer.prefix}:queue:{{jobs}}") == 3)
        proxy.cut()
        proxy.speak()
        await within(sending)
        stats = layer.stats()
        assert (stats["reconnects"], stats["resent"]) == (1, 3)
        await layer.group_send("room", message(3))
        assert await socket.receive() == message(3)
        assert there.stats()["repeated"] == 1
        found = [await within(there.receive("jobs")) for _ in range(3)]
        assert found == [message(n) for n in range(3)]
        assert server.ask("LLEN", f"{layer.prefix}:queue:{{jobs}}") == 0


@pytest.mark.pain(4)
async def test_what_was_being_taken(make_layer: MakeLayer, server: RedisServer) -> None:
    """A message is taken and the connection ends before it arrives: it arrives later."""
    async with Proxy(server.port) as proxy:
        layer, other = make_layer(("127.0.0.1", proxy.port)), make_layer(server)
        await layer.send("other", message())  # connected
        key = f"{layer.prefix}:queue:{{jobs}}"
        readers: list[Awaitable[Event | Job]] = [
            layer.receive("jobs"),
            layer.receive_job("jobs", lease=3600),
        ]
        for receive in readers:
            await other.send("jobs", message(1))
            proxy.hold_replies()
            reading = asyncio.ensure_future(receive)
            await eventually(lambda: server.ask("LLEN", key) == 0)
            proxy.cut()
            proxy.speak()
            found = await within(reading)
            assert (found.message if isinstance(found, Job) else found) == message(1)


async def test_a_slow_server_slows_senders(make_layer: MakeLayer, server: RedisServer) -> None:
    """What a server does not read waits here, up to its deadline, and is then dropped unsent."""
    layer = make_layer(server, send_timeout=0.5, capacity=10_000)
    await layer.send("jobs", message())
    large = {"type": "x", "data": b"x" * 100_000}
    with server.frozen():
        results = await asyncio.gather(
            *(layer.send("jobs", large) for _ in range(200)), return_exceptions=True
        )
        assert {type(result) for result in results} == {ChannelLayerUnavailable}
    await eventually(lambda: layer.stats()["pending"] == 0)
    assert server.ask("LLEN", f"{layer.prefix}:queue:{{jobs}}") < 200
