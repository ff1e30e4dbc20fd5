"""What becomes of a connection whose path no route matches."""

import contextlib
import logging

from django.urls.exceptions import Resolver404

from fairway._types import Headers, Receive, Scope, Send

logger = logging.getLogger("fairway.routing")

#: Close code of a WebSocket for which there is no route, after HTTP's 404.
CLOSE_NOT_FOUND = 4404

_NOT_FOUND_BODY = b"Not Found"
_NOT_FOUND_HEADERS: Headers = [
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"content-length", str(len(_NOT_FOUND_BODY)).encode()),
]


class NoRoute(Resolver404):
    """An inner router has no route for the rest of the path.

    Attributes:
        scope: What it was given.
    """

    def __init__(self, text: str, scope: Scope) -> None:
        super().__init__(text)
        self.scope = scope


async def not_found(scope: Scope, receive: Receive, send: Send, path: str, *, inner: bool) -> None:
    """Tell whoever asked that there is no route: the outer router, the client or a test.

    Args:
        scope: Of the connection.
        receive: As an application gets it.
        send: Likewise.
        path: What was looked for.
        inner: Whether another router asked.

    Raises:
        Resolver404: An outer router asked.
        ValueError: Neither a router nor a server asked.
    """
    if inner:
        raise NoRoute(f"No route found for path {path!r}.", scope)
    if "asgi" not in scope or scope["type"] not in {"http", "websocket"}:
        raise ValueError(f"No route found for path {path!r}.")
    logger.warning("Not Found: no route for the %s path %r", scope["type"], scope["path"])
    # A client that has gone in the meantime needs no answer.
    with contextlib.suppress(OSError):
        if scope["type"] == "http":
            await _send_404("http.response", send)
        elif (await receive())["type"] == "websocket.connect":
            if "websocket.http.response" in (scope.get("extensions") or {}):
                await _send_404("websocket.http.response", send)
            else:
                await send({"type": "websocket.close", "code": CLOSE_NOT_FOUND})


async def _send_404(kind: str, send: Send) -> None:
    """Send a plain 404 as the response events of this kind."""
    await send({"type": f"{kind}.start", "status": 404, "headers": list(_NOT_FOUND_HEADERS)})
    await send({"type": f"{kind}.body", "body": _NOT_FOUND_BODY})
