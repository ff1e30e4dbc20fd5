"""HAProxy and nginx in front, as they are installed; skipped where they are not."""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from fairway._types import Receive, Scope, Send
from tests.programs import program
from tests.server.applications import tell
from tests.server.authority import Authority
from tests.server.conftest import Serve
from tests.server.running import DEADLINE


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Tells the scheme, the client's host and where it is mounted."""
    client = scope["client"]
    text = f"{scope['scheme']} {client and client[0]} {scope['root_path']}"
    await tell(text, scope, receive, send)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextlib.asynccontextmanager
async def running(*command: str, port: int) -> AsyncIterator[None]:
    """A program, from when it listens on a port."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(DEADLINE):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    if process.returncode is not None:
                        output, _ = await process.communicate()
                        raise AssertionError(output.decode()) from None
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    await writer.wait_closed()
                    break
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(DEADLINE):
            await process.communicate()


#: An address of this machine that is not that of the proxies.
CLIENT = "127.0.0.5"


async def ask(
    url: str, context: ssl.SSLContext | None = None, headers: dict[str, str] | None = None
) -> str:
    """What an HTTP client gets, and, the same with other schemes, a WebSocket."""
    transport = httpx.AsyncHTTPTransport(verify=context or False, local_address=CLIENT)
    async with httpx.AsyncClient(transport=transport, timeout=DEADLINE) as client:
        answer = (await client.get(url, headers=headers)).text
    address = url.replace("http", "ws", 1)
    options: Any = {"ssl": context, "local_addr": (CLIENT, 0), "family": socket.AF_INET}
    async with (
        asyncio.timeout(DEADLINE),
        connect(address, additional_headers=headers, **options) as websocket,
    ):
        heard = await websocket.recv()
    assert heard == answer.replace("http", "ws", 1)
    return answer


class TestHAProxy:
    """The PROXY protocol, from those who have invented it."""

    @pytest.fixture
    def haproxy(
        self, tmp_path: Path
    ) -> Callable[[str, int], "contextlib.AbstractAsyncContextManager[int]"]:
        """Starts it: how it binds beside the port, the mode, and how it sends the header."""
        command = program("haproxy")

        @contextlib.asynccontextmanager
        async def start(lines: str, upstream: int) -> AsyncIterator[int]:
            port = free_port()
            path = tmp_path / "haproxy.cfg"
            path.write_text(
                "defaults\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n"
                + lines.replace("PORT", str(port)).replace("UPSTREAM", f"127.0.0.1:{upstream}")
                + "\n"
            )
            async with running(command, "-db", "-f", str(path), port=port):
                yield port

        return start

    @pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2 proxy-v2-options crc32c"])
    @pytest.mark.parametrize("mode", ["tcp", "http"])
    async def test_plain(self, mode: str, version: str, haproxy: Any, serve: Serve) -> None:
        """Both versions: the client is who has connected to HAProxy."""
        server = await serve(app, proxy_protocol=True)
        lines = f"listen site\n mode {mode}\n bind 127.0.0.1:PORT\n server one UPSTREAM {version}"
        async with haproxy(lines, server.port) as port:
            assert await ask(f"http://127.0.0.1:{port}/") == "http 127.0.0.5 "

    async def test_tls_through(self, haproxy: Any, serve: Serve, tmp_path: Path) -> None:
        """HAProxy passes on encrypted bytes, behind a header in the clear."""
        authority = Authority(tmp_path)
        server = await serve(
            app, proxy_protocol=True, tls_certificate=str(authority.issue("server"))
        )
        lines = "listen site\n mode tcp\n bind 127.0.0.1:PORT\n server one UPSTREAM send-proxy-v2"
        async with haproxy(lines, server.port) as port:
            address = f"https://localhost:{port}/"
            assert await ask(address, authority.client()) == "https 127.0.0.5 "

    async def test_tls_ended(self, haproxy: Any, serve: Serve, tmp_path: Path) -> None:
        """HAProxy ends TLS and says so in the header."""
        authority = Authority(tmp_path)
        server = await serve(app, proxy_protocol=True)
        lines = (
            f"listen site\n mode tcp\n bind 127.0.0.1:PORT ssl crt {authority.issue('server')}\n"
            " server one UPSTREAM send-proxy-v2-ssl-cn proxy-v2-options authority,crc32c,unique-id"
        )
        async with haproxy(lines, server.port) as port:
            address = f"https://localhost:{port}/"
            assert await ask(address, authority.client()) == "https 127.0.0.5 "

    @pytest.mark.parametrize("where", ["server", "proxy"])
    async def test_http2(self, where: str, haproxy: Any, serve: Serve, tmp_path: Path) -> None:
        """HTTP/2, whoever ends TLS and agrees on it: the proxy says so in the header."""
        authority = Authority(tmp_path)
        certificate = str(authority.issue("server"))
        encrypted: dict[str, Any] = {"tls_certificate": certificate} if where == "server" else {}
        server = await serve(app, proxy_protocol=True, http2="on", **encrypted)
        bind = "" if where == "server" else f" ssl crt {certificate} alpn h2"
        lines = (
            f"listen site\n mode tcp\n bind 127.0.0.1:PORT{bind}\n"
            " server one UPSTREAM send-proxy-v2-ssl"
        )
        transport = httpx.AsyncHTTPTransport(
            verify=authority.client(), http2=True, local_address=CLIENT
        )
        async with (
            haproxy(lines, server.port) as port,
            httpx.AsyncClient(transport=transport, timeout=DEADLINE) as client,
        ):
            for _ in range(2):
                answer = await client.get(f"https://localhost:{port}/")
                assert (answer.http_version, answer.text) == ("HTTP/2", "https 127.0.0.5 ")

    async def test_http2_translated(self, haproxy: Any, serve: Serve, tmp_path: Path) -> None:
        """HTTP/2 with HAProxy, and HTTP/1.1 behind it, whose header tells of the client's."""
        authority = Authority(tmp_path)
        server = await serve(app, proxy_protocol=True)
        lines = (
            "listen site\n mode http\n"
            f" bind 127.0.0.1:PORT ssl crt {authority.issue('server')} alpn h2,http/1.1\n"
            " server one UPSTREAM send-proxy-v2-ssl"
        )
        transport = httpx.AsyncHTTPTransport(
            verify=authority.client(), http2=True, local_address=CLIENT
        )
        async with (
            haproxy(lines, server.port) as port,
            httpx.AsyncClient(transport=transport, timeout=DEADLINE) as client,
        ):
            answer = await client.get(f"https://localhost:{port}/")
            assert (answer.http_version, answer.text) == ("HTTP/2", "https 127.0.0.5 ")

    async def test_health_check(self, haproxy: Any, serve: Serve) -> None:
        """Its health checks speak for themselves (LOCAL), and find the server well."""
        server = await serve(app, proxy_protocol=True)
        lines = (
            "listen site\n mode http\n bind 127.0.0.1:PORT\n option httpchk GET /check\n"
            " http-check expect status 200\n"
            " server one UPSTREAM send-proxy-v2 check check-send-proxy inter 100ms"
        )
        async with haproxy(lines, server.port) as port:
            assert await ask(f"http://127.0.0.1:{port}/") == "http 127.0.0.5 "
            await wait_for(lambda: any(record.path == "/check" for record in server.records))
        checks = [record for record in server.records if record.path == "/check"]
        assert {record.status for record in checks} == {200}

    async def test_unix_socket(self, haproxy: Any, serve: Serve, tmp_path: Path) -> None:
        """The header comes over a Unix socket, too."""
        path = tmp_path / "site.sock"
        await serve(app, host=None, port=None, endpoints=(f"haproxy:unix:{path}:mode=600",))
        lines = f"listen site\n mode http\n bind 127.0.0.1:PORT\n server one unix@{path} send-proxy"
        async with haproxy(lines, 1) as port:
            assert await ask(f"http://127.0.0.1:{port}/") == "http 127.0.0.5 "


async def wait_for(condition: Callable[[], bool]) -> None:
    """Let a proxy go on until something has happened."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110  a proxy does not say
            await asyncio.sleep(0.02)


class TestNginx:
    """Headers."""

    @pytest.fixture
    def nginx(
        self, tmp_path: Path
    ) -> Callable[[str, int], "contextlib.AbstractAsyncContextManager[int]"]:
        """Starts it with some lines for its location."""
        command = program("nginx")

        @contextlib.asynccontextmanager
        async def start(lines: str, upstream: int) -> AsyncIterator[int]:
            port = free_port()
            kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            private = "".join(f"{kind}_temp_path {tmp_path}/{kind}; " for kind in kinds)
            user = "user root; " if os.getuid() == 0 else ""
            (tmp_path / "nginx.conf").write_text(
                f"{user}daemon off; pid {tmp_path}/nginx.pid; error_log stderr; events {{}}\n"
                f"http {{ access_log off; {private}\n"
                f"server {{ listen 127.0.0.1:{port}; location /app/ {{\n"
                f"proxy_pass http://127.0.0.1:{upstream}/; proxy_http_version 1.1;\n"
                "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;\n"
                f"{lines}\n}} }} }}\n"
            )
            arguments = ("-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"))
            async with running(command, *arguments, port=port):
                yield port

        return start

    @pytest.mark.parametrize("lie", ["203.0.113.66", "127.0.0.1", "203.0.113.66, 127.0.0.1", '"'])
    async def test_x_forwarded(self, lie: str, nginx: Any, serve: Serve) -> None:
        """What a client says itself is passed on by nginx, and not believed."""
        server = await serve(
            app,
            proxy_headers=True,
            proxy_headers_prefix="X-Forwarded-Prefix",
            trusted_proxies=("127.0.0.1",),
        )
        lines = (
            "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n"
            "proxy_set_header X-Forwarded-Proto $scheme;\n"
            "proxy_set_header X-Forwarded-Prefix /app;"
        )
        headers = {
            "X-Forwarded-For": lie,
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Prefix": "/evil",
            "Forwarded": "for=203.0.113.66;proto=https",
        }
        async with nginx(lines, server.port) as port:
            assert (
                await ask(f"http://127.0.0.1:{port}/app/", headers=headers) == "http 127.0.0.5 /app"
            )

    @pytest.mark.parametrize(
        "lie", ["for=203.0.113.66;proto=https", 'for=203.0.113.66;x="', "for=127.0.0.1", ",", '"']
    )
    async def test_forwarded(self, lie: str, nginx: Any, serve: Serve) -> None:
        """The same for Forwarded, which nginx is told to add to."""
        server = await serve(
            app,
            proxy_headers=True,
            proxy_headers_kind="forwarded",
            trusted_proxies=("127.0.0.1",),
        )
        lines = (
            'proxy_set_header Forwarded "$http_forwarded, for=$remote_addr;proto=$scheme";\n'
            "proxy_set_header X-Forwarded-For 203.0.113.66;"
        )
        headers = {"Forwarded": lie, "X-Forwarded-Proto": "https"}
        async with nginx(lines, server.port) as port:
            assert await ask(f"http://127.0.0.1:{port}/app/", headers=headers) == "http 127.0.0.5 "
