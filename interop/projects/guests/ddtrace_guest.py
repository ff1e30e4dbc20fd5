"""``ddtrace``: what it would send, started by ``ddtrace-run``, which waits for our aliases."""

from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from ddtrace.trace import TraceFilter, tracer
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

#: Instead of sending it anywhere: what each request's span is called.
requests: list[str] = []


class Noting(TraceFilter):
    """Notes the spans of requests, and drops all."""

    def process_trace(self, trace: Any) -> None:
        """Note those of one trace."""
        requests.extend(span.resource for span in trace if span.name == "django.request")


tracer.configure(trace_processors=[Noting()])
pages: Any = get_asgi_application()


def traced(request: HttpRequest) -> JsonResponse:
    """What was noted so far, and whether a span is open here."""
    return JsonResponse({"requests": requests, "open": tracer.current_span() is not None})


class AsyncEcho(AsyncJsonWebsocketConsumer):
    """Answers with what it is told."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Answer."""
        await self.send_json(content)


class Echo(JsonWebsocketConsumer):
    """The same in threads."""

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Answer."""
        self.send_json(content)


# ddtrace wraps what path() is given, and unwraps in URLRouter what is no view.
sockets = [path("async/", AsyncEcho.as_asgi()), path("sync/", Echo.as_asgi())]
application = ProtocolTypeRouter({"http": pages, "websocket": URLRouter(sockets)})
