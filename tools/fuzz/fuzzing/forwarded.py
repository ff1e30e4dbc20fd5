"""The proxies' headers: whatever they say, the client's address is one, or it is the peer's."""

import ipaddress
from typing import Final

from fairway.server.config import Config
from fairway.server.listening.proxy import TrustedProxies
from fuzzing.target import Target

__all__ = ["TARGET", "check", "check_headers"]

PEER: Final = ("10.0.0.1", 1234)
_PROXIES: Final = TrustedProxies(Config(proxy_headers=True, trusted_proxies=("10.0.0.0/8", "::1")))
_SUSPICIOUS: Final = TrustedProxies(Config(proxy_headers=True, trusted_proxies=("10.9.9.9",)))


def check_headers(fields: list[tuple[bytes, bytes]]) -> None:
    """An address that is one, a port that is one, a scheme of two; nothing from a stranger."""
    client, scheme = _PROXIES.resolve(fields, PEER)
    assert client is not None
    ipaddress.ip_address(client[0])
    assert 0 <= client[1] <= 65535
    assert scheme in (None, "http", "https")
    assert _SUSPICIOUS.resolve(fields, PEER) == (PEER, None)
    unix, _ = _PROXIES.resolve(fields, None)
    if unix is not None:
        ipaddress.ip_address(unix[0])


def check(data: bytes) -> None:
    """Header fields as lines."""
    fields = []
    for line in data.split(b"\n"):
        name, _, value = line.partition(b":")
        fields.append((name.strip().lower(), value.strip(b" \t\r")))
    check_headers(fields)


TARGET = Target(
    name="forwarded",
    check=check,
    seeds=(
        b"X-Forwarded-For: 192.0.2.7, 10.0.0.2\nX-Forwarded-Proto: https\nX-Forwarded-Port: 99",
        b'Forwarded: for=192.0.2.60;proto=http;by=203.0.113.43, for="[2001:db8::17]:4711"',
        b"X-Forwarded-For: [2001:db8::1]:80, ::1\nX-Forwarded-Proto: wss",
    ),
    tokens=(
        *(b"X-Forwarded-For: ", b"X-Forwarded-Proto: ", b"X-Forwarded-Port: ", b"Forwarded: "),
        *(b"for=", b"by=", b"proto=", b"host=", b'"', b"\\", b";", b",", b"[::1]", b"unknown"),
        *(b"_hidden", b"::ffff:1.2.3.4", b"%eth0", b"65535", b"https", b"10.0.0.2", b"\n"),
    ),
    modules=("fairway.server.listening.proxy",),
)
