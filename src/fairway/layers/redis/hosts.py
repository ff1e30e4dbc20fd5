"""Where Redis is: the ``hosts`` of a layer, in every form that ``channels_redis`` takes."""

import dataclasses
import ssl
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, Final

import redis.asyncio as redis_py
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.credentials import CredentialProvider, UsernamePasswordCredentialProvider

#: What applies when a layer is given no hosts.
DEFAULT_HOSTS: Final = ("redis://localhost:6379",)
#: Seconds for a connection to be made, with its handshakes, unless ``socket_connect_timeout`` says.
CONNECT_TIMEOUT: Final = 3.0
#: Seconds from one trial of a connection to the next, unless ``health_check_interval`` says.
PING_INTERVAL: Final = 5.0


@dataclasses.dataclass(frozen=True)
class Server:
    """One Redis server and how to connect to it; or the Sentinels that know where it is.

    Attributes:
        host: Its name or address; unused with ``path``.
        port: Its TCP port.
        path: Its Unix socket.
        db: The number of its database.
        credentials: Gives user name and password for each connection; None where none are needed.
        ssl_context: How to speak TLS with it; None for no TLS.
        client_name: What ``CLIENT LIST`` shows.
        connect_timeout: Seconds for a connection to be made.
        ping_interval: Seconds from one trial of a connection to the next.
        sentinels: Who knows its address; asked before each connection.
        master_name: What they call it.
    """

    host: str = "localhost"
    port: int = 6379
    path: str | None = None
    db: int = 0
    credentials: CredentialProvider | None = None
    ssl_context: ssl.SSLContext | None = None
    client_name: str | None = None
    connect_timeout: float = CONNECT_TIMEOUT
    ping_interval: float = PING_INTERVAL
    sentinels: tuple["Server", ...] = ()
    master_name: str = ""

    def __str__(self) -> str:
        if self.sentinels:
            return f"{self.master_name} (by Sentinel)"
        if self.path is not None:
            return self.path
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def at(self, host: str, port: int) -> "Server":
        """The same way to connect, to another address."""
        return dataclasses.replace(self, host=host, port=port, path=None, sentinels=())


@dataclasses.dataclass(frozen=True)
class Hosts:
    """All the servers of a layer.

    Attributes:
        servers: One server, several that share the load, or some of a cluster.
        cluster: Whether they are a cluster, which knows of all its nodes itself.
    """

    servers: tuple[Server, ...]
    cluster: bool = False


def parse_hosts(hosts: object) -> Hosts:
    """Read the ``hosts`` of a layer.

    Args:
        hosts: A list of URLs, pairs of host and port, and dictionaries: with ``address`` or
            ``sentinels``, and with what ``redis.asyncio.Connection`` takes. None stands for
            ``redis://localhost:6379``. With ``"cluster": True`` in each, they are some nodes of one
            cluster.

    Raises:
        ValueError: It is none of that; the message names the entry.
    """
    if isinstance(hosts, (str, bytes)):
        raise ValueError("You must pass a list of Redis hosts, even if there is only one.")
    if isinstance(hosts, Mapping) or not isinstance(hosts or (), Sequence):
        # Never the value itself: there may be a password in it.
        raise ValueError(f"hosts must be a list of Redis hosts, not {type(hosts).__name__}.")
    if isinstance(hosts, Sequence) and len(hosts) == 2 and isinstance(hosts[1], int):
        raise ValueError(
            "hosts must be a list of Redis hosts, and is one pair of host and port: write "
            '[("localhost", 6379)], with brackets around it.'
        )
    entries: Sequence[object] = hosts or DEFAULT_HOSTS  # type: ignore[assignment]  # narrowed above
    parsed = [_parse_host(f"hosts[{number}]", entry) for number, entry in enumerate(entries)]
    clusters = {cluster for _, cluster in parsed}
    if len(clusters) > 1:
        raise ValueError(
            'All hosts must have "cluster": True, or none: a layer uses one cluster and nothing '
            "else, or servers that know nothing of each other."
        )
    return Hosts(tuple(server for server, _ in parsed), cluster=clusters.pop())


def arguments_of(where: str, entry: object) -> dict[str, Any]:
    """An entry of ``hosts`` as the dictionary that it stands for.

    Args:
        where: Its name, for the error.
        entry: A URL, a pair of host and port, or a dictionary.

    Raises:
        ValueError: It is none of them.
    """
    if isinstance(entry, bytes):
        entry = entry.decode()
    if isinstance(entry, str):
        if "://" not in entry:
            raise ValueError(
                f'{where} must be a URL such as "redis://localhost:6379", or a pair such as '
                '("localhost", 6379).'
            )
        return {"address": entry}
    if isinstance(entry, Mapping):
        return dict(entry)
    if isinstance(entry, (list, tuple)) and len(entry) == 2:
        _check_pair(where, *entry)
        return {"host": entry[0], "port": entry[1]}
    raise ValueError(
        f"{where} must be a URL, a pair of host and port, or a dictionary, not "
        f"{type(entry).__name__}."
    )


def _check_pair(where: str, host: object, port: object) -> None:
    if "://" in str(host):
        raise ValueError(f"{where}: a URL has its port in it, and stands without a pair around it.")
    if not str(port).isdecimal():
        raise ValueError(f"{where}: the port of a pair must be a number, not {port!r}.")


def _parse_host(where: str, entry: object) -> tuple[Server, bool]:
    options = arguments_of(where, entry)
    cluster = bool(options.pop("cluster", False))
    try:
        server = _server_of(options)
    except (TypeError, ValueError, KeyError) as error:
        text = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        cause: Exception | None = error
        if "Port could not be cast" in text:
            cause = None  # its text goes on with half of a password
            text = (
                "what should be the port of this URL is no number. Is there a character such as # "
                'or / in its password? Then write urllib.parse.quote(password, safe="") there.'
            )
        raise ValueError(f"{where}: {text}") from cause
    if cluster and (server.sentinels or server.path is not None or server.db):
        raise ValueError(
            f"{where}: a cluster has neither Sentinels nor Unix sockets, and its only database "
            "is 0."
        )
    return server, cluster


def _server_of(options: dict[str, Any]) -> Server:
    if "sentinels" not in options:
        return _server(options)
    sentinels = options.pop("sentinels")
    master_name = options.pop("master_name")
    sentinel_kwargs = options.pop("sentinel_kwargs", None) or {}
    if not sentinels:
        raise ValueError("sentinels must be a list of pairs of host and port.")
    return dataclasses.replace(
        _server(options),
        sentinels=tuple(
            _server({"host": host, "port": port, **sentinel_kwargs}) for host, port in sentinels
        ),
        master_name=master_name,
    )


def make_pool(arguments: Mapping[str, Any]) -> Any:
    """A connection pool of redis-py, without Sentinels.

    Args:
        arguments: Those of redis-py, with ``address`` for a URL among them.

    Raises:
        TypeError: The address is no URL, or ``ssl`` is a context.
    """
    options = dict(arguments)
    tls = options.pop("ssl", False)
    if isinstance(tls, ssl.SSLContext):
        raise TypeError(
            "'ssl' must be True or False, not a context: what it says is told by 'ssl_cert_reqs', "
            "'ssl_ca_certs' and other options of redis-py's SSLConnection."
        )
    if tls:
        options.setdefault("connection_class", SSLConnection)
    if "unix_socket_path" in options:
        options["path"] = options.pop("unix_socket_path")
        options.setdefault("connection_class", UnixDomainSocketConnection)
    address = options.pop("address", None)
    if not isinstance(address, (str, NoneType)):  # a pair, as channels_redis 3 took it
        raise TypeError(f"'address' must be a URL, not {address!r}; a pair is 'host' and 'port'.")
    pool = (
        redis_py.ConnectionPool(**options)
        if address is None
        else redis_py.ConnectionPool.from_url(address, **options)
    )
    if issubclass(pool.connection_class, SSLConnection):
        _check_names(pool.connection_kwargs)
    return pool


def _check_names(arguments: dict[str, Any]) -> None:
    """Believe a certificate only for the server that it names, unless told not to.

    redis-py does so by default from version 6 on. Its 6.0 cannot let every certificate pass unless
    it is told that names do not matter either.
    """
    if arguments.get("ssl_cert_reqs", "required") in {None, "none", ssl.CERT_NONE}:
        arguments["ssl_check_hostname"] = False
    else:
        arguments.setdefault("ssl_check_hostname", True)


def _server(options: dict[str, Any]) -> Server:
    """Let redis-py read the options, so that they mean what its users expect; see its docs."""
    pool = make_pool(options)
    if pool.connection_class not in {Connection, SSLConnection, UnixDomainSocketConnection}:
        # What it does about TLS, say, would not be done, and a password sent for all to read.
        raise TypeError(
            f"'connection_class' cannot be {pool.connection_class.__name__}, as connections are "
            "the layer's own. For TLS write a rediss:// URL, or 'ssl': True, and 'ssl_cert_reqs', "
            "'ssl_ca_certs' and other options of redis-py's SSLConnection."
        )
    # Refuses options that it does not know. It is never used to connect.
    connection: Any = pool.connection_class(**pool.connection_kwargs)
    given = pool.connection_kwargs
    tls = isinstance(connection, SSLConnection)
    return Server(
        host=str(getattr(connection, "host", "localhost")),
        port=int(getattr(connection, "port", 6379)),
        path=getattr(connection, "path", None),
        db=int(connection.db),
        credentials=_credentials(connection),
        ssl_context=connection.ssl_context.get() if tls else None,
        client_name=connection.client_name,
        # Only what was asked for: the defaults of redis-py change from version to version.
        connect_timeout=float(given.get("socket_connect_timeout") or CONNECT_TIMEOUT),
        ping_interval=float(given.get("health_check_interval") or PING_INTERVAL),
    )


def _credentials(connection: Any) -> CredentialProvider | None:
    if connection.credential_provider is not None:
        provider: CredentialProvider = connection.credential_provider
        return provider
    if connection.username or connection.password:
        return UsernamePasswordCredentialProvider(connection.username, connection.password)
    return None
