"""What comes before HTTP: the PROXY protocol, TLS, and clients that know neither."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from fairway._types import Receive, Scope, Send
from fairway.server.http.http2_choice import PREFACE
from fairway.server.listening import greeting as greeting_module
from tests.server.applications import tell
from tests.server.authority import Authority
from tests.server.conftest import Serve
from tests.server.running import DEADLINE, Client, Logs, Running, WebSocketClient, until

V1 = b"PROXY TCP4 198.51.100.7 192.0.2.1 40000 443\r\n"
#: A SETTINGS frame with nothing in it (RFC 9113 §6.5).
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
LINE = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"


def v2(*values: bytes, command: int = 0x21) -> bytes:
    """The header of the same client in version 2, with values behind the addresses."""
    body = bytes([198, 51, 100, 7, 192, 0, 2, 1]) + struct.pack("!HH", 40000, 443)
    body += b"".join(values)
    return b"\r\n\r\n\x00\r\nQUIT\n" + struct.pack("!BBH", command, 0x11, len(body)) + body


def tls_value(content: bytes = b"\x01\0\0\0\0") -> bytes:
    """The value that says that the client speaks TLS with the proxy."""
    return struct.pack("!BH", 0x20, len(content)) + content


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Tells what it knows of the connection."""
    text = f"{scope['scheme']} {scope['client']} {scope['server']}"
    await tell(text, scope, receive, send)


THROUGH_PROXY = "http ('198.51.100.7', 40000) ('192.0.2.1', 443)"
ENCRYPTED = THROUGH_PROXY.replace("http", "https")


class Cipher:
    """A client's side of TLS, whose bytes go wherever the test sends them."""

    def __init__(self, client: Client, context: ssl.SSLContext) -> None:
        self._client = client
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    def hello(self) -> bytes:
        """The first bytes of the handshake."""
        with pytest.raises(ssl.SSLWantReadError):
            self._object.do_handshake()
        return self._outgoing.read()

    async def handshake(self, behind: bytes = b"") -> None:
        """The rest of it, with application data in the same packet."""
        while True:
            await self._receive()
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
            else:
                break
        if behind:
            self._object.write(behind)
        await self._flush()

    async def send(self, data: bytes) -> None:
        """Send application data."""
        self._object.write(data)
        await self._flush()

    async def read_until(self, end: bytes) -> bytes:
        """Application data up to these bytes."""
        data = b""
        while not data.endswith(end):
            try:
                data += self._object.read(65536)
            except ssl.SSLWantReadError:
                await self._receive()
        return data

    async def _receive(self) -> None:
        async with asyncio.timeout(DEADLINE):
            data = await self._client.reader.read(65536)
        assert data, "the server has closed the connection"
        self._incoming.write(data)

    async def _flush(self) -> None:
        await self._client.send(self._outgoing.read())


async def is_closed(client: Client) -> bool:
    """Whether the server ends the connection without a word."""
    try:
        return await client.rest() == b""
    except ConnectionResetError:
        return True


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Signs the certificates of a test."""
    return Authority(tmp_path)


@pytest.fixture
def encrypted(authority: Authority) -> dict[str, Any]:
    """The options of a server with a certificate."""
    return {"tls_certificate": str(authority.issue("server"))}


class TestProxyProtocol:
    """Both versions, on plain connections."""

    @pytest.mark.parametrize("header", [V1, v2()], ids=["1", "2"])
    async def test_client(self, header: bytes, serve: Serve) -> None:
        """The scope's client and server, and the access log's, are those that the header names."""
        running = await serve(app, proxy_protocol=True)
        client = await running.connect()
        await client.send(header)
        for _ in range(2):
            assert (await client.fetch()).body.decode() == THROUGH_PROXY
        assert [record.client for record in running.records] == ["198.51.100.7:40000"] * 2

    @pytest.mark.parametrize("header", [V1, v2()], ids=["1", "2"])
    async def test_cuts(self, header: bytes, serve: Serve) -> None:
        """However the network cuts it, in one piece with a request or byte by byte."""
        running = await serve(app, proxy_protocol=True)
        whole = await running.connect()
        await whole.send(header + LINE)
        pieces = await running.connect()
        for byte in header + LINE:
            await pieces.send(bytes([byte]))
            await asyncio.sleep(0)
        for client in (whole, pieces):
            assert (await client.response()).body.decode() == THROUGH_PROXY

    @pytest.mark.parametrize(
        "header", [b"PROXY UNKNOWN\r\n", v2(command=0x20)], ids=["unknown", "local"]
    )
    async def test_proxy_itself(self, header: bytes, serve: Serve) -> None:
        """When the proxy speaks for itself, the connection's own ends count."""
        running = await serve(app, proxy_protocol=True)
        client = await running.connect()
        await client.send(header)
        host, port = client.address.split(":")
        expected = f"http {(host, int(port))} {('127.0.0.1', running.port)}"
        assert (await client.fetch()).body.decode() == expected

    async def test_encrypted_before_the_proxy(self, serve: Serve) -> None:
        """A proxy that ends TLS says so, and the scheme is https."""
        running = await serve(app, proxy_protocol=True)
        client = await running.connect()
        await client.send(v2(tls_value()))
        assert (await client.fetch()).body.decode() == ENCRYPTED

    async def test_http2_before_the_proxy(self, serve: Serve) -> None:
        """If its client speaks HTTP/2, a proxy passes that on, or speaks HTTP/1.1 for itself."""
        running = await serve(app, proxy_protocol=True)
        header = v2(tls_value(), struct.pack("!BH", 0x01, 2) + b"h2")
        client = await running.connect()
        await client.send(header)
        assert (await client.fetch()).body.decode() == ENCRYPTED
        client = await running.connect()
        await client.send(header + PREFACE + SETTINGS)
        assert (await client.read(len(SETTINGS)))[3:4] == SETTINGS[3:4]

    async def test_headers_beside_it(self, serve: Serve) -> None:
        """Headers are believed if the client that the PROXY protocol names is a trusted proxy."""
        running = await serve(
            app, proxy_protocol=True, proxy_headers=True, trusted_proxies=("127.0.0.1",)
        )
        outer = "X-Forwarded-For: 203.0.113.9"
        client = await running.connect()
        await client.send(V1)
        assert (await client.fetch("/", outer)).body.decode() == THROUGH_PROXY
        running = await serve(
            app,
            proxy_protocol=True,
            proxy_headers=True,
            trusted_proxies=("127.0.0.1", "198.51.100.7"),
        )
        client = await running.connect()
        await client.send(V1)
        body = (await client.fetch("/", outer)).body.decode()
        assert body == "http ('203.0.113.9', 0) ('192.0.2.1', 443)"

    async def test_websocket(self, serve: Serve) -> None:
        """A WebSocket's scope has the true client, too."""
        running = await serve(app, proxy_protocol=True)
        client = await running.websocket()
        await client.send(v2(tls_value()))
        await client.open()
        assert await client.text() == ENCRYPTED.replace("https", "wss")

    async def test_unix_socket(self, serve: Serve, tmp_path: Path) -> None:
        """On a Unix socket it is believed, as its directory says who may connect."""
        path = str(tmp_path / "s")
        running = await serve(app, host=None, port=None, unix_socket=path, proxy_protocol=True)
        client = Client(*await asyncio.open_unix_connection(path))
        running._clients.append(client)
        await client.send(V1)
        assert (await client.fetch()).body.decode() == THROUGH_PROXY

    async def test_endpoint(self, serve: Serve) -> None:
        """An endpoint has it or not, beside others."""
        endpoints = ("haproxy:tcp:0:127.0.0.1", "tcp:0:127.0.0.1")
        running = await serve(app, host=None, port=None, endpoints=endpoints)
        with_header = await running.connect()
        await with_header.send(V1)
        assert (await with_header.fetch()).body.decode() == THROUGH_PROXY
        running.server.addresses.reverse()
        without = await running.connect()
        assert without.address.split(":")[0] in (await without.fetch()).body.decode()

    @pytest.mark.parametrize(
        "data",
        [
            LINE,
            b"PROXY TCP4 a b 1 2\r\n",
            b"PROXY ".ljust(107, b"x"),
            v2(command=0x22),
            b"\x16\x03",
        ],
        ids=["none", "malformed", "endless", "command", "tls"],
    )
    async def test_malformed(self, data: bytes, serve: Serve, logs: Logs) -> None:
        """Whoever does not send a header is cut off, without a word."""
        running = await serve(app, proxy_protocol=True)
        client = await running.connect()
        await client.send(data)
        assert await is_closed(client)
        assert logs.take() == [
            (
                f"WARNING The limit proxy_protocol (on) refused {client.address}: "
                "the connection is closed"
            )
        ]
        assert running.context.counters.refused == {"proxy_protocol": 1}
        assert not running.context.connections

    async def test_stranger(self, serve: Serve, logs: Logs) -> None:
        """Whoever is no trusted proxy is cut off before anything is read."""
        running = await serve(app, proxy_protocol=True, trusted_proxies=("192.0.2.0/24", "::1"))
        client = await running.connect()
        assert await is_closed(client)
        assert logs.take() == [
            (
                f"WARNING The limit trusted_proxies (192.0.2.0/24,::1) refused {client.address}: "
                "the connection is closed"
            )
        ]

    @pytest.mark.parametrize("data", [b"", V1[:-1], v2()[:20]], ids=["nothing", "1", "2"])
    async def test_slow(self, data: bytes, serve: Serve, logs: Logs) -> None:
        """A header that does not arrive in time ends the connection."""
        running = await serve(app, proxy_protocol=True, header_timeout=0.05)
        client = await running.connect()
        if data:
            await client.send(data)
        assert await is_closed(client)
        assert logs.take() == [
            (
                f"WARNING The limit header_timeout (0.05) refused {client.address}: "
                "the connection is closed"
            )
        ]

    async def test_gone(self, serve: Serve) -> None:
        """A client that goes before it has said all leaves nothing behind."""
        running = await serve(app, proxy_protocol=True)
        client = await running.connect()
        await client.send(V1[:10])
        await until(lambda: running.context.connections)
        client.close()
        await until(lambda: not running.context.connections)


class TestProxyProtocolAndTLS:
    """The header comes in the clear, before the handshake."""

    @pytest.mark.parametrize("header", [V1, v2()], ids=["1", "2"])
    async def test_one_piece(
        self, header: bytes, authority: Authority, encrypted: dict[str, Any], serve: Serve
    ) -> None:
        """Header and ClientHello may come in one piece, and so may the rest and a request."""
        running = await serve(app, proxy_protocol=True, **encrypted)
        client = await running.connect()
        cipher = Cipher(client, authority.client())
        await client.send(header + cipher.hello())
        await cipher.handshake(behind=LINE)
        answer = await cipher.read_until(b"443)")
        assert answer.endswith(b"\r\n\r\n" + ENCRYPTED.encode())

    @pytest.mark.parametrize("header", [V1, v2()], ids=["1", "2"])
    async def test_byte_by_byte(
        self, header: bytes, authority: Authority, encrypted: dict[str, Any], serve: Serve
    ) -> None:
        """Both may come in as many pieces as there are bytes."""
        running = await serve(app, proxy_protocol=True, **encrypted)
        client = await running.connect()
        cipher = Cipher(client, authority.client())
        for byte in header + cipher.hello():
            await client.send(bytes([byte]))
            await asyncio.sleep(0)
        await cipher.handshake()
        await cipher.send(LINE)
        assert (await cipher.read_until(b"443)")).endswith(ENCRYPTED.encode())

    async def test_websocket(
        self, authority: Authority, encrypted: dict[str, Any], serve: Serve
    ) -> None:
        """A WebSocket over both."""
        running = await serve(app, proxy_protocol=True, **encrypted)
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(V1)
        await writer.start_tls(authority.client(), server_hostname="localhost")
        client = WebSocketClient(reader, writer)
        await client.open()
        assert await client.text() == ENCRYPTED.replace("https", "wss")
        client.close()
        await writer.wait_closed()


@pytest.fixture
async def running(encrypted: dict[str, Any], serve: Serve) -> AsyncIterator[Running]:
    """A server with TLS, which nobody is connected to at the end."""
    running = await serve(app, **encrypted)
    yield running
    await until(lambda: not running.context.connections)


class TestTLS:
    """Clients that shake hands, and those that do not."""

    async def test_request_with_the_handshake(self, authority: Authority, running: Running) -> None:
        """What comes with the end of the handshake is not lost."""
        client = await running.connect()
        cipher = Cipher(client, authority.client())
        await client.send(cipher.hello())
        await cipher.handshake(behind=LINE)
        host, port = client.address.split(":")
        expected = f"https {(host, int(port))} {('127.0.0.1', running.port)}".encode()
        assert (await cipher.read_until(expected)).startswith(b"HTTP/1.1 200")
        client.close()

    @pytest.mark.parametrize("data", [b"\x80\x2e\x01", b"\0", b" \r\n", b"\x17\x03\x03"])
    async def test_nonsense(self, data: bytes, running: Running) -> None:
        """Whoever speaks neither TLS nor HTTP is cut off without a word."""
        client = await running.connect()
        await client.send(data)
        assert await is_closed(client)
        assert running.context.counters.tls_failures == 1

    async def test_wrong_hello(self, running: Running) -> None:
        """A handshake that begins wrongly gets an alert, and is no news."""
        client = await running.connect()
        await client.send(b"\x16\x03\x01\x00\x05hello")
        alert = await client.rest()
        assert alert[:1] in (b"", b"\x15")
        await until(lambda: running.context.counters.tls_failures == 1)

    async def test_gone_in_the_handshake(self, authority: Authority, running: Running) -> None:
        """A client that goes in the middle leaves nothing behind."""
        for size in (1, 100, None):
            client = await running.connect()
            await client.send(Cipher(client, authority.client()).hello()[:size])
            await until(lambda: running.context.connections)
            client.abort()
            await until(lambda: not running.context.connections)

    @pytest.mark.parametrize("size", [0, 1, 100])
    async def test_slow(
        self, size: int, authority: Authority, encrypted: dict[str, Any], serve: Serve, logs: Logs
    ) -> None:
        """Whoever does not shake hands in time is cut off."""
        running = await serve(app, header_timeout=0.05, **encrypted)
        client = await running.connect()
        if size:
            await client.send(Cipher(client, authority.client()).hello()[:size])
        assert await is_closed(client)
        assert logs.take() == [
            (
                f"WARNING The limit header_timeout (0.05) refused {client.address}: "
                "the connection is closed"
            )
        ]

    async def test_plain_client_that_stays(self, encrypted: dict[str, Any], serve: Serve) -> None:
        """A client of HTTP that got its answer may go on sending for a while, unread."""
        running = await serve(app, **encrypted)
        client = await running.connect()
        await client.send(LINE)
        assert (await client.response()).status == 400
        await client.send(LINE)
        client.close()
        await until(lambda: not running.context.connections)


class TestEnd:
    """The server ends while somebody is being greeted."""

    async def test_silent(self, encrypted: dict[str, Any], serve: Serve) -> None:
        """Who says nothing is not waited for."""
        running = await serve(app, **encrypted)
        client = await running.connect()
        await until(lambda: running.context.connections)
        running.stop()
        assert await is_closed(client)
        await running.ended()

    async def test_in_the_handshake(
        self, authority: Authority, encrypted: dict[str, Any], serve: Serve
    ) -> None:
        """Who is shaking hands is served."""
        running = await serve(app, **encrypted)
        client = await running.connect()
        cipher = Cipher(client, authority.client())
        await client.send(cipher.hello())
        await until(lambda: running.context.connections)
        await cipher._receive()
        running.stop()
        await until(lambda: running.context.draining)
        with pytest.raises(ssl.SSLWantReadError):
            cipher._object.read()
        await cipher.send(LINE)
        assert (await cipher.read_until(b")")).startswith(b"HTTP/1.1 200")
        client.close()
        await running.ended()

    @pytest.mark.parametrize("seconds", [10 * DEADLINE, 0.0])
    async def test_slow_handshake(
        self,
        seconds: float,
        authority: Authority,
        encrypted: dict[str, Any],
        serve: Serve,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Who begins to shake hands then has as long for it as ever."""
        monkeypatch.setattr(greeting_module, "LAST_CHANCE", DEADLINE)
        running = await serve(app, **encrypted, header_timeout=seconds)
        client = await running.connect()
        await until(lambda: running.context.connections)
        (greeting,) = running.context.connections
        assert isinstance(greeting, greeting_module.Greeting)
        running.stop()
        await until(lambda: running.context.draining)
        cipher = Cipher(client, authority.client())
        await client.send(cipher.hello())
        await cipher._receive()
        greeting.on_deadline(running.context.time() + 2 * DEADLINE)
        with pytest.raises(ssl.SSLWantReadError):
            cipher._object.read()
        await cipher.send(LINE)
        assert (await cipher.read_until(b")")).startswith(b"HTTP/1.1 200")
        client.close()
        await running.ended()

    async def test_hurry(
        self, authority: Authority, encrypted: dict[str, Any], serve: Serve
    ) -> None:
        """Unless the server is told to end at once."""
        running = await serve(app, **encrypted)
        client = await running.connect()
        await client.send(Cipher(client, authority.client()).hello()[:50])
        await until(lambda: running.context.connections)
        running.stop()
        running.stop()
        await running.ended()
        assert await is_closed(client)


@pytest.fixture(autouse=True)
def no_traceback(logs: Logs) -> Iterator[None]:
    """Nothing of all this is an error of the server's."""
    yield
    assert [record for record in logs.records if record.exc_info] == []
