"""A client of HTTP/2 by hand, on a connection to a running server."""

import asyncio
import dataclasses
from collections.abc import Callable, Iterable

from fairway._types import Headers
from fairway.server.http.http2 import MultiplexedConnection
from tests.server.running import DEADLINE, Client, Running
from tests.wire import client as websocket
from tests.wire import http2_client as h2
from tests.wire.http2_client import CONNECT, GET, Frame, Speaker

#: The largest window there may be: who has it need not open any.
WIDE = 2**31 - 1
#: The first window of a connection (RFC 9113 §6.9.2).
FIRST = 65_535


@dataclasses.dataclass
class Answer:
    """What came on a stream.

    Attributes:
        interim: Statuses of interim responses.
        reset: The code with which the stream was reset last, or None.
        resets: The codes of all its resets.
        ended: Whether the server has ended it.
    """

    fields: Headers = dataclasses.field(default_factory=list)
    body: bytes = b""
    trailers: Headers = dataclasses.field(default_factory=list)
    interim: list[int] = dataclasses.field(default_factory=list)
    reset: int | None = None
    resets: list[int] = dataclasses.field(default_factory=list)
    ended: bool = False

    @property
    def status(self) -> int:
        """The status of the response."""
        return int(self["status" if not self.fields else ":status"])

    def __getitem__(self, name: str) -> str:
        """A field; without it, a KeyError."""
        values = [value for key, value in self.fields if key == name.encode()]
        if not values:
            raise KeyError(name)
        assert len(values) == 1
        return values[0].decode("latin-1")

    def __contains__(self, name: str) -> bool:
        return any(key == name.encode() for key, _ in self.fields)

    def take(self, frame: Frame) -> None:
        """A frame of the stream."""
        if frame.kind == h2.HEADERS:
            if frame.fields[0][0] != b":status":
                self.trailers = frame.fields
            elif frame.status < 200:
                self.interim.append(frame.status)
            else:
                self.fields = frame.fields
        elif frame.kind == h2.DATA:
            self.body += frame.payload
        elif frame.kind == h2.RST_STREAM:
            self.reset = frame.number
            self.resets.append(frame.number)
        self.ended = self.ended or frame.ends


class HTTP2Client(Client):
    """Frames by hand.

    Attributes:
        answers: What came, by stream.
        goaways: What the server's GOAWAY frames have said.
        others: Frames of the connection, but for GOAWAY.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self.speaker = Speaker()
        self.answers: dict[int, Answer] = {}
        self.goaways: list[tuple[int, int, str]] = []
        self.others: list[Frame] = []
        self.closed = False

    async def hello(self, *, window: int = WIDE, room: int = WIDE) -> None:
        """Say what a client says first, and wait until the server has taken it.

        Args:
            window: Of each stream.
            room: Of the connection.
        """
        data = h2.PREFACE + h2.settings((4, window))
        if room > FIRST:
            data += h2.window_update(0, room - FIRST)
        await self.send(data)
        await self.until(lambda: any(each.flags & h2.ACK for each in self.others))

    async def request(
        self,
        stream_id: int,
        fields: Iterable[tuple[bytes, bytes]] = GET,
        *,
        body: bytes | None = None,
        end: bool = True,
    ) -> None:
        """Send a request, with its whole body or without one.

        Args:
            stream_id: On which stream.
            fields: What it says.
            body: What follows.
            end: Whether that is all.
        """
        data = self.speaker.headers(stream_id, fields, end=end and body is None)
        for start in range(0, len(body or b""), 16_384):
            data += h2.data(stream_id, (body or b"")[start : start + 16_384])
        if body is not None and end:
            data += h2.data(stream_id, end=True)
        await self.send(data)

    async def get(self, target: str = "/", *headers: str) -> None:
        """Not for this client."""
        raise NotImplementedError

    async def until(self, condition: Callable[[], object]) -> None:
        """Read frames until something is the case."""
        async with asyncio.timeout(DEADLINE):
            while not condition():
                await self.more()

    async def answer(self, stream_id: int = 1) -> Answer:
        """What came on a stream, once that has ended."""
        answer = self.answers.setdefault(stream_id, Answer())
        await self.until(lambda: answer.ended or answer.reset is not None)
        return answer

    async def fetch_on(
        self, stream_id: int, fields: Iterable[tuple[bytes, bytes]] = GET, body: bytes | None = None
    ) -> Answer:
        """Send a request and read its response."""
        await self.request(stream_id, fields, body=body)
        return await self.answer(stream_id)

    async def pong(self) -> None:
        """Wait until the server has taken everything that was sent."""
        await self.send(h2.ping(b"are you "))
        await self.until(lambda: any(each.payload == b"are you " for each in self.others))
        self.others = [each for each in self.others if each.payload != b"are you "]

    async def end(self) -> None:
        """Read until the connection ends."""
        async with asyncio.timeout(DEADLINE):
            while not self.closed:
                await self._read()

    async def more(self) -> None:
        """Read what comes next, which must be something."""
        assert not self.closed, f"the connection has ended: {self.goaways}"
        async with asyncio.timeout(DEADLINE):
            await self._read()

    async def _read(self) -> None:
        try:
            data = await self.reader.read(65_536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.closed = True
        for frame in self.speaker.receive(data):
            if frame.kind == h2.GOAWAY:
                self.goaways.append(frame.goaway)
            elif frame.kind == h2.PING and not frame.flags & h2.ACK and self.polite:
                self.others.append(frame)
                await self.send(h2.frame(h2.PING, h2.ACK, 0, frame.payload))
            elif not frame.stream_id:
                self.others.append(frame)
            elif frame.kind != h2.WINDOW_UPDATE:
                self.answers.setdefault(frame.stream_id, Answer()).take(frame)
            else:
                self.others.append(frame)

    #: Whether it answers PING frames.
    polite = True


class WebSocketOnStream:
    """A WebSocket on a stream of a client's connection."""

    def __init__(self, client: HTTP2Client, stream_id: int = 1) -> None:
        self.client = client
        self.stream_id = stream_id
        self._read = 0

    async def open(self, *fields: tuple[bytes, bytes], path: bytes = b"/") -> Answer:
        """Ask for it, and wait for the response's head."""
        request = [*CONNECT[:4], (b":path", path), *CONNECT[5:], *fields]
        await self.client.request(self.stream_id, request, end=False)
        answer = self.client.answers.setdefault(self.stream_id, Answer())
        await self.client.until(lambda: answer.fields or answer.reset is not None)
        return answer

    @property
    def answer(self) -> Answer:
        """What came."""
        return self.client.answers[self.stream_id]

    async def send(self, opcode: int, payload: bytes = b"") -> None:
        """Send a frame of the WebSocket."""
        await self.client.send(h2.data(self.stream_id, websocket.frame(opcode, payload)))

    async def frame(self) -> tuple[int, bytes]:
        """The next frame of the WebSocket: its opcode, and its payload."""
        first, length = await self._take(2)
        assert first & 0x80, "the server sends no fragments"
        if length >= 126:
            length = int.from_bytes(await self._take(2 if length == 126 else 8))
        return first & 0x0F, await self._take(length)

    async def goodbye(self) -> tuple[int, str]:
        """The next frame, which is a Close: its code and reason."""
        opcode, payload = await self.frame()
        assert opcode == websocket.CLOSE
        return int.from_bytes(payload[:2]) if payload else 1005, payload[2:].decode()

    async def _take(self, size: int) -> bytes:
        end = self._read + size
        await self.client.until(lambda: len(self.answer.body) >= end)
        start, self._read = self._read, end
        return self.answer.body[start:end]


async def connect(
    running: Running, *, window: int = WIDE, room: int = WIDE, reads: bool = True
) -> HTTP2Client:
    """A new connection that speaks HTTP/2 from its first byte on."""
    client = await running._open(HTTP2Client, reads=reads)
    assert isinstance(client, HTTP2Client)
    if reads:
        await client.hello(window=window, room=room)
    return client


def connections(running: Running) -> list[MultiplexedConnection]:
    """The server's connections that speak HTTP/2."""
    found = running.context.connections
    return [each for each in found if isinstance(each, MultiplexedConnection)]
