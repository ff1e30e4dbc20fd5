"""The ASGI application, for ``module:application`` on any server's command line."""

from django.urls import path

from project.consumers import BroadcastConsumer, EchoConsumer, GroupConsumer
from project.stack import ProtocolTypeRouter, URLRouter, get_asgi_application

application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter(
            [
                path("echo/", EchoConsumer.as_asgi()),
                path("group/", GroupConsumer.as_asgi()),
                path("broadcast/", BroadcastConsumer.as_asgi()),
            ]
        ),
    }
)
