"""The chat, and what each page's WebSocket needs to know for the tests: which worker serves it."""

import json
import os
from importlib import import_module

from fairway._types import ASGIApplication, Event, Receive, Scope, Send

chat: ASGIApplication = import_module("config.asgi").application


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the chat; the first event of every WebSocket is the worker's process id."""

    async def tell(event: Event) -> None:
        await send(event)
        if event["type"] == "websocket.accept":
            worker = {"type": "worker", "pid": os.getpid()}
            await send({"type": "websocket.send", "text": json.dumps(worker)})

    await chat(scope, receive, tell)
