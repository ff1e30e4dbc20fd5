"""How the ends of a connection are called."""

import pytest

from fairway.server.listening.origin import client_of, plain, server_of


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("::ffff:0:1", "::ffff:0:1"),
        ("2001:db8::7", "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_plain(host: str, expected: str) -> None:
    """IPv4 is written as IPv4, also by a socket that takes both families."""
    assert plain(host) == expected


def test_client() -> None:
    """A client has an address and a port, unless it comes by a Unix socket."""
    assert client_of(("198.51.100.7", 1)) == ("198.51.100.7", 1)
    assert client_of(("::ffff:198.51.100.7", 1, 0, 0)) == ("198.51.100.7", 1)
    for nobody in ("", None, b"\0abstract"):
        assert client_of(nobody) is None


def test_server() -> None:
    """A server has an address and a port, or a path."""
    assert server_of(("::ffff:192.0.2.1", 443, 0, 0)) == ("192.0.2.1", 443)
    assert server_of(("::1", 443, 0, 0)) == ("::1", 443)
    assert server_of("/run/site.sock") == ("/run/site.sock", None)
    assert server_of("") is None
    assert server_of(None) is None
