"""The work that is counted is done, here without anybody who counts.

Those paths are tried that need no project of Django; the others differ in what they serve.
"""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator

import pytest

from counts.clients import Crowd
from counts.paths import PATHS, Path
from fairway.server import Config, Server


@contextlib.asynccontextmanager
async def port_of(path: Path) -> AsyncIterator[int]:
    """A server on the loop of the test."""
    module, _, name = path.application.partition(":")
    ready = asyncio.Event()
    config = Config.from_mapping({"host": "127.0.0.1", "port": 0, **path.options})
    served = getattr(importlib.import_module(module), name)
    server = Server(served, config, ready=ready.set, signals=False)
    serving = asyncio.ensure_future(server.serve())
    await ready.wait()
    yield int(server.addresses[0].rpartition(":")[2])
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def test_names() -> None:
    """A path is found by its name, and each does something."""
    for name, path in PATHS.items():
        assert path.name == name
        assert path.units * path.turns > 0


@pytest.mark.parametrize("name", ["asgi-echo", "hello", "http2"])
async def test_turns(name: str) -> None:
    """A turn can be taken again and again, and each time everything comes back."""
    path = PATHS[name]
    async with port_of(path) as port:
        crowd = Crowd(port)
        try:
            turn = await path.prepare(crowd)
            for _ in range(3):
                await turn()
        finally:
            crowd.close()
