"""``sentry-sdk``: what it would report, with its middleware around everything, as it asks for."""

from typing import Any

import sentry_sdk
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from sentry_sdk.transport import Transport

#: Instead of sending it anywhere: path, exception and tag of each event, and paths of transactions.
errors: list[tuple[str, str, str]] = []
transactions: list[str] = []


class Noting(Transport):
    """Notes what it is to send."""

    def capture_envelope(self, envelope: Any) -> None:
        """Note an event or a transaction."""
        if (transaction := envelope.get_transaction_event()) is not None:
            transactions.append(_path_of(transaction))
        if (event := envelope.get_event()) is not None:
            values = event["exception"]["values"]
            tag = (event.get("tags") or {}).get("who", "")
            errors.append((_path_of(event), ", ".join(value["type"] for value in values), tag))


def _path_of(event: Any) -> str:
    url: str = event.get("request", {}).get("url", "")
    return "/" + url.split("/", 3)[-1]


sentry_sdk.init(dsn="http://nobody@127.0.0.1:9/1", transport=Noting, traces_sample_rate=1.0)
pages: Any = get_asgi_application()


def fail(request: HttpRequest) -> HttpResponse:
    """Fail, as a view does."""
    raise ZeroDivisionError


def heard(request: HttpRequest) -> JsonResponse:
    """What was noted so far."""
    return JsonResponse({"errors": sorted(errors), "transactions": sorted(transactions)})


class AsyncFailing(AsyncJsonWebsocketConsumer):
    """Puts what it is told first on its connection's scope, and fails when it is told more."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Remember, or fail."""
        if "who" not in content:
            raise ZeroDivisionError
        sentry_sdk.set_tag("who", content["who"])
        await self.send_json(content)


class Failing(JsonWebsocketConsumer):
    """The same in threads."""

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Remember, or fail."""
        if "who" not in content:
            raise ZeroDivisionError
        sentry_sdk.set_tag("who", content["who"])
        self.send_json(content)


sockets = [path("async/", AsyncFailing.as_asgi()), path("sync/", Failing.as_asgi())]
application: Any = SentryAsgiMiddleware(
    ProtocolTypeRouter({"http": pages, "websocket": URLRouter(sockets)})
)
