"""What is served beside the benchmarks' project."""

from django.urls import path

from fairway.auth import AuthMiddlewareStack
from fairway.routing import ProtocolTypeRouter, URLRouter
from project.consumers import GroupConsumer

application = ProtocolTypeRouter(
    {"websocket": AuthMiddlewareStack(URLRouter([path("group/", GroupConsumer.as_asgi())]))}
)
