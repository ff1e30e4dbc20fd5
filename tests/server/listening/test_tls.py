"""TLS: which files make a server's certificate, and what is said of those that do not."""

import asyncio
import contextlib
import re
import ssl
import tempfile
from pathlib import Path
from typing import Any

import h11
import pytest
import websockets

from fairway._types import Receive, Scope, Send
from fairway.server.listening.tls import TLS, Certificate, Policy, TLSError, make_context
from tests.server.authority import Authority
from tests.server.conftest import Serve
from tests.server.running import DEADLINE, Client, Logs, Running, WebSocketClient, until

HERE = Path(__file__).parents[1] / "certificates"


def pem(name: str) -> str:
    """The path of one of the files beside this one."""
    return str(HERE / f"{name}.pem")


def trusting() -> ssl.SSLContext:
    """What a client has that knows the root of the test's certificates, and nothing between."""
    return ssl.create_default_context(cafile=pem("root"))


class TestContext:
    """What is made of files."""

    def test_versions(self) -> None:
        """TLS 1.2 is the least, and HTTP/1.1 the protocol."""
        context = make_context(Certificate(certificate=pem("certificate"), key=pem("key")))
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2

    @pytest.mark.parametrize(
        "files",
        [
            {"certificate": "whole"},
            {"certificate": "certificate", "key": "key"},
            {"certificate": "certificate", "key": "encrypted-key", "password": "secret"},
            {"certificate": "certificate", "key": "key", "chain": "intermediate"},
            {"certificate": "whole", "dh_parameters": "dh"},
        ],
    )
    def test_files(self, files: dict[str, str]) -> None:
        """Key and chain may stand in the certificate's file or in files of their own."""
        make_context(Certificate(**{n: v if n == "password" else pem(v) for n, v in files.items()}))

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            ({"certificate": "{absent}"}, "Cannot read {absent}: no such file or directory."),
            (
                {"certificate": "{certificate}", "key": "{absent}"},
                "Cannot read {absent}: no such file or directory.",
            ),
            (
                {"certificate": "{whole}", "chain": "{absent}"},
                "Cannot read {absent}: no such file or directory.",
            ),
            (
                {"certificate": "{certificate}", "key": "{other-key}"},
                "The key in {other-key} is not that of the certificate in {certificate}.",
            ),
            (
                {"certificate": "{certificate}", "key": "{encrypted-key}"},
                "The password of the key in {encrypted-key} is missing or wrong.",
            ),
            (
                {"certificate": "{certificate}", "key": "{encrypted-key}", "password": "wrong"},
                "The password of the key in {encrypted-key} is missing or wrong.",
            ),
            (
                {"certificate": "{whole}", "dh_parameters": "{key}"},
                "There are no DH parameters in {key}.",
            ),
        ],
    )
    def test_refused(self, files: dict[str, str], message: str) -> None:
        """What is wrong is said with the name of the file."""
        names = {path.stem: str(path) for path in HERE.glob("*.pem")} | {"absent": "/no/file"}
        with pytest.raises(TLSError) as caught:
            make_context(Certificate(**{n: v.format(**names) for n, v in files.items()}))
        assert str(caught.value) == message.format(**names)

    @pytest.mark.parametrize("files", [{"certificate": "key"}, {"certificate": "certificate"}])
    def test_not_a_pair(self, files: dict[str, str]) -> None:
        """A file without a certificate, or without a key, is named."""
        path = pem(files["certificate"])
        with pytest.raises(TLSError) as caught:
            make_context(Certificate(certificate=path))
        start = f"There is no certificate in {path}, or no private key in {path} ("
        assert str(caught.value).startswith(start)

    def test_policy(self, tmp_path: Path) -> None:
        """Versions, ciphers and authorities of clients are as they were asked for."""
        policy = Policy(
            minimum_version="1.3", client_ca=pem("root"), client_certificates="optional"
        )
        context = make_context(Certificate(certificate=pem("whole")), policy)
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
        assert context.verify_mode is ssl.CERT_OPTIONAL
        ciphers = Policy(ciphers="ECDHE-RSA-AES256-GCM-SHA384")
        context = make_context(Certificate(certificate=pem("whole")), ciphers)
        older = [each["name"] for each in context.get_ciphers() if each["protocol"] != "TLSv1.3"]
        assert older == ["ECDHE-RSA-AES256-GCM-SHA384"]

    def test_no_renegotiation(self) -> None:
        """Clients of TLS 1.2 cannot ask for another handshake."""
        context = make_context(Certificate(certificate=pem("whole")))
        assert context.options & ssl.OP_NO_RENEGOTIATION

    @pytest.mark.parametrize(
        ("policy", "message"),
        [
            (
                Policy(ciphers="NONSENSE"),
                (
                    "tls_ciphers is 'NONSENSE', which selects none of OpenSSL's suites for "
                    "TLS 1.2. (Those of TLS 1.3 cannot be chosen.)"
                ),
            ),
            (
                Policy(client_ca="/no/file", client_certificates="required"),
                "Cannot read /no/file: no such file or directory.",
            ),
            (
                Policy(client_ca=pem("key"), client_certificates="required"),
                f"There are no certificates in {pem('key')}.",
            ),
        ],
    )
    def test_wrong_policy(self, policy: Policy, message: str) -> None:
        """What cannot be agreed on stops the start."""
        with pytest.raises(TLSError) as caught:
            make_context(Certificate(certificate=pem("whole")), policy)
        assert str(caught.value) == message

    def test_loaded_again(self, tmp_path: Path) -> None:
        """Files are read when somebody says so; what is wrong then changes nothing."""
        path = tmp_path / "whole.pem"
        tls = TLS(Certificate(certificate=str(path)))
        with pytest.raises(TLSError, match=r"^Cannot read .*: no such file or directory\.$"):
            tls.context  # noqa: B018  it reads the file
        path.write_bytes(Path(pem("whole")).read_bytes())
        first = tls.context
        assert tls.context is first
        path.write_text("nonsense")
        with pytest.raises(TLSError, match=r"^There is no certificate in "):
            tls.load()
        assert tls.context is first
        path.write_bytes(Path(pem("whole")).read_bytes())
        tls.load()
        assert tls.context is not first

    def test_password_is_not_shown(self) -> None:
        """A password does not get into logs with the object."""
        assert "secret" not in repr(Certificate(certificate="a", password="secret"))

    def test_nothing_is_left(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The file in which certificate and chain are joined is removed."""
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        make_context(
            Certificate(certificate=pem("certificate"), key=pem("key"), chain=pem("intermediate"))
        )
        assert list(tmp_path.iterdir()) == []


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Tells its scheme; echoes on a WebSocket."""
    if scope["type"] == "http":
        event = await receive()
        while event.get("more_body"):
            event = await receive()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": scope["scheme"].encode()})
        return
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": scope["scheme"]})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event["text"]})


OPTIONS: dict[str, Any] = {"tls_certificate": pem("whole")}
ENDPOINT: dict[str, Any] = {
    "host": None,
    "port": None,
    "endpoints": (
        (
            f"ssl:0:interface=127.0.0.1:privateKey={pem('key')}:certKey={pem('certificate')}"
            f":extraCertChain={pem('intermediate')}"
        ),
    ),
}


@pytest.mark.row("2.1 --endpoint", "2.4 Scope")
@pytest.mark.parametrize("options", [OPTIONS, ENDPOINT], ids=["options", "endpoint"])
class TestServing:
    """HTTP and WebSockets over TLS, by the options and by an endpoint string."""

    async def test_https(self, options: dict[str, Any], serve: Serve) -> None:
        """A client that trusts the root gets its answers; the scheme is https."""
        running = await serve(app, **options)
        assert running.url == f"https://127.0.0.1:{running.port}"
        streams = await asyncio.open_connection(
            "127.0.0.1", running.port, ssl=trusting(), server_hostname="localhost"
        )
        client = Client(*streams)
        for _ in range(2):
            assert (await client.fetch()).body == b"https"
        client.close()
        await client.writer.wait_closed()

    async def test_wss(self, options: dict[str, Any], serve: Serve) -> None:
        """WebSockets are served too, with the scheme wss, and closed properly."""
        running = await serve(app, **options)
        uri = f"wss://localhost:{running.port}/"
        async with (
            asyncio.timeout(DEADLINE),
            websockets.connect(uri, ssl=trusting(), host="127.0.0.1") as socket,
        ):
            assert await socket.recv() == "wss"
            await socket.send("x" * 100_000)
            assert await socket.recv() == "x" * 100_000

    async def test_end(self, options: dict[str, Any], serve: Serve) -> None:
        """A server that ends says goodbye to its sockets over TLS as well."""
        running = await serve(app, **options)
        streams = await asyncio.open_connection(
            "127.0.0.1", running.port, ssl=trusting(), server_hostname="localhost"
        )
        client = WebSocketClient(*streams)
        await client.open()
        assert await client.text() == "wss"
        running.stop()
        code, _ = await client.goodbye()
        assert code == 1012
        client.close()
        await running.ended()


async def test_end_of_sending(serve: Serve) -> None:
    """A client that goes while its request is unanswered ends its request, without a warning."""
    started = asyncio.Event()
    events: list[str] = []

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        started.set()
        events.append((await receive())["type"])

    running = await serve(slow, **OPTIONS)
    streams = await asyncio.open_connection(
        "127.0.0.1", running.port, ssl=trusting(), server_hostname="localhost"
    )
    client = Client(*streams)
    await client.get()
    await started.wait()
    client.close()
    await client.writer.wait_closed()
    running.stop()
    await running.ended()
    assert events == ["http.disconnect"]


async def test_plain_client(serve: Serve) -> None:
    """A client that speaks HTTP where TLS is spoken is told so, in HTTP, and harms nobody."""
    running = await serve(app, **OPTIONS)
    client = await running.connect()
    await client.get()
    response = await client.response()
    assert (response.status, response.body) == (
        400,
        b"This port speaks TLS: the address begins with https:// or wss://.\n",
    )
    client.close()
    await until(lambda: not running.context.connections)
    assert running.context.counters.tls_failures == 1


class TestClientCertificates:
    """Clients that show who they are, and those that do not."""

    @pytest.fixture
    def authority(self, tmp_path: Path) -> Authority:
        """Signs what both sides show."""
        return Authority(tmp_path)

    @staticmethod
    async def ask(running: Running, context: ssl.SSLContext) -> bytes | None:
        """The body of a response; None if the handshake fails, at either side."""
        try:
            streams = await asyncio.open_connection(
                "127.0.0.1", running.port, ssl=context, server_hostname="localhost"
            )
        except (ssl.SSLError, ConnectionResetError):
            return None
        client = Client(*streams)
        try:
            # In TLS 1.3 a client learns afterwards that it was refused.
            return (await client.fetch()).body
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError, h11.RemoteProtocolError):
            return None
        finally:
            client.close()
            with contextlib.suppress(OSError):
                await client.writer.wait_closed()

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    @pytest.mark.parametrize(
        ("wanted", "without", "stranger"),
        [("optional", b"https", None), ("required", None, None), ("none", b"https", b"https")],
    )
    async def test_wanted(
        self,
        wanted: str,
        without: bytes | None,
        stranger: bytes | None,
        version: ssl.TLSVersion,
        authority: Authority,
        tmp_path: Path,
        serve: Serve,
        logs: Logs,
    ) -> None:
        """One of the authority's is good, another is never, and none is what the option says."""
        other = Authority(tmp_path, "other")
        ca: dict[str, Any] = {} if wanted == "none" else {"tls_client_ca": str(authority.path)}
        running = await serve(
            app,
            tls_certificate=str(authority.issue("server")),
            tls_client_certificates=wanted,
            **ca,
        )
        contexts = [
            authority.client(authority.issue("Ada")),
            authority.client(),
            authority.client(other.issue("Eve")),
        ]
        for context in contexts:
            context.maximum_version = version
        answers = [await self.ask(running, context) for context in contexts]
        assert answers == [b"https", without, stranger]
        refused = answers.count(None)
        await until(lambda: running.context.counters.tls_failures == refused)
        assert running.context.counters.refused == (
            {"tls_client_certificates": refused} if refused else {}
        )
        assert bool(logs.take()) == bool(refused)

    @pytest.mark.parametrize(
        ("policy", "alert"),
        [
            ({"tls_client_certificates": "required"}, "SSLV3_ALERT_HANDSHAKE_FAILURE"),
            ({"tls_minimum_version": "1.3"}, "TLSV1_ALERT_PROTOCOL_VERSION"),
        ],
    )
    async def test_alert(
        self, policy: dict[str, Any], alert: str, authority: Authority, serve: Serve, logs: Logs
    ) -> None:
        """The client is told by an alert (RFC 8446 §6.2)."""
        running = await serve(
            app,
            tls_certificate=str(authority.issue("server")),
            tls_client_ca=str(authority.path),
            **{"tls_client_certificates": "optional", **policy},
        )
        context = authority.client()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError) as caught:
            await asyncio.open_connection("127.0.0.1", running.port, ssl=context)
        assert caught.value.reason == alert
        await until(lambda: logs.records)
        logs.take()

    async def test_said_to_the_log(self, authority: Authority, serve: Serve, logs: Logs) -> None:
        """The log names the option and the peer."""
        running = await serve(
            app,
            tls_certificate=str(authority.issue("server")),
            tls_client_ca=str(authority.path),
            tls_client_certificates="required",
        )
        assert await self.ask(running, authority.client()) is None
        await until(lambda: logs.records)
        (line,) = logs.take()
        assert re.fullmatch(
            r"WARNING The limit tls_client_certificates \(required\) refused 127\.0\.0\.1:[0-9]+: "
            "a TLS alert",
            line,
        )

    async def test_old_version(self, authority: Authority, serve: Serve, logs: Logs) -> None:
        """So it does for a client that knows no version that is spoken."""
        running = await serve(
            app, tls_certificate=str(authority.issue("server")), tls_minimum_version="1.3"
        )
        context = authority.client()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        assert await self.ask(running, context) is None
        await until(lambda: logs.records)
        (line,) = logs.take()
        assert line.startswith("WARNING The limit tls_minimum_version (1.3) refused 127.0.0.1:")
        assert await self.ask(running, authority.client()) == b"https"
