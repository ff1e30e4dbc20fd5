"""The ASGI application, for ``module:application`` on any server's command line."""

from typing import Any

from django.conf import settings
from django.urls import path

from project.consumers import BroadcastConsumer, EchoConsumer, GroupConsumer, SyncEchoConsumer
from project.stack import ProtocolTypeRouter, URLRouter, get_asgi_application

# The border to ASGI: django-stubs knows only views behind path() and only HTTP in ASGIHandler.
pages: Any = get_asgi_application()
sockets: dict[str, Any] = {
    "echo/": EchoConsumer.as_asgi(),
    "sync-echo/": SyncEchoConsumer.as_asgi(),
    "group/": GroupConsumer.as_asgi(),
    "broadcast/": BroadcastConsumer.as_asgi(),
}
if settings.INSTALLED_APPS:
    from project.members import AuthMiddlewareStack, MemberConsumer, MemberInGroupConsumer

    sockets["member/echo/"] = AuthMiddlewareStack(MemberConsumer.as_asgi())
    sockets["member/group/"] = AuthMiddlewareStack(MemberInGroupConsumer.as_asgi())

application = ProtocolTypeRouter(
    {
        "http": pages,
        "websocket": URLRouter([path(route, consumer) for route, consumer in sockets.items()]),
    }
)
