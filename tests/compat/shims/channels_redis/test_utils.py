"""``channels_redis.utils``."""

import sys
from typing import Any

import pytest

from fairway.compat.shims.channels_redis.utils import (
    _close_redis,
    _consistent_hash,
    create_pool,
    decode_hosts,
)


class TestHosts:
    """Hosts as settings name them."""

    @pytest.mark.parametrize(
        ("hosts", "decoded"),
        [
            (None, [{"address": "redis://localhost:6379"}]),
            ([], [{"address": "redis://localhost:6379"}]),
            (["redis://a"], [{"address": "redis://a"}]),
            ([("a", 1), ["b", 2]], [{"host": "a", "port": 1}, {"host": "b", "port": 2}]),
            ([{"address": "redis://a", "db": 1}], [{"address": "redis://a", "db": 1}]),
        ],
    )
    def test_decoded(self, hosts: Any, decoded: list[dict[str, Any]]) -> None:
        """Each form is arguments for redis-py; without any it is this machine."""
        assert decode_hosts(hosts) == decoded

    @pytest.mark.parametrize("hosts", ["redis://a", b"redis://a"])
    def test_no_list(self, hosts: Any) -> None:
        """One host alone is a mistake."""
        with pytest.raises(ValueError, match="list of Redis hosts") as caught:
            decode_hosts(hosts)
        assert str(caught.value) == (
            "You must pass a list of Redis hosts, even if there is only one."
        )


class TestPools:
    """Connections of redis-py, which are not opened here."""

    async def test_address(self) -> None:
        """An address is a URL, with further arguments beside it."""
        pytest.importorskip("redis")
        pool = create_pool({"address": "redis://a:5/3", "socket_timeout": 7})
        arguments = pool.connection_kwargs
        assert (arguments["host"], arguments["port"], arguments["db"]) == ("a", 5, 3)
        assert arguments["socket_timeout"] == 7

    async def test_arguments(self) -> None:
        """Arguments are redis-py's own; a client is closed with its pool."""
        redis = pytest.importorskip("redis.asyncio")
        pool = create_pool({"host": "a", "port": 5})
        assert pool.connection_kwargs["host"] == "a"
        await _close_redis(redis.Redis(connection_pool=pool))

    async def test_sentinel(self) -> None:
        """Sentinels are asked for the master."""
        pytest.importorskip("redis")
        pool = create_pool({"sentinels": [("a", 1)], "master_name": "m", "sentinel_kwargs": {}})
        assert pool.service_name == "m"

    def test_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without redis-py it says what to install."""
        monkeypatch.setitem(sys.modules, "redis", None)
        monkeypatch.setitem(sys.modules, "redis.asyncio", None)
        with pytest.raises(ImportError) as caught:
            create_pool({})
        assert str(caught.value) == "This needs redis-py: pip install fairway[redis]"


@pytest.mark.parametrize(
    ("name", "size", "shard"), [("a", 1, 0), ("specific.a!b", 2, 1), (b"a", 5, 4), ("é", 3, 2)]
)
def test_consistent_hash(name: str | bytes, size: int, shard: int) -> None:
    """Names belong to the shards that channels_redis gives them."""
    assert _consistent_hash(name, size) == shard
