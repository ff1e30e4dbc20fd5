"""An echo, and a message to a room with all in it, on python-socketio: an ASGI application."""

from typing import Any

import socketio

ROOM = "bench"

server = socketio.AsyncServer(async_mode="asgi")
application = socketio.ASGIApp(server)


@server.event
async def connect(client: str, _: dict[str, Any]) -> None:
    await server.enter_room(client, ROOM)


@server.event
async def echo(client: str, text: str) -> None:
    await server.emit("echo", text, to=client)


@server.event
async def group(_: str, text: str) -> None:
    await server.emit("group", text, room=ROOM)
