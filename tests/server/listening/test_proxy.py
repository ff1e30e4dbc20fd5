"""Who the client is when a proxy stands in between, and when somebody only pretends that."""

import pytest

from fairway.server.config import Config, ConfigError
from fairway.server.listening.proxy import Address, TrustedProxies

PROXY: Address = ("127.0.0.1", 40000)
STRANGER: Address = ("203.0.113.9", 40000)


def resolve(
    *headers: tuple[str, str], peer: Address | None = PROXY, trusted: tuple[str, ...] | None = None
) -> tuple[Address | None, str | None]:
    """What is made of the headers of a request; by default those of a proxy on this machine."""
    config = Config(proxy_headers=True)
    if trusted is not None:
        config = config.replace(trusted_proxies=trusted)
    fields = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return TrustedProxies(config).resolve(fields, peer)


def client(*values: str, trusted: tuple[str, ...] | None = None) -> Address | None:
    """The client that some X-Forwarded-For fields name."""
    return resolve(*(("x-forwarded-for", value) for value in values), trusted=trusted)[0]


class TestTrust:
    """Whose headers are believed."""

    @pytest.mark.parametrize(
        ("trusted", "host", "expected"),
        [
            (("127.0.0.0/8", "::1"), "127.0.0.1", True),
            (("127.0.0.0/8", "::1"), "127.255.0.1", True),
            (("127.0.0.0/8", "::1"), "::1", True),
            (("127.0.0.0/8", "::1"), "::ffff:127.0.0.1", True),
            (("127.0.0.0/8", "::1"), "128.0.0.1", False),
            (("127.0.0.0/8", "::1"), "::2", False),
            (("127.0.0.0/8", "::1"), "localhost", False),
            (("10.1.2.3/8",), "10.255.255.255", True),
            (("fe80::/10",), "fe80::1%eth0", True),
            ((), "127.0.0.1", False),
            ((), "", True),
            (("*",), "203.0.113.9", True),
            (("*",), "not an address", True),
        ],
    )
    def test_trusts(self, trusted: tuple[str, ...], host: str, expected: bool) -> None:
        """Named addresses and networks, everybody for ``*``, and always who comes by a socket."""
        proxies = TrustedProxies(Config(trusted_proxies=trusted))
        assert proxies.trusts(host) is expected

    @pytest.mark.parametrize("entry", ["localhost", "10.0.0.0/33", ""])
    def test_no_network(self, entry: str) -> None:
        """What is no network stops the start."""
        with pytest.raises(ConfigError, match=r"^trusted_proxies: .*\.$"):
            TrustedProxies(Config(trusted_proxies=(entry,)))

    def test_stranger(self) -> None:
        """The headers of anybody else are not even looked at."""
        headers = (
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-port", "1"),
            ("x-forwarded-proto", "https"),
        )
        assert resolve(*headers, peer=STRANGER) == (STRANGER, None)
        assert resolve(*headers, peer=STRANGER, trusted=("*",)) == (("198.51.100.1", 1), "https")

    def test_unix_socket(self) -> None:
        """The peer of a Unix socket is a proxy; without its headers the client is unknown."""
        assert resolve(("x-forwarded-for", "198.51.100.1"), peer=None) == (
            ("198.51.100.1", 0),
            None,
        )
        assert resolve(peer=None) == (None, None)


class TestClient:
    """The address is the last one that no trusted proxy has added."""

    def test_none(self) -> None:
        """Without the header the peer is the client."""
        assert resolve() == (PROXY, None)

    @pytest.mark.row("2.3 Proxy headers", "7 11")
    @pytest.mark.parametrize(
        ("value", "host"),
        [
            ("198.51.100.1", "198.51.100.1"),
            ("203.0.113.66, 198.51.100.1", "198.51.100.1"),
            ("198.51.100.1, 127.0.0.1, 127.0.0.2", "198.51.100.1"),
            ("127.0.0.3, 127.0.0.2", "127.0.0.3"),
            ("198.51.100.1:1234", "198.51.100.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:1234", "2001:db8::1"),
            ("  198.51.100.1\t", "198.51.100.1"),
        ],
    )
    def test_address(self, value: str, host: str) -> None:
        """Entries are walked from the right, ports and brackets taken off."""
        assert client(value) == (host, 0)

    @pytest.mark.parametrize(
        "value", ["unknown", "", "198.51.100.1, unknown", "<script>", "_hidden"]
    )
    def test_unreadable(self, value: str) -> None:
        """Behind an entry that is no address nobody is believed: the peer is the client."""
        assert client(value) == PROXY

    def test_unreadable_on_the_left(self) -> None:
        """What the proxy added stays true, whatever the client wrote before it."""
        assert client("unknown, 198.51.100.1") == ("198.51.100.1", 0)
        assert client("unknown, 127.0.0.2") == ("127.0.0.2", 0)

    def test_several_lines(self) -> None:
        """Several fields of the name are one list (RFC 9110 §5.3)."""
        assert client("198.51.100.1, 198.51.100.2", "127.0.0.2") == ("198.51.100.2", 0)

    def test_all_trusted(self) -> None:
        """For ``*`` the leftmost entry counts."""
        assert client("198.51.100.1, 203.0.113.7", trusted=("*",)) == ("198.51.100.1", 0)

    def test_other_header(self) -> None:
        """Which header names the client can be configured, in any spelling."""
        config = Config(proxy_headers_host="X-Real-IP", proxy_headers_port="X-Real-Port")
        headers = [
            (b"x-real-ip", b"198.51.100.1"),
            (b"x-real-port", b"99"),
            (b"x-forwarded-for", b"198.51.100.2"),
        ]
        assert TrustedProxies(config).resolve(headers, PROXY) == (("198.51.100.1", 99), None)


class TestPort:
    """The port is a number, or 0."""

    @pytest.mark.parametrize(
        ("value", "port"),
        [
            ("443", 443),
            ("80, 443", 443),
            ("65535", 65535),
            ("65536", 0),
            ("-1", 0),
            ("http", 0),
            ("", 0),
            ("9" * 5000, 0),
            ("00080", 80),
        ],
    )
    def test_port(self, value: str, port: int) -> None:
        """Anything else counts as unknown."""
        headers = (("x-forwarded-for", "198.51.100.1"), ("x-forwarded-port", value))
        assert resolve(*headers) == (("198.51.100.1", port), None)

    def test_alone(self) -> None:
        """Without the client's address it means nothing."""
        assert resolve(("x-forwarded-port", "1")) == (PROXY, None)


class TestScheme:
    """The scheme that the client used with the proxy."""

    @pytest.mark.parametrize(
        ("value", "scheme"),
        [
            ("https", "https"),
            ("HTTPS", "https"),
            ("wss", "https"),
            ("http", "http"),
            ("ws", "http"),
            ("http, https", "https"),
            ("https, http", "http"),
            ("gopher", None),
            ("", None),
        ],
    )
    def test_scheme(self, value: str, scheme: str | None) -> None:
        """What the nearest proxy says counts, if it says anything that is known."""
        assert resolve(("x-forwarded-proto", value)) == (PROXY, scheme)
