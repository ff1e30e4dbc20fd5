"""The client's true address and scheme when a proxy stands in between.

Nothing from a client is trusted by default: only with ``--proxy-headers``, and only where the peer
is a named proxy, are its headers read. Addresses are walked from the right, since each proxy
appends the one it saw: the first that is not itself a trusted proxy is the client. (Taking the
leftmost one, as is often done, takes what the client claimed.)

There are two kinds of such headers, and a proxy that writes one passes on what its client has sent
of the other. So the configuration says which is believed; nobody looks at both.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from fairway._types import Headers
from fairway.server.config import Config, ConfigError

Address: TypeAlias = tuple[str, int]
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

#: What only a proxy is to say, whichever of it is read.
_KNOWN: Final = frozenset(
    {
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
    }
)

_SCHEMES: Final = frozenset({b"http", b"https", b"ws", b"wss"})

# RFC 7239 §4. An address without its quotes, which IPv6 and ports need, is taken as well: it cannot
# mean anything else, and proxies write it.
_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PAIR: Final = rb'%b=(?:[!#$%%&\'*+\-.^_`|~0-9A-Za-z:\[\]]*|"(?:[^"\\]|\\.)*")' % _TOKEN
_ELEMENT: Final = re.compile(rb"[ \t]*(?:%b)?(?:;(?:%b)?)*[ \t]*" % (_PAIR, _PAIR), re.DOTALL)
_PAIRS: Final = re.compile(rb'(%b)=("(?:[^"\\]|\\.)*"|[^;]*)' % _TOKEN, re.DOTALL)

_PREFIX: Final = re.compile(rb"/[!-.0-~](?:[!-~]*)")


class TrustedNetworks:
    """The addresses of proxies that are believed.

    Args:
        entries: Addresses and networks; ``*`` for all.

    Raises:
        ConfigError: An entry is neither an address nor a network.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._all = False
        self._networks: list[_Network] = []
        for entry in entries:
            if entry == "*":
                self._all = True
                continue
            try:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError as error:
                raise ConfigError(f"trusted_proxies: {error}.") from None

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


class TrustedProxies(TrustedNetworks):
    """Which peers' headers are believed, and what they say.

    Args:
        config: Read are ``trusted_proxies``, the kind and the names of the headers.

    Raises:
        ConfigError: An entry of ``trusted_proxies`` is neither an address nor a network.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config.trusted_proxies)
        self._rfc7239 = config.proxy_headers_kind == "forwarded"
        self._host_header = config.proxy_headers_host.lower().encode("latin-1")
        self._port_header = config.proxy_headers_port.lower().encode("latin-1")
        self._scheme_header = config.proxy_headers_scheme.lower().encode("latin-1")
        self._prefix_header = config.proxy_headers_prefix.lower().encode("latin-1")
        self._names = _KNOWN | {
            *(self._host_header, self._port_header, self._scheme_header, self._prefix_header)
        }

    def resolve(self, headers: Headers, peer: Address | None) -> tuple[Address | None, str | None]:
        """The client's address and, if named, scheme (``"http"`` or ``"https"``).

        From anybody but a trusted proxy, headers of this kind are taken out: the application may
        read some of them itself, as Django does if its settings say so. From everybody those are
        whose names differ in an underscore only: a proxy passes them on, and to applications that
        know headers as CGI names them (RFC 3875 §4.1.18) they are the same.

        Args:
            headers: Fields of the request, names in lower case.
            peer: Who is connected to us; None on a Unix socket.
        """
        if any(b"_" in name for name, _ in headers):
            headers[:] = [field for field in headers if not self._resembles(field[0])]
        if not self.trusts(peer[0] if peer else ""):
            if any(name in self._names for name, _ in headers):
                headers[:] = [field for field in headers if field[0] not in self._names]
            return peer, None
        if self._rfc7239:
            return self._resolve_forwarded(headers, peer)
        hosts: list[bytes] = []
        scheme: str | None = None
        port = 0
        for name, value in headers:
            if name == self._host_header:
                hosts += value.split(b",")
            elif name == self._port_header:
                port = _port(value.rpartition(b",")[2].strip())
            elif name == self._scheme_header:
                scheme = _scheme(value.rpartition(b",")[2].strip()) or scheme
        client = self._client(hosts)
        return (peer if client is None else (client, port)), scheme

    def _resembles(self, name: bytes) -> bool:
        return name not in self._names and name.replace(b"_", b"-") in self._names

    def prefix(self, headers: Headers) -> str | None:
        """The path under which the nearest proxy has mounted the application; None if it says none.

        It has no slash at its end.

        Args:
            headers: Those that :meth:`resolve` has left.
        """
        if not self._prefix_header:
            return None
        values = [value for name, value in headers if name == self._prefix_header]
        # Two slashes at the beginning would make a host of the first part, wherever it is linked.
        last = values[-1].rpartition(b",")[2].strip() if values else b""
        return last.decode("ascii").rstrip("/") if _PREFIX.fullmatch(last) else None

    def _client(self, hosts: Sequence[bytes]) -> str | None:
        nearest: str | None = None
        for entry in reversed(hosts):
            host = _strip_port(entry.strip().decode("latin-1"))
            if not _is_address(host):
                break  # what stands left of something unreadable cannot be believed either
            nearest = host
            if not self.trusts(host):
                break
        return nearest

    def _resolve_forwarded(
        self, headers: Headers, peer: Address | None
    ) -> tuple[Address | None, str | None]:
        """RFC 7239: each element was added by the proxy that saw the address which it names."""
        client, scheme = peer, None
        fields = [value for name, value in headers if name == b"forwarded"]
        for element in _elements(fields):
            pairs = _pairs(element)
            scheme = _scheme(pairs.get(b"proto", b""))
            node = _node(pairs.get(b"for", b""))
            if node is None:  # unknown, or hidden behind a name (§6.2, §6.3)
                break
            client = node
            if not self.trusts(node[0]):
                break
        return client, scheme


def _elements(fields: Sequence[bytes]) -> Iterator[bytes]:
    """The elements of Forwarded fields, from the last to the first, up to one that is none.

    Read from the right, each is the shortest that is well-formed: so a quotation mark that a client
    opens in its own part, and does not close, takes nothing from what proxies have added.
    """
    for field in reversed(fields):
        end = len(field)
        while end >= 0:
            comma = field.rfind(b",", 0, end)
            while not _ELEMENT.fullmatch(field, comma + 1, end):
                if comma < 0:
                    return
                comma = field.rfind(b",", 0, comma)
            if element := field[comma + 1 : end].strip():
                yield element
            end = comma


def _pairs(element: bytes) -> dict[bytes, bytes]:
    """The parameters of an element; "" for one that is there twice, which §4 forbids."""
    found: dict[bytes, bytes] = {}
    for name, value in _PAIRS.findall(element):
        if value.startswith(b'"'):
            value = re.sub(rb"\\(.)", rb"\1", value[1:-1], flags=re.DOTALL)  # noqa: PLW2901
        key = name.lower()
        found[key] = b"" if key in found else value.strip()
    return found


def _node(value: bytes) -> Address | None:
    """An address and a port, 0 if that is unknown or hidden (RFC 7239 §6)."""
    text = value.decode("latin-1")
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        if ":" not in host:
            return None
        port = port.removeprefix(":")
    else:
        host, _, port = text.partition(":")
        if ":" in port:  # IPv6 without its brackets
            host, port = text, ""
    return (host, _port(port.encode("latin-1"))) if _is_address(host) else None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # the name of an interface, which may be any text, is no part of it


def _scheme(value: bytes) -> str | None:
    lowered = value.lower()
    if lowered not in _SCHEMES:
        return None
    return "https" if lowered in {b"https", b"wss"} else "http"


def _port(value: bytes) -> int:
    port = int(value) if value.isdigit() and len(value) <= 5 else 0
    return port if port < 65536 else 0


def _strip_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    host, colon, _ = text.rpartition(":")
    return host if colon and ":" not in host else text
