"""Every way to a server that the documentation names, against a server that takes no other."""

import contextlib
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fairway._types import Event
from fairway.exceptions import ChannelLayerUnavailable
from tests.layers.redis.conftest import MakeLayer
from tests.layers.redis.servers import RedisServer, cluster, free_port, within
from tests.layers.redis.sockets import Socket


def message(number: int = 0) -> Event:
    return {"type": "test.message", "number": number}


async def works(make_layer: MakeLayer, host: object) -> None:
    """Groups and named channels reach from one process to the other."""
    layer, other = make_layer(host, send_timeout=60), make_layer(host, send_timeout=60)
    socket_ = await Socket.joined(layer, "room")
    await other.group_send("room", message(1))
    assert await socket_.receive() == message(1)
    await other.send("jobs", message(2))
    assert await within(layer.receive("jobs")) == message(2)


async def why_not(make_layer: MakeLayer, host: object) -> str:
    """What keeps a layer from a server."""
    with pytest.raises(ChannelLayerUnavailable) as caught:
        await within(make_layer(host, send_timeout=0.5).send("jobs", message()))
    return str(caught.value)


def tls(certificate: Path, **options: object) -> dict[str, Any]:
    """The options of a server for which plain connections exist for the test alone."""
    return {
        "tls_port": free_port(),
        "tls_cert_file": certificate,
        "tls_key_file": certificate.with_name("key.pem"),
        "tls_ca_cert_file": certificate,
        **options,
    }


def with_certificate(certificate: Path) -> dict[str, object]:
    """What a client says of itself, and whom it believes."""
    return {
        "ssl": True,
        "ssl_ca_certs": str(certificate),
        "ssl_certfile": str(certificate),
        "ssl_keyfile": str(certificate.with_name("key.pem")),
    }


@pytest.fixture
def has_ipv6() -> None:
    """This machine speaks IPv6 with itself."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")


@pytest.mark.usefixtures("has_ipv6")
@pytest.mark.parametrize("form", ["url", "pair", "dictionary"])
async def test_ipv6(make_layer: MakeLayer, form: str) -> None:
    """An address of IPv6 stands in brackets in a URL, and without them elsewhere."""
    with RedisServer(bind=("127.0.0.1", "::1")) as server:
        hosts: Mapping[str, object] = {
            "url": f"redis://[::1]:{server.port}",
            "pair": ("::1", server.port),
            "dictionary": {"host": "::1", "port": server.port},
        }
        await works(make_layer, hosts[form])
        assert any("[::1]:" in line for line in server.connections())


@pytest.mark.parametrize("form", ["url", "dictionary"])
async def test_database(make_layer: MakeLayer, server: RedisServer, form: str) -> None:
    """Everything that is kept is in the database of the number."""
    hosts: Mapping[str, object] = {
        "url": f"redis://127.0.0.1:{server.port}/3",
        "dictionary": {"host": "127.0.0.1", "port": server.port, "db": 3},
    }
    await works(make_layer, hosts[form])
    keyspace = server.ask("INFO", "keyspace")
    assert "db3:" in keyspace
    assert "db0:" not in keyspace


async def test_no_such_database(make_layer: MakeLayer) -> None:
    """A number that the server does not have is named by its own words."""
    with RedisServer(databases=2) as server:
        text = await why_not(make_layer, f"redis://127.0.0.1:{server.port}/3")
        assert text.endswith("ERR DB index is out of range.")


async def test_unix_socket_with_a_password(make_layer: MakeLayer) -> None:
    """A Unix socket takes a password and a database like any other way."""
    with RedisServer(password="secret") as server:
        path = server.directory / "redis.sock"
        server.shutdown()
        server.options["unixsocket"] = path
        server.start()
        await works(make_layer, f"unix://:secret@{path}?db=3")
        assert "db3:" in server.ask("INFO", "keyspace")
        assert "NOAUTH" in await why_not(make_layer, f"unix://{path}")


@pytest.mark.usefixtures("has_tls")
async def test_certificate_of_the_client(make_layer: MakeLayer, certificate: Path) -> None:
    """Where the server asks for a certificate, ours is shown; without one it says so."""
    with RedisServer(**tls(certificate, tls_auth_clients="yes")) as server:
        address = {"host": "127.0.0.1", "port": server.options["tls_port"]}
        await works(make_layer, {**address, **with_certificate(certificate)})
        stranger = {**address, "ssl": True, "ssl_ca_certs": str(certificate)}
        assert "Redis did not take it" in await why_not(make_layer, stranger)


@pytest.mark.usefixtures("has_tls")
async def test_certificate_of_the_server(make_layer: MakeLayer, certificate: Path) -> None:
    """One that nobody vouches for is refused, or let pass where that is wanted."""
    with RedisServer(**tls(certificate, tls_auth_clients="no")) as server:
        address = f"rediss://127.0.0.1:{server.options['tls_port']}"
        assert "CERTIFICATE_VERIFY_FAILED" in await why_not(make_layer, address)
        await works(make_layer, {"address": address, "ssl_cert_reqs": "none"})
        await works(make_layer, f"{address}?ssl_cert_reqs=none")


@pytest.mark.usefixtures("has_tls", "has_ipv6")
async def test_certificate_of_another(make_layer: MakeLayer, certificate: Path) -> None:
    """One that names another server is refused, whatever a version of redis-py does by default."""
    with RedisServer(
        **tls(certificate, tls_auth_clients="no", bind=("127.0.0.1", "::1"))
    ) as server:
        address = f"rediss://[::1]:{server.options['tls_port']}?ssl_ca_certs={certificate}"
        assert "IP address mismatch" in await why_not(make_layer, address)
        await works(make_layer, f"{address}&ssl_check_hostname=false")


async def test_plain_where_tls_is_spoken(
    make_layer: MakeLayer, server: RedisServer, certificate: Path
) -> None:
    """TLS with a server that speaks none is an error, and not a wait without end."""
    address = {"host": "127.0.0.1", "port": server.port, **with_certificate(certificate)}
    text = await why_not(make_layer, {**address, "socket_connect_timeout": 0.2})
    assert text.startswith("Redis did not take it within 0.5 s (send_timeout): 127.0.0.1:")


@contextlib.contextmanager
def secret_sentinel(**options: Any) -> Iterator[tuple[RedisServer, RedisServer]]:
    """A master with the password "ours", and its Sentinel with the password "theirs"."""
    with RedisServer(password="ours", **options) as master:
        if "tls_port" in options:
            options["tls_port"] = free_port()
        sentinel = RedisServer(password="theirs", **options)
        config = sentinel.directory / "sentinel.conf"
        port = master.options.get("tls_port", master.port)
        config.write_text(
            f"sentinel monitor main 127.0.0.1 {port} 1\nsentinel auth-pass main ours\n"
        )
        sentinel.arguments = (str(config), "--sentinel")
        sentinel.options["save"] = None
        with sentinel:
            yield master, sentinel


async def test_password_of_the_sentinel(make_layer: MakeLayer) -> None:
    """A Sentinel may have a password of its own, and it is said when it is missing."""
    with secret_sentinel() as (_, sentinel):
        host = {
            "sentinels": [("127.0.0.1", sentinel.port)],
            "master_name": "main",
            "sentinel_kwargs": {"password": "theirs"},
            "password": "ours",
        }
        await works(make_layer, {**host, "db": 3})
        text = await why_not(make_layer, {**host, "sentinel_kwargs": {}})
        assert f"Sentinel 127.0.0.1:{sentinel.port}: NOAUTH Authentication required" in text
        text = await why_not(make_layer, {**host, "sentinel_kwargs": {"password": "ours"}})
        assert f"Sentinel 127.0.0.1:{sentinel.port}: WRONGPASS " in text
        assert "WRONGPASS " in await why_not(make_layer, {**host, "password": "theirs"})


@pytest.mark.usefixtures("has_tls")
async def test_sentinel_with_tls(make_layer: MakeLayer, certificate: Path) -> None:
    """The Sentinels and the master speak TLS, each with options of its own."""
    options = tls(certificate, tls_auth_clients="yes", tls_replication="yes")
    with secret_sentinel(**options) as (_, sentinel):
        ours = with_certificate(certificate)
        host = {
            "sentinels": [("127.0.0.1", sentinel.options["tls_port"])],
            "master_name": "main",
            "sentinel_kwargs": {"password": "theirs", **ours},
            "password": "ours",
            **ours,
        }
        await works(make_layer, host)


@pytest.mark.usefixtures("has_tls")
async def test_cluster_with_tls(make_layer: MakeLayer, certificate: Path) -> None:
    """All nodes of a cluster are spoken to as the one that is named."""
    with cluster(**tls(certificate, tls_cluster="yes")) as nodes:
        host = {"host": "127.0.0.1", "port": nodes[0].options["tls_port"], "cluster": True}
        host |= with_certificate(certificate)
        layer, other = make_layer(host, send_timeout=60), make_layer(host, send_timeout=60)
        for number in range(12):  # some of them on each node
            await other.send(f"jobs-{number}", message(number))
            assert await within(layer.receive(f"jobs-{number}")) == message(number)
        socket_ = await Socket.joined(layer, "room")
        await other.group_send("room", message(1))
        assert await socket_.receive() == message(1)
