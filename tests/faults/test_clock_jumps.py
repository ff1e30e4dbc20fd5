"""The wall clock jumps, as when a machine wakes up or is told the time."""

import ast
import time
from email.utils import formatdate
from pathlib import Path

import pytest

import fairway
from fairway._types import Receive, Scope, Send
from tests.faults.census import Census
from tests.server.applications import body, start
from tests.server.conftest import Serve
from tests.wire.client import close, text

YEAR = 365 * 86400.0
ROOMS = ("wire", "delivery", "server")
#: Who asks what time of the day it is, and what for: nothing waits for it.
ASK_THE_WALL = {
    "server/context.py": "the Date header",
    "server/observing/access.py": "the moment of a line in the access log",
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Echoes messages, and answers requests."""
    if scope["type"] == "http":
        await send(start())
        await send(body(b"ok"))
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event["text"]})


@pytest.mark.parametrize("jump", [-10 * YEAR, -3600.0, 3600.0, 10 * YEAR])
async def test_jump(
    jump: float, serve: Serve, census: Census, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No connection notices it, and responses say the new time."""
    running = await serve(app, ping_interval=0.5, ping_timeout=0.5, keep_alive_timeout=30)
    census.begin()
    idle = await running.connect()
    assert (await idle.fetch()).body == b"ok"
    client = await running.websocket()
    await client.open()
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + jump)
    response = await idle.fetch()
    assert response["date"] in {formatdate(now() + jump - late, usegmt=True) for late in range(30)}
    await client.send(text("still here"))
    assert await client.text() == "still here"
    await client.send(close(1000))
    assert await client.goodbye() == (1000, "")
    client.close()
    idle.close()
    await census.nothing_is_left(running)


def test_nobody_waits_for_the_wall_clock() -> None:
    """Protocols, queues and the server measure with a clock that only goes forward."""
    found = set()
    root = Path(fairway.__file__).parent
    for room in ROOMS:
        for module in sorted((root / room).rglob("*.py")):
            for node in ast.walk(ast.parse(module.read_text())):
                match node:
                    case ast.Attribute(value=ast.Name(id="time"), attr="time" | "time_ns"):
                        found.add(module.relative_to(root).as_posix())
                    case _:
                        continue
    assert found == set(ASK_THE_WALL)
