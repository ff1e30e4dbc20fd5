"""What the server answers by itself."""

import re

import pytest

from fairway.server import Config, ConfigError
from fairway.server.config import metrics_config
from fairway.server.observing.figures import Family, single
from fairway.server.observing.pages import Health, Pages
from tests.server.applications import path
from tests.server.conftest import Serve
from tests.server.running import statuses


class TestHealth:
    """Health for those who come in by the public address."""

    async def test_answers(self, serve: Serve) -> None:
        """The server answers for the application, which gets everything else."""
        running = await serve(path, health_path="/-/")
        client = await running.connect()
        health = await client.fetch("/-/health")
        assert (health.status, health.body) == (200, b"healthy\n")
        assert health["cache-control"] == "no-store"
        ready = await client.fetch("/-/ready?x")
        assert (ready.status, ready.body) == (200, b"ready\n")
        assert (await client.fetch("/-/healthy")).body == b"/-/healthy"
        assert statuses(running.records) == [("complete", 200)]

    async def test_head(self, serve: Serve) -> None:
        """HEAD has the same head and no body; other methods are refused."""
        running = await serve(path, health_path="/-")
        client = await running.connect()
        await client.send("HEAD /-/health HTTP/1.1\nHost: a")
        head = await client.response("HEAD")
        assert (head.status, head["content-length"], head.body) == (200, "8", b"")
        await client.send("POST /-/health HTTP/1.1\nHost: a\nContent-Length: 0")
        refused = await client.response("POST")
        assert (refused.status, refused["allow"]) == (405, "GET, HEAD")

    async def test_not_ready(self, serve: Serve) -> None:
        """From the moment at which the server is to end it is not ready, but still healthy."""
        running = await serve(path, health_path="/-")
        client = await running.connect()
        running.context.ready = False
        ready = await client.fetch("/-/ready")
        assert (ready.status, ready.body) == (503, b"not ready\n")
        assert (await client.fetch("/-/health")).status == 200

    async def test_logged(self, serve: Serve) -> None:
        """Who wants to read everything reads of it, too."""
        running = await serve(path, health_path="/-", verbosity=2)
        await (await running.connect()).fetch("/-/health")
        assert statuses(running.records) == [("complete", 200)]

    async def test_off(self, serve: Serve) -> None:
        """Unless it is switched on, the paths are the application's."""
        running = await serve(path)
        assert (await (await running.connect()).fetch("/-/health")).body == b"/-/health"

    def test_paths(self) -> None:
        """The prefix stands before both."""
        assert Health("/up", bool).paths == {"/up/health", "/up/ready"}


async def test_pages(serve: Serve) -> None:
    """The address of the metrics has them, and health; it is not the application's."""

    async def figures() -> list[Family]:
        return [single("fairway_connections", "gauge", "Open connections.", 3)]

    running = await serve(Pages(figures, lambda: False))
    client = await running.connect()
    metrics = await client.fetch("/metrics")
    assert metrics["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert metrics.body.endswith(b"\nfairway_connections 3\n")
    assert (await client.fetch("/-/health")).status == 200
    assert (await client.fetch("/-/ready")).status == 503
    assert (await client.fetch("/")).status == 404
    websocket = await running.websocket()
    assert b" 403 " in await websocket.open()


class TestConfig:
    """Where the pages are served."""

    @pytest.mark.parametrize(
        ("address", "host", "port"),
        [
            ("127.0.0.1:9100", "127.0.0.1", 9100),
            ("localhost:0", "localhost", 0),
            ("[::1]:9100", "::1", 9100),
        ],
    )
    def test_address(self, address: str, host: str, port: int) -> None:
        """A host and a port."""
        config = metrics_config(address)
        assert (config.host, config.port, config.endpoints) == (host, port, ())
        assert config.metrics is None

    @pytest.mark.parametrize("endpoint", ["unix:/run/metrics.sock", "tcp:9100", "fd:3"])
    def test_endpoint(self, endpoint: str) -> None:
        """Or an endpoint."""
        config = metrics_config(endpoint)
        assert (config.host, config.port, config.endpoints) == (None, None, (endpoint,))

    @pytest.mark.parametrize("address", ["9100", "nonsense", "127.0.0.1:70000", "::1:9100", ""])
    def test_neither(self, address: str) -> None:
        """What is neither is said to be wrong under the option's name."""
        with pytest.raises(ConfigError, match=r"^metrics: "):
            metrics_config(address)

    def test_no_port(self) -> None:
        """What lacks a port is told so."""
        message = (
            "metrics: 'localhost' has no port, as 127.0.0.1:9100 has, and is no endpoint, such as "
            "unix:/run/metrics.sock."
        )
        with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
            metrics_config("localhost")

    def test_in_config(self) -> None:
        """That is found out before anything is started."""
        with pytest.raises(ConfigError, match=r"^metrics: "):
            Config(metrics="nonsense")
