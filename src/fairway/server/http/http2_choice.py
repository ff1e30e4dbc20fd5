"""Which HTTP a new connection speaks: what TLS has agreed on, or what its first bytes are.

HTTP/2 comes in at two doors: ALPN in the handshake of TLS (RFC 9113 §3.2), and, where that is
allowed, a client that begins with it because it knows already (§3.3), or has agreed on it with the
proxy in front. The old way, ``Upgrade: h2c``, is deprecated (§3.1) and not there. Without HTTP/2
nothing here is in the way of a connection, and h2 is not imported.
"""

import asyncio
import functools
from collections.abc import Callable
from typing import Final, cast

from fairway.server.context import Context
from fairway.server.http.connection import LAST_REQUEST, Connection
from fairway.server.listening.alpn import speaks_http2
from fairway.server.listening.listener import Listener
from fairway.server.listening.origin import Origin

#: How a client begins that knows that the server speaks HTTP/2 (§3.4): no other one begins so.
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

#: Makes what speaks HTTP on a connection, whose ends a proxy may have named.
Connect = Callable[[Origin | None], asyncio.Protocol]


def connector(context: Context, listener: Listener) -> Connect:
    """What makes the protocol of each connection to a listener.

    Args:
        context: What all connections share.
        listener: Where they come in.

    Raises:
        ConfigError: HTTP/2 is asked for by name, and h2 is not installed.
    """
    # Over TLS, or behind a proxy that does TLS and tells (the PROXY protocol), it may be agreed on.
    agreed = speaks_http2(context.config) and (listener.tls is not None or listener.proxy_protocol)
    if agreed or context.config.http2_cleartext:
        return functools.partial(Choice, context)
    return functools.partial(Connection, context)


class Choice(asyncio.Protocol):
    """A connection until it is known which HTTP it speaks.

    Args:
        context: What all connections share.
        origin: The two ends of the connection, if a proxy has named them.
    """

    __slots__ = ("_begin", "_context", "_origin", "_transport", "_when", "slot")

    _transport: asyncio.Transport

    def __init__(self, context: Context, origin: Origin | None = None) -> None:
        self.slot = 0
        self._context = context
        self._origin = origin
        self._begin = b""
        self._when: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Over TLS it is known; else the first bytes say it, if they are asked."""
        # uvloop's transports are what asyncio.Transport describes, but do not inherit from it.
        self._transport = cast("asyncio.Transport", transport)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() == "h2":
            self._hand_on(_multiplexed(self._context, self._origin))
        elif tls is not None or not self._may_begin_with_http2():
            self._hand_on(Connection(self._context, self._origin))
        else:
            self._context.register(self)
            draining = self._context.draining
            timeout = LAST_REQUEST if draining else self._context.config.header_timeout
            if timeout > 0:
                self._when = self._context.time() + timeout
                self._context.deadlines.arm(self, self._when)

    def _may_begin_with_http2(self) -> bool:
        """Whether it is allowed, or a proxy that ends TLS says that its client has agreed on it.

        That alone decides nothing: the proxy passes on what the client says, or speaks HTTP for
        itself, and then mostly HTTP/1.1 (HAProxy's ``mode http`` with ``send-proxy-v2``).
        """
        origin = self._origin
        return self._context.config.http2_cleartext or (
            origin is not None and origin.protocol == b"h2"
        )

    def data_received(self, data: bytes) -> None:
        """Compare what comes with the preface; the first byte that differs decides."""
        self._begin += data
        start = self._begin[: len(PREFACE)]
        if start == PREFACE:
            self._hand_on(_multiplexed(self._context, self._origin))
        elif not PREFACE.startswith(start):
            self._hand_on(Connection(self._context, self._origin))

    def eof_received(self) -> bool:
        """The client has gone before it said enough."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._forget()

    def shut_down(self) -> None:
        """The server ends, and this client has not asked for anything."""
        self._hand_on(Connection(self._context, self._origin))

    def abort(self) -> None:
        """End the connection now."""
        self._transport.abort()

    def on_deadline(self, now: float) -> float | None:
        """Close a client that does not say enough in time."""
        if self._when is None or now < self._when:
            return self._when
        self._when = None
        seconds = self._context.config.header_timeout
        peer = self._transport.get_extra_info("peername")
        if not self._context.draining:
            answer = "the connection is closed"
            self._context.refusals.note("header_timeout", seconds, peer, answer)
        self._transport.close()
        return None

    def _hand_on(self, protocol: asyncio.Protocol) -> None:
        transport = self._transport
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        self._forget()  # after it: somebody is connected all the time
        data, self._begin = self._begin, b""
        if data and not transport.is_closing():
            protocol.data_received(data)

    def _forget(self) -> None:
        self._when = None
        self._context.deadlines.disarm(self)
        self._context.unregister(self)


def _multiplexed(context: Context, origin: Origin | None) -> asyncio.Protocol:
    from fairway.server.http.http2 import MultiplexedConnection  # noqa: PLC0415  h2 takes 50 ms

    return MultiplexedConnection(context, origin)
