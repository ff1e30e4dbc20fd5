"""permessage-deflate on sockets (RFC 7692), spoken by hand and by another implementation."""

import random
import zlib
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from fairway._types import Receive, Scope, Send
from fairway.wire.prepared import PreparedMessage
from tests.delivery.helpers import write_prepared
from tests.server.conftest import Serve
from tests.server.running import DEADLINE, Logs, Running, WebSocketClient, until
from tests.wire.client import BINARY, TEXT, close, frame, text

OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
TAIL = b"\x00\x00\xff\xff"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends back what it gets."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


class Deflating:
    """A client that compresses, with zlib itself.

    Args:
        client: Whose WebSocket is open.
        takeover: Whether either side's messages refer to those before.
    """

    def __init__(self, client: WebSocketClient, *, takeover: bool = False) -> None:
        self.client = client
        self._takeover = takeover
        self._deflater = zlib.compressobj(wbits=-15)
        self._inflater = zlib.decompressobj(wbits=-15)

    async def send(self, message: bytes, opcode: int = BINARY) -> None:
        """Send a compressed message."""
        if not self._takeover:
            self._deflater = zlib.compressobj(wbits=-15)
        data = self._deflater.compress(message) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
        await self.client.send(frame(opcode, data.removesuffix(TAIL), reserved=4))

    async def receive(self) -> tuple[bool, bytes, int]:
        """The next message: whether it was compressed, what it says, and the size of its frame."""
        first, length = await self.client.read(2)
        if length >= 126:
            length = int.from_bytes(await self.client.read(2 if length == 126 else 8))
        data = await self.client.read(length)
        if not first & 0x40:
            return False, data, length
        if not self._takeover:
            self._inflater = zlib.decompressobj(wbits=-15)
        return True, self._inflater.decompress(data + TAIL), length


async def opened(running: Running, offer: str = OFFER, **kwargs: Any) -> Deflating:
    """A client whose WebSocket is open."""
    client = await running.websocket()
    head = await client.open("/", offer)
    assert b"permessage-deflate" in head
    return Deflating(client, **kwargs)


class TestMessages:
    """Both ways, by hand."""

    async def test_both_ways(self, serve: Serve) -> None:
        """What comes compressed is understood, and what is long enough goes out compressed."""
        running = await serve(echo)
        client = await opened(running)
        for message in (b"x" * 5000, b"", b"short", b"y" * 70_000):
            await client.send(message)
            compressed, answer, size = await client.receive()
            assert answer == message
            assert compressed == (len(message) >= 1024)
            assert size < 500
        await client.client.send(close(1000))

    async def test_text(self, serve: Serve) -> None:
        """Text is text on the other side, however many bytes its characters take."""
        running = await serve(echo)
        client = await opened(running)
        await client.send("é€👋".encode() * 500, TEXT)
        assert (await client.receive())[:2] == (True, "é€👋".encode() * 500)
        await client.client.send(close(1000))

    async def test_slow_way(self, serve: Serve) -> None:
        """Also what could not be written at once is compressed, in its order."""

        async def app(scope: Scope, receive: Receive, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            for number in range(30):
                noise = random.Random(number).randbytes(30_000)
                await send({"type": "websocket.send", "bytes": bytearray(noise + bytes(30_000))})
            await send({"type": "websocket.send", "text": "last" * 1000})
            await receive()

        running = await serve(app, write_buffer_size=10_000)
        client = await opened(running)
        for number in range(30):
            compressed, message, size = await client.receive()
            assert compressed
            assert message == random.Random(number).randbytes(30_000) + bytes(30_000)
            assert size < 31_000
        assert (await client.receive())[:2] == (True, b"last" * 1000)
        await client.client.send(close(1000))

    async def test_takeover(self, serve: Serve) -> None:
        """With takeover both ways, what was said before makes the next message short."""
        running = await serve(echo, websocket_server_takeover=True, websocket_client_takeover=True)
        client = await opened(running, takeover=True)
        noise = random.Random(1).randbytes(5000)
        sizes = []
        for _ in range(3):
            await client.send(noise)
            compressed, answer, size = await client.receive()
            assert (compressed, answer) == (True, noise)
            sizes.append(size)
        assert sizes[0] > 5000
        assert max(sizes[1:]) < 100
        await client.client.send(close(1000))

    async def test_not_offered(self, serve: Serve) -> None:
        """A client that offers nothing gets plain messages, and may not compress."""
        running = await serve(echo)
        client = await running.websocket()
        assert b"permessage-deflate" not in await client.open()
        await client.send(text("x" * 5000))
        assert await client.text() == "x" * 5000
        await client.send(frame(TEXT, b"\x00", reserved=4))
        assert (await client.goodbye())[0] == 1002

    async def test_bad_data(self, serve: Serve) -> None:
        """Data that cannot be inflated closes with 1007."""
        running = await serve(echo)
        client = await opened(running)
        await client.client.send(frame(BINARY, b"\xff\xff\xff", reserved=4))
        assert await client.client.goodbye() == (
            1007,
            "A compressed message is not valid DEFLATE data.",
        )

    async def test_bomb(self, serve: Serve, logs: Logs) -> None:
        """A small message that becomes a large one closes with 1009, which is counted."""
        running = await serve(echo, websocket_max_message_size=100_000)
        client = await opened(running)
        await client.send(bytes(20_000_000))
        assert await client.client.goodbye() == (1009, "A message exceeds 100000 bytes.")
        assert running.context.counters.refused == {"websocket_max_message_size": 1}
        address = client.client.address
        line = (
            f"WARNING The limit websocket_max_message_size (100000) refused {address}: close 1009"
        )
        assert logs.take() == [line]


class TestSharing:
    """One compressed message serves many, and idle sockets keep nothing."""

    async def test_prepared(self, serve: Serve) -> None:
        """A message for many is compressed once for all that have the same window."""
        running = await serve(echo)
        small = OFFER.replace("client_max_window_bits", "server_max_window_bits=10")
        clients = [await opened(running, offer) for offer in (OFFER, OFFER, small, small)]
        plain = await running.websocket()
        await plain.open()
        message = PreparedMessage("to everybody " * 300)
        await until(lambda: len(running.websockets) == 5)
        for stream in running.websockets:
            assert write_prepared(stream._outbox, message)
        assert message._compressed is not None
        assert sorted(message._compressed) == [10, 15]
        for client in clients:
            compressed, answer, _ = await client.receive()
            assert (compressed, answer) == (True, b"to everybody " * 300)
            await client.client.send(close(1000))
        assert await plain.text() == "to everybody " * 300
        await plain.send(close(1000))

    async def test_nothing_kept(self, serve: Serve) -> None:
        """All sockets share what compresses and what inflates; none keeps anything of its own."""
        running = await serve(echo)
        clients = [await opened(running) for _ in range(3)]
        for client in clients:
            await client.send(b"z" * 5000)
            assert (await client.receive())[1] == b"z" * 5000
        streams = running.websockets
        assert len({id(stream._outbox.deflater) for stream in streams}) == 1
        assert len({id(stream._frames.inflater) for stream in streams}) == 1
        for stream in streams:
            assert stream._frames.inflater is not None
            assert stream._frames.inflater.history == b""
            assert stream._frames._inflation is None
        for client in clients:
            await client.client.send(close(1000))

    async def test_own_with_takeover(self, serve: Serve) -> None:
        """With takeover each has its own."""
        running = await serve(echo, websocket_server_takeover=True)
        clients = [await opened(running) for _ in range(3)]
        assert len({id(stream._outbox.deflater) for stream in running.websockets}) == 3
        for client in clients:
            await client.client.send(close(1000))


class TestWithWebsockets:
    """Another implementation as the client, with everything that it can offer."""

    @pytest.mark.parametrize("bits", [None, 9, 12, 15])
    @pytest.mark.parametrize("server_takeover", [False, True])
    @pytest.mark.parametrize("client_takeover", [False, True])
    async def test_echo(
        self, bits: int | None, server_takeover: bool, client_takeover: bool, serve: Serve
    ) -> None:
        """Whatever is agreed on, all messages come back as they were."""
        running = await serve(
            echo,
            websocket_server_takeover=server_takeover,
            websocket_client_takeover=client_takeover,
            websocket_compression_threshold=20,
        )
        factory = ClientPerMessageDeflateFactory(
            server_max_window_bits=bits, client_max_window_bits=bits or True
        )
        url = running.url.replace("http", "ws")
        async with connect(
            url, open_timeout=DEADLINE, extensions=[factory], compression=None
        ) as client:
            assert isinstance(client, ClientConnection)
            (extension,) = client.protocol.extensions
            assert extension.name == "permessage-deflate"
            noise = random.Random(2).randbytes(3000)
            for message in ("", "x", "x" * 19, "x" * 20, "é" * 5000, noise, noise, b"", noise * 30):
                await client.send(message)
                assert await client.recv() == message
            await client.send(["in ", "several ", "fragments " * 20])
            assert await client.recv() == "in several " + "fragments " * 20
