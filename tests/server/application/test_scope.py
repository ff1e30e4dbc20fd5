"""What an application learns about a connection: every key of the ASGI scopes."""

import pytest

from fairway._types import ASGIApplication, Receive, Scope, Send
from fairway.server.application.scope import decode_path, http_scope, websocket_scope
from fairway.wire.http1 import HTTP1Connection, Request
from tests.server.conftest import Serve
from tests.server.running import KEY, Running

#: The extensions that send files.
FILES = {"pathsend", "zerocopysend"}


def request(target: bytes, *, method: bytes = b"GET", version: bytes = b"1.1") -> Request:
    """A request as the wire reads it."""
    lines = (
        method + b" " + target + b" HTTP/" + version + b"\r\nHost: example.org\r\nX-A:  b \r\n\r\n"
    )
    found = HTTP1Connection().receive_data(lines)[0]
    assert isinstance(found, Request)
    return found


class TestScopes:
    """The two dictionaries, key by key."""

    @pytest.mark.row("2.3 Scope", "2.3 Extensions", "2.2 create_application")
    def test_http(self) -> None:
        """https://asgi.readthedocs.io/en/latest/specs/www.html#http-connection-scope."""
        state = {"a": [1]}
        scope = http_scope(
            request(b"/a%20b/%C3%A9?q=%20", method=b"PUT"),
            "https",
            "/app",
            ("192.0.2.1", 5000),
            ("127.0.0.1", 8000),
            state,
        )
        assert scope == {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.5"},
            "http_version": "1.1",
            "method": "PUT",
            "scheme": "https",
            "path": "/a b/é",
            "raw_path": b"/a%20b/%C3%A9",
            "query_string": b"q=%20",
            "root_path": "/app",
            "headers": [(b"host", b"example.org"), (b"x-a", b"b")],
            "client": ("192.0.2.1", 5000),
            "server": ("127.0.0.1", 8000),
            "state": {"a": [1]},
            "extensions": {
                "http.response.early_hint": {},
                "http.response.pathsend": {},
                "http.response.zerocopysend": {},
            },
        }
        assert scope["state"] is not state
        assert scope["state"]["a"] is state["a"]

    @pytest.mark.row("2.4 Scope")
    @pytest.mark.parametrize(("scheme", "expected"), [("http", "ws"), ("https", "wss")])
    def test_websocket(self, scheme: str, expected: str) -> None:
        """https://asgi.readthedocs.io/en/latest/specs/www.html#websocket-connection-scope."""
        scope = websocket_scope(
            request(b"/ws/"), scheme, "", None, ("/run/x.sock", None), {}, ["a", "b"]
        )
        assert scope == {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.5"},
            "http_version": "1.1",
            "scheme": expected,
            "path": "/ws/",
            "raw_path": b"/ws/",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"example.org"), (b"x-a", b"b")],
            "client": None,
            "server": ("/run/x.sock", None),
            "subprotocols": ["a", "b"],
            "state": {},
            "extensions": {"websocket.http.response": {}},
        }

    def test_nothing_is_shared(self) -> None:
        """An application that changes its scope changes nobody else's."""
        first, second = (http_scope(request(b"/"), "http", "", None, None, {}) for _ in range(2))
        for key in ("asgi", "state", "extensions"):
            first[key]["mine"] = True
        assert second["asgi"] == {"version": "3.0", "spec_version": "2.5"}
        assert second["state"] == {}
        assert "mine" not in second["extensions"]

    @pytest.mark.row("2.3 Extensions")
    @pytest.mark.parametrize(
        ("version", "te", "extensions"),
        [
            (b"1.1", b"trailers, deflate", {"early_hint", *FILES, "trailers"}),
            (b"1.1", b"deflate", {"early_hint", *FILES}),
            (b"1.0", b"trailers", FILES),
        ],
    )
    def test_extensions(self, version: bytes, te: bytes, extensions: set[str]) -> None:
        """What an application may send beside the core's events depends on what the client knows.

        https://asgi.readthedocs.io/en/latest/extensions.html
        """
        head = b"GET / HTTP/" + version + b"\r\nHost: a\r\nTE: " + te + b"\r\n\r\n"
        found = HTTP1Connection().receive_data(head)[0]
        assert isinstance(found, Request)
        scope = http_scope(found, "http", "", None, None, {})
        assert scope["extensions"] == {f"http.response.{name}": {} for name in extensions}


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/", "/"),
        (b"/a+b", "/a+b"),
        (b"/%2F%25", "//%"),
        (b"/%C3%A9%F0%9F%98%80", "/é😀"),
        (b"/%FF", "/\ufffd"),
        (b"/%zz%4", "/%zz%4"),
        (b"*", "*"),
    ],
)
def test_decode_path(raw: bytes, path: str) -> None:
    """Escapes are decoded as UTF-8; what is none is replaced, and no path raises."""
    assert decode_path(raw) == path


class TestFromClients:
    """The scopes of real requests."""

    @pytest.fixture
    def scopes(self) -> list[Scope]:
        """What the application was called with."""
        return []

    @pytest.fixture
    def app(self, scopes: list[Scope]) -> ASGIApplication:
        """Notes its scope and says goodbye."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scopes.append(scope)
            if scope["type"] == "http":
                await send({"type": "http.response.start", "status": 204})
                await send({"type": "http.response.body"})
            else:
                await send({"type": "websocket.close"})

        return app

    async def http(self, running: Running, *headers: str) -> None:
        """A request."""
        client = await running.connect()
        assert (await client.fetch("/a%2Fb?c=d", *headers)).status == 204

    async def test_addresses(self, serve: Serve, scopes: list[Scope], app: ASGIApplication) -> None:
        """Client and server are the two ends of the connection."""
        running = await serve(app)
        client = await running.connect()
        await client.fetch("/a%2Fb?c=d")
        (scope,) = scopes
        assert scope["client"] == client.writer.get_extra_info("sockname")
        assert scope["server"] == ("127.0.0.1", running.port)
        assert (scope["path"], scope["raw_path"], scope["query_string"]) == (
            "/a/b",
            b"/a%2Fb",
            b"c=d",
        )

    async def test_http_1_0(self, serve: Serve, scopes: list[Scope], app: ASGIApplication) -> None:
        """The version is the client's."""
        running = await serve(app)
        client = await running.connect()
        await client.send("GET / HTTP/1.0")
        await client.response()
        assert scopes[0]["http_version"] == "1.0"
        assert scopes[0]["headers"] == []

    @pytest.mark.row("2.3 Daphne-Root-Path", "7 9")
    async def test_root_path(self, serve: Serve, scopes: list[Scope], app: ASGIApplication) -> None:
        """The root path is configured; no header of a client sets it, not even Daphne's."""
        running = await serve(app, root_path="/app")
        await self.http(running, "Daphne-Root-Path: /evil", "Script-Name: /evil")
        websocket = await running.websocket()
        await websocket.open()
        assert [scope["root_path"] for scope in scopes] == ["/app", "/app"]

    @pytest.mark.row("2.3 Proxy headers")
    async def test_proxy_headers(
        self, serve: Serve, scopes: list[Scope], app: ASGIApplication
    ) -> None:
        """Address and scheme come from a trusted proxy, for WebSockets too, if one asks for it."""
        running = await serve(app, proxy_headers=True)
        headers = ("X-Forwarded-For: 192.0.2.7", "X-Forwarded-Port: 99", "X-Forwarded-Proto: https")
        await self.http(running, *headers)
        websocket = await running.websocket()
        await websocket.open("/", *headers)
        assert [(scope["client"], scope["scheme"]) for scope in scopes] == [
            (("192.0.2.7", 99), "https"),
            (("192.0.2.7", 99), "wss"),
        ]
        assert {record.client for record in running.records} == {"192.0.2.7:99"}

    @pytest.mark.row("2.3 Proxy headers")
    async def test_without_proxy_headers(
        self, serve: Serve, scopes: list[Scope], app: ASGIApplication
    ) -> None:
        """By default nobody's headers are believed."""
        running = await serve(app)
        await self.http(running, "X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https")
        assert scopes[0]["client"][0] == "127.0.0.1"
        assert scopes[0]["scheme"] == "http"

    async def test_subprotocols(
        self, serve: Serve, scopes: list[Scope], app: ASGIApplication
    ) -> None:
        """What the client offers, from all its header lines, most wanted first."""
        running = await serve(app)
        websocket = await running.websocket()
        await websocket.open(
            "/%C3%A9",
            "Sec-WebSocket-Protocol: one, two",
            "Sec-WebSocket-Protocol: three",
        )
        (scope,) = scopes
        assert scope["subprotocols"] == ["one", "two", "three"]
        assert scope["path"] == "/é"
        assert (b"sec-websocket-key", KEY) in scope["headers"]
        assert scope["http_version"] == "1.1"
