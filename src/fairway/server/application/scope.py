"""ASGI scopes: what an application learns about a connection before its first event."""

from typing import Any, Final
from urllib.parse import unquote_to_bytes

from fairway._types import Scope
from fairway.server.listening.proxy import Address
from fairway.wire.http1 import Request

#: Versions of the ASGI specification that the server follows: ``version`` of the whole,
#: ``spec_version`` of its HTTP and WebSocket part (2.5: a reason beside the close code).
ASGI: Final = {"version": "3.0", "spec_version": "2.5"}

#: The extensions that work for every request, and those that need something newer than HTTP/1.0.
_FILES: Final[dict[str, dict[str, Any]]] = {
    "http.response.pathsend": {},
    "http.response.zerocopysend": {},
}
_HTTP: Final[dict[str, dict[str, Any]]] = {**_FILES, "http.response.early_hint": {}}


def http_scope(
    request: Request,
    scheme: str,
    root_path: str,
    client: Address | None,
    server: tuple[str, int | None] | None,
    state: dict[str, Any],
    tls: dict[str, Any] | None = None,
) -> Scope:
    """The scope of an HTTP request.

    See https://asgi.readthedocs.io/en/latest/specs/www.html#http-connection-scope. It announces
    those of https://asgi.readthedocs.io/en/latest/extensions.html that work for this request.
    """
    extensions = (_FILES if request.http_version == "1.0" else _HTTP).copy()
    if request.takes_trailers:
        extensions["http.response.trailers"] = {}
    if tls is not None:
        extensions["tls"] = tls.copy()
    return {
        "type": "http",
        "asgi": ASGI.copy(),
        "http_version": request.http_version,
        "method": request.method,
        "scheme": scheme,
        "path": decode_path(request.path),
        "raw_path": request.path,
        "query_string": request.query_string,
        "root_path": root_path,
        "headers": request.headers,
        "client": client,
        "server": server,
        "state": state.copy(),
        "extensions": extensions,
    }


def websocket_scope(
    request: Request,
    scheme: str,
    root_path: str,
    client: Address | None,
    server: tuple[str, int | None] | None,
    state: dict[str, Any],
    subprotocols: list[str],
    tls: dict[str, Any] | None = None,
) -> Scope:
    """The scope of a WebSocket.

    See https://asgi.readthedocs.io/en/latest/specs/www.html#websocket-connection-scope.
    """
    extensions: dict[str, dict[str, Any]] = {"websocket.http.response": {}}
    if tls is not None:
        extensions["tls"] = tls.copy()
    return {
        "type": "websocket",
        "asgi": ASGI.copy(),
        "http_version": request.http_version,
        "scheme": "wss" if scheme == "https" else "ws",
        "path": decode_path(request.path),
        "raw_path": request.path,
        "query_string": request.query_string,
        "root_path": root_path,
        "headers": request.headers,
        "client": client,
        "server": server,
        "subprotocols": subprotocols,
        "state": state.copy(),
        "extensions": extensions,
    }


def decode_path(raw: bytes) -> str:
    """A request's path with percent escapes decoded, as UTF-8 (RFC 3986 §2.1).

    Bytes that are no UTF-8 become U+FFFD: a path is for matching, ``raw_path`` keeps the truth.
    """
    if b"%" in raw:
        return unquote_to_bytes(raw).decode("utf-8", "replace")
    return raw.decode("latin-1")  # the parser lets only ASCII through
