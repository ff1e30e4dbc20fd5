"""The hosts of a layer: every form that channels_redis takes, and what is wrong with others."""

import ssl
import traceback
from typing import Any

import pytest
from redis.asyncio.connection import Connection
from redis.credentials import CredentialProvider

from fairway.layers.redis import RedisChannelLayer
from fairway.layers.redis.hosts import Server, parse_hosts


class Blind(Connection):
    """A connection of a project's own, such as was written for the certificates of Heroku."""


def only(entry: object) -> Server:
    """The one server of the hosts."""
    (server,) = parse_hosts([entry]).servers
    return server


def login(server: Server) -> tuple[str | None, ...]:
    assert server.credentials is not None
    return tuple(server.credentials.get_credentials())


@pytest.mark.row("3.1 hosts")
@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("redis://redis.example:6380/2", "redis.example:6380"),
        ("redis://redis.example", "redis.example:6379"),
        (b"redis://redis.example", "redis.example:6379"),
        (("redis.example", 6380), "redis.example:6380"),
        (["redis.example", 6380], "redis.example:6380"),
        ({"host": "redis.example", "port": 6380}, "redis.example:6380"),
        ({"address": "redis://redis.example:6380"}, "redis.example:6380"),
        ("redis://[::1]:6380", "[::1]:6380"),
        ("unix:///run/redis.sock", "/run/redis.sock"),
        ({"unix_socket_path": "/run/redis.sock"}, "/run/redis.sock"),
        (
            {"sentinels": [("one.example", 26379)], "master_name": "main"},
            "main (by Sentinel)",
        ),
    ],
)  # fmt: skip
def test_every_form(entry: object, address: str) -> None:
    """URLs, pairs and dictionaries name the same servers."""
    assert str(only(entry)) == address


@pytest.mark.row("3.1 hosts")
@pytest.mark.parametrize("hosts", [None, []])
def test_default(hosts: object) -> None:
    """Without hosts it is the Redis of this machine."""
    (server,) = parse_hosts(hosts).servers
    assert (server.host, server.port, server.db) == ("localhost", 6379, 0)


@pytest.mark.row("3.1 hosts")
@pytest.mark.parametrize("hosts", ["redis://localhost", b"redis://localhost"])
def test_no_list(hosts: Any) -> None:
    """One URL is no list, and the message is the one that is known."""
    with pytest.raises(
        ValueError, match=r"^You must pass a list of Redis hosts, even if there is only one\.$"
    ):
        RedisChannelLayer(hosts=hosts)


def test_login() -> None:
    """User name, password and database come from the URL or the dictionary."""
    server = only("redis://alice:se%3Acret@redis.example/3?client_name=web")
    assert (server.db, server.client_name, login(server)) == (3, "web", ("alice", "se:cret"))
    assert login(only({"host": "redis.example", "password": "secret"})) == ("secret",)
    assert only("redis://redis.example").credentials is None


def test_credential_provider() -> None:
    """redis-py's providers are asked for each connection."""

    class Provider(CredentialProvider):
        def get_credentials(self) -> tuple[str, str]:
            return "alice", "token"

    provider = Provider()
    assert only({"host": "redis.example", "credential_provider": provider}).credentials is provider


def test_tls() -> None:
    """``rediss://`` and ``"ssl": True`` speak TLS, and check the certificate unless told not to."""
    for entry in ("rediss://redis.example", {"host": "redis.example", "ssl": True}):
        context = only(entry).ssl_context
        assert context is not None
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    for reqs in ("none", None):
        lax = only({"address": "rediss://redis.example", "ssl_cert_reqs": reqs}).ssl_context
        assert lax is not None
        assert (lax.verify_mode, lax.check_hostname) == (ssl.CERT_NONE, False)
    others = only("rediss://redis.example?ssl_check_hostname=false").ssl_context
    assert others is not None
    assert (others.verify_mode, others.check_hostname) == (ssl.CERT_REQUIRED, False)
    assert only("redis://redis.example").ssl_context is None


def test_times() -> None:
    """Deadlines are ours, whatever redis-py's defaults are, unless they are given."""
    server = only("redis://redis.example")
    assert (server.connect_timeout, server.ping_interval) == (3.0, 5.0)
    given = only(
        {"host": "redis.example", "socket_connect_timeout": 1, "health_check_interval": 30}
    )
    assert (given.connect_timeout, given.ping_interval) == (1.0, 30.0)


@pytest.mark.pain(1)
@pytest.mark.row("3.1 redis-py ≥8")
def test_socket_timeout() -> None:
    """A ``socket_timeout`` is accepted and ends nobody who waits: nothing blocks on a read."""
    assert only({"host": "redis.example", "socket_timeout": None}).host == "redis.example"
    assert only({"host": "redis.example", "socket_timeout": 0.1}).host == "redis.example"


def test_sentinels() -> None:
    """Sentinels have options of their own; the others are the master's."""
    server = only(
        {
            "sentinels": [("one.example", 26379), ["two.example", 26380]],
            "master_name": "main",
            "sentinel_kwargs": {"password": "theirs"},
            "password": "ours",
            "db": 2,
        }
    )
    assert [str(sentinel) for sentinel in server.sentinels] == [
        "one.example:26379",
        "two.example:26380",
    ]
    assert login(server.sentinels[1]) == ("theirs",)
    master = server.at("10.0.0.1", 6379)
    assert (str(master), master.db, login(master)) == ("10.0.0.1:6379", 2, ("ours",))


def test_cluster() -> None:
    """Some nodes of one cluster."""
    hosts = parse_hosts([{"host": name, "port": 6379, "cluster": True} for name in "ab"])
    assert hosts.cluster
    assert [str(server) for server in hosts.servers] == ["a:6379", "b:6379"]
    assert not parse_hosts([("a", 6379)]).cluster


@pytest.mark.parametrize(
    ("hosts", "text"),
    [
        ({"host": "a"}, "hosts must be a list of Redis hosts, not dict."),
        (7, "hosts must be a list of Redis hosts, not int."),
        (
            [{"address": ("a", 1)}],
            "hosts[0]: 'address' must be a URL, not ('a', 1); a pair is 'host' and 'port'.",
        ),
        (
            ("localhost", 6379),
            (
                "hosts must be a list of Redis hosts, and is one pair of host and port: write "
                '[("localhost", 6379)], with brackets around it.'
            ),
        ),
        (
            ["localhost:6379"],
            (
                'hosts[0] must be a URL such as "redis://localhost:6379", or a pair such as '
                '("localhost", 6379).'
            ),
        ),
        (
            [("redis://localhost", 6379)],
            "hosts[0]: a URL has its port in it, and stands without a pair around it.",
        ),
        (
            [("localhost", None)],
            "hosts[0]: the port of a pair must be a number, not None.",
        ),
        (
            ["redis://:half#secret@localhost:6379"],
            (
                "hosts[0]: what should be the port of this URL is no number. Is there a character "
                "such as # or / in its password? Then write "
                'urllib.parse.quote(password, safe="") there.'
            ),
        ),
        (
            [{"host": "localhost", "ssl": ssl.create_default_context()}],
            (
                "hosts[0]: 'ssl' must be True or False, not a context: what it says is told by "
                "'ssl_cert_reqs', 'ssl_ca_certs' and other options of redis-py's SSLConnection."
            ),
        ),
        (
            [{"host": "localhost", "connection_class": Blind}],
            (
                "hosts[0]: 'connection_class' cannot be Blind, as connections are the layer's own. "
                "For TLS write a rediss:// URL, or 'ssl': True, and 'ssl_cert_reqs', "
                "'ssl_ca_certs' and other options of redis-py's SSLConnection."
            ),
        ),
        ([7], "hosts[0] must be a URL, a pair of host and port, or a dictionary, not int."),
        (
            [("a", 1), ("b", 2, 3)],
            "hosts[1] must be a URL, a pair of host and port, or a dictionary, not tuple.",
        ),
        ([{"sentinels": [("a", 1)]}], "hosts[0]: master_name is missing"),
        (
            [{"sentinels": [], "master_name": "main"}],
            "hosts[0]: sentinels must be a list of pairs of host and port.",
        ),
        (
            [{"host": "a", "cluster": True}, {"host": "b"}],
            (
                'All hosts must have "cluster": True, or none: a layer uses one cluster and '
                "nothing else, or servers that know nothing of each other."
            ),
        ),
        (
            [{"host": "a", "cluster": True, "db": 1}],
            (
                "hosts[0]: a cluster has neither Sentinels nor Unix sockets, and its only database "
                "is 0."
            ),
        ),
    ],
)
def test_mistakes(hosts: object, text: str) -> None:
    """What is wrong is named, and where."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the whole text follows
        parse_hosts(hosts)
    assert str(caught.value) == text


@pytest.mark.parametrize("secret", ["half#secret"])
def test_secret(secret: str) -> None:
    """No part of a password is in the traceback either."""
    with pytest.raises(ValueError, match="no number") as caught:
        parse_hosts([f"redis://:{secret}@localhost:6379"])
    assert "half" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "entry", [{"host": "a", "nonsense": 1}, "http://redis.example", {"address": "redis"}]
)
def test_what_redis_py_refuses(entry: object) -> None:
    """Its words, with the place."""
    with pytest.raises(ValueError, match=r"^hosts\[0\]: "):
        parse_hosts([entry])
