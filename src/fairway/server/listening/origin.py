"""The two ends of a connection, as the socket or a proxy names them."""

import dataclasses
import functools
from typing import Final

from fairway.server.listening.proxy import Address

#: How an IPv6 address begins that stands for an IPv4 one: the peer of a socket for both.
_MAPPED: Final = "::ffff:"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a proxy has said of a connection before its first byte (the PROXY protocol).

    Attributes:
        client: The client's address; None if it has none (a Unix socket).
        server: What the client has connected to.
        scheme: ``"https"`` if the proxy says that its client speaks TLS with it; else ``"http"``,
            and the connection itself may be encrypted.
        protocol: What the client has agreed on with the proxy (RFC 7301), such as ``b"h2"``; empty
            if it does not say.
    """

    client: Address | None
    server: tuple[str, int | None] | None
    scheme: str = "http"
    protocol: bytes = b""


def client_of(peername: object) -> Address | None:
    """A socket's peer as ASGI names clients; None for that of a Unix socket, who has no address."""
    if isinstance(peername, tuple) and len(peername) >= 2:
        return plain(peername[0]), peername[1]
    return None


# The same for all clients of a listener, who take 100 bytes less each. There is more than one where
# it listens on every address of a host.
@functools.lru_cache(maxsize=64)
def server_of(sockname: object) -> tuple[str, int | None] | None:
    """A socket's own address as ASGI names servers; None if it has none."""
    if isinstance(sockname, tuple) and len(sockname) >= 2:
        return plain(sockname[0]), sockname[1]
    if isinstance(sockname, str) and sockname:
        return sockname, None  # "or the path of the Unix socket, with None for the port"
    return None


def plain(host: str) -> str:
    """An address as people write it: IPv4 as IPv4, also on a socket that takes both families."""
    if host.startswith(_MAPPED) and "." in host:
        return host[len(_MAPPED) :]
    return host
