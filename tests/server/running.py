"""A running server and its clients, for tests."""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Iterable

import h11

from fairway.server import AccessRecord, Server
from fairway.server.context import Context
from fairway.server.http.connection import Connection
from fairway.server.websocket.stream import WebSocketStream
from tests.wire import client as frames

#: Seconds after which a test has failed: nothing that is awaited takes long.
DEADLINE = 30.0

#: The example of RFC 6455 §1.3.
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class Logs(logging.Handler):
    """Collects warnings and errors of all loggers."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.records.append(record)

    def take(self) -> list[str]:
        """The messages since the last call, each with its level."""
        records, self.records = self.records, []
        return [f"{record.levelname} {record.getMessage()}" for record in records]

    def take_exceptions(self) -> list[tuple[str, type[BaseException] | None]]:
        """The same, with the type of the exception whose traceback is shown."""
        types = [record.exc_info[0] if record.exc_info else None for record in self.records]
        return list(zip(self.take(), types, strict=True))


async def until(condition: Callable[[], object]) -> None:
    """Let the event loop run until something is the case."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110  any condition, of any part
            await asyncio.sleep(0.001)


class Response:
    """What a client got for a request.

    Attributes:
        interim: Statuses of the interim responses before it.
    """

    def __init__(self, head: h11.Response, body: bytes, interim: list[int]) -> None:
        self.status = head.status_code
        self.http_version = head.http_version
        self.headers = [(bytes(name), bytes(value)) for name, value in head.headers]
        self.body = body
        self.interim = interim

    def __getitem__(self, name: str) -> str:
        """A header field; without it, a KeyError."""
        values = [value for key, value in self.headers if key == name.lower().encode()]
        if not values:
            raise KeyError(name)
        assert len(values) == 1
        return values[0].decode("latin-1")

    def __contains__(self, name: str) -> bool:
        return any(key == name.lower().encode() for key, _ in self.headers)


class Client:
    """A TCP or Unix connection to the server, by hand; responses are read with h11."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._http = h11.Connection(h11.CLIENT)

    @property
    def address(self) -> str:
        """How the server sees this client."""
        host, port = self.writer.get_extra_info("sockname")[:2]
        return f"{host}:{port}"

    async def send(self, data: str | bytes) -> None:
        """Send bytes; of text, the lines of a head, to which CRLF and an empty line are added."""
        if isinstance(data, str):
            lines = "".join(f"{line.strip()}\r\n" for line in data.strip().splitlines())
            data = f"{lines}\r\n".encode("latin-1")
        self.writer.write(data)
        async with asyncio.timeout(DEADLINE):
            await self.writer.drain()

    async def get(self, target: str = "/", *headers: str) -> None:
        """Send a GET without waiting for the response."""
        await self.send("\n".join([f"GET {target} HTTP/1.1", "Host: example.org", *headers]))

    async def response(self, method: str = "GET") -> Response:
        """The next response, read to its end."""
        head: h11.Response | None = None
        body = b""
        interim: list[int] = []
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        self._http.send(h11.Request(method=method, target="/", headers=[("Host", "example.org")]))
        self._http.send(h11.EndOfMessage())
        async with asyncio.timeout(DEADLINE):
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    self._http.receive_data(await self.reader.read(65536))
                elif isinstance(event, h11.InformationalResponse):
                    interim.append(event.status_code)
                elif isinstance(event, h11.Response):
                    head = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                else:
                    assert isinstance(event, h11.EndOfMessage)
                    assert head is not None
                    return Response(head, body, interim)

    async def fetch(self, target: str = "/", *headers: str) -> Response:
        """Send a GET and read its response."""
        await self.get(target, *headers)
        return await self.response()

    async def read(self, size: int) -> bytes:
        """Exactly that many bytes."""
        async with asyncio.timeout(DEADLINE):
            return await self.reader.readexactly(size)

    async def head(self) -> bytes:
        """A response's head as it came, with the empty line."""
        async with asyncio.timeout(DEADLINE):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def chunks(self) -> bytes:
        """The chunked body of a response whose head was read already, to its end."""
        data = b""
        async with asyncio.timeout(DEADLINE):
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                data += (await self.reader.readexactly(size + 2))[:-2]
            assert await self.reader.readexactly(2) == b"\r\n"
        return data

    async def rest(self) -> bytes:
        """Everything up to the end of the connection.

        Raises:
            ConnectionResetError: The server has cut it off.
        """
        async with asyncio.timeout(DEADLINE):
            return self._http.trailing_data[0] + await self.reader.read()

    async def is_cut(self) -> bool:
        """Whether the server ends the connection abruptly, or else properly."""
        try:
            await self.rest()
        except ConnectionResetError:
            return True
        return False

    def stop_reading(self) -> None:
        """Leave to the kernel what comes from now on; it has no place for much."""
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is both

    def go_on_reading(self) -> None:
        """Read again."""
        self.writer.transport.resume_reading()  # type: ignore[attr-defined]  # it is both

    def half_close(self) -> None:
        """Send no more, but go on reading."""
        self.writer.write_eof()

    def close(self) -> None:
        """End the connection."""
        self.writer.close()

    def abort(self) -> None:
        """End the connection with a reset."""
        linger = struct.pack("ii", 1, 0)
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


class WebSocketClient(Client):
    """A WebSocket by hand: frames as a client sends them, and those that it gets."""

    async def open(
        self, target: str = "/", *headers: str, method: str = "GET", behind: bytes = b""
    ) -> bytes:
        """Ask for the upgrade and read the head of the answer.

        Args:
            target: Path and query.
            headers: Further header lines.
            method: As in the request line.
            behind: What is sent together with the request.
        """
        lines = [
            f"{method} {target} HTTP/1.1",
            "Host: example.org",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {KEY.decode()}",
            *headers,
        ]
        await self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + behind)
        return await self.head()

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: its opcode, and its payload."""
        first, length = await self.read(2)
        assert first & 0x80, "the server sends no fragments"
        if length >= 126:
            length = int.from_bytes(await self.read(2 if length == 126 else 8))
        return first & 0x0F, await self.read(length)

    async def text(self) -> str:
        """The next frame, which is a text message."""
        opcode, payload = await self.frame()
        assert opcode == frames.TEXT
        return payload.decode()

    async def goodbye(self) -> tuple[int, str]:
        """The next frame, which is a Close: its code and reason."""
        opcode, payload = await self.frame()
        assert opcode == frames.CLOSE
        return int.from_bytes(payload[:2]) if payload else 1005, payload[2:].decode()


class Running:
    """A server that runs in the loop of the test.

    Attributes:
        records: What the access log was told.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.records: list[AccessRecord] = []
        self._ready = asyncio.Event()
        self._clients: list[Client] = []
        server.ready = self._ready.set
        if server._access_log is None:
            server._access_log = self.records.append
        self.task = asyncio.ensure_future(server.serve())

    async def start(self) -> None:
        """Wait until the server accepts connections, or raise what keeps it from that."""
        ready = asyncio.ensure_future(self._ready.wait())
        async with asyncio.timeout(DEADLINE):
            await asyncio.wait([ready, self.task], return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self.task.done():
            await self.task

    @property
    def context(self) -> Context:
        """What all connections share."""
        assert self.server._context is not None
        return self.server._context

    @property
    def connections(self) -> list[Connection]:
        """The server's open HTTP connections."""
        return [found for found in self.context.connections if isinstance(found, Connection)]

    @property
    def websockets(self) -> list[WebSocketStream]:
        """The server's WebSockets."""
        return [found for found in self.context.connections if isinstance(found, WebSocketStream)]

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server.addresses[0].rpartition(":")[2])

    @property
    def url(self) -> str:
        """What to click."""
        return self.server.addresses[0]

    async def connect(self, *, reads: bool = True) -> Client:
        """A new connection.

        Args:
            reads: Whether it reads what it gets, from the beginning on.
        """
        return await self._open(Client, reads=reads)

    async def websocket(self, *, reads: bool = True) -> WebSocketClient:
        """The same for a WebSocket, which is not opened yet."""
        client = await self._open(WebSocketClient, reads=reads)
        assert isinstance(client, WebSocketClient)
        return client

    async def _open(self, kind: type[Client], *, reads: bool = True) -> Client:
        sock = socket.socket()
        if not reads:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        try:
            sock.connect(("127.0.0.1", self.port))
        except OSError:
            sock.close()
            raise
        sock.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=sock, limit=1 << 20)
        client = kind(reader, writer)
        if not reads:
            client.stop_reading()
        self._clients.append(client)
        return client

    def stop(self) -> None:
        """Tell the server to end."""
        self.server.stop()

    async def ended(self) -> None:
        """Wait for its end."""
        async with asyncio.timeout(DEADLINE):
            await self.task

    async def close(self) -> None:
        """End all clients and the server; raises what the server raised."""
        for client in self._clients:
            client.close()
        if not self.task.done():
            self.stop()
        await asyncio.wait([self.task])
        for client in self._clients:
            await _closed(client)


async def _closed(client: Client) -> None:
    try:
        await client.writer.wait_closed()
    except OSError:
        return


def listening(send_buffer: int | None = None) -> socket.socket:
    """A bound socket for a server.

    Args:
        send_buffer: Bytes that the kernel takes from the server while a client does not read.
    """
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    if send_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    sock.setblocking(False)
    return sock


def statuses(records: Iterable[AccessRecord]) -> list[tuple[str, int]]:
    """The action and the status of each record."""
    return [(record.action, record.status) for record in records]
