"""Applications under real servers, ours and another one, in the event loop of the test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from websockets.asyncio.client import connect

from fairway._types import ASGIApplication
from fairway.server import Config, Server
from tests.server.running import DEADLINE, Client, Running, until

#: Those that a test can be parametrized with.
SERVERS = ("fairway", "uvicorn")


@asynccontextmanager
async def served(server: str, application: ASGIApplication, **options: Any) -> AsyncIterator[int]:
    """A running server; yields its port.

    Args:
        server: One of ``SERVERS``.
        application: What it serves.
        options: For Fairway's server, those of ``Config``.
    """
    if server == "fairway":
        config = Config(**{"host": "127.0.0.1", "port": 0, "lifespan": "off", **options})
        running = Running(Server(application, config))
        await running.start()
        try:
            yield running.port
        finally:
            await running.close()
        return
    other = uvicorn.Server(
        uvicorn.Config(
            application,
            host="127.0.0.1",
            port=0,
            lifespan="off",
            log_config=None,
            ws="websockets-sansio",
        )
    )
    task = asyncio.ensure_future(other.serve())
    await until(lambda: other.started)
    try:
        yield other.servers[0].sockets[0].getsockname()[1]
    finally:
        other.should_exit = True
        async with asyncio.timeout(DEADLINE):
            await task


def websocket(port: int) -> connect:
    """A WebSocket to such a server."""
    return connect(f"ws://127.0.0.1:{port}/ws/", proxy=None, open_timeout=DEADLINE)


async def http(port: int) -> Client:
    """A connection to such a server, for HTTP by hand."""
    return Client(*await asyncio.open_connection("127.0.0.1", port))
