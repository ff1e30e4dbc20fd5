"""The client's true address and scheme when a proxy stands in between.

Nothing from a client is trusted by default: only with ``--proxy-headers``, and only where the peer
is a named proxy, are its headers read. Addresses are walked from the right, since each proxy
appends the one it saw: the first that is not itself a trusted proxy is the client. (Taking the
leftmost one, as is often done, takes what the client claimed.)
"""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from fairway.server.config import Config, ConfigError

Address: TypeAlias = tuple[str, int]
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_SCHEMES: Final = frozenset({b"http", b"https", b"ws", b"wss"})


class TrustedProxies:
    """Which peers' headers are believed, and what they say.

    Args:
        config: Read are ``trusted_proxies`` and the names of the headers.

    Raises:
        ConfigError: An entry of ``trusted_proxies`` is neither an address nor a network.
    """

    def __init__(self, config: Config) -> None:
        self._all = "*" in config.trusted_proxies
        self._networks: list[_Network] = []
        for entry in config.trusted_proxies:
            if entry != "*":
                try:
                    self._networks.append(ipaddress.ip_network(entry, strict=False))
                except ValueError as error:
                    raise ConfigError(f"trusted_proxies: {error}.") from None
        self._host_header = config.proxy_headers_host.lower().encode("latin-1")
        self._port_header = config.proxy_headers_port.lower().encode("latin-1")

    def trusts(self, host: str) -> bool:
        """Whether ``host`` is one of the proxies; an empty one is the peer of a Unix socket."""
        if self._all or not host:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped  # how a socket for both families shows IPv4 peers
        return any(address in network for network in self._networks)

    def resolve(
        self, headers: Iterable[tuple[bytes, bytes]], peer: Address | None
    ) -> tuple[Address | None, str | None]:
        """The client's address and, if named, scheme (``"http"`` or ``"https"``).

        Args:
            headers: Fields of the request, names in lower case.
            peer: Who is connected to us; None on a Unix socket.
        """
        if not self.trusts(peer[0] if peer else ""):
            return peer, None
        hosts: list[bytes] = []
        scheme: str | None = None
        port = 0
        for name, value in headers:
            if name == self._host_header:
                hosts += value.split(b",")
            elif name == self._port_header:
                last = value.rpartition(b",")[2].strip()
                port = int(last) if last.isdigit() and len(last) <= 5 else 0
                port = port if port < 65536 else 0
            elif name == b"x-forwarded-proto":
                last = value.rpartition(b",")[2].strip().lower()
                if last in _SCHEMES:
                    scheme = "https" if last in {b"https", b"wss"} else "http"
        client = self._client(hosts)
        return (peer if client is None else (client, port)), scheme

    def _client(self, hosts: Sequence[bytes]) -> str | None:
        nearest: str | None = None
        for entry in reversed(hosts):
            host = _strip_port(entry.strip().decode("latin-1"))
            try:
                ipaddress.ip_address(host)
            except ValueError:
                break  # what stands left of something unreadable cannot be believed either
            nearest = host
            if not self.trusts(host):
                break
        return nearest


def _strip_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    host, colon, _ = text.rpartition(":")
    return host if colon and ":" not in host else text
