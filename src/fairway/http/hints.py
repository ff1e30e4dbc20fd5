"""What is said where a WebSocket comes to Django, which serves none."""

import logging
from http import HTTPStatus
from typing import Final

from django.core.handlers import asgi
from django.http import HttpRequest

#: What to do about a WebSocket that comes to Django, which its own words leave open.
ONLY_PAGES: Final = (
    "The ASGI application is Django alone, as `startproject` writes it. For WebSockets, make it a "
    'ProtocolTypeRouter({"http": get_asgi_application(), "websocket": …}), from fairway.routing.'
)


class HandshakeHint(logging.Filter):
    """Says in the log of a 404 why a WebSocket was not found, if that is what was asked for.

    A browser's opening handshake that gets here came as an ordinary request: by a server that knows
    no WebSockets, or by a proxy that does not pass on that it is one. "Not Found: /ws/chat/" would
    send people to their routes.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the hint where it is due; every record passes."""
        request = getattr(record, "request", None)
        if getattr(record, "status_code", 0) == HTTPStatus.NOT_FOUND and isinstance(
            request, HttpRequest
        ):
            record.msg = f"{record.msg}{handshake_hint(request)}"
        return True


def handshake_hint(request: HttpRequest) -> str:
    """Say why a WebSocket's opening handshake is an ordinary request; "" if it is no handshake."""
    if "HTTP_SEC_WEBSOCKET_KEY" not in request.META:
        return ""
    if not isinstance(request, asgi.ASGIRequest):
        return (
            ". This is the opening handshake of a WebSocket, and WSGI serves none: start manage.py "
            'runserver without --noasgi, with "fairway" before other apps that bring one, or the '
            "fairway command."
        )
    return (
        ". This is the opening handshake of a WebSocket, which came as a plain request: let the "
        "proxy in front pass on the headers Upgrade and Connection, over HTTP/1.1, or use a server "
        "that serves WebSockets, such as the fairway command."
    )
