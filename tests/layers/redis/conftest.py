"""Servers for the tests of this directory, and layers that are closed after each test."""

import contextlib
import datetime
import ipaddress
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fairway.layers.redis import RedisChannelLayer
from tests.layers.redis.elsewhere import Elsewhere
from tests.layers.redis.servers import RedisServer, cluster, free_port, speaks_tls, watched

MakeLayer = Callable[..., RedisChannelLayer]


@pytest.fixture(scope="session")
def shared() -> Iterator[RedisServer]:
    """A server to which nothing happens."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def shards(shared: RedisServer) -> Iterator[list[RedisServer]]:
    """Two servers that know nothing of each other."""
    with RedisServer() as server:
        yield [shared, server]


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[list[RedisServer]]:
    """A cluster to which nothing happens."""
    with cluster() as nodes:
        yield nodes


@pytest.fixture(scope="session")
def shared_sentinel() -> Iterator[tuple[RedisServer, RedisServer, RedisServer]]:
    """A master, its replica and their Sentinel, to which nothing happens."""
    with watched() as servers:
        yield servers


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server to which something may happen."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def prefix() -> str:
    """A prefix that no other test uses."""
    return f"test-{secrets.token_hex(4)}"


@pytest.fixture
async def make_layer(prefix: str) -> AsyncIterator[MakeLayer]:
    """Makes layers of a prefix that this test has for itself; as many processes, as it were."""
    async with contextlib.AsyncExitStack() as stack:

        def make(*hosts: object, **options: Any) -> RedisChannelLayer:
            layer = RedisChannelLayer(
                hosts=[_host(host) for host in hosts], **{"prefix": prefix, **options}
            )
            stack.push_async_callback(layer.close)
            return layer

        yield make


def _host(host: object) -> object:
    return ("127.0.0.1", host.port) if isinstance(host, RedisServer) else host


@pytest.fixture(params=["asyncio", "uvloop"])
def elsewhere(request: pytest.FixtureRequest) -> Iterator[Elsewhere]:
    """An event loop in another thread, of either kind."""
    other = Elsewhere(pytest.importorskip(request.param).new_event_loop())
    yield other
    other.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, and its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("certificate") / "cert.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    path.with_name("key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return path


@pytest.fixture
def has_tls() -> None:
    """Servers can speak TLS."""
    if not speaks_tls():
        pytest.skip("the server was built without TLS")


@pytest.fixture
def tls(certificate: Path, has_tls: None) -> Iterator[tuple[RedisServer, int]]:
    """A server that speaks TLS as well, and the port where it does."""
    port = free_port()
    with RedisServer(
        tls_port=port,
        tls_cert_file=certificate,
        tls_key_file=certificate.with_name("key.pem"),
        tls_ca_cert_file=certificate,
        tls_auth_clients="no",
    ) as server:
        yield server, port
