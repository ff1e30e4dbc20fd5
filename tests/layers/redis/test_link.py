"""Connections that come back: how soon, how often, and what the log says."""

import logging

import pytest

from fairway.layers.redis.connection import Connection
from fairway.layers.redis.hosts import Server
from fairway.layers.redis.link import Link, Reporter, back_off
from fairway.layers.redis.sentinel import locate
from tests.layers.redis.conftest import MakeLayer
from tests.layers.redis.servers import RedisServer, eventually, version
from tests.layers.redis.sockets import Socket


def longest(least: float, most: float) -> float:
    return most


def shortest(least: float, most: float) -> float:
    return least


def test_back_off() -> None:
    """Twice as long each time, up to two seconds, and never at the same time as others."""
    assert [back_off(n, longest) for n in range(7)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
    assert [back_off(n, shortest) for n in (0, 6, 1_000_000)] == [0.025, 1.0, 1.0]
    assert len({back_off(5) for _ in range(10)}) > 1


def test_reporter(caplog: pytest.LogCaptureFixture) -> None:
    """One line for each reason in an outage, one at its end."""
    reporter = Reporter(Server(host="redis.example"))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            reporter.lost("commands", "it is gone")
            reporter.lost("subscriptions", "it is gone")
        reporter.lost("commands", "WRONGPASS no")
        reporter.lost("commands", "WRONGPASS no")
        reporter.back("commands")
        reporter.back("commands")
        assert len(caplog.records) == 2
        reporter.back("subscriptions")
        reporter.lost("commands", "again")
    assert [(r.levelname, r.getMessage().split(", after")[0]) for r in caplog.records] == [
        (
            "WARNING",
            (
                "Redis at redis.example:6379 is not available: it is gone. Connections stay open, "
                "and it is tried again until it is back."
            ),
        ),
        (
            "ERROR",
            (
                "Redis at redis.example:6379 is not available: WRONGPASS no. Correct the user name "
                "and password in 'hosts'."
            ),
        ),
        ("WARNING", "Redis at redis.example:6379 is available again"),
        (
            "WARNING",
            (
                "Redis at redis.example:6379 is not available: again. Connections stay open, and "
                "it is tried again until it is back."
            ),
        ),
    ]


async def test_idle_connections_stay(make_layer: MakeLayer, server: RedisServer) -> None:
    """Where the server ends idle connections, ours are not idle."""
    server.ask("CONFIG", "SET", "timeout", 1)
    host = {"host": "127.0.0.1", "port": server.port, "health_check_interval": 0.1}
    layer = make_layer(host)
    await Socket.joined(layer, "room")
    await layer.group_send("room", {"type": "x"})

    def pings() -> int:
        lines: list[str] = server.ask("INFO", "commandstats").splitlines()
        found = [line for line in lines if line.startswith("cmdstat_ping:")]
        return int(found[0].partition("calls=")[2].partition(",")[0])

    before = pings()
    await eventually(lambda: pings() > before + 30)  # longer than a second
    assert layer.stats()["reconnects"] == 0


class Watching(Link):
    """Counts how often it asks for an answer."""

    role = "watching"

    def __init__(self) -> None:
        server = Server(host="redis.example", ping_interval=3600)
        super().__init__(server, Reporter(server), locate)
        self.questions = 0

    def _ping(self, connection: Connection) -> None:
        self.questions += 1

    def _opened(self, connection: Connection, *, came_back: bool) -> None: ...

    def _closed(self) -> None: ...

    def _failed(self) -> None: ...


async def test_asked_each_time() -> None:
    """Every interval has its question, however lately an answer came, until one has none."""
    link, connection = Watching(), Connection()
    link.connection = connection
    link._watch(connection)
    for _ in range(3):
        connection.quiet = False  # the answer
        link._check(connection)
    assert link.questions == 4
    link._check(connection)
    assert link.questions == 4
    assert connection._reason == "no answer to a PING within 3600 s"
    link.connection = None
    link._check(connection)
    assert link.questions == 4
    await link.close()


async def test_no_polling(make_layer: MakeLayer, server: RedisServer) -> None:
    """A process that waits asks for nothing."""
    layer = make_layer(server)
    await Socket.joined(layer, "room")
    await layer.group_send("room", {"type": "x"})
    before = int(server.ask("INFO", "stats").partition("total_commands_processed:")[2].split()[0])
    for _ in range(10):
        server.ask("PING")
    after = int(server.ask("INFO", "stats").partition("total_commands_processed:")[2].split()[0])
    assert after - before <= 13


async def test_a_server_that_loads(make_layer: MakeLayer, server: RedisServer) -> None:
    """While Redis loads its data it counts as away."""
    layer = make_layer(server, send_timeout=30)
    await layer.send("jobs", {"type": "x"})
    for n in range(2000):
        server.ask("SET", f"key-{n}", "x" * 100)
    server.ask("SAVE")
    server.options |= {"key_load_delay": 1000}
    if version() >= (7,):
        server.options |= {"loading_process_events_interval_bytes": 1024}
    server.kill()
    server.start()
    await layer.send("jobs", {"type": "x"})
    assert layer.stats()["disconnected"] == 0
