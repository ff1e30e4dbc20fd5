"""A server that shows how it is, at an address of its own."""

import errno
import socket
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fairway._types import Receive, Scope, Send
from fairway.server import Config, Server
from tests.server.applications import path
from tests.server.conftest import Serve
from tests.server.process import connected
from tests.server.running import Running, until


async def test_metrics(serve: Serve, tmp_path: Path) -> None:
    """The figures are at the metrics' address, and nowhere else."""
    file = tmp_path / "metrics"
    running = await serve(path, metrics=f"unix:{file}")
    client = await running.connect()
    assert (await client.fetch("/metrics")).body == b"/metrics"
    async with connected(file) as watcher:
        page = await watcher.fetch("/metrics")
        found = {each.name: each for each in text_string_to_metric_families(page.body.decode())}
        assert [s.value for s in found["fairway_connections"].samples] == [1]
        assert [s.labels for s in found["fairway_connections"].samples] == [{"worker": "0"}]
        assert [s.value for s in found["fairway_requests"].samples] == [1]
        assert (await watcher.fetch("/-/ready")).body == b"ready\n"
    assert len(running.records) == 1


async def test_before_and_after(tmp_path: Path) -> None:
    """The page is there before the application has started, until it has ended."""
    file = tmp_path / "metrics"
    seen: list[tuple[int, int]] = []

    async def look() -> None:
        async with connected(file) as watcher:
            health = await watcher.fetch("/-/health")
            ready = await watcher.fetch("/-/ready")
            seen.append((health.status, ready.status))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        await look()
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        await look()
        await send({"type": "lifespan.shutdown.complete"})

    config = Config(host="127.0.0.1", port=0, metrics=f"unix:{file}")
    running = Running(Server(app, config))
    await running.start()
    await look()
    await running.close()
    assert seen == [(200, 503), (200, 200), (200, 503)]
    assert not file.exists()


async def test_taken() -> None:
    """If the address cannot be bound, the server does not start, and says why."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = Config(
            host="127.0.0.1", port=0, metrics=f"127.0.0.1:{taken.getsockname()[1]}", lifespan="off"
        )
        with pytest.raises(OSError, match="another program listens there") as error:
            await Server(path, config).serve()
    assert error.value.errno == errno.EADDRINUSE


async def test_lag(serve: Serve) -> None:
    """Who limits the lag has it measured, with or without metrics."""
    running = await serve(path, max_event_loop_lag=100.0)
    assert running.context.lag is not None
    running.context.admission.feel(7.0)
    await until(lambda: running.context.admission.lag < 7.0)
