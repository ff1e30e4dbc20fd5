"""What is said of a WebSocket's opening handshake that came as a request."""

import io
import logging

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils.log import log_response

from fairway.http import handshake_hint
from tests.django.test_http import make_scope
from tests.server.running import Logs

HANDSHAKE = {"HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==", "HTTP_CONNECTION": "close"}
WSGI_HINT = (
    ". This is the opening handshake of a WebSocket, and WSGI serves none: start manage.py "
    'runserver without --noasgi, with "fairway" before other apps that bring one, or the fairway '
    "command."
)
ASGI_HINT = (
    ". This is the opening handshake of a WebSocket, which came as a plain request: let the proxy "
    "in front pass on the headers Upgrade and Connection, over HTTP/1.1, or use a server that "
    "serves WebSockets, such as the fairway command."
)


@pytest.mark.pain(24)
class TestHandshakeHint:
    """A WebSocket's opening handshake that came as a request."""

    @staticmethod
    def asgi_request(*headers: tuple[bytes, bytes]) -> ASGIRequest:
        """A request over ASGI."""
        scope = make_scope("/ws/chat/")
        scope["headers"] += headers
        return ASGIRequest(scope, io.BytesIO())

    def test_what_it_says(self) -> None:
        """It says what to do, which depends on who serves; about pages it says nothing."""
        factory = RequestFactory()
        wsgi = factory.get("/ws/chat/", **HANDSHAKE)  # type: ignore[arg-type]  # the environment
        assert isinstance(wsgi, WSGIRequest)
        assert handshake_hint(wsgi) == WSGI_HINT
        assert handshake_hint(self.asgi_request((b"sec-websocket-key", b"x"))) == ASGI_HINT
        assert handshake_hint(self.asgi_request()) == ""
        assert handshake_hint(factory.get("/ws/chat/")) == ""

    def test_in_the_log(self, caplog: pytest.LogCaptureFixture, logs: Logs) -> None:
        """Django's line for a 404 ends in the hint, whatever the path has in it; others do not."""
        factory = RequestFactory()
        request = factory.get("/ws/100%25/", **HANDSHAKE)  # type: ignore[arg-type]  # the environment
        for status_code, some in ((404, request), (404, factory.get("/a/")), (403, request)):
            log_response(
                "%s: %s",
                "Words",
                some.path,
                response=HttpResponse(status=status_code),
                request=some,
            )
        logging.getLogger("django.request").warning("Something else")
        logs.take()
        assert [record.getMessage() for record in caplog.records] == [
            f"Words: /ws/100%/{WSGI_HINT}",
            "Words: /a/",
            "Words: /ws/100%/",
            "Something else",
        ]
