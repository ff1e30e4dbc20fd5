"""Make one HTTP request to an ASGI application inside a test."""

import string
from collections.abc import Iterable
from urllib.parse import quote, unquote, urlsplit

from fairway._types import ASGIApplication, Event, Scope
from fairway.testing.application import ApplicationCommunicator


class HttpCommunicator(ApplicationCommunicator):
    """Sends one request and collects its response.

    The body goes out as one event and the whole response is awaited; for anything finer use
    ``send_input`` and ``receive_output``.

    Args:
        application: The ASGI application.
        method: The request method, in any case.
        path: The path with its query string, percent-encoded or not.
        body: The request's body.
        headers: Header fields with names in lower case.
    """

    def __init__(
        self,
        application: ASGIApplication,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Iterable[tuple[bytes, bytes]] | None = None,
    ) -> None:
        if not isinstance(body, bytes):
            raise TypeError(f"The body argument must be bytes, not {type(body).__qualname__}.")
        scope = _connection_scope("http", path, headers)
        scope["scheme"] = "http"
        scope["method"] = method.upper()
        super().__init__(application, scope)
        self.body = body
        self.sent_request = False

    async def get_response(self, timeout: float | None = 1) -> Event:  # noqa: ASYNC109
        """Send the request, unless that is done already, and return the response.

        Args:
            timeout: Seconds to wait for each event of the response; ``None`` waits for ever.

        Returns:
            ``status``, ``headers`` (a list of pairs of bytes) and ``body`` (bytes).

        Raises:
            AssertionError: The application sent something else than a response.
            TimeoutError: As for ``receive_output``.
        """
        if not self.sent_request:
            self.sent_request = True
            await self.send_input({"type": "http.request", "body": self.body})
        start = await self.receive_output(timeout)
        return await _collect_response(self, start, "http.response", timeout)


def _connection_scope(kind: str, path: str, headers: Iterable[tuple[bytes, bytes]] | None) -> Scope:
    """Build what HTTP and WebSocket scopes have in common.

    ``asgi`` and ``extensions`` are left out. Only a server can promise them, and an application may
    take their absence for the sign that no server is there: ``URLRouter`` then raises for a path
    that it does not know, where a server's client would get its 404.
    """
    parts = urlsplit(path)
    return {
        "type": kind,
        "http_version": "1.1",
        "path": unquote(parts.path),
        "raw_path": quote(parts.path, safe=string.punctuation).encode("ascii"),
        "query_string": parts.query.encode("utf-8"),
        "root_path": "",
        "headers": list(headers or []),
        "client": ["127.0.0.1", 0],
        "server": ["testserver", 80],
    }


async def _collect_response(
    communicator: ApplicationCommunicator, start: Event, prefix: str, seconds: float | None
) -> Event:
    """Turn the start of a response, and the body that follows, into one dictionary.

    Args:
        communicator: What receives the body.
        start: The first event that the application sent.
        prefix: ``http.response``, or ``websocket.http.response`` for a denied handshake.
        seconds: How long to wait for each part of the body.
    """
    _expect(f"{prefix}.start", start)
    response = {key: value for key, value in start.items() if key != "type"}
    response["headers"] = list(start.get("headers", []))
    response["body"] = b""
    more_body = True
    while more_body:
        part = await communicator.receive_output(seconds)
        _expect(f"{prefix}.body", part)
        body = part.get("body", b"")
        if not isinstance(body, bytes):
            raise AssertionError(f"The response body is not bytes, it is {type(body)}")
        response["body"] += body
        more_body = part.get("more_body", False)
    return response


def _expect(wanted: str, event: Event) -> None:
    if event["type"] != wanted:
        raise AssertionError(f"Expected type '{wanted}', but was '{event['type']}'")
