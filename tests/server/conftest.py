"""A server in the test's own event loop, clients by hand, and a watch over what is logged."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest
import uvloop

from fairway._types import ASGIApplication
from fairway.server import Config, Server
from tests.eager import LoopFactory, and_eager
from tests.server.running import DEADLINE, Logs, Running

HERE = Path(__file__).parent

#: Test modules that run on both kinds of event loop: they depend on how transports behave.
ON_BOTH_LOOPS = {
    "application/test_loans",
    "application/test_threads",
    "http/test_answer",
    "http/test_connection",
    "http/test_files",
    "http/test_intake",
    "http/test_patience",
    "http/test_http2",
    "http/test_http2_channel",
    "http/test_http2_clock",
    "http/test_http2_endings",
    "http/test_http2_stream",
    "http/test_http2_websocket",
    "http/test_stream",
    "listening/test_greeting",
    "listening/test_acceptor",
    "listening/test_listener",
    "listening/test_renewal",
    "listening/test_tls",
    "test_drain",
    "test_ending",
    "test_memory",
    "test_server",
    "test_talkers",
    "websocket/test_clock",
    "websocket/test_compression",
    "websocket/test_conformance",
    "websocket/test_intake",
    "websocket/test_limits",
    "websocket/test_opening",
    "websocket/test_stream",
}

#: Those that run on a loop of asyncio's with eager tasks, too: they depend on when tasks begin.
ON_EAGER_LOOPS = {
    "application/test_lifespan",
    "http/test_http2_channel",
    "http/test_http2_stream",
    "http/test_stream",
    "listening/test_tls",
    "test_drain",
    "websocket/test_stream",
}


class Serve(Protocol):
    """Starts a server for the length of the test; options are those of ``Config``."""

    async def __call__(
        self, application: ASGIApplication, *, server: Server | None = None, **options: Any
    ) -> Running: ...


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, LoopFactory]:
    """The event loops on which a test runs."""
    module = str(item.path.relative_to(HERE).with_suffix(""))
    loops: Mapping[str, LoopFactory] = {"asyncio": asyncio.new_event_loop}
    if module in ON_BOTH_LOOPS:
        loops = {"uvloop": uvloop.new_event_loop, **loops}
    return and_eager(loops) if module in ON_EAGER_LOOPS else loops


@pytest.fixture(autouse=True)
def logs() -> Iterator[Logs]:
    """What was logged as a warning or an error; a test fails that leaves something there."""
    logs = Logs()
    logging.getLogger().addHandler(logs)
    yield logs
    logging.getLogger().removeHandler(logs)
    assert logs.take() == []


@pytest.fixture
async def serve(logs: Logs) -> AsyncIterator[Serve]:
    """Starts servers on a port of their own; they end with the test, and gracefully."""
    started: list[Running] = []

    async def start(
        application: ASGIApplication, *, server: Server | None = None, **options: Any
    ) -> Running:
        config = Config(**{"host": "127.0.0.1", "port": 0, "lifespan": "off", **options})
        running = Running(server or Server(application, config))
        started.append(running)
        await running.start()
        return running

    yield start
    async with asyncio.timeout(DEADLINE):
        for running in started:
            await running.close()
