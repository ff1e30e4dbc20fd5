"""Servers that are too old are refused, before anything is taken from them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import hiredis
import pytest

from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.redis.connection import ServerError, connect
from fairway.layers.redis.hosts import Server
from fairway.layers.redis.version import require_version
from tests.layers.redis.conftest import MakeLayer
from tests.layers.redis.servers import RedisServer, eventually, within


@contextlib.asynccontextmanager
async def server_that_tells(info: bytes) -> AsyncIterator[int]:
    """What answers ``INFO`` with these words, and serves nothing; the port where it listens."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = hiredis.Reader()
        while data := await reader.read(65536):
            parser.feed(data)
            while (words := parser.gets()) is not False:
                if words[0] == b"PING":
                    writer.write(b"+PONG\r\n")
                elif words[0] == b"INFO":
                    writer.write(info)
                else:
                    writer.write(b"-ERR unknown command\r\n")
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def bulk(text: bytes) -> bytes:
    """A text in a reply."""
    return b"$%d\r\n%b\r\n" % (len(text), text)


REDIS_5 = bulk(b"# Server\r\nredis_version:5.0.14\r\nredis_mode:standalone\r\n")


async def test_too_old(make_layer: MakeLayer, caplog: pytest.LogCaptureFixture) -> None:
    """The log says once which version it is and which is needed, and so does who sends."""
    async with server_that_tells(REDIS_5) as port:
        layer = make_layer(("127.0.0.1", port), send_timeout=0.5)
        waiting = asyncio.ensure_future(layer.receive("jobs"))
        text = "ERR it is Redis 5.0.14; Fairway needs version 6 or later"
        for _ in range(2):
            with pytest.raises(ChannelLayerUnavailable) as caught:
                await within(layer.send("jobs", {"type": "x"}))
            assert str(caught.value) == (
                f"Redis did not take it within 0.5 s (send_timeout): 127.0.0.1:{port}: {text}."
            )
        await eventually(lambda: layer.stats()["disconnected"] == 2)
        (line,) = caplog.messages
        assert line == (
            f"Redis at 127.0.0.1:{port} is not available: {text}. "
            "See whether 'hosts' names the right server."
        )
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_too_old_for_a_cluster(
    make_layer: MakeLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """A cluster needs a version whose pub/sub is sharded."""
    async with server_that_tells(bulk(b"redis_version:6.2.14\r\n")) as port:
        layer = make_layer({"host": "127.0.0.1", "port": port, "cluster": True}, send_timeout=0.5)
        with pytest.raises(ChannelLayerUnavailable):
            await within(layer.send("jobs", {"type": "x"}))
        (line,) = caplog.messages
        assert line == (
            f"Redis at 127.0.0.1:{port} is not available: ERR it is Redis 6.2.14; of a cluster, "
            "version 7 is needed, which has sharded pub/sub. "
            "See whether 'hosts' names the right server."
        )


@pytest.mark.parametrize(
    "info",
    [
        bulk(b"redis_version:6.0.0\r\n"),
        bulk(b"redis_version:10.1.0\r\n"),
        bulk(b"redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n"),
        bulk(b"somebody:else\r\n"),
        b"-NOPERM this user has no permissions to run the 'info' command\r\n",
        b"-ERR unknown command 'INFO', with args beginning with: 'server' \r\n",
    ],
)
async def test_new_enough(info: bytes) -> None:
    """Version 6 is, and so is what nobody may know."""
    async with server_that_tells(info) as port:
        connection = await connect(Server(host="127.0.0.1", port=port))
        await require_version(connection, 6, "nobody")
        await connection.close()


async def test_who_may_not_ask_yet() -> None:
    """What is wrong with a connection is not taken for a version that is not told."""
    with RedisServer(password="secret") as server:
        connection = await connect(Server(host="127.0.0.1", port=server.port))
        with pytest.raises(ServerError, match=r"^NOAUTH "):
            await require_version(connection, 6, "nobody")
        await connection.close()


async def test_what_is_tested_with(shared: RedisServer) -> None:
    """A real server's answer is understood."""
    connection = await connect(Server(host="127.0.0.1", port=shared.port))
    with pytest.raises(ServerError, match=r"^ERR it is Redis \d+\.[\d.]+; there is no such thing$"):
        await require_version(connection, 1000, "there is no such thing")
    await connection.close()
