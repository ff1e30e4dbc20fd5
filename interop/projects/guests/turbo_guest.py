"""``turbo-django``: pieces of a page that a view sends to all who look at it."""

from typing import Any

import turbo
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

pages: Any = get_asgi_application()

from turbo.consumers import TurboStreamsConsumer  # noqa: E402
from turbo.registry import stream_registry  # noqa: E402


class Harbour(turbo.Stream):
    """What is said in the harbour."""

    class Meta:
        """Where the package would look for it by itself."""

        app_name = "guests"


stream_registry.add_stream("guests", "Harbour", Harbour)


def name(request: HttpRequest) -> HttpResponse:
    """The signed name to subscribe with, which a template would contain."""
    return HttpResponse(Harbour().signed_stream_name)


def say(request: HttpRequest, text: str) -> HttpResponse:
    """Append a line to everybody's page."""
    Harbour().append(text=text, id="lines")
    return HttpResponse("said")


application = ProtocolTypeRouter(
    {"http": pages, "websocket": URLRouter([path("ws/", TurboStreamsConsumer.as_asgi())])}
)
