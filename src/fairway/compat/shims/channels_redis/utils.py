"""``channels_redis.utils``: hosts and connections."""

import importlib
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

#: A URL, ``(host, port)``, or arguments of redis-py, with ``address`` for a URL among them.
Host: TypeAlias = str | bytes | tuple[str, int] | list[Any] | Mapping[str, Any]


def decode_hosts(hosts: Iterable[Host] | None) -> list[dict[str, Any]]:
    """The arguments of redis-py for each of the hosts; by default for this machine.

    Raises:
        ValueError: It is one host and no list.
    """
    if not hosts:
        return [{"address": "redis://localhost:6379"}]
    if isinstance(hosts, (str, bytes)):
        raise ValueError("You must pass a list of Redis hosts, even if there is only one.")
    return [_decode(host) for host in hosts]


def _decode(host: Host) -> dict[str, Any]:
    if isinstance(host, Mapping):
        return dict(host)
    if isinstance(host, (tuple, list)):
        return {"host": host[0], "port": host[1]}
    return {"address": host}


def create_pool(host: Mapping[str, Any]) -> Any:
    """A connection pool of redis-py for what :func:`decode_hosts` has returned.

    Args:
        host: ``address`` and further arguments, or arguments alone, or ``sentinels`` with
            ``master_name`` and, if need be, ``sentinel_kwargs``.

    Raises:
        ImportError: redis-py is not installed.
    """
    try:
        importlib.import_module("redis.asyncio")
    except ModuleNotFoundError as error:
        raise ImportError("This needs redis-py: pip install fairway[redis]") from error
    return importlib.import_module("fairway.layers.redis.clients").make_pool(host)


async def _close_redis(connection: Any) -> None:
    """Close a client of redis-py and its pool."""
    await connection.aclose(close_connection_pool=True)


def _consistent_hash(value: str | bytes, ring_size: int) -> int:
    """Which of ``ring_size`` shards a name belongs to."""
    if ring_size <= 1:
        return 0
    data = value.encode() if isinstance(value, str) else value
    return (zlib.crc32(data) & 0xFFF) * ring_size // 4096
