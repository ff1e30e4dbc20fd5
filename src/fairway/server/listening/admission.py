"""Who may come in: limits on connections and WebSockets, decided before anything is made for them.

No I/O here. Whoever is refused is told with a status and when to come back (``Retry-After``, RFC
9110 §10.2.3).
"""

import dataclasses
import ipaddress
import math
from collections.abc import Callable
from functools import cached_property
from typing import Final

from fairway.server.config import Config
from fairway.server.listening.proxy import Address, TrustedNetworks

#: Seconds after which somebody may try again who was refused because others are there.
RETRY_AFTER: Final = 5
#: Addresses whose handshakes are remembered; beyond that those who came first are forgotten.
MAX_REMEMBERED: Final = 65536
#: Of an IPv6 address, the bits that name a network: one site has all addresses in it (RFC 6177).
_IPV6_PREFIX: Final = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Rejection:
    """Why somebody may not come in.

    Attributes:
        limit: The option.
        value: What it is set to.
        status: What is answered.
        detail: What the client is told beside it.
        retry_after: Seconds after which it may try again.
    """

    limit: str
    value: float
    status: int
    detail: str
    retry_after: int = RETRY_AFTER

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """What stands beside the status."""
        return [(b"retry-after", b"%d" % self.retry_after)]


class Rate:
    """So many in a second on average, and as many at once after a second without any.

    Args:
        per_second: How many; above 0.
        now: The moment at which it begins, in seconds.
    """

    __slots__ = ("_left", "_per_second", "_when")

    def __init__(self, per_second: float, now: float) -> None:
        self._per_second = per_second
        self._left = max(1.0, per_second)
        self._when = now

    def take(self, now: float) -> bool:
        """Take one, if there is one at ``now``."""
        most = max(1.0, self._per_second)
        self._left = min(most, self._left + (now - self._when) * self._per_second)
        self._when = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    @property
    def wait(self) -> int:
        """Seconds until there is another, rounded up."""
        return max(1, math.ceil((1.0 - self._left) / self._per_second))


class Admission:
    """Counts who is there, and decides about each who comes.

    Args:
        config: The limits.
        time: The clock, in seconds.

    Attributes:
        connections: Open connections that were let in.
        websockets: WebSockets that are open, or were asked for and not refused.
        lag: How late the event loop was, by its last sample, in seconds.
    """

    def __init__(self, config: Config, time: Callable[[], float]) -> None:
        self.connections = 0
        self.websockets = 0
        self.lag = 0.0
        self._config = config
        self._time = time
        self._of_client: dict[str, int] = {}
        rate = config.websocket_max_handshakes
        self._rate = Rate(rate, time()) if rate > 0 else None
        self._rates: dict[str, Rate] = {}

    # ------------------------------------------------------------------ connections

    def connect(self, host: str) -> Rejection | None:
        """A client has connected; unless it is rejected, :meth:`disconnect` has to follow.

        Args:
            host: Its address; empty for the peer of a Unix socket.
        """
        config = self._config
        limit = config.max_connections
        if 0 < limit <= self.connections:
            return Rejection("max_connections", limit, 503, "The server is full.")
        if overload := self._overload():
            return overload
        most = config.max_connections_per_client
        if most > 0:
            key = network_of(host)
            there = self._of_client.get(key, 0)
            # Whom it does not concern is asked last: it takes longer than to count.
            if there >= most and not self._proxies.trusts(host):
                return Rejection(
                    "max_connections_per_client", most, 429, "Too many connections from there."
                )
            self._of_client[key] = there + 1
        self.connections += 1
        return None

    def disconnect(self, host: str) -> None:
        """The connection of a client that was let in has ended."""
        self.connections -= 1
        if self._config.max_connections_per_client > 0:
            key = network_of(host)
            there = self._of_client[key] - 1
            if there:
                self._of_client[key] = there
            else:
                del self._of_client[key]

    # ------------------------------------------------------------------ WebSockets

    def open_websocket(self, client: Address | None) -> Rejection | None:
        """Somebody asks for a WebSocket; unless rejected, :meth:`close_websocket` has to follow.

        Args:
            client: Who asks, perhaps by the header of a proxy; None for a Unix socket's peer.
        """
        limit = self._config.max_websockets
        if 0 < limit <= self.websockets:
            return Rejection("max_websockets", limit, 503, "Too many WebSockets are open.")
        rejection = self._overload() or self._check_rates(client[0] if client else "")
        if rejection is None:
            self.websockets += 1
        return rejection

    def close_websocket(self) -> None:
        """A WebSocket that was not rejected has ended."""
        self.websockets -= 1

    def _check_rates(self, host: str) -> Rejection | None:
        now = self._time()
        per_client = self._config.websocket_max_handshakes_per_client
        if per_client > 0 and host:
            rate = self._rate_of(host, per_client, now)
            if not rate.take(now) and not self._proxies.trusts(host):
                return Rejection(
                    "websocket_max_handshakes_per_client",
                    per_client,
                    429,
                    "Too many WebSockets are opened from there.",
                    rate.wait,
                )
        if self._rate is not None and not self._rate.take(now):
            return Rejection(
                "websocket_max_handshakes",
                self._config.websocket_max_handshakes,
                503,
                "Too many WebSockets are opened.",
                self._rate.wait,
            )
        return None

    def _rate_of(self, host: str, per_second: float, now: float) -> Rate:
        key = network_of(host)
        rate = self._rates.pop(key, None) or Rate(per_second, now)
        if len(self._rates) >= MAX_REMEMBERED:
            del self._rates[next(iter(self._rates))]
        self._rates[key] = rate  # at the end: who came first is who was not seen for longest
        return rate

    # ------------------------------------------------------------------ for both

    def feel(self, lag: float) -> None:
        """The event loop was so many seconds late, by the last sample."""
        self.lag = lag

    def _overload(self) -> Rejection | None:
        limit = self._config.max_event_loop_lag
        if 0 < limit < self.lag:
            return Rejection("max_event_loop_lag", limit, 503, "The server is overloaded.")
        return None

    @cached_property
    def _proxies(self) -> TrustedNetworks:
        return TrustedNetworks(self._config.trusted_proxies)


def network_of(host: str) -> str:
    """What an address is counted as: itself, or the /64 of an IPv6 address."""
    if ":" not in host:
        return host
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    network = int(address) >> (128 - _IPV6_PREFIX) << (128 - _IPV6_PREFIX)
    return f"{ipaddress.IPv6Address(network)}/{_IPV6_PREFIX}"
