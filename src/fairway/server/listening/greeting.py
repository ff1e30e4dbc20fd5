"""What comes before HTTP on a new connection: the header of the PROXY protocol, and TLS.

A connection that has either begins here and is handed on when both are over. The event loops could
do TLS by themselves, but then nobody hears of a handshake that fails or of a client that does not
speak TLS at all, and nothing can be read before it.
"""

import asyncio
import contextlib
import functools
import logging
import os
import ssl
from collections.abc import Callable
from typing import Final, cast

from fairway.server.context import LINGER, Context
from fairway.server.ending import end_writing
from fairway.server.listening.listener import Listener
from fairway.server.listening.origin import Origin, client_of, plain
from fairway.server.listening.proxy import Address, TrustedNetworks
from fairway.server.listening.tls import last_words
from fairway.wire.http1 import error_response
from fairway.wire.proxy_protocol import ProxyHeader, ProxyHeaderError, ProxyHeaderParser

logger = logging.getLogger("fairway.server")

#: Makes the protocol that HTTP is spoken with.
Connect = Callable[[Origin | None], asyncio.Protocol]

#: The first byte of TLS: a record of the handshake (RFC 8446 §5.1).
HANDSHAKE: Final = 0x16
#: Seconds in which a client that has said nothing yet is still greeted when the server ends.
LAST_CHANCE: Final = 0.3
#: The longest wait for a handshake, or for its counterpart, in seconds, that the event loops can be
#: told for "no limit".
_FOR_EVER: Final = 10.0**6

#: OpenSSL's reasons for which a handshake fails because of what we ask for, by the option.
_LIMITS: Final = {
    "UNSUPPORTED_PROTOCOL": "tls_minimum_version",
    "VERSION_TOO_LOW": "tls_minimum_version",
    "NO_SHARED_CIPHER": "tls_ciphers",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "tls_client_certificates",
    "CERTIFICATE_VERIFY_FAILED": "tls_client_certificates",
}


class Greeting(asyncio.Protocol):
    """One connection until HTTP begins.

    Args:
        context: What all connections share.
        listener: Where it came in.
        trusted: Whose PROXY protocol is believed.
        connect: Makes what comes after it.
    """

    __slots__ = (
        "_buffer",
        "_connect",
        "_context",
        "_discarding",
        "_listener",
        "_origin",
        "_parser",
        "_peer",
        "_shaking_hands",
        "_task",
        "_transport",
        "_trusted",
        "_when",
        "slot",
    )

    _transport: asyncio.Transport

    def __init__(
        self, context: Context, listener: Listener, trusted: TrustedNetworks, connect: Connect
    ) -> None:
        self.slot = 0
        self._context = context
        self._listener = listener
        self._trusted = trusted
        self._connect = connect
        self._parser = ProxyHeaderParser() if listener.proxy_protocol else None
        self._origin: Origin | None = None
        self._peer: Address | None = None
        self._when: float | None = None
        self._shaking_hands = False
        self._discarding = False
        self._task: asyncio.Task[None] | None = None
        self._buffer: list[bytes] = []

    # ------------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there; its time for everything before HTTP runs."""
        # uvloop's transports are what asyncio.Transport describes, but do not inherit from it.
        self._transport = cast("asyncio.Transport", transport)
        self._peer = client_of(transport.get_extra_info("peername"))
        self._context.register(self)
        if self._parser is not None and not self._trusted.trusts(
            self._peer[0] if self._peer else ""
        ):
            self._refuse("trusted_proxies", ",".join(self._context.config.trusted_proxies))
            return
        if self._context.draining:
            self._expire_in(LAST_CHANCE)
        else:
            self._start_clock()

    def data_received(self, data: bytes) -> None:
        """Read the header, begin TLS, or keep what comes while that is being finished."""
        if self._shaking_hands or self._discarding:
            if self._shaking_hands:
                self._buffer.append(data)
            return
        if self._parser is not None:
            try:
                header = self._parser.receive_data(data)
            except ProxyHeaderError as error:
                logger.debug("Refused a connection from %s: %s", self._peer, error)
                self._refuse("proxy_protocol", "on")
                return
            if header is None:
                return
            data, self._parser = self._parser.rest, None
            self._origin = _origin(header)
        if self._listener.tls is None:
            self._hand_on(self._transport, data)
        elif data:
            self._greet(data)

    def eof_received(self) -> bool:
        """The client has gone before it was greeted."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone before HTTP began."""
        self._forget()

    # ------------------------------------------------------------------ the end of the server

    def shut_down(self) -> None:
        """The server ends: who is being greeted may go on, who says nothing has to hurry."""
        if not self._shaking_hands:
            self._expire_in(LAST_CHANCE)

    def abort(self) -> None:
        """End now."""
        self._forget()
        self._transport.abort()
        if self._task is not None:
            self._task.cancel()

    def on_deadline(self, now: float) -> float | None:
        """Give the client up that was too slow."""
        if self._when is None or now < self._when:
            return self._when
        self._when = None
        seconds = self._context.config.header_timeout
        if not (self._context.draining or self._discarding):
            answer = "the connection is closed"
            self._context.refusals.note("header_timeout", seconds, self._peer, answer)
        self.abort()
        return None

    # ------------------------------------------------------------------ TLS

    def _greet(self, data: bytes) -> None:
        """The first bytes behind the header are there: the ClientHello, if all is well."""
        if data[0] != HANDSHAKE:
            self._refuse_plain(data)
            return
        self._shaking_hands = True
        if self._context.draining:  # it has taken its last chance: now it has as long as others
            self._when = None
            self._start_clock()
        # What comes from now on is for the protocol of TLS, which gets what has come first.
        self._transport.pause_reading()
        loop = self._context.loop
        self._task = loop.create_task(self._shake_hands())
        if self._transport.get_protocol() is self:
            loop.call_soon(self._feed_soon, data)
        else:  # the task has begun already, as those of an eager factory do
            self._feed_soon(data)

    async def _shake_hands(self) -> None:
        assert self._listener.tls is not None
        timeout = self._context.config.header_timeout
        try:
            transport = await self._context.loop.start_tls(
                self._transport,
                self,
                self._listener.tls.context,
                server_side=True,
                # Ours comes first: it has begun with the connection, and it counts.
                ssl_handshake_timeout=timeout + LINGER if timeout > 0 else _FOR_EVER,
                # It would begin before our last words are read, which takes as long as it takes:
                # whoever speaks with the client sees to it.
                ssl_shutdown_timeout=_FOR_EVER,
            )
        except OSError as error:
            self._fail(error)
            return
        # Without a transport if the client has gone as soon as it had shaken hands.
        if transport is None or transport.is_closing():
            self._forget()
            return
        self._hand_on(transport, b"".join(self._buffer))

    def _send_alert(self, data: bytes) -> None:
        """Tell a client why the handshake fails, at once: the event loop is about to close."""
        transport = self._transport
        sock = transport.get_extra_info("socket")
        if sock is None or transport.is_closing() or transport.get_write_buffer_size():
            return
        with contextlib.suppress(OSError):  # it has gone, or does not read
            os.write(sock.fileno(), data)

    def _feed_soon(self, data: bytes) -> None:
        # start_tls() has begun by now: it has put its protocol in the place of this one, and put
        # connection_made() and the end of the pause in the loop's queue. Behind them, and before
        # the socket is read again, is the place of what was read already.
        self._context.loop.call_soon(self._feed, data)

    def _feed(self, data: bytes) -> None:
        if self._transport.is_closing():
            return  # the client has gone meanwhile
        # That of TLS, which uvloop does not derive from BufferedProtocol.
        protocol = cast("asyncio.BufferedProtocol", self._transport.get_protocol())
        left = memoryview(data)
        token = last_words.set(self._send_alert)
        while left:
            buffer = memoryview(protocol.get_buffer(len(left)))
            size = min(len(left), len(buffer))
            buffer[:size] = left[:size]
            protocol.buffer_updated(size)
            left = left[size:]
        last_words.reset(token)

    def _fail(self, error: OSError) -> None:
        """The handshake has failed; the client was told why, by an alert, unless it has gone."""
        self._forget()
        self._context.counters.tls_failures += 1
        reason = error.reason if isinstance(error, ssl.SSLError) else ""
        limit = _LIMITS.get(reason or "")
        if limit is not None:
            value = getattr(self._context.config, limit)
            self._context.refusals.note(limit, value, self._peer, "a TLS alert")
        logger.debug("The TLS handshake with %s failed: %s", self._peer, error)

    def _refuse_plain(self, data: bytes) -> None:
        """Somebody does not speak TLS: answer what seems to be HTTP, say nothing to the others."""
        self._context.counters.tls_failures += 1
        if not data[:1].isalpha():
            logger.info("Refused a connection: its client does not speak TLS, as this port does")
            self._end()
            return
        detail = "This port speaks TLS: the address begins with https:// or wss://."
        logger.info("Refused a request with 400: %s", detail)
        context = self._context
        self._transport.write(
            error_response(400, detail, server=context.server_header, date=context.date())
        )
        self._discarding = True
        self._expire_in(LINGER)
        end_writing(self._transport, context)

    # ------------------------------------------------------------------ endings

    def _hand_on(self, transport: asyncio.Transport, data: bytes) -> None:
        """HTTP begins."""
        protocol = self._connect(self._origin)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        self._forget()  # after it: somebody is connected all the time
        if data and not transport.is_closing():
            # It may have handed on, too: to HTTP/2, say.
            cast("asyncio.Protocol", transport.get_protocol()).data_received(data)

    def _refuse(self, limit: str, value: object) -> None:
        self._context.refusals.note(limit, value, self._peer, "the connection is closed")
        self._end()

    def _end(self) -> None:
        self._forget()
        self._transport.abort()

    def _forget(self) -> None:
        self._when = None
        self._context.deadlines.disarm(self)
        self._context.unregister(self)

    def _start_clock(self) -> None:
        if (timeout := self._context.config.header_timeout) > 0:
            self._expire_in(timeout)

    def _expire_in(self, seconds: float) -> None:
        when = self._context.time() + seconds
        self._when = when if self._when is None else min(when, self._when)
        self._context.deadlines.arm(self, self._when)


def greet(context: Context, listener: Listener, connect: Connect) -> Callable[[], asyncio.Protocol]:
    """What makes a protocol for each connection to a listener.

    Args:
        context: What all connections share.
        listener: Where they come in.
        connect: Makes the protocol of HTTP.

    Raises:
        ConfigError: ``trusted_proxies`` names something that is no network.
    """
    if listener.tls is None and not listener.proxy_protocol:
        return functools.partial(connect, None)
    trusted = TrustedNetworks(context.config.trusted_proxies)
    return functools.partial(Greeting, context, listener, trusted, connect)


def _origin(header: ProxyHeader) -> Origin | None:
    """What the header says; None if that is nothing, and the connection's own ends are true."""
    if header.source is None:
        return None
    host, port = header.source
    server = header.destination
    return Origin(
        client=(plain(host), port) if port is not None else None,
        server=(plain(server[0]), server[1]) if server and server[0] else None,
        scheme="https" if header.tls is not None else "http",
        protocol=header.alpn,
    )
