"""The extension "tls" of ASGI: what an application learns about its connection's encryption.

https://asgi.readthedocs.io/en/latest/specs/tls.html
"""

import ssl
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from fairway._types import Receive, Scope, Send
from fairway.server.application.encryption import distinguished_name
from tests.server.applications import path
from tests.server.conftest import Serve
from tests.server.running import DEADLINE

HERE = Path(__file__).parents[1] / "certificates"
VISITOR = (HERE / "visitor.pem").read_text(encoding="ascii")


def pem(name: str) -> str:
    """The path of one of the test's certificates."""
    return str(HERE / f"{name}.pem")


def certificate(text: str) -> str:
    """The first certificate in a file."""
    end = "-----END CERTIFICATE-----\n"
    return text[text.index("-----BEGIN CERTIFICATE") : text.index(end) + len(end)]


class Notes:
    """Answers both protocols and keeps their scopes."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        self.scopes.append(scope)
        if scope["type"] == "http":
            await path(scope, receive, send)
        else:
            await send({"type": "websocket.close"})


def client(*, visitor: bool = False, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """What a client has: the server's root, and perhaps a certificate of its own."""
    context = ssl.create_default_context(cafile=pem("root"))
    if version is not None:
        context.maximum_version = version
    if visitor:
        context.load_cert_chain(pem("visitor"))
    return context


@pytest.fixture
def files() -> dict[str, Any]:
    """The server's certificate, as options."""
    return {"tls_certificate": pem("whole"), "host": "localhost"}


async def test_not_encrypted(serve: Serve) -> None:
    """A connection without encryption must not have it."""
    notes = Notes()
    running = await serve(notes)
    await (await running.connect()).fetch()
    assert "tls" not in notes.scopes[0]["extensions"]


@pytest.mark.parametrize(
    ("version", "number"), [(ssl.TLSVersion.TLSv1_2, 0x0303), (ssl.TLSVersion.TLSv1_3, 0x0304)]
)
async def test_server(
    version: ssl.TLSVersion, number: int, files: dict[str, Any], serve: Serve
) -> None:
    """The certificate that was shown, and what was agreed on, as numbers."""
    notes = Notes()
    running = await serve(notes, **files)
    verify = client(version=version)
    async with httpx.AsyncClient(verify=verify, timeout=DEADLINE) as http:
        await http.get(f"https://localhost:{running.port}/")
    (tls,) = (scope["extensions"]["tls"] for scope in notes.scopes)
    suite = tls.pop("cipher_suite")
    assert (0x1300 < suite < 0x1306) is (number == 0x0304)
    assert suite & 0xFFFF == suite
    assert tls == {
        "server_cert": certificate((HERE / "certificate.pem").read_text(encoding="ascii")),
        "client_cert_chain": [],
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": number,
    }


async def test_client(files: dict[str, Any], serve: Serve) -> None:
    """The client's certificate, with its name in the form of RFC 4514; for both protocols."""
    notes = Notes()
    running = await serve(
        notes, **files, tls_client_ca=pem("visitor"), tls_client_certificates="optional"
    )
    url = f"localhost:{running.port}/"
    async with httpx.AsyncClient(verify=client(visitor=True), timeout=DEADLINE) as http:
        await http.get(f"https://{url}")
    with pytest.raises(websockets.InvalidStatus):
        async with websockets.connect(f"wss://{url}", ssl=client(visitor=True)):
            pass  # never: it is refused
    async with httpx.AsyncClient(verify=client(), timeout=DEADLINE) as http:
        await http.get(f"https://{url}")
    http_tls, websocket_tls, none = (scope["extensions"]["tls"] for scope in notes.scopes)
    assert http_tls["client_cert_chain"] == [certificate(VISITOR)]
    assert http_tls["client_cert_name"] == "CN=Ada,O=Example\\, Inc.,DC=example,DC=org"
    assert websocket_tls == http_tls
    assert (none["client_cert_chain"], none["client_cert_name"]) == ([], None)


async def test_own_copy(files: dict[str, Any], serve: Serve) -> None:
    """Each scope of a connection has its own, with all keys."""
    notes = Notes()
    running = await serve(notes, **files)
    async with httpx.AsyncClient(verify=client(), timeout=DEADLINE) as http:
        for _ in range(2):
            await http.get(f"https://localhost:{running.port}/")
            notes.scopes[-1]["extensions"]["tls"].clear()
    assert len(notes.scopes) == 2


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ((), ""),
        (((("commonName", "a"),),), "CN=a"),
        (((("countryName", "DE"),), (("commonName", "a"), ("userId", "u"))), "CN=a+UID=u,C=DE"),
        (((("commonName", '# a+"b\\;<>'),),), 'CN=\\# a\\+\\"b\\\\\\;\\<\\>'),
        (((("commonName", " a "),),), "CN=\\ a\\ "),
        (((("commonName", "a\0b"),),), "CN=a\\00b"),
        (((("emailAddress", "a@b"),),), "emailAddress=a@b"),
    ],
)
def test_distinguished_name(subject: Any, name: str) -> None:
    """The last part of a name comes first, and what means something is escaped (RFC 4514 §2)."""
    assert distinguished_name(subject) == name


@pytest.mark.skipif(sys.version_info < (3, 13), reason="the ssl module does not tell before 3.13")
async def test_chain(files: dict[str, Any], serve: Serve) -> None:
    """Certificates behind the client's own are there, too."""
    notes = Notes()
    running = await serve(
        notes, **files, tls_client_ca=pem("visitor"), tls_client_certificates="required"
    )
    async with httpx.AsyncClient(verify=client(visitor=True), timeout=DEADLINE) as http:
        await http.get(f"https://localhost:{running.port}/")
    (tls,) = (scope["extensions"]["tls"] for scope in notes.scopes)
    assert tls["client_cert_chain"][0] == certificate(VISITOR)
