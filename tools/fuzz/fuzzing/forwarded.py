"""The proxies' headers: whatever they say, the client's address is one, or it is the peer's."""

import ipaddress
from typing import Final

from fairway._types import Headers
from fairway.server.config import Config
from fairway.server.listening.proxy import Address, TrustedProxies
from fuzzing.target import Target

__all__ = ["TARGET", "check", "check_headers"]

PEER: Final = ("10.0.0.1", 1234)
TRUSTED: Final = ("10.0.0.0/8", "::1")


def _proxies(kind: str, *trusted: str) -> TrustedProxies:
    return TrustedProxies(
        Config(
            proxy_headers=True,
            proxy_headers_kind=kind,
            proxy_headers_prefix="x-forwarded-prefix",
            trusted_proxies=trusted,
        )
    )


_KINDS: Final = [_proxies(kind, *TRUSTED) for kind in ("x-forwarded", "forwarded")]
_STRANGERS: Final = [_proxies(kind, "192.0.2.9") for kind in ("x-forwarded", "forwarded")]


def check_headers(fields: Headers) -> None:
    """An address that is one, a port that is one, a scheme of two; nothing from a stranger."""
    for proxies in _KINDS:
        for peer in (PEER, None):
            left = list(fields)
            client, scheme = proxies.resolve(left, peer)
            assert scheme in (None, "http", "https")
            assert set(left) <= set(fields)
            if client is not None:
                _check_address(client)
            else:
                assert peer is None
            _check_prefix(proxies.prefix(left))
        _check_last_word(proxies, fields)
    for strangers in _STRANGERS:
        left = list(fields)
        assert strangers.resolve(left, PEER) == (PEER, None)
        assert strangers.prefix(left) is None, "what a stranger claims reaches the application"


def _check_address(address: Address) -> None:
    ipaddress.ip_address(address[0])
    assert "%" not in address[0]
    assert 0 <= address[1] <= 65535


def _check_prefix(prefix: str | None) -> None:
    if prefix:
        assert prefix.startswith("/")
        assert not prefix.startswith("//")
        assert not prefix.endswith("/")
        assert prefix.isascii()
        assert prefix.isprintable()


APPENDED: Final = {
    b"x-forwarded-for": b"192.0.2.7",
    b"x-forwarded-proto": b"https",
    b"forwarded": b"for=192.0.2.7;proto=https",
}


def _check_last_word(proxies: TrustedProxies, fields: Headers) -> None:
    """What a trusted proxy appends to what its client has sent is believed, and nothing else."""
    in_lines = [*fields, *APPENDED.items()]
    joined = dict(APPENDED)
    for name, value in fields:
        if name in joined:
            joined[name] = value + b", " + APPENDED[name]
    for appended in (in_lines, list(joined.items())):
        client, scheme = proxies.resolve(appended, PEER)
        assert client is not None
        assert client[0] == "192.0.2.7"
        assert scheme == "https"


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
        b'Forwarded: for="_gazonk";proto=https, For="10.0.0.2:80"\nX-Forwarded-Prefix: /a/b/',
    ),
    tokens=(
        *(b"X-Forwarded-For: ", b"X-Forwarded-Proto: ", b"X-Forwarded-Port: ", b"Forwarded: "),
        *(b"for=", b"by=", b"proto=", b"host=", b'"', b"\\", b";", b",", b"[::1]", b"unknown"),
        *(b"_hidden", b"::ffff:1.2.3.4", b"%eth0", b"65535", b"https", b"10.0.0.2", b"\n"),
        *(b"X-Forwarded-Prefix: ", b"//", b"/"),
    ),
    modules=("fairway.server.listening.proxy",),
)
