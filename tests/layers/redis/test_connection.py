"""One connection: replies in order, and every way in which a server can refuse one."""

import asyncio
import contextlib
import gc
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from redis.credentials import CredentialProvider

from fairway._types import Event
from fairway.layers.redis.connection import HIGH_WATER, Connection, ServerError, connect, pack
from fairway.layers.redis.hosts import Server
from tests.layers.redis.conftest import MakeLayer
from tests.layers.redis.servers import Proxy, RedisServer, free_port, within
from tests.layers.redis.sockets import Socket

#: Longer than a name can be: an error without a question to any name server.
NO_NAME = ".".join(["a" * 63] * 4)


def message(number: int = 0) -> Event:
    return {"type": "test.message", "number": number}


def local(server: RedisServer, **options: Any) -> Server:
    return Server(host="127.0.0.1", port=server.port, **options)


def test_pack() -> None:
    """Words as the protocol has them, whatever bytes are in them."""
    assert pack(("SET", b"\r\n", 7)) == b"*3\r\n$3\r\nSET\r\n$2\r\n\r\n\r\n$1\r\n7\r\n"


async def test_pipeline(shared: RedisServer) -> None:
    """Replies come in the order of commands; errors are replies of their own command."""
    connection = await connect(local(shared))
    asked = [connection.ask("ECHO", n) for n in range(100)]
    assert await asyncio.gather(*asked) == [str(n).encode() for n in range(100)]
    with pytest.raises(ServerError, match=r"^ERR unknown command .NONSENSE."):
        await connection.ask("NONSENSE")
    assert await connection.ask("PING") == b"PONG"
    await connection.close()
    assert connection.lost.result() == "it was closed here"
    with pytest.raises(ConnectionError, match="it was closed here"):
        await connection.ask("PING")


async def test_first_reason(shared: RedisServer) -> None:
    """What is found afterwards does not hide why a connection has ended."""
    connection = await connect(local(shared))
    connection.abort("what came is not the protocol")
    connection.abort("Connection reset by peer")
    assert await connection.lost == "what came is not the protocol"


def test_name_given_up() -> None:
    """A name server that answers late, and with an error, is nothing that the log tells of."""
    uvloop = pytest.importorskip("uvloop")
    complaints: list[dict[str, Any]] = []

    async def give_up() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
        connecting = asyncio.ensure_future(connect(Server(host=NO_NAME)))
        await asyncio.sleep(0)
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        for _ in range(2):  # the thread that has looked for the name first answers first
            with pytest.raises(OSError, match=r"^\[Errno -"):
                await asyncio.get_running_loop().getaddrinfo(NO_NAME, 1)
        gc.collect()

    with contextlib.closing(uvloop.new_event_loop()) as loop:
        loop.run_until_complete(give_up())
    assert complaints == []


async def test_several_addresses(shared: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name may have addresses at which nobody is; the next one is tried."""
    loop = asyncio.get_running_loop()
    found = [await loop.getaddrinfo("127.0.0.1", p) for p in (free_port(), shared.port)]

    async def getaddrinfo(*arguments: object, **options: object) -> list[Any]:
        return [addresses[0] for addresses in found]

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    connection = await connect(local(shared))
    assert await connection.ask("PING") == b"PONG"
    await connection.close()
    del found[1]
    with pytest.raises(ConnectionRefusedError):
        await connect(local(shared))


async def test_lost(server: RedisServer) -> None:
    """Who waits for a reply is told when there will be none."""
    connection = await connect(local(server))
    with server.frozen():
        asked = asyncio.ensure_future(connection.ask("PING"))
        await asyncio.sleep(0)
        server.kill()
    with pytest.raises(ConnectionError):
        await within(asked)
    await within(asyncio.wait([connection.lost]))


async def test_large(shared: RedisServer) -> None:
    """A reply of many megabytes, in as many pieces as it likes."""
    connection = await connect(local(shared))
    large = b"x" * (8 * 1024 * 1024)
    assert await within(connection.ask("ECHO", large)) == large
    await connection.close()


async def test_flow(server: RedisServer) -> None:
    """What a server does not read is held back; it says so when it does."""
    connection = await connect(local(server))
    replies: list[Any] = []
    connection.on_reply = replies.append
    resumed = asyncio.Event()
    connection.on_writable = resumed.set
    with server.frozen():
        sent = 0
        while connection.writable:
            connection.write(pack(("ECHO", b"x" * 65536)))
            sent += 65536
            await asyncio.sleep(0)
    assert sent > HIGH_WATER
    await within(resumed.wait())
    await connection.close()


async def test_nonsense() -> None:
    """A server that does not speak the protocol is left, and the reason says so."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = await connect(Server(host="127.0.0.1", port=port))
    with pytest.raises(ConnectionError, match="what came is not the protocol of Redis"):
        await within(connection.ask("PING"))
    await connection.close()
    server.close()


async def test_refused() -> None:
    """Nobody listens."""
    with pytest.raises(OSError, match=r"111|61|refused"):
        await connect(Server(host="127.0.0.1", port=free_port()))


async def test_silence(server: RedisServer) -> None:
    """A server that takes the connection and says nothing is given up in time."""
    async with Proxy(server.port) as proxy:
        proxy.silence()
        silent = Server(host="127.0.0.1", port=proxy.port, client_name="web", connect_timeout=0.05)
        with pytest.raises(TimeoutError, match=r"^no answer within 0\.05 s$"):
            await connect(silent)


async def test_log_in() -> None:
    """Password, name and database, before anything else."""

    class Provider(CredentialProvider):
        def get_credentials(self) -> tuple[str]:
            return ("secret",)

    with RedisServer(password="secret") as server:
        connection = await connect(local(server, credentials=Provider(), client_name="web", db=3))
        found = await connection.ask("CLIENT", "LIST")
        assert b" name=web " in found
        assert b" db=3 " in found
        await connection.close()
        stranger = await connect(local(server))
        with pytest.raises(ServerError) as caught:
            await stranger.ask("PING")
        assert caught.value.code == "NOAUTH"
        await stranger.close()


async def test_too_many_clients(server: RedisServer) -> None:
    """What a server says before it is asked is the reason why the connection ended."""
    server.ask("CONFIG", "SET", "maxclients", 1)
    first = await connect(local(server))
    await first.ask("PING")
    second = await connect(local(server))
    with pytest.raises(OSError, match="max number of clients reached"):
        await within(second.ask("PING"))
    await second.close()
    await first.close()


async def test_unix_socket(make_layer: MakeLayer) -> None:
    """A server of this machine, by its socket, in both spellings."""
    with RedisServer() as server:
        path = server.directory / "redis.sock"
        server.shutdown()
        server.options["unixsocket"] = path
        server.start()
        layer, other = make_layer(f"unix://{path}"), make_layer({"unix_socket_path": str(path)})
        socket_ = await Socket.joined(layer, "room")
        await other.group_send("room", message())
        assert await socket_.receive() == message()


async def test_tls(make_layer: MakeLayer, tls: tuple[RedisServer, int], certificate: Path) -> None:
    """``rediss://``, with the authority's certificate; everything works, restarts too."""
    server, port = tls
    host = f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}"
    layer, other = (make_layer(host, send_timeout=30) for _ in range(2))
    socket_ = await Socket.joined(layer, "room")
    await other.group_send("room", message())
    assert await socket_.receive() == message()
    server.shutdown()
    server.start()
    assert await socket_.receive() == {"type": "layer.gap"}
    await other.send("jobs", {"type": "x", "data": b"x" * 3_000_000})
    assert len((await within(layer.receive("jobs")))["data"]) == 3_000_000


async def test_tls_of_a_stranger(tls: tuple[RedisServer, int]) -> None:
    """A certificate that nobody vouches for is refused."""
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLCertVerificationError):
        await connect(Server(host="127.0.0.1", port=tls[1], ssl_context=context))


async def test_keepalive(shared: RedisServer) -> None:
    """The system is asked to watch the connection, too."""
    connection = await connect(local(shared))
    assert connection._socket is not None
    assert connection._socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    await connection.close()


async def test_without_a_transport() -> None:
    """A connection that was never made can be ended, too."""
    connection = Connection()
    connection.write(b"nothing")
    connection.abort("no reason")
