"""The scopes that communicators make up: those of a server, for a client that is not there."""

import string
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from fairway._types import Scope
from fairway.server.application.scope import ASGI

#: The host that tests ask for, as Django's test client does; Django's test runners allow it.
HOST: Final = "testserver"


def connection_scope(
    kind: str,
    path: str,
    headers: Iterable[tuple[bytes, bytes]] | None,
    *,
    served: bool,
    state: Mapping[str, Any] | None,
) -> Scope:
    """What the scopes of HTTP requests and of WebSockets have in common.

    Args:
        kind: ``"http"`` or ``"websocket"``.
        path: The path with its query string, percent-encoded or not.
        headers: Header fields with names in lower case. ``host`` is put before them unless it is
            among them, as every HTTP/1.1 request has one (RFC 9112 §3.2).
        served: Whether ``asgi`` and the extensions of a server are there. An application may take
            the absence of ``asgi`` for the sign that no server called: ``URLRouter`` then raises
            for a path that it does not know, where the client of a server would get its 404.
        state: What the application's lifespan put into its state; copied, as servers do.
    """
    parts = urlsplit(path)
    fields = list(headers or [])
    if not any(name.lower() == b"host" for name, _ in fields):
        fields.insert(0, (b"host", HOST.encode("ascii")))
    scope: Scope = {
        "type": kind,
        "http_version": "1.1",
        "path": unquote(parts.path),
        "raw_path": quote(parts.path, safe=string.punctuation).encode("ascii"),
        "query_string": parts.query.encode("utf-8"),
        "root_path": "",
        "headers": fields,
        "client": ("127.0.0.1", 0),
        "server": (HOST, 80),
        "state": dict(state or {}),
        "extensions": {},
    }
    if served:
        scope["asgi"] = dict(ASGI)
    return scope
