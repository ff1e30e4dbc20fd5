"""Who the client is when a proxy stands in between, and when somebody only pretends that."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway._types import Receive, Scope, Send
from fairway.server.config import Config, ConfigError
from fairway.server.listening.proxy import Address, TrustedProxies
from tests.server.conftest import Serve

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

    def test_taken_out(self) -> None:
        """Nor does the application see them: it might read them itself."""
        names = (
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-real-ip",
            "x-forwarded-proto",
        )
        proxies = TrustedProxies(Config(proxy_headers_host="X-Real-IP"))
        fields = [(name.encode(), b"x") for name in ("host", *names, "accept")]
        proxies.resolve(fields, STRANGER)
        assert fields == [(b"host", b"x"), (b"accept", b"x")]
        fields = [(name.encode(), b"x") for name in ("host", *names)]
        proxies.resolve(fields, PROXY)
        assert len(fields) == 6

    @pytest.mark.parametrize("peer", [PROXY, STRANGER])
    def test_underscores(self, peer: Address) -> None:
        """What only looks like one of them, as CGI would name it, is taken out whoever sends it."""
        headers = [
            (b"x_forwarded_for", b"198.51.100.1"),
            (b"x-forwarded_proto", b"https"),
            (b"x_mine", b"a"),
        ]
        proxies = TrustedProxies(Config(proxy_headers=True))
        assert proxies.resolve(headers, peer) == (peer, None)
        assert headers == [(b"x_mine", b"a")]

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

    def test_other_header(self) -> None:
        """Which header names it can be configured, too, and that none does."""
        headers = [(b"x-scheme", b"https"), (b"x-forwarded-proto", b"http")]
        for name, scheme in (("X-Scheme", "https"), ("X-Forwarded-Proto", "http"), ("", None)):
            proxies = TrustedProxies(Config(proxy_headers_scheme=name))
            assert proxies.resolve(headers, PROXY) == (PROXY, scheme)


def forwarded(
    *values: str, peer: Address | None = PROXY, trusted: tuple[str, ...] = ("127.0.0.0/8", "::1")
) -> tuple[Address | None, str | None]:
    """The client and the scheme that some Forwarded fields name."""
    config = Config(proxy_headers_kind="forwarded", trusted_proxies=trusted)
    fields = [(b"forwarded", value.encode("latin-1")) for value in values]
    # What is there of the other kind is never looked at.
    fields += [(b"x-forwarded-for", b"203.0.113.66"), (b"x-forwarded-proto", b"https")]
    return TrustedProxies(config).resolve(fields, peer)


class TestForwarded:
    """RFC 7239."""

    @pytest.mark.parametrize(
        ("value", "client"),
        [
            ("for=192.0.2.43", ("192.0.2.43", 0)),
            ("For=192.0.2.43", ("192.0.2.43", 0)),
            ('for="192.0.2.43:47011"', ("192.0.2.43", 47011)),
            ("for=192.0.2.43:47011", ("192.0.2.43", 47011)),
            ('for="[2001:db8:cafe::17]"', ("2001:db8:cafe::17", 0)),
            ('for="[2001:db8:cafe::17]:4711"', ("2001:db8:cafe::17", 4711)),
            ("for=[2001:db8:cafe::17]:4711", ("2001:db8:cafe::17", 4711)),
            ("for=2001:db8::1", ("2001:db8::1", 0)),
            ('for="192.0.2.43:_hidden"', ("192.0.2.43", 0)),
            ('for="192.0.2.43:99999"', ("192.0.2.43", 0)),
            (r'for="192.0.2.4\3"', ("192.0.2.43", 0)),
            ("by=203.0.113.43;for=192.0.2.60;host=example.org", ("192.0.2.60", 0)),
            ("for=192.0.2.60;;by=x;", ("192.0.2.60", 0)),
            ("  for=192.0.2.60\t, ,", ("192.0.2.60", 0)),
            ('ext="a, for=1.2.3.4;b";for=192.0.2.60', ("192.0.2.60", 0)),
        ],
    )
    def test_address(self, value: str, client: Address) -> None:
        """Addresses with and without ports, quotes and brackets."""
        assert forwarded(value) == (client, None)

    @pytest.mark.parametrize(
        "value",
        [
            "for=unknown",
            "for=_gazonk",
            'for="_gazonk:80"',
            "proto=http;by=203.0.113.43",
            "for=",
            'for=""',
            "for=192.0.2.43;for=192.0.2.44",
            'for="[192.0.2.43]"',
            'for="[2001:db8::1"x',
            "for=fe80::1%<script>",
            'for="fe80::1%<script>"',
            "192.0.2.43",
            "for: 192.0.2.43",
            'for="192.0.2.43',
            "",
        ],
    )
    def test_no_address(self, value: str) -> None:
        """Who is hidden, unknown or unreadable is not named: the peer is the client."""
        client, _ = forwarded(value)
        assert client == PROXY

    def test_walk(self) -> None:
        """From the right, through trusted proxies, over several elements and fields."""
        chain = ("for=203.0.113.66, for=198.51.100.1;proto=https", "for=127.0.0.2;proto=http")
        assert forwarded(*chain) == (("198.51.100.1", 0), "https")
        assert forwarded(", ".join(chain)) == (("198.51.100.1", 0), "https")
        assert forwarded(*chain, trusted=("*",)) == (("203.0.113.66", 0), None)

    @pytest.mark.parametrize(
        ("value", "scheme"),
        [
            ("for=198.51.100.1;proto=https", "https"),
            ("for=198.51.100.1;proto=HTTP", "http"),
            ("for=198.51.100.1;proto=gopher", None),
            ("for=198.51.100.1", None),
            ("for=127.0.0.2;proto=https, for=127.0.0.3;proto=http", "https"),
            ("for=198.51.100.1, for=127.0.0.3;proto=https", None),
            ("for=_hidden;proto=https", "https"),
            ("for=203.0.113.66;proto=https, for=_hidden;proto=http", "http"),
        ],
    )
    def test_scheme(self, value: str, scheme: str | None) -> None:
        """It is that of the element which names the client, or hides it."""
        assert forwarded(value)[1] == scheme

    def test_stranger(self) -> None:
        """Of anybody else nothing is read."""
        assert forwarded("for=198.51.100.1;proto=https", peer=STRANGER) == (STRANGER, None)

    def test_unix_socket(self) -> None:
        """The peer of a Unix socket is a proxy."""
        assert forwarded("for=198.51.100.1", peer=None) == (("198.51.100.1", 0), None)

    def test_only_one_kind(self) -> None:
        """Where X-Forwarded-For is read, Forwarded is not, and the other way round."""
        both = (("forwarded", "for=203.0.113.66;proto=https"), ("x-forwarded-for", "198.51.100.1"))
        assert resolve(*both) == (("198.51.100.1", 0), None)
        assert forwarded() == (PROXY, None)


#: What a proxy adds to the field, or in a field of its own.
TRUTH = ["for=198.51.100.1;proto=http", 'for="[2001:db8::1]:4711";proto=http;by=_x']
EXPECTED: list[Address] = [("198.51.100.1", 0), ("2001:db8::1", 4711)]

#: Pieces that a client might build its lies of.
PIECES = st.sampled_from(
    [
        "for=203.0.113.66",
        ";proto=https",
        ",",
        '"',
        "\\",
        " ",
        "=",
        ";",
        "for=",
        'x="',
        "]",
        "127.0.0.1",
    ]
)


class TestSpoofing:
    """What a client writes itself never wins over what a proxy adds behind it."""

    @pytest.mark.parametrize("number", [0, 1])
    @pytest.mark.parametrize("joined", [True, False])
    @pytest.mark.parametrize(
        "lie",
        [
            "for=203.0.113.66;proto=https",
            "for=127.0.0.1;proto=https",
            'for=203.0.113.66;proto=https;x="',
            'for="',
            'x="\\',
            '"',
            ",,,",
            ";",
            "for=203.0.113.66, for=127.0.0.2, for=127.0.0.1",
        ],
    )
    def test_forwarded(self, lie: str, joined: bool, number: int) -> None:
        """Neither with well-formed elements nor with quotes that it leaves open."""
        values = [f"{lie}, {TRUTH[number]}"] if joined else [lie, TRUTH[number]]
        assert forwarded(*values) == (EXPECTED[number], "http")

    @given(st.lists(PIECES, max_size=12).map("".join), st.booleans(), st.sampled_from([0, 1]))
    def test_any_forwarded(self, lie: str, joined: bool, number: int) -> None:
        """Whatever it is."""
        values = [f"{lie}, {TRUTH[number]}"] if joined else [lie, TRUTH[number]]
        assert forwarded(*values) == (EXPECTED[number], "http")

    @given(st.text('0123456789.,: []"abcdef', max_size=40), st.booleans())
    def test_any_x_forwarded(self, lie: str, joined: bool) -> None:
        """The same for X-Forwarded-For and the scheme beside it."""
        lies = [("x-forwarded-for", lie), ("x-forwarded-proto", "https")]
        truth = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-proto", "http")]
        if joined:
            headers = [(n, f"{v}, {t}") for (n, v), (_, t) in zip(lies, truth, strict=True)]
        else:
            headers = lies + truth
        assert resolve(*headers) == (("198.51.100.1", 0), "http")

    def test_long_fields_take_no_time(self) -> None:
        """A field of any shape is read once, not once for each of its parts."""
        for filling in (",", 'a="', ",a=b", ',a="b', ";", "\\,", ',"'):
            for last in ("", '"', "="):
                forwarded(filling * 20_000 + last)


class TestPrefix:
    """Where a proxy has mounted the application."""

    @staticmethod
    def prefix(
        *values: str, peer: Address = PROXY, header: str = "X-Forwarded-Prefix"
    ) -> str | None:
        """What is made of some fields."""
        fields = [(b"x-forwarded-prefix", value.encode()) for value in values]
        proxies = TrustedProxies(Config(proxy_headers_prefix=header))
        proxies.resolve(fields, peer)
        return proxies.prefix(fields)

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            (["/app"], "/app"),
            (["/app/"], "/app"),
            (["/a/b-c_d.e~f%20"], "/a/b-c_d.e~f%20"),
            (["/evil, /app"], "/app"),
            (["/evil", "/app"], "/app"),
            ([], None),
            ([""], None),
            (["/"], None),
            (["app"], None),
            (["//evil.example"], None),
            (["/a b"], None),
            (["https://evil.example"], None),
        ],
    )
    def test_value(self, values: list[str], expected: str | None) -> None:
        """The nearest proxy's counts, if it is a path."""
        assert self.prefix(*values) == expected

    def test_trust(self) -> None:
        """Nobody else is asked, and without the option nobody at all."""
        assert self.prefix("/app", peer=STRANGER) is None
        assert self.prefix("/app", header="") is None

    async def test_served(self, serve: Serve) -> None:
        """HTTP and WebSockets get it as root_path; without it the option counts."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await send({"type": "http.response.start", "status": 200})
                await send({"type": "http.response.body", "body": scope["root_path"].encode()})
                return
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": scope["root_path"]})
            await receive()

        header = "X-Forwarded-Prefix: /app"
        options: dict[str, Any] = {
            "root_path": "/site",
            "proxy_headers": True,
            "proxy_headers_prefix": "X-Forwarded-Prefix",
        }
        running = await serve(app, **options)
        client = await running.connect()
        assert (await client.fetch("/", header)).body == b"/app"
        assert (await client.fetch("/")).body == b"/site"
        websocket = await running.websocket()
        await websocket.open("/", header)
        assert await websocket.text() == "/app"
        running = await serve(app, trusted_proxies=("192.0.2.1",), **options)
        client = await running.connect()
        assert (await client.fetch("/", header)).body == b"/site"
