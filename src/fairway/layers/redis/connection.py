"""One connection to a Redis server: RESP2 over an asyncio transport, parsed by hiredis.

redis-py says where the server is and how to log in (:mod:`fairway.layers.redis.hosts`). It does not
talk: its asyncio connections wait for each reply before they send the next command, and set a
deadline on each read, which is why idle consumers of others die with it.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

import hiredis

from fairway import native
from fairway.layers.io import io, let_go
from fairway.layers.redis.advice import code_of
from fairway.layers.redis.hosts import Server
from fairway.layers.redis.loan import ENOUGH, PATIENCE, Loan, reads_sockets

#: A word of a command.
Word: TypeAlias = str | bytes | int
#: What a server answers: bytes, integers, None, lists of them, and errors as values.
Reply: TypeAlias = Any

#: Bytes that may wait for a server that does not read, before commands are kept back.
HIGH_WATER: Final = 1024 * 1024


def pack(words: tuple[Word, ...]) -> bytes:
    """A command as it goes over the wire."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # annotated as one word
    return packed


class ServerError(OSError):
    """A server answered the first commands of a connection with an error.

    Attributes:
        code: The first word of its answer, such as ``WRONGPASS``.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = code_of(text)


class Connection(asyncio.Protocol):
    """Bytes in, replies out; who uses it says where replies go.

    Bytes may be sent from any thread, and go into the socket there and then: a third of what a
    command costs is waking a thread. With TLS, and while the server does not read as fast, they
    take the way over the transport, whose thread is the one that everything else belongs to.

    Bytes that come are read on that thread, too, or on the event loop that most replies of the last
    moment were for: see :mod:`fairway.layers.redis.loan`. What takes replies is called there.

    Attributes:
        on_reply: Takes each reply.
        on_writable: Called when the server reads again.
        writable: False while too much waits for a server that does not read.
        quiet: Whether nothing has come since somebody set it; for health checks.
        home: The event loop that reads.
        lost: Resolved when the connection has ended, with the reason.
    """

    def __init__(self) -> None:
        self._loop = self.home = loop = asyncio.get_running_loop()
        self.on_reply: Callable[[Reply], None] = self._answer
        self.on_writable: Callable[[], None] = _nothing
        self.writable = True
        self.quiet = False
        self.lost: asyncio.Future[str] = loop.create_future()
        self._transport: asyncio.Transport | None = None
        # A second descriptor of the transport's socket, for writing; None where nobody may.
        self._socket: socket.socket | None = None
        self._writing = native.Lock()
        # Whether bytes are under way over the transport, and how many pieces it does not have yet:
        # what comes after them has to take the same way.
        self._behind = False
        self._pieces = 0
        self._loan: Loan | None = None
        # Which loop replies were for that did not read them, how many, and since when.
        self._preferred: asyncio.AbstractEventLoop | None = None
        self._times = 0
        self._since = 0.0
        self._parser = hiredis.Reader()
        self._asked: deque[asyncio.Future[Reply]] = deque()
        # The first one: what comes of it afterwards, on whichever thread, is none.
        self._reason = ""

    # ------------------------------------------------------------------ the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there."""
        # uvloop's transports are of another class with the same methods.
        self._transport = transport = cast("asyncio.Transport", transport)
        transport.set_write_buffer_limits(HIGH_WATER)
        sock = transport.get_extra_info("socket")
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if transport.get_extra_info("ssl_object") is None:
            self._socket = native.socket(fileno=os.dup(sock.fileno()))
            self._socket.setblocking(False)

    def data_received(self, data: bytes) -> None:
        """Pass on the replies that are complete; on the event loop that reads."""
        self.quiet = False
        if self._behind:
            self.on_io(self._catch_up)
        parser = self._parser
        try:
            parser.feed(data)
            while (reply := parser.gets()) is not False:
                self.on_reply(reply)
        except hiredis.ProtocolError as error:
            self.on_io(self.abort, f"what came is not the protocol of Redis: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so."""
        self._write_no_more()
        self.reclaim()
        if exc is not None:
            self._reason = self._reason or str(exc) or type(exc).__name__
        self._reason = self._reason or "the server closed it"
        for future in self._asked:
            if not future.done():
                future.set_exception(ConnectionError(self._reason))
        self._asked.clear()
        if not self.lost.done():
            self.lost.set_result(self._reason)

    def pause_writing(self) -> None:
        """The server does not read."""
        self.writable = False

    def resume_writing(self) -> None:
        """It does again."""
        self.writable = True
        self.on_writable()

    # ------------------------------------------------------------------ who reads

    def prefer(self, loop: asyncio.AbstractEventLoop) -> None:
        """A reply was for another event loop than the one that reads; on that which reads.

        If that happens often, the other one reads from now on.
        """
        now = time.monotonic()
        if loop is not self._preferred or now - self._since > PATIENCE:
            self._preferred, self._times, self._since = loop, 0, now
        self._times += 1
        if self._times == ENOUGH:
            io.call(self._lend, loop)

    def _lend(self, loop: asyncio.AbstractEventLoop) -> None:
        self.reclaim()
        if loop is self._loop or self._socket is None or not reads_sockets(loop):
            return
        assert self._transport is not None
        if self._transport.is_closing():
            return
        try:
            self._loan = Loan(self._socket, loop, self.data_received, back=self.reclaim)
        except OSError:
            return  # there is no descriptor left
        self._transport.pause_reading()
        self.home = loop
        self._loan.begin()

    def reclaim(self) -> None:
        """Read on the thread of :data:`io` from now on."""
        loan, self._loan = self._loan, None
        if loan is None:
            return
        loan.end()
        self.home = self._loop
        if loan.trouble:
            self.abort(loan.trouble)
        elif self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def on_io(self, function: Callable[..., None], *arguments: object) -> None:
        """Call something on the thread of :data:`io`: at once if that reads, soon if another does.

        On the event loop that reads.
        """
        if self.home is self._loop:
            function(*arguments)
        else:
            io.call(function, *arguments)

    # ------------------------------------------------------------------ out

    def write(self, data: bytes) -> None:
        """Send bytes, from any thread; without effect on a connection that has ended."""
        with self._writing:
            if self._socket is not None and not self._behind:
                try:
                    sent = self._socket.send(data)
                except BlockingIOError:
                    sent = 0
                except OSError:
                    return  # the transport finds out, too
                if sent == len(data):
                    return
                data = data[sent:]
            self._behind = True
            self._pieces += 1
        if io.here:
            self._pass_on(data)
        else:
            self._loop.call_soon_threadsafe(self._pass_on, data)

    def _write_no_more(self) -> None:
        with self._writing:
            self._behind = True
            if self._socket is not None:
                with contextlib.suppress(OSError):  # nobody is connected any more
                    # A loop that does not run now has yet to close the descriptor it was lent.
                    self._socket.shutdown(socket.SHUT_RDWR)
                self._socket.close()
                self._socket = None

    def _pass_on(self, data: bytes) -> None:
        with self._writing:
            self._pieces -= 1
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _catch_up(self) -> None:
        """Write into the socket again once the transport has nothing left to write."""
        with self._writing:
            if self._socket is None or self._transport is None or self._pieces:
                return
            self._behind = self._transport.get_write_buffer_size() > 0

    def abandon(self) -> None:
        """In a forked child: hold the parent's connection open no longer, without a word on it."""
        ours = None if self._transport is None else self._transport.get_extra_info("socket")
        for sock in (self._socket, ours):
            if sock is not None:
                let_go(sock)
        if self._loan is not None:
            self._loan.abandon()

    async def ask(self, *words: Word) -> Reply:
        """Send a command and wait for its reply; until :attr:`on_reply` is set.

        Raises:
            ServerError: The reply is an error.
            ConnectionError: The connection ended.
        """
        if self.lost.done():
            raise ConnectionError(self.lost.result())
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._asked.append(future)
        self.write(pack(words))
        reply = await future
        if isinstance(reply, hiredis.ReplyError):
            raise ServerError(str(reply))
        return reply

    def _answer(self, reply: Reply) -> None:
        if not self._asked:
            # "max number of clients reached", say, which comes unasked.
            self.abort(str(reply))
            return
        future = self._asked.popleft()
        if not future.done():
            future.set_result(reply)

    def abort(self, reason: str) -> None:
        """End the connection at once, for this reason."""
        self._reason = self._reason or reason
        # A transport whose opening is cancelled never says that it is lost.
        self._write_no_more()
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """End the connection; returns when it has ended."""
        self.abort("it was closed here")
        await asyncio.wait([self.lost])


async def connect(server: Server) -> Connection:
    """Connect to a server and log in.

    Raises:
        OSError: It cannot be reached, or refuses; :class:`ServerError` if it says why.
        TimeoutError: It did not answer in time.
    """
    loop = asyncio.get_running_loop()
    connection = Connection()
    try:
        async with asyncio.timeout(server.connect_timeout):
            if server.path is not None:
                await loop.create_unix_connection(
                    lambda: connection, server.path, ssl=server.ssl_context
                )
            else:
                await loop.create_connection(
                    lambda: connection,
                    sock=await _connected(server),
                    ssl=server.ssl_context,
                    server_hostname=None if server.ssl_context is None else server.host,
                )
            await _log_in(connection, server)
    except TimeoutError:
        connection.abort("no answer")
        raise TimeoutError(f"no answer within {server.connect_timeout:g} s") from None
    except BaseException:
        connection.abort("the handshake failed")
        raise
    return connection


async def _connected(server: Server) -> socket.socket:
    """A connection to the first address of a server's name that takes one.

    Not by the loop's create_connection(): that of uvloop, cancelled while it waits for the name,
    leaves an error behind that nobody retrieves, and logs it each time.
    """
    loop = asyncio.get_running_loop()
    trouble = OSError(f"{server.host} has no address")
    for family, kind, number, _, address in await loop.getaddrinfo(
        server.host, server.port, type=socket.SOCK_STREAM
    ):
        sock: socket.socket = native.socket(family, kind, number)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            trouble = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise trouble


async def _log_in(connection: Connection, server: Server) -> None:
    if server.credentials is not None:
        ask = getattr(server.credentials, "get_credentials_async", None)  # since redis-py 5.3
        found = server.credentials.get_credentials() if ask is None else await ask()
        await connection.ask("AUTH", *(str(part) for part in found))
    if server.client_name:
        with contextlib.suppress(ServerError):  # some may not, and do as well without a name
            await connection.ask("CLIENT", "SETNAME", server.client_name)
    if server.db:
        await connection.ask("SELECT", server.db)


def _nothing() -> None:
    """Nobody waits."""
